#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "commands.h"
#include "hidreamer/agent/agent_models.h"
#include "hidreamer/base/error.h"
#include "hidreamer/env/registry.h"
#include "hidreamer/env/scripted_player.h"
#include "hidreamer/evaluation/play.h"
#include "hidreamer/pipeline/stages.h"
#include "hidreamer/pipeline/trained_agent.h"
#include "hidreamer/policy/action_distribution.h"
#include "hidreamer/training/device.h"
#include "options.h"

namespace hidreamer::app {
namespace {

struct EvalArguments {
  std::filesystem::path run;
  std::string policy;
  std::string game;
  std::string protocol = "atari100k";
  std::filesystem::path json;
  std::filesystem::path rom_dir;
  std::string device = "cpu";
  double temperature = policy::kScoringTemperature;
  bool with_random = false;
  evaluation::PlayOptions options;
};

void PrintScores(std::FILE* words, const nlohmann::json& result) {
  fmt::print(words,
             "{} ({}), {} games by {}: {:.2f} ± {:.2f} (median {:.1f}, {:g} … {:g}, IQM {:.2f})\n",
             result["game"].get<std::string>(), result["protocol"].get<std::string>(),
             result["count"].get<int64_t>(), result["player"].get<std::string>(),
             result["mean"].get<double>(), result["standard_error"].get<double>(),
             result["median"].get<double>(), result["min"].get<double>(),
             result["max"].get<double>(), result["iqm"].get<double>());
  if (result.contains("random_measured")) {
    const auto& random = result["random_measured"];
    fmt::print(words, "random policy, the same number of games: {:.2f} ± {:.2f}\n",
               random["mean"].get<double>(), random["standard_error"].get<double>());
  }
  if (result.contains("random_recorded")) {
    const auto& random = result["random_recorded"];
    fmt::print(words, "random policy, recorded: {:.2f} ± {:.2f}\n", random["mean"].get<double>(),
               random["standard_error"].get<double>());
  }
  if (result.contains("human_normalized")) {
    fmt::print(words, "human-normalised score {:.3f}\n", result["human_normalized"].get<double>());
  }
  if (const auto cut_off = result["cut_off"].get<int64_t>(); cut_off > 0) {
    fmt::print(words, "{} games were cut off by the frame limit\n", cut_off);
  }
  fmt::print(words, "{:.1f} s, seed {}\n", result["seconds"].get<double>(),
             result["seed"].get<uint64_t>());
}

// The games that a run can play.
std::vector<std::string> GamesWithPolicy(const std::filesystem::path& run) {
  if (agent::HoldsAgent(run)) {
    return {agent::LoadAgentModels(run)->options().game};
  }
  std::vector<std::string> games;
  std::error_code none;
  for (const auto& entry : std::filesystem::directory_iterator(run / "policy", none)) {
    if (std::filesystem::exists(entry.path() / "model.safetensors")) {
      games.push_back(entry.path().filename().string());
    }
  }
  std::sort(games.begin(), games.end());
  return games;
}

// The game to play where none was given.
std::string DefaultGame(const EvalArguments& arguments) {
  if (arguments.run.empty()) {
    throw UserError("for example --game pong", "--policy {} needs a --game", arguments.policy);
  }
  return OnlyGame(arguments.run, GamesWithPolicy(arguments.run), "trained policy",
                  std::filesystem::exists(arguments.run / "agent")
                      ? "the agent has not got so far: go on with hidreamer agent --out RUN"
                      : "train one: hidreamer train policy RUN, or hidreamer run CONFIG --out RUN");
}

void Eval(EvalArguments arguments) {
  if (!arguments.json.empty()) {
    CheckOutputFile(arguments.json, FileKind::kJson);
  }
  if (!arguments.run.empty()) {
    CheckIsRun(arguments.run);
  }
  if (arguments.game.empty()) {
    arguments.game = DefaultGame(arguments);
  }
  const auto factory = [&] {
    return env::MakeEnvironment(
        arguments.game, arguments.protocol,
        {.rom_dir = arguments.rom_dir, .max_frames = arguments.options.max_frames});
  };
  factory();  // an unknown game is said before anything is loaded
  const std::unique_ptr<env::Player> player = pipeline::MakeAnyPlayer(
      arguments.run.empty() ? arguments.policy : std::filesystem::absolute(arguments.run).string(),
      arguments.game, arguments.temperature, training::UseDevice(arguments.device));
  nlohmann::json result;
  if (arguments.with_random) {
    env::RandomPlayer random;
    const auto baseline = evaluation::PlayEpisodes(factory, random, arguments.options);
    result = ToJson(evaluation::PlayEpisodes(factory, *player, arguments.options), &baseline);
  } else {
    result = ToJson(evaluation::PlayEpisodes(factory, *player, arguments.options));
  }
  PrintScores(WordsBeside(arguments.json), result);
  if (!arguments.run.empty()) {
    result["temperature"] = arguments.temperature;
  }
  if (const auto trained = pipeline::DescribeTraining(arguments.run); !trained.empty()) {
    result["trained"] = trained;
  }
  if (!arguments.json.empty()) {
    WriteOutputFile(arguments.json, FileKind::kJson, result.dump(1) + "\n");
  }
}

}  // namespace

void AddEvalCommand(CLI::App& app) {
  auto arguments = std::make_shared<EvalArguments>();
  evaluation::PlayOptions& options = arguments->options;
  CLI::App* command = app.add_subcommand("eval", "score in the real game: whole games, unclipped");
  auto* who = command->add_option_group("who plays");
  AddRun(*who, arguments->run, "run directory with a trained policy");
  who->add_option("--policy", arguments->policy, "a built-in player: random, mixture");
  who->require_option(1);
  AddGame(*command, arguments->game)->description("default: the run's own");
  command->add_option("--episodes", options.episodes, "whole games")
      ->capture_default_str()
      ->check(CLI::Range(int64_t{1}, int64_t{1'000'000}));
  AddOutputFile(*command, "--json", arguments->json,
                "file for every episode's score, length and seed, and how the agent was "
                "trained; hidreamer results makes tables of such files");
  AddPlaying(*command, options, arguments->protocol, arguments->rom_dir);
  command->add_option("--max-frames", options.max_frames, "emulator frames that cut a game off")
      ->capture_default_str()
      ->check(CLI::Range(int64_t{4}, int64_t{108000}));
  AddDevice(*command, arguments->device);
  command
      ->add_option(
          "--temperature", arguments->temperature,
          "of a trained policy's actions: 1 draws them as in training, 0 takes the likeliest")
      ->capture_default_str()
      ->check(CLI::Range(0.0, 10.0));
  command->add_flag("--with-random", arguments->with_random,
                    "plays as many games at random first and prints both");
  command->footer("Example: hidreamer eval runs/seed --game pong --episodes 100 --json pong.json");
  command->callback([arguments] { Eval(*arguments); });
}

}  // namespace hidreamer::app
