#include <fmt/format.h>

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "commands.h"
#include "hidreamer/base/error.h"
#include "hidreamer/config/dump.h"
#include "hidreamer/config/load.h"
#include "hidreamer/pipeline/pipeline.h"
#include "options.h"
#include "serve.h"

namespace hidreamer::app {
namespace {

struct RunArguments {
  std::filesystem::path config;
  std::filesystem::path out;
  std::vector<std::string> overrides;
  bool force = false;
  bool serve = false;
  bool defaults = false;
};

void Run(const RunArguments& arguments) {
  const config::Config config = config::LoadConfig(
      config::kStaged, {.file = arguments.config, .overrides = arguments.overrides});
  if (arguments.defaults) {
    fmt::print("{}", config::DumpConfig(config));
    return;
  }
  if (arguments.config.empty()) {
    throw UserError("for example: hidreamer run configs/quickstart.yaml",
                    "run needs a CONFIG file");
  }
  const std::filesystem::path out = arguments.out.empty()
                                        ? std::filesystem::path("runs") / arguments.config.stem()
                                        : arguments.out;
  std::optional<PageBeside> page;
  pipeline::RunPipeline(
      config, {.directory = out, .command = CommandLine(), .force = arguments.force, .begun = [&] {
                 if (arguments.serve) {
                   page.emplace(out);
                 }
               }});
}

}  // namespace

void AddRunCommand(CLI::App& app) {
  auto arguments = std::make_shared<RunArguments>();
  CLI::App* command = app.add_subcommand("run", "all stages that are not yet done; resumable");
  command->add_option("CONFIG", arguments->config,
                      "experiment file, e.g. configs/quickstart.yaml, or the name of one that the "
                      "program carries: quickstart, seed, debug");
  command->add_option("--out", arguments->out, "run directory (default: runs/<name of CONFIG>)");
  AddOverrides(*command, arguments->overrides, "the file");
  command->add_flag(
      "--force", arguments->force,
      "redo the stages whose settings changed, instead of an error; what was done before "
      "is kept in RUN/before until the new one is");
  AddServe(*command, arguments->serve);
  command->add_flag("--defaults", arguments->defaults,
                    "print every key with meaning, unit, range and value, and stop");
  command->footer(
      "Ctrl-C ends after a checkpoint. The same command resumes, to the bit.\n"
      "Example: hidreamer run configs/quickstart.yaml --out runs/first --set games=pong");
  command->callback([arguments] { Run(*arguments); });
}

}  // namespace hidreamer::app
