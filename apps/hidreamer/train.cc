#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "commands.h"
#include "hidreamer/base/error.h"
#include "hidreamer/config/load.h"
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
};

// The run's own config unless another is given.
config::ExperimentConfig LoadRunConfig(const StageArguments& arguments) {
  const std::filesystem::path own = arguments.run / "config.yaml";
  if (arguments.config.empty() && !std::filesystem::exists(own)) {
    throw UserError("give --config FILE the first time", "{} holds no config.yaml",
                    arguments.run.string());
  }
  return config::LoadConfig(arguments.config.empty() ? own : arguments.config, arguments.overrides);
}

void RunStages(const StageArguments& arguments, std::vector<std::string> stages) {
  const config::ExperimentConfig config = LoadRunConfig(arguments);
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

// One subcommand that runs `stages` inside a run directory.
CLI::App* AddStageCommand(CLI::App& app, const std::string& name, const std::string& help,
                          const std::vector<std::string>& stages) {
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
  command->callback([arguments, stages] { RunStages(*arguments, stages); });
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
  AddStageCommand(*train, "world-model", "hierarchical transformer, on the tokens of all games",
                  {"world_model"})
      ->footer("Example: hidreamer train world-model runs/first");
  AddStageCommand(*train, "policy", "actor-critic in the dream, game by game", {})
      ->footer("Example: hidreamer train policy runs/first --game pong");
}

void AddTokenizeCommand(CLI::App& app) {
  AddStageCommand(app, "tokenize", "turn a run's recorded frames into tokens",
                  {"embed", "tokenize"})
      ->footer("Example: hidreamer tokenize runs/first");
}

}  // namespace hidreamer::app
