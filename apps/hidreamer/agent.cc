#include <fmt/format.h>

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "commands.h"
#include "hidreamer/config/dump.h"
#include "hidreamer/config/load.h"
#include "hidreamer/pipeline/agent_run.h"
#include "options.h"
#include "serve.h"

namespace hidreamer::app {
namespace {

struct AgentArguments {
  std::string preset = "cpu";
  std::filesystem::path config;
  std::filesystem::path out;
  std::string game;
  int64_t steps = 0;
  std::optional<uint64_t> seed;
  std::vector<std::string> overrides;
  bool force = false;
  bool serve = false;
  bool defaults = false;
};

void Agent(const AgentArguments& arguments) {
  std::vector<std::string> overrides;
  if (!arguments.game.empty()) {
    overrides.push_back("game=" + arguments.game);
  }
  if (arguments.steps > 0) {
    overrides.push_back(fmt::format("steps={}", arguments.steps));
  }
  if (arguments.seed) {
    overrides.push_back(fmt::format("seed={}", *arguments.seed));
  }
  overrides.insert(overrides.end(), arguments.overrides.begin(), arguments.overrides.end());
  const config::Config config = config::LoadConfig(
      config::kOnline,
      {.preset = arguments.preset, .file = arguments.config, .overrides = overrides});
  if (arguments.defaults) {
    fmt::print("{}", config::DumpConfig(config));
    return;
  }
  const std::filesystem::path out = arguments.out.empty()
                                        ? std::filesystem::path("runs") / ("agent_" + config.game)
                                        : arguments.out;
  std::optional<PageBeside> page;
  pipeline::RunAgent(
      config, {.directory = out, .command = CommandLine(), .force = arguments.force, .begun = [&] {
                 if (arguments.serve) {
                   page.emplace(out);
                 }
               }});
  fmt::print("score it: hidreamer eval {} --episodes 100\n", out.string());
}

}  // namespace

void AddAgentCommand(CLI::App& app) {
  auto arguments = std::make_shared<AgentArguments>();
  CLI::App* command =
      app.add_subcommand("agent", "plays and learns online: replay, world model, dreams, policy");
  command->add_option("--game", arguments->game,
                      "ALE's name (pong, breakout, ms_pacman, …) or catch (default: the preset's)");
  command
      ->add_option("--steps", arguments->steps,
                   "agent steps in the real game, 4 emulator frames each (default: the preset's)")
      ->check(CLI::Range(int64_t{64}, int64_t{1'000'000'000}));
  command
      ->add_option("--preset", arguments->preset,
                   "cpu (an afternoon on a plain CPU), gpu, or test (catch, minutes)")
      ->capture_default_str();
  command->add_option("CONFIG,--config", arguments->config, "YAML file over the preset");
  command->add_option("--out", arguments->out, "run directory (default: runs/agent_GAME)");
  command->add_option("--seed", arguments->seed, "root of every random choice");
  AddOverrides(*command, arguments->overrides, "all of these");
  command->add_flag("--force", arguments->force,
                    "begin anew where the directory holds an agent with other settings, which is "
                    "kept in RUN/before until the new one is done");
  AddServe(*command, arguments->serve);
  command->add_flag("--defaults", arguments->defaults,
                    "print every key with meaning, unit, range and value, and stop");
  command->footer(
      "Ctrl-C ends after a checkpoint. The same command resumes, to the bit. Learning rates and\n"
      "evaluations may change on the way; a finished run goes on with more --steps.\n"
      "Example: hidreamer agent --game pong --steps 100000 --out runs/pong");
  command->callback([arguments] { Agent(*arguments); });
}

}  // namespace hidreamer::app
