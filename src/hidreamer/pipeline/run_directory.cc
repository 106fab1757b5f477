#include "hidreamer/pipeline/run_directory.h"

#include <utility>
#include <vector>

#include "hidreamer/config/stage_settings.h"

namespace hidreamer::pipeline {

RunDirectory::RunDirectory(std::filesystem::path path, const config::Config& config)
    : journal_(std::move(path)), config_(config) {}

StageRecord RunDirectory::Record(const StageId& stage) const {
  config::Settings settings = config::StageSettings(config_, stage.settings);
  const config::Settings imports = ImportsBefore(stage, settings);
  settings.insert(imports.begin(), imports.end());
  return {.name = stage.name,
          .folder = Folder(stage),
          .settings = std::move(settings),
          .defaults = config::StageSettings({}, stage.settings),
          .may_hold_files = stage.settings == "collect" || stage.settings == "evaluate",
          // What was measured is measured anew where its settings changed.
          .can_go_on = stage.settings == "evaluate" || stage.settings == "report"};
}

config::Settings RunDirectory::ImportsBefore(const StageId& stage,
                                             const config::Settings& settings) const {
  std::vector<std::string> folders = {"encoder", "tokenizer", "world_model"};
  for (const std::string& game : config_.games) {
    folders.push_back("data/" + game);
  }
  config::Settings imports;
  for (const std::string& folder : folders) {
    const auto imported = ReadImportedStage(path() / folder);
    if (!imported || imported->stage == stage.settings) {
      continue;
    }
    // A stage has the settings of every stage before it.
    const std::string section = imported->stage + ".";
    const auto first = settings.lower_bound(section);
    if (first != settings.end() && first->first.starts_with(section)) {
      imports["imported." + folder] = imported->checksum;
    }
  }
  return imports;
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
                      .precision = config_.precision,
                      .checkpoint_seconds = config_.checkpoint_seconds,
                      .choose_precision =
                          [&](torch::Device device) {
                            return layers::ChoosePrecision(
                                config_.precision,
                                world.batch * world.window * (config_.tokenizer.levels + 1),
                                world.width, device);
                          },
                      .facts = {{"seed", config_.seed}, {"games", config_.games}}});
}

}  // namespace hidreamer::pipeline
