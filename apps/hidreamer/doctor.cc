#include <fmt/format.h>
#include <torch/torch.h>

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "commands.h"
#include "hidreamer/base/error.h"
#include "hidreamer/env/atari_games.h"
#include "hidreamer/layers/precision.h"
#include "hidreamer/parity/parity.h"
#include "hidreamer/pipeline/machine.h"
#include "hidreamer/training/runtime.h"
#include "options.h"

namespace hidreamer::app {
namespace {

// The world model's own shape: 8 windows of 64 steps by 4 positions, width 384.
constexpr int64_t kRows = 2048;
constexpr int64_t kWidth = 384;
// Reference BLAS reaches 1 to 2 GFLOP/s on any machine, OpenBLAS and MKL ten times that on one
// core.
constexpr double kSlowGigaflops = 8;
constexpr double kLittleDisk = 5e9;

struct DoctorArguments {
  std::filesystem::path parity;
  int64_t threads = 0;
};

void Line(const std::string& name, const std::string& value) {
  fmt::print("{:<12} {}\n", name, value);
}

void Warn(const std::string& message) { fmt::print("{:<12} warning: {}\n", "", message); }

std::string Text(const nlohmann::json& value) {
  if (value.is_string()) {
    return value.get<std::string>();
  }
  std::string text;
  for (const auto& [key, item] : value.items()) {
    const std::string name = value.is_object() ? key + " " : "";
    text += (text.empty() ? "" : ", ") + name +
            (item.is_string() ? item.get<std::string>() : item.dump());
  }
  return value.is_structured() ? (text.empty() ? "none" : text) : value.dump();
}

void ReportMatmul() {
  constexpr double kProducts = 3;  // of a layer and its gradients
  const double milliseconds = layers::TimeLinear(layers::Precision::kF32, kRows, kWidth);
  const double gigaflops =
      kProducts * 2 * kRows * kWidth * 4 * kWidth / (milliseconds * 1e-3) / 1e9;
  Line("matmul", fmt::format("{}x{}x{} f32, with gradients, in {:.1f} ms, {:.0f} GFLOP/s", kRows,
                             kWidth, 4 * kWidth, milliseconds, gigaflops));
  if (gigaflops < kSlowGigaflops) {
    Warn("that is the slow reference BLAS; install libopenblas0-openmp (50 times faster)");
  }
  Line("kernels",
       "for bf16: " + layers::CpuKernels() + (layers::HasCpuKernels() ? "" : ", torch's are used"));
  Line("precision", fmt::format("auto takes {}", layers::PrecisionName(layers::ChoosePrecision(
                                                     "auto", kRows, kWidth))));
}

void ReportGames() {
  const std::vector<std::string> games = env::ListGames();
  const std::filesystem::path roms = env::FindRomDirectory();
  Line("games",
       fmt::format("{} ({})", games.size(), roms.empty() ? "no ROMs" : "ROMs in " + roms.string()));
  if (games.size() <= 1) {
    Warn("only the built-in catch; scripts/setup builds the Arcade Learning Environment");
  }
}

void ReportDisk() {
  std::error_code status;
  const auto space = std::filesystem::space(std::filesystem::current_path(), status);
  if (status) {
    Line("disk", "unknown");
    return;
  }
  const auto free = static_cast<double>(space.available);
  Line("disk", fmt::format("{:.1f} GB free here", free / 1e9));
  if (free < kLittleDisk) {
    Warn("a run over three games takes several GB");
  }
}

// Prints one line for each recorded output; false if any is off.
bool ReportParity(const std::filesystem::path& directory) {
  const std::vector<parity::ParityRow> rows = parity::CheckAll(directory);
  fmt::print("\n{:<13} {:<28} {:>12} {:>12}  {}\n", "component", "output", "difference", "allowed",
             "verdict");
  size_t failed = 0, informative = 0;
  for (const parity::ParityRow& row : rows) {
    const std::string allowed = row.exact         ? "exact"
                                : row.informative ? "-"
                                                  : fmt::format("{:.2e}", row.tolerance);
    const std::string verdict = row.informative ? "informative" : row.pass ? "ok" : "FAILED";
    fmt::print("{:<13} {:<28} {:>12.2e} {:>12}  {}{}{}\n", row.component, row.output,
               row.max_difference, allowed, verdict, row.note.empty() ? "" : ": ", row.note);
    failed += row.pass ? 0 : 1;
    informative += row.informative ? 1 : 0;
  }
  const size_t judged = rows.size() - informative;
  fmt::print("{} of {} recorded outputs within tolerance, {} more without one\n", judged - failed,
             judged, informative);
  return failed == 0;
}

void Doctor(const DoctorArguments& arguments) {
  const int threads = training::ConfigureRuntime(arguments.threads);
  Line("versions", Text(pipeline::DescribeVersions()));
  const nlohmann::json machine = pipeline::DescribeMachine();
  Line("cpu", Text(machine.at("cpu")));
  Line("features", Text(machine.at("features")));
  Line("threads", std::to_string(threads));
  const std::string gpus = Text(machine.at("gpus"));
  Line("gpu", torch::cuda::is_available() ? gpus : gpus + " (this build uses none)");
  ReportMatmul();
  ReportGames();
  ReportDisk();
  if (!arguments.parity.empty() && !ReportParity(arguments.parity)) {
    throw CLI::RuntimeError(1);
  }
}

}  // namespace

void AddDoctorCommand(CLI::App& app) {
  auto arguments = std::make_shared<DoctorArguments>();
  CLI::App* command = app.add_subcommand("doctor", "look after the health of this installation");
  command->add_option("--parity", arguments->parity,
                      "directory of recorded numbers of the reference: also compute every one of "
                      "them and compare; exit code 1 if any is off");
  AddThreads(*command, arguments->threads);
  command->footer("Example: hidreamer doctor --parity tests/golden/parity");
  command->callback([arguments] { Doctor(*arguments); });
}

}  // namespace hidreamer::app
