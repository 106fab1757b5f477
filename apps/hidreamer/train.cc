#include <fmt/format.h>

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "commands.h"
#include "hidreamer/agent/agent_models.h"
#include "hidreamer/base/error.h"
#include "hidreamer/config/config.h"
#include "hidreamer/config/load.h"
#include "hidreamer/pipeline/offline_run.h"
#include "hidreamer/pipeline/pipeline.h"
#include "hidreamer/pipeline/stages.h"
#include "options.h"

namespace hidreamer::app {
namespace {

struct StageArguments {
  std::filesystem::path run;
  std::filesystem::path config;
  std::string game;
  std::vector<std::string> overrides;
  bool force = false;
  // Of an agent's part alone:
  std::filesystem::path out;
  std::optional<int64_t> updates;
  std::optional<uint64_t> seed;
  bool anew = false;
};

// The run's own config unless another is given.
config::Config LoadRunConfig(const StageArguments& arguments) {
  const std::filesystem::path own = arguments.run / "config.yaml";
  if (arguments.config.empty() && !std::filesystem::exists(own)) {
    throw UserError("give --config FILE the first time", "{} holds no config.yaml",
                    arguments.run.string());
  }
  return config::LoadConfig(config::kStaged,
                            {.file = arguments.config.empty() ? own : arguments.config,
                             .overrides = arguments.overrides});
}

void RunStages(const StageArguments& arguments, std::vector<std::string> stages) {
  const config::Config config = LoadRunConfig(arguments);
  if (stages.empty()) {  // policy
    for (const std::string& game : pipeline::PolicyGames(config)) {
      if (arguments.game.empty() || arguments.game == game) {
        stages.push_back("policy/" + game);
      }
    }
    if (stages.empty()) {
      throw UserError("see policy_games and games in its config.yaml",
                      "{} learns no policy for '{}'", arguments.run.string(), arguments.game);
    }
  }
  pipeline::RunPipeline(config, {.directory = arguments.run,
                                 .command = CommandLine(),
                                 .force = arguments.force,
                                 .only = std::move(stages)});
}

// One part of an agent, into a run directory of its own.
void TrainPart(const StageArguments& arguments, agent::Learns learns) {
  std::vector<std::string> overrides = arguments.overrides;
  if (arguments.seed) {
    overrides.push_back("seed=" + std::to_string(*arguments.seed));
  }
  const std::filesystem::path config =
      arguments.config.empty() ? arguments.run / "config.yaml" : arguments.config;
  pipeline::OfflineRunOptions options{.source = arguments.run,
                                      .directory = arguments.out,
                                      .command = CommandLine(),
                                      .force = arguments.force,
                                      .learning = {.learns = learns, .anew = arguments.anew}};
  if (options.directory.empty()) {
    // runs/pong/ is named pong, too.
    const auto name = (arguments.run / "").parent_path();
    options.directory = name.string() + (learns == agent::Learns::kPolicy ? "_policy" : "_world");
  }
  if (arguments.updates) {
    options.learning.updates = *arguments.updates;
  }
  pipeline::RunOffline(
      config::LoadConfig(config::kOnline, {.file = config, .overrides = overrides}), options);
  fmt::print(
      "score it: hidreamer eval {0} --episodes 100\nits world model: hidreamer evaluate {0}\n",
      options.directory.string());
}

// A stage of a run, or the part of an agent that does the same.
void RunStagesOrTrainPart(const StageArguments& arguments, const std::vector<std::string>& stages,
                          agent::Learns part) {
  if (agent::HoldsAgent(arguments.run)) {
    TrainPart(arguments, part);
    return;
  }
  if (!arguments.out.empty() || arguments.updates || arguments.seed || arguments.anew) {
    throw UserError(
        "these options are for the run of hidreamer agent",
        "--out, --updates, --seed and --anew train a part of an agent, and {} holds none",
        arguments.run.string());
  }
  RunStages(arguments, stages);
}

// One subcommand that runs `stages` inside a run directory; `part` is its like in an agent.
CLI::App* AddStageCommand(CLI::App& app, const std::string& name, const std::string& help,
                          const std::vector<std::string>& stages,
                          std::optional<agent::Learns> part = {}) {
  auto arguments = std::make_shared<StageArguments>();
  CLI::App* command = app.add_subcommand(name, help);
  AddRun(*command, arguments->run)->required();
  command->add_option("--config", arguments->config, "experiment file (default: RUN/config.yaml)");
  AddOverrides(*command, arguments->overrides, "the file");
  command->add_flag("--force", arguments->force,
                    "redo the stage if its settings changed, instead of an error");
  if (stages.empty()) {
    command->add_option("--game", arguments->game, "one game alone (default: all of them)");
  }
  if (!part) {
    command->callback([arguments, stages] { RunStages(*arguments, stages); });
    return command;
  }
  command->add_option("--out", arguments->out,
                      "of an agent: where the result goes (default: beside RUN)");
  command->add_option("--updates", arguments->updates, "of an agent: how many (default: 300)")
      ->check(CLI::Range(int64_t{1}, int64_t{100'000'000}));
  command->add_option("--seed", arguments->seed, "of an agent: root of every random choice");
  command->add_flag("--anew", arguments->anew, "of an agent: the part begins with new weights");
  command->callback([arguments, stages, part] { RunStagesOrTrainPart(*arguments, stages, *part); });
  return command;
}

}  // namespace

void AddTrainCommand(CLI::App& app) {
  CLI::App* train = app.add_subcommand("train", "one training stage inside a run directory");
  train->require_subcommand(1);
  train->footer(
      "Stages before it must be done. Ctrl-C ends after a checkpoint. The same command resumes.\n"
      "Example: hidreamer train world-model runs/first");
  AddStageCommand(*train, "encoder", "CNN encoder by InfoNCE, on the frames of all games",
                  {"encoder"})
      ->footer("Example: hidreamer train encoder runs/first --config configs/debug.yaml");
  AddStageCommand(*train, "tokenizer", "residual vector quantizer, on the encoder's embeddings",
                  {"embed", "tokenizer", "single_vq"})
      ->footer("Example: hidreamer train tokenizer runs/first");
  AddStageCommand(*train, "world-model",
                  "hierarchical transformer, on the tokens of all games; or an agent's world model "
                  "alone, on its replay",
                  {"world_model"}, agent::Learns::kWorldModel)
      ->alias("world")
      ->footer(
          "RUN of hidreamer run: the stage world_model. RUN of hidreamer agent: its world model "
          "is\n"
          "trained alone on its replay, all else as it is, and the result is a run of its own.\n"
          "Examples: hidreamer train world-model runs/first\n"
          "          hidreamer train world runs/pong --anew --updates 1000 --set "
          "world_model.channels=64");
  AddStageCommand(*train, "policy",
                  "actor-critic in the dream, game by game; or an agent's policy alone", {},
                  agent::Learns::kPolicy)
      ->footer(
          "RUN of hidreamer run: the stages policy/GAME. RUN of hidreamer agent: actor and critic\n"
          "are trained alone in dreams of its world model from its replay, all else as it is.\n"
          "Examples: hidreamer train policy runs/first --game pong\n"
          "          hidreamer train policy runs/pong --updates 400 --set policy.batch=256");
}

void AddTokenizeCommand(CLI::App& app) {
  AddStageCommand(app, "tokenize", "turn a run's recorded frames into tokens",
                  {"embed", "tokenize"})
      ->footer("Example: hidreamer tokenize runs/first");
}

}  // namespace hidreamer::app
