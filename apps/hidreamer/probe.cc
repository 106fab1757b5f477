#include <fmt/format.h>

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "commands.h"
#include "hidreamer/config/load.h"
#include "hidreamer/evaluation/evaluate_run.h"
#include "options.h"

namespace hidreamer::app {
namespace {

void Probe(const std::filesystem::path& run, const std::vector<std::string>& overrides) {
  CheckIsPipelineRun(run);
  const auto config =
      config::LoadConfig(config::kStaged, {.file = run / "config.yaml", .overrides = overrides});
  const auto figures = evaluation::EvaluateRun(
      run, config, {evaluation::Part::kEmbedding, evaluation::Part::kProbe});
  for (const auto& figure : figures) {
    if (!figure.value) {
      fmt::print("{}: {}\n", figure.name, figure.note);
      continue;
    }
    fmt::print("{:<44} {:>8.3f}", figure.name, *figure.value);
    if (figure.baseline) {
      fmt::print("   {} {:.3f}", figure.baseline_name, *figure.baseline);
    }
    fmt::print("{}\n", figure.note.empty() ? "" : "   (" + figure.note + ")");
  }
  fmt::print("each variable: {}\n", (run / "evaluation" / "probe_GAME.json").string());
}

}  // namespace

void AddProbeCommand(CLI::App& app) {
  auto run = std::make_shared<std::filesystem::path>();
  auto overrides = std::make_shared<std::vector<std::string>>();
  CLI::App* command = app.add_subcommand(
      "probe", "what linear maps read of the game's RAM in a run's states, beside baselines");
  AddRun(*command, *run)->required();
  AddOverrides(*command, *overrides, "the run's config");
  command->footer("Example: hidreamer probe runs/seed --set evaluation.probe_frames=5000");
  command->callback([run, overrides] { Probe(*run, *overrides); });
}

}  // namespace hidreamer::app
