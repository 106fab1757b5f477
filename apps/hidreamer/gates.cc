#include "hidreamer/agent/gates.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <string>

#include "commands.h"
#include "hidreamer/report/image.h"
#include "options.h"

namespace hidreamer::app {
namespace {

struct GatesArguments {
  std::filesystem::path run, fit, held_out, own_play, json, picture;
  agent::GateOptions options;
};

void Print(std::FILE* words, const std::string& title, const nlohmann::json& values) {
  fmt::print(words, "{}\n", title);
  for (const auto& [key, value] : values.items()) {
    if (value.is_array()) {
      for (const auto& row : value) {
        fmt::print(words, "  {}: {}\n", key, row.dump());
      }
    } else {
      fmt::print(words, "  {}: {}\n", key, value.dump());
    }
  }
}

report::GrayImage ToImage(const torch::Tensor& picture) {  // (64, 64) f32
  const auto bytes = picture.mul(255).round().to(torch::kUInt8).contiguous();
  report::GrayImage image(picture.size(1), picture.size(0));
  std::copy_n(bytes.data_ptr<uint8_t>(), bytes.numel(), image.pixels.begin());
  return report::Enlarge(image, 2);
}

// A PNG of three rows a window: the game, the same through the codes, the dream under the same
// actions.
std::string DrawDreams(agent::AgentModels models, const data::EpisodeStore& recording,
                       uint64_t seed) {
  constexpr int64_t kWindows = 3;
  constexpr std::array<int64_t, 8> kShown = {0, 1, 2, 3, 5, 8, 11, 15};
  const auto& options = models->options().world_model;
  const int64_t steps = std::min(kShown.back(), options.max_steps - options.context);
  std::vector<report::GrayImage> images;
  for (const int64_t start : agent::FilmStarts(models, recording, steps, kWindows)) {
    const auto film = agent::FilmDream(models, recording, start, steps, 1.0, seed);
    for (const auto& row : {film.real, film.decoded, film.dreamed}) {
      for (const int64_t step : kShown) {
        images.push_back(ToImage(row[std::min(step, steps)]));
      }
    }
  }
  return report::EncodePng(report::Tile(images, kShown.size(), 4));
}

void Gates(const GatesArguments& arguments) {
  if (!arguments.json.empty()) {
    CheckOutputFile(arguments.json, FileKind::kJson);
  }
  if (!arguments.picture.empty()) {
    CheckOutputFile(arguments.picture, FileKind::kPng);
  }
  CheckIsRun(arguments.run);
  agent::AgentModels models = agent::LoadAgentModels(arguments.run);
  const data::EpisodeStore held_out(arguments.held_out);
  std::FILE* const words =
      WordsBeside(arguments.json) == stderr ? stderr : WordsBeside(arguments.picture);
  nlohmann::json result;
  if (!arguments.fit.empty()) {
    result["codes"] =
        agent::MeasureCodes(models, data::EpisodeStore(arguments.fit), held_out, arguments.options);
    Print(words, "1. what the quantised codes hold", result["codes"]);
  }
  result["one_step"] = agent::MeasureOneStep(models, held_out, arguments.options);
  Print(words, "2. one step ahead", result["one_step"]);
  result["open_loop"] = agent::MeasureOpenLoop(models, held_out, arguments.options);
  Print(words, "3. open loop under the recorded actions", result["open_loop"]);
  if (!arguments.own_play.empty()) {
    const data::EpisodeStore own_play(arguments.own_play);
    for (const int64_t horizon : {15, 50}) {
      if (horizon + models->options().world_model.context <=
          models->options().world_model.max_steps) {
        result["dream_return"].push_back(
            agent::MeasureDreamReturn(models, own_play, horizon, arguments.options));
      }
    }
    Print(words, "4. dream return beside the real one", {{"horizons", result["dream_return"]}});
  }
  if (!arguments.json.empty()) {
    WriteOutputFile(arguments.json, FileKind::kJson, result.dump(1) + "\n");
  }
  if (!arguments.picture.empty()) {
    WriteOutputFile(arguments.picture, FileKind::kPng,
                    DrawDreams(models, held_out, arguments.options.seed));
  }
}

}  // namespace

void AddGatesCommand(CLI::App& app) {
  auto arguments = std::make_shared<GatesArguments>();
  CLI::App* command = app.add_subcommand(
      "gates", "what an online agent's codes and world model know, on recordings new to it");
  AddRun(*command, arguments->run, "run directory of hidreamer agent")->required();
  command->add_option("--held-out", arguments->held_out, "recording that is judged on")->required();
  command->add_option("--fit", arguments->fit, "recording that probes are fitted on");
  command->add_option("--own-play", arguments->own_play,
                      "recording in which this agent played (collect --policy RUN)");
  command->add_option("--frames", arguments->options.frames, "frames judged")
      ->capture_default_str()
      ->check(CLI::Range(int64_t{1}, int64_t{1'000'000'000}));
  command->add_option("--windows", arguments->options.windows, "dreams judged")
      ->capture_default_str()
      ->check(CLI::Range(int64_t{1}, int64_t{1'000'000'000}));
  command
      ->add_option("--temperature", arguments->options.temperature,
                   "of the codes drawn in the dreams whose return is judged")
      ->capture_default_str()
      ->check(CLI::Range(0.0, 10.0));
  AddOutputFile(*command, "--picture", arguments->picture,
                "PNG: the game, its codes decoded, the dream under the same actions");
  AddOutputFile(*command, "--json", arguments->json, "file for all figures");
  command->footer("Example: hidreamer gates runs/pong --fit data/fit --held-out data/held_out");
  command->callback([arguments] { Gates(*arguments); });
}

}  // namespace hidreamer::app
