#include <fmt/format.h>

#include <filesystem>
#include <memory>

#include "commands.h"
#include "hidreamer/base/error.h"
#include "hidreamer/report/sections.h"
#include "options.h"

namespace hidreamer::app {

void AddReportCommand(CLI::App& app) {
  auto run = std::make_shared<std::filesystem::path>();
  CLI::App* command = app.add_subcommand(
      "report", "one self-contained HTML page of what a run has shown so far: RUN/report.html");
  AddRun(*command, *run)->required();
  command->footer("Example: hidreamer report runs/seed");
  command->callback([run] {
    CheckIsRun(*run);
    if (std::filesystem::exists(*run / "report.html") &&
        !std::filesystem::exists(*run / "run.json")) {
      throw UserError("move it away", "{} is there, but no run that it belongs to",
                      (*run / "report.html").string());
    }
    fmt::print("{}\n", report::WriteReport(*run).string());
  });
}

}  // namespace hidreamer::app
