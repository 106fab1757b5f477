#include "hidreamer/performance/bench.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <filesystem>
#include <memory>

#include "commands.h"
#include "hidreamer/performance/scaling.h"
#include "hidreamer/performance/workload.h"
#include "options.h"

namespace hidreamer::app {
namespace {

struct BenchArguments {
  performance::BenchOptions options;
  std::filesystem::path json;
  bool scaling = false;
};

void Bench(const BenchArguments& arguments) {
  if (!arguments.json.empty()) {
    CheckOutputFile(arguments.json, FileKind::kJson);
  }
  const nlohmann::json bench = arguments.scaling ? performance::RunScaling(arguments.options)
                                                 : performance::RunBench(arguments.options);
  fmt::print(
      WordsBeside(arguments.json), "{}",
      arguments.scaling ? performance::FormatScaling(bench) : performance::FormatBench(bench));
  if (!arguments.json.empty()) {
    WriteOutputFile(arguments.json, FileKind::kJson, bench.dump(1) + "\n");
  }
}

}  // namespace

void AddBenchCommand(CLI::App& app) {
  auto arguments = std::make_shared<BenchArguments>();
  CLI::App* command = app.add_subcommand(
      "bench", "how fast the program's own work is here, beside the machine's matmul peak");
  std::vector<std::string> names;
  for (const performance::NamedWorkload& workload : performance::AllWorkloads()) {
    names.push_back(workload.name);
  }
  CLI::Option* only =
      command
          ->add_option("--only", arguments->options.only,
                       fmt::format("some of {} (default: all)", fmt::join(names, ", ")))
          ->delimiter(',');
  command
      ->add_option("--precision", arguments->options.precision,
                   "of matrix products: f32, bf16, or auto: what is faster here")
      ->capture_default_str();
  AddDevice(*command, arguments->options.device);
  AddThreads(*command, arguments->options.threads);
  command
      ->add_option("--seconds", arguments->options.seconds,
                   "to spend on the repetitions of each; at least 3 and at most 100 are made")
      ->capture_default_str()
      ->check(CLI::Range(0.0, 3600.0));
  command->add_flag("--quick", arguments->options.quick,
                    "tiny shapes, two repetitions: only shows that everything runs");
  command
      ->add_flag("--scaling", arguments->scaling,
                 "instead: how a world-model training step grows with T, B, levels and codes")
      ->excludes(only);
  AddOutputFile(*command, "--json", arguments->json, "file for all figures");
  command->footer("Example: hidreamer bench --only hrvq_encode,imagination --json bench.json");
  command->callback([arguments] { Bench(*arguments); });
}

}  // namespace hidreamer::app
