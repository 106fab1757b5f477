#include "hidreamer/pipeline/run_directory.h"

#include <utility>

#include "hidreamer/config/stage_settings.h"

namespace hidreamer::pipeline {

RunDirectory::RunDirectory(std::filesystem::path path, const config::ExperimentConfig& config)
    : journal_(std::move(path)), config_(config) {}

StageRecord RunDirectory::Record(const StageId& stage) const {
  return {.name = stage.name,
          .folder = Folder(stage),
          .settings = config::StageSettings(config_, stage.settings),
          .may_hold_files = stage.settings == "collect" || stage.settings == "evaluate"};
}

void RunDirectory::SetAside(const std::vector<StageId>& stages) {
  std::vector<StageRecord> records;
  for (const StageId& stage : stages) {
    records.push_back(Record(stage));
  }
  journal_.SetAside(records);
}

void RunDirectory::StartWork(const std::string& command) {
  const config::WorldModelConfig& world = config_.world_model;
  journal_.StartWork({.command = command,
                      .config_text = config::DumpConfig(config_),
                      .threads = config_.threads,
                      .device = config_.device,
                      .choose_precision =
                          [&](torch::Device device) {
                            return nn::ChoosePrecision(
                                config_.precision,
                                world.batch * world.window * (config_.tokenizer.levels + 1),
                                world.width, device);
                          },
                      .facts = {{"seed", config_.seed}, {"games", config_.games}}});
}

}  // namespace hidreamer::pipeline
