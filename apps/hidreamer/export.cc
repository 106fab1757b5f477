#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "commands.h"
#include "hidreamer/base/error.h"
#include "hidreamer/nn/safetensors.h"

namespace hidreamer::app {
namespace {

constexpr const char* kModelFile = "model.safetensors";

struct ExportArguments {
  std::filesystem::path source;
  std::filesystem::path out;
};

// Folders below `run` that hold a trained model, relative to it: "encoder", "policy/pong", …
std::vector<std::filesystem::path> StagesOf(const std::filesystem::path& run) {
  std::vector<std::filesystem::path> stages;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(run)) {
    const bool in_checkpoint = entry.path().string().find("/checkpoints/") != std::string::npos;
    if (entry.path().filename() == kModelFile && !in_checkpoint) {
      stages.push_back(entry.path().parent_path().lexically_relative(run));
    }
  }
  std::sort(stages.begin(), stages.end());
  return stages;
}

void Export(const ExportArguments& arguments) {
  if (arguments.out.extension() != ".safetensors") {
    throw UserError("name the file X.safetensors", "cannot export to {}", arguments.out.string());
  }
  if (!std::filesystem::is_directory(arguments.source)) {
    throw UserError("", "no directory {}", arguments.source.string());
  }
  nn::SafetensorsFile result;
  if (std::filesystem::exists(arguments.source / kModelFile)) {
    result = nn::LoadSafetensors(arguments.source / kModelFile);
  } else {
    const std::vector<std::filesystem::path> stages = StagesOf(arguments.source);
    if (stages.empty()) {
      throw UserError("give a run directory or one of its stages", "{} holds no trained model",
                      arguments.source.string());
    }
    for (const std::filesystem::path& stage : stages) {
      const nn::SafetensorsFile file = nn::LoadSafetensors(arguments.source / stage / kModelFile);
      nn::InsertWithPrefix(result.tensors, file.tensors, stage.string() + ".");
      for (const auto& [key, value] : file.metadata) {
        result.metadata[stage.string() + "." + key] = value;
      }
    }
  }
  nn::SaveSafetensors(arguments.out, result.tensors, result.metadata);
  int64_t numbers = 0;
  for (const auto& [name, tensor] : result.tensors) {
    numbers += tensor.numel();
  }
  fmt::print("{}: {} tensors, {} numbers\n", arguments.out.string(), result.tensors.size(),
             numbers);
}

}  // namespace

void AddExportCommand(CLI::App& app) {
  auto arguments = std::make_shared<ExportArguments>();
  CLI::App* command =
      app.add_subcommand("export", "write a trained model as one file that Python can open");
  command
      ->add_option("source", arguments->source,
                   "a stage of a run (RUN/world_model), or a whole run: then names start with "
                   "their stage (encoder., policy/pong., …)")
      ->required();
  command->add_option("--out", arguments->out, "X.safetensors; tools/export turns it into .pt")
      ->required();
  command->footer("Example: hidreamer export runs/seed/world_model --out world_model.safetensors");
  command->callback([arguments] { Export(*arguments); });
}

}  // namespace hidreamer::app
