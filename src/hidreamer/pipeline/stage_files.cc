#include "hidreamer/pipeline/stage_files.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <array>

namespace hidreamer::pipeline {
namespace fs = std::filesystem;

namespace {

constexpr std::array kNames = {"begun.json",
                               "stage.json",
                               "curve.json",
                               "import.json",
                               "training.json",
                               "metrics.jsonl",
                               "state.json",
                               "store.json",
                               "run.json",
                               "config.yaml",
                               "summary.json",
                               "report.html",
                               "columns.bin",
                               "frames.bin",
                               "model.safetensors",
                               "state.safetensors",
                               "world_model.safetensors",
                               "update.json",
                               "batch.safetensors",
                               "dream.webp",
                               ".hidreamer-temporary"};

// Whether a stage writes such a file; `file` is relative to the run directory.
bool IsStageFile(fs::path file) {
  if (file.extension() == ".partial") {
    file.replace_extension();
  }
  const std::string name = file.filename().string(), kind = file.extension().string();
  if (std::find(kNames.begin(), kNames.end(), name) != kNames.end() ||
      name.starts_with("events.out.tfevents.")) {
    return true;
  }
  const fs::path folder = *file.begin();
  if (folder == "replay") {
    return name.starts_with("stream_") && (kind == ".frames" || kind == ".steps");
  }
  return (folder == "evaluation" && kind == ".json") ||
         ((folder == "embeddings" || folder == "tokens") && kind == ".safetensors");
}

}  // namespace

void RemoveStageFiles(const fs::path& directory) {
  if (!fs::is_directory(directory)) {
    return;  // somebody took it back
  }
  for (const auto& entry : fs::recursive_directory_iterator(directory)) {
    const fs::path file = fs::relative(entry.path(), directory);
    if (!entry.is_directory() && !IsStageFile(file)) {
      spdlog::warn("{} is not removed: it holds {}, which is not of this program",
                   directory.string(), file.string());
      return;
    }
  }
  fs::remove_all(directory);
}

std::string FreeName(const fs::path& directory, const std::string& name) {
  std::string free = name;
  for (int number = 2; fs::exists(fs::symlink_status(directory / free)); ++number) {
    free = name + std::to_string(number);
  }
  return free;
}

}  // namespace hidreamer::pipeline
