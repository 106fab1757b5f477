#include <fmt/format.h>

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "commands.h"
#include "hidreamer/agent/evaluate_agent.h"
#include "hidreamer/config/load.h"
#include "hidreamer/evaluation/evaluate_run.h"
#include "hidreamer/pipeline/figure_table.h"
#include "hidreamer/report/sections.h"
#include "options.h"

namespace hidreamer::app {
namespace {

using evaluation::Part;

struct EvaluateArguments {
  std::filesystem::path run;
  std::vector<std::string> overrides;
  agent::EvaluateOptions agent;
};

// Judges some parts of a run of either kind; the others keep what was measured before.
void Evaluate(EvaluateArguments arguments, const std::vector<Part>& parts) {
  const std::filesystem::path& run = arguments.run;
  CheckIsRun(run);
  std::vector<evaluation::Figure> figures;
  const auto summary = run / "summary.json";
  if (agent::HoldsAgent(run)) {
    arguments.agent.parts = parts;
    figures = agent::EvaluateAgent(run, arguments.agent);
  } else {
    CheckIsPipelineRun(run);
    figures = evaluation::EvaluateRun(
        run,
        config::LoadConfig(config::kStaged,
                           {.file = run / "config.yaml", .overrides = arguments.overrides}),
        parts);
  }
  std::vector<evaluation::Figure> all = evaluation::ReadFigures(summary);
  evaluation::MergeFigures(all, figures);
  evaluation::WriteFigures(summary, all);
  fmt::print("{}", pipeline::FormatFigures(figures));
  if (std::filesystem::exists(run / "run.json")) {
    fmt::print("report: {}\n", report::WriteReport({run}).string());
  }
}

void AddRecordings(CLI::App& command, agent::EvaluateOptions& options) {
  CLI::Option* held_out =
      command.add_option("--held-out", options.held_out,
                         "recording that an online agent is judged on (default: its own play)");
  CLI::Option* fit =
      command.add_option("--fit", options.fit, "recording that probes are fitted on");
  held_out->needs(fit);
  fit->needs(held_out);
  command
      .add_option("--recorded-steps", options.recorded_steps, "of each recording of its own play")
      ->capture_default_str()
      ->check(CLI::Range(int64_t{100}, int64_t{1'000'000'000}));
  command.add_option("--frames", options.measure.frames, "frames judged")
      ->capture_default_str()
      ->check(CLI::Range(int64_t{1}, int64_t{1'000'000'000}));
}

}  // namespace

void AddEvaluateCommand(CLI::App& app) {
  auto arguments = std::make_shared<EvaluateArguments>();
  CLI::App* command = app.add_subcommand(
      "evaluate",
      "scores, codes, world model and dreams of a run, each figure beside its baseline");
  AddRun(*command, arguments->run)->required();
  AddOverrides(*command, arguments->overrides, "the config of a run of hidreamer run");
  agent::EvaluateOptions& options = arguments->agent;
  command->add_option("--episodes", options.episodes, "games that score an online agent; 0: none")
      ->capture_default_str()
      ->check(CLI::Range(int64_t{0}, int64_t{1'000'000}));
  AddRecordings(*command, options);
  command->add_option("--windows", options.measure.windows, "dreams judged")
      ->capture_default_str()
      ->check(CLI::Range(int64_t{1}, int64_t{1'000'000'000}));
  command
      ->add_option("--temperature", options.measure.temperature,
                   "of the codes drawn in the dreams whose rewards are judged")
      ->capture_default_str()
      ->check(CLI::Range(0.0, 10.0));
  command->footer(
      "Writes RUN/evaluation and RUN/summary.json, and the report anew. What was measured before\n"
      "and has not changed is kept.\n"
      "Example: hidreamer evaluate runs/agent_pong");
  command->callback([arguments] { Evaluate(*arguments, evaluation::AllParts()); });
}

void AddProbeCommand(CLI::App& app) {
  auto arguments = std::make_shared<EvaluateArguments>();
  CLI::App* command = app.add_subcommand(
      "probe", "what linear maps read of the game's RAM in a run's states, beside baselines");
  AddRun(*command, arguments->run)->required();
  AddOverrides(*command, arguments->overrides, "the config of a run of hidreamer run");
  AddRecordings(*command, arguments->agent);
  command->footer("Example: hidreamer probe runs/seed --set evaluation.probe_frames=5000");
  command->callback([arguments] { Evaluate(*arguments, {Part::kEmbedding, Part::kProbe}); });
}

}  // namespace hidreamer::app
