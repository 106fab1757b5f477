#include "hidreamer/pipeline/run_directory.h"

#include <spdlog/spdlog.h>

#include <utility>

#include "hidreamer/base/error.h"
#include "hidreamer/base/files.h"
#include "hidreamer/config/stage_settings.h"

namespace hidreamer::pipeline {
namespace fs = std::filesystem;
using nlohmann::json;

namespace {

void WriteObject(const fs::path& path, const json& value) {
  WriteFileAtomically(path, value.dump(2) + "\n");
}

}  // namespace

RunDirectory::RunDirectory(fs::path path, const config::ExperimentConfig& config)
    : journal_(std::move(path)), config_(config) {}

StageState RunDirectory::Inspect(const StageId& stage, bool force) {
  const fs::path folder = Folder(stage);
  const bool done = fs::exists(folder / "stage.json");
  const json record = ReadJsonObject(folder / (done ? "stage.json" : "begun.json"));
  if (!record.contains("settings")) {
    return StageState::kToDo;
  }
  const auto before = record["settings"].get<config::Settings>();
  const config::Settings now = config::StageSettings(config_, stage.settings);
  if (before == now) {
    return done ? StageState::kDone : StageState::kBegun;
  }
  if (!force) {
    throw UserError("choose another --out, or --force to redo this stage and those after it",
                    "{} in {} was {} with other settings: {}", stage.name, path().string(),
                    done ? "done" : "begun", config::DescribeChange(before, now));
  }
  spdlog::warn("{} is redone: {}", stage.name, config::DescribeChange(before, now));
  fs::remove_all(folder);
  return StageState::kToDo;
}

void RunDirectory::Begin(const StageId& stage) {
  WriteObject(Folder(stage) / "begun.json",
              {{"settings", config::StageSettings(config_, stage.settings)}});
}

void RunDirectory::Finish(const StageId& stage, double seconds, const json& summary) {
  const config::Settings settings = config::StageSettings(config_, stage.settings);
  WriteObject(Folder(stage) / "stage.json", {{"stage", stage.name},
                                             {"settings", settings},
                                             {"config_hash", config::HashSettings(settings)},
                                             {"seed", config_.seed},
                                             {"seconds", seconds},
                                             {"finished", TimeNow()},
                                             {"summary", summary}});
  std::error_code ignored;
  fs::remove(Folder(stage) / "begun.json", ignored);
  fs::remove_all(Folder(stage) / "checkpoints", ignored);
  journal_.FinishStage(stage.name, seconds);
}

void RunDirectory::StartWork(const std::string& command) {
  const config::WorldModelConfig& world = config_.world_model;
  journal_.StartWork({.command = command,
                      .config_text = config::DumpConfig(config_),
                      .threads = config_.threads,
                      .choose_precision =
                          [&] {
                            return nn::ChoosePrecision(
                                config_.precision,
                                world.batch * world.window * (config_.tokenizer.levels + 1),
                                world.width);
                          },
                      .facts = {{"seed", config_.seed}, {"games", config_.games}}});
}

json RunDirectory::Identity(const StageId& stage) const {
  json identity = journal_.Identity();
  identity["config"] = config::ConfigHash(config_, stage.settings);
  return identity;
}

}  // namespace hidreamer::pipeline
