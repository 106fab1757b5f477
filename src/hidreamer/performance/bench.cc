#include "hidreamer/performance/bench.h"

#include <fmt/format.h>
#include <torch/torch.h>

#include <algorithm>

#include "hidreamer/base/error.h"
#include "hidreamer/base/log.h"
#include "hidreamer/base/text_table.h"
#include "hidreamer/performance/matmul_peak.h"
#include "hidreamer/performance/products_alone.h"
#include "hidreamer/performance/timing.h"
#include "hidreamer/performance/workload.h"
#include "hidreamer/pipeline/machine.h"
#include "hidreamer/training/flop_meter.h"
#include "hidreamer/training/runtime.h"

namespace hidreamer::performance {
namespace {

using nlohmann::json;

// The world model's products, which decide on the precision of a run.
constexpr int64_t kRows = 32 * 64 * 4, kWidth = 384;
constexpr int64_t kQuickPeak = 256, kCpuPeak = 2048, kGpuPeak = 8192;

double WarmUp(const BenchOptions& options) {
  constexpr double kEnough = 1.5;
  return options.quick ? 0 : std::min(kEnough, options.seconds);
}

json Measure(const Workload& workload, const BenchOptions& options, const json& peaks,
             torch::Device device) {
  RepetitionLimits limits{.seconds = options.seconds, .warm_up = WarmUp(options)};
  if (options.quick) {
    limits = {.fewest = 2, .most = 2};
  }
  const Timing timing = TimeRepetitions(workload.run, limits, device);
  const std::string precision = layers::PrecisionName(workload.precision);
  json result = {{"shape", workload.shape}, {"precision", precision},
                 {"median", timing.median}, {"min", timing.min},
                 {"max", timing.max},       {"repetitions", timing.repetitions},
                 {"unit", workload.unit},   {"rate", workload.items / timing.median}};
  int64_t flops = 0;
  std::vector<training::CountedOperator> operators;
  {
    const training::FlopMeter meter(/*list=*/true);
    workload.run();
    flops = meter.flops();
    operators = meter.operators();
  }
  if (flops > 0) {
    const double peak = peaks.at(precision).at("gflops").get<double>();
    const double gflops = static_cast<double>(flops) / timing.median / 1e9;
    int64_t of_own_kernels = flops;
    for (const auto& counted : operators) {
      of_own_kernels -= counted.flops;
    }
    result["products_alone"] =
        TimeProductsAlone(operators, workload.precision, limits.fewest, device) +
        static_cast<double>(of_own_kernels) / peak * 1e-9;
    result["flops"] = flops;
    result["gflops"] = gflops;
    result["share_of_peak"] = gflops / peak;
  }
  return result;
}

json* Find(json& results, const std::string& name) {
  const auto found = std::find_if(results.begin(), results.end(), [&](const json& result) {
    return result.at("name") == name && !result.contains("skipped");
  });
  return found == results.end() ? nullptr : &*found;
}

// Time of a batch of windows over that of the training step that uses it.
void CompareSampling(json& results) {
  json* sampling = Find(results, "window_sampling");
  const json* training = Find(results, "world_model_train");
  if (sampling != nullptr && training != nullptr) {
    (*sampling)["share_of_training_step"] =
        training->at("rate").get<double>() / sampling->at("rate").get<double>();
  }
}

std::string Seconds(double seconds) {
  return seconds < 1e-3 ? fmt::format("{:.3g} us", seconds * 1e6)
         : seconds < 1  ? fmt::format("{:.3g} ms", seconds * 1e3)
                        : fmt::format("{:.3g} s", seconds);
}

std::string Percent(double share) { return fmt::format("{:.3g} %", 100 * share); }

std::vector<std::string> TableRow(const json& result) {
  const std::string none = "–";
  std::vector<std::string> row = {result.at("name").get<std::string>()};
  if (result.contains("skipped")) {
    row.push_back("skipped: " + result.at("skipped").get<std::string>());
    row.resize(11, none);
    return row;
  }
  const auto number = [&](const char* key) { return result.at(key).get<double>(); };
  const bool counted = result.contains("flops");
  std::string share = none;
  if (counted) {
    share = Percent(number("share_of_peak"));
  } else if (result.contains("share_of_training_step")) {
    share = Percent(number("share_of_training_step")) + " of a training step";
  }
  row.insert(row.end(),
             {result.at("shape").get<std::string>(), result.at("precision").get<std::string>(),
              Seconds(number("median")), Seconds(number("min")), Seconds(number("max")),
              std::to_string(result.at("repetitions").get<int64_t>()),
              fmt::format("{:.4g} {}/s", number("rate"), result.at("unit").get<std::string>()),
              counted ? fmt::format("{:.4g}", number("gflops")) : none, share,
              counted ? Seconds(number("products_alone")) : none});
  return row;
}

}  // namespace

json RunBench(const BenchOptions& options) {
  const std::vector<NamedWorkload> workloads = SelectWorkloads(options.only);
  const int threads = training::ConfigureRuntime(options.threads);
  const torch::Device device = training::UseDevice(options.device);
  torch::mm(torch::ones({64, 64}, device), torch::ones({64, 64}, device));
  training::WaitFor(device);
  json bench = {{"start_seconds", SecondsSinceProcessStart()},
                {"machine", pipeline::DescribeMachine()},
                {"versions", pipeline::DescribeVersions()},
                {"device", options.device},
                {"threads", threads},
                {"quick", options.quick},
                {"results", json::array()}};
  const layers::Precision precision =
      layers::ChoosePrecision(options.precision, kRows, kWidth, device);
  bench["precision"] = layers::PrecisionName(precision);
  spdlog::info("matmul peak");
  for (const layers::Precision each : {layers::Precision::kF32, layers::Precision::kBf16}) {
    const int64_t largest = options.quick ? kQuickPeak : device.is_cuda() ? kGpuPeak : kCpuPeak;
    const MatmulPeak peak = MeasureMatmulPeak(each, largest, device, WarmUp(options));
    bench["matmul_peak"][layers::PrecisionName(each)] = {{"gflops", peak.gflops},
                                                         {"size", peak.size}};
  }
  const WorkloadOptions workload_options{
      .precision = precision, .device = device, .threads = threads, .quick = options.quick};
  json& results = bench["results"];
  for (const NamedWorkload& workload : workloads) {
    spdlog::info("{} ({} of {})", workload.name, results.size() + 1, workloads.size());
    json result;
    try {
      result = Measure(workload.make(workload_options), options, bench.at("matmul_peak"), device);
    } catch (const Error& error) {
      if (error.kind() != Error::Kind::kUser || !options.only.empty()) {
        throw;
      }
      result = {{"skipped", error.what()}};
    }
    result["name"] = workload.name;
    results.push_back(std::move(result));
  }
  CompareSampling(results);
  return bench;
}

std::string FormatBench(const json& bench) {
  std::string text;
  for (const auto& [precision, peak] : bench.at("matmul_peak").items()) {
    text += fmt::format("matmul peak, {}: {:.4g} GFLOP/s ({} x {})\n", precision,
                        peak.at("gflops").get<double>(), peak.at("size").get<int64_t>(),
                        peak.at("size").get<int64_t>());
  }
  text += fmt::format(
      "device: {}, threads: {}, start of the program to its first product: {:.2f} s\n\n",
      bench.at("device").get<std::string>(), bench.at("threads").get<int>(),
      bench.at("start_seconds").get<double>());
  std::vector<std::vector<std::string>> rows = {{"work", "shape", "precision", "median", "min",
                                                 "max", "runs", "rate", "GFLOP/s", "of peak",
                                                 "products alone"}};
  for (const json& result : bench.at("results")) {
    rows.push_back(TableRow(result));
  }
  return text + FormatTable(rows);
}

}  // namespace hidreamer::performance
