#include "hidreamer/evaluation/results.h"

#include <fmt/format.h>

#include <filesystem>
#include <memory>
#include <vector>

#include "commands.h"
#include "hidreamer/report/results_page.h"
#include "options.h"

namespace hidreamer::app {
namespace {

struct ResultsArguments {
  std::vector<std::filesystem::path> places;
  std::filesystem::path html, json;
};

void ShowResults(const ResultsArguments& arguments) {
  for (const auto& [path, kind] :
       {std::pair(arguments.html, FileKind::kHtml), std::pair(arguments.json, FileKind::kJson)}) {
    if (!path.empty()) {
      CheckOutputFile(path, kind);
    }
  }
  const evaluation::Results results =
      evaluation::Summarize(evaluation::ReadResults(arguments.places));
  const bool page_to_stdout = !arguments.html.empty() && IsStandardOutput(arguments.html);
  fmt::print(page_to_stdout ? stderr : WordsBeside(arguments.json), "{}", ToMarkdown(results));
  if (!arguments.html.empty()) {
    WriteOutputFile(arguments.html, FileKind::kHtml, report::RenderResults(results));
  }
  if (!arguments.json.empty()) {
    WriteOutputFile(arguments.json, FileKind::kJson, ToJson(results).dump(1) + "\n");
  }
}

}  // namespace

void AddResultsCommand(CLI::App& app) {
  auto arguments = std::make_shared<ResultsArguments>();
  CLI::App* command = app.add_subcommand(
      "results", "tables over games, settings and seeds from the files of eval --json");
  command->add_option("PLACE", arguments->places, "result files, or directories that hold some")
      ->required();
  AddOutputFile(*command, "--html", arguments->html,
                "page with the tables and a performance profile");
  AddOutputFile(*command, "--json", arguments->json, "file for the same figures");
  command->footer(
      "Example: hidreamer eval runs/pong --episodes 100 --json results/atari100k/pong-cpu-1.json\n"
      "         hidreamer results results/atari100k --html results.html");
  command->callback([arguments] { ShowResults(*arguments); });
}

}  // namespace hidreamer::app
