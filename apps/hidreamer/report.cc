#include <fmt/format.h>

#include <filesystem>
#include <memory>
#include <vector>

#include "commands.h"
#include "hidreamer/base/error.h"
#include "hidreamer/report/sections.h"
#include "options.h"

namespace hidreamer::app {
namespace {

struct ReportArguments {
  std::vector<std::filesystem::path> runs;
  std::filesystem::path out;
};

void Report(const ReportArguments& arguments) {
  for (const auto& run : arguments.runs) {
    CheckIsRun(run);
  }
  if (arguments.out.empty()) {
    const auto& run = arguments.runs.front();
    if (std::filesystem::exists(run / "report.html") &&
        !std::filesystem::exists(run / "run.json")) {
      throw UserError("move it away, or name another file with --out",
                      "{} is there, but no run that it belongs to", (run / "report.html").string());
    }
    fmt::print("{}\n", report::WriteReport(arguments.runs).string());
    return;
  }
  CheckOutputFile(arguments.out, FileKind::kHtml);
  WriteOutputFile(arguments.out, FileKind::kHtml, report::RenderReport(arguments.runs));
  fmt::print(WordsBeside(arguments.out), "{}\n", arguments.out.string());
}

}  // namespace

void AddReportCommand(CLI::App& app) {
  auto arguments = std::make_shared<ReportArguments>();
  CLI::App* command = app.add_subcommand(
      "report", "one self-contained HTML page of what a run, or several runs, have shown so far");
  command->add_option("RUN,--run", arguments->runs, "run directories, shown one after the other")
      ->required();
  AddOutputFile(*command, "--out", arguments->out,
                "HTML file (default: report.html in the first RUN)");
  command->footer(
      "Example: hidreamer report runs/agent_pong\n"
      "Example: hidreamer report runs/agent_pong runs/seed --out both.html");
  command->callback([arguments] { Report(*arguments); });
}

}  // namespace hidreamer::app
