#include "hidreamer/performance/scaling.h"

#include <fmt/format.h>

#include "hidreamer/base/log.h"
#include "hidreamer/base/text_table.h"
#include "hidreamer/config/config.h"
#include "hidreamer/performance/timing.h"
#include "hidreamer/performance/workload.h"
#include "hidreamer/pipeline/machine.h"
#include "hidreamer/training/runtime.h"

namespace hidreamer::performance {
namespace {

using nlohmann::json;

struct Axis {
  std::string name;
  int64_t WorldModelSize::*field;
  WorldModelSize base;
  std::vector<int64_t> values;
};

std::vector<Axis> Axes(bool quick) {
  if (quick) {
    return {{"window", &WorldModelSize::window, {.batch = 2}, {4, 8}}};
  }
  return {
      {"window", &WorldModelSize::window, {.batch = 8}, {16, 32, 64, 128, 256}},
      {"batch", &WorldModelSize::batch, {.window = 16}, {8, 16, 32, 64, 128}},
      {"levels", &WorldModelSize::levels, {.window = 32, .batch = 8}, {1, 2, 3, 4}},
      {"codes", &WorldModelSize::codes, {.window = 32, .batch = 8}, {64, 256, 1024, 4096}},
  };
}

// Multiply-adds of a forward pass, up to a factor that all sizes share: S = T (L + 1) positions,
// each through blocks of 12 D^2 weights and causal attention over S / 2 others (2 D each), and a
// head of D V for every code.
double Law(const WorldModelSize& size) {
  const config::WorldModelConfig config;
  const auto d = static_cast<double>(config.width);
  const auto layers = static_cast<double>(config.layers);
  const double positions = static_cast<double>(size.window * (size.levels + 1));
  const double blocks = layers * d * (4 * d + 2 * static_cast<double>(config.ffn_width));
  const double attention = layers * d * positions;
  const double heads = static_cast<double>(size.window * size.levels * size.codes) * d;
  return static_cast<double>(size.batch) * (positions * (blocks + attention) + heads);
}

}  // namespace

json RunScaling(const BenchOptions& options) {
  const int threads = training::ConfigureRuntime(options.threads);
  const torch::Device device = training::UseDevice(options.device);
  const layers::Precision precision = layers::ChoosePrecision(options.precision, 8192, 384, device);
  json points = json::array();
  for (const Axis& axis : Axes(options.quick)) {
    double first = 0, first_law = 0;
    for (const int64_t value : axis.values) {
      WorldModelSize size = axis.base;
      size.*axis.field = value;
      spdlog::info("{} {}", axis.name, value);
      const Workload workload = WorldModelTrainOf(size, {.precision = precision, .device = device});
      const Timing timing = TimeRepetitions(
          workload.run,
          {.fewest = options.quick ? 2 : 3, .seconds = options.quick ? 0 : options.seconds},
          device);
      if (value == axis.values.front()) {
        first = timing.median;
        first_law = Law(size);
      }
      points.push_back({{"varies", axis.name},
                        {"window", size.window},
                        {"batch", size.batch},
                        {"levels", size.levels},
                        {"codes", size.codes},
                        {"median", timing.median},
                        {"repetitions", timing.repetitions},
                        {"growth", timing.median / first},
                        {"expected_growth", Law(size) / first_law}});
    }
  }
  return {{"machine", pipeline::DescribeMachine()},
          {"device", options.device},
          {"threads", threads},
          {"precision", layers::PrecisionName(precision)},
          {"quick", options.quick},
          {"points", points}};
}

std::string FormatScaling(const json& scaling) {
  std::vector<std::vector<std::string>> rows = {
      {"varies", "T", "B", "L", "V", "median", "runs", "growth", "expected"}};
  for (const json& point : scaling.at("points")) {
    const auto whole = [&](const char* key) {
      return std::to_string(point.at(key).get<int64_t>());
    };
    rows.push_back({point.at("varies").get<std::string>(), whole("window"), whole("batch"),
                    whole("levels"), whole("codes"),
                    fmt::format("{:.3g} s", point.at("median").get<double>()), whole("repetitions"),
                    fmt::format("{:.2f}", point.at("growth").get<double>()),
                    fmt::format("{:.2f}", point.at("expected_growth").get<double>())});
  }
  return FormatTable(rows);
}

}  // namespace hidreamer::performance
