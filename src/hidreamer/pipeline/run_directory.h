#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

#include "hidreamer/config/experiment_config.h"
#include "hidreamer/nn/precision.h"
#include "hidreamer/pipeline/run_journal.h"

namespace hidreamer::pipeline {

// A stage as the run directory knows it.
struct StageId {
  std::string name;      // "encoder", "policy/pong": for messages
  std::string settings;  // of config::StageSettings
  std::string folder;    // below the run directory
};

enum class StageState { kToDo, kBegun, kDone };

// RUN/{config.yaml, run.json, STAGE/…}. A stage's folder holds begun.json from its first moment and
// stage.json once it is done, both with the settings it depends on:
//   {"settings": {"world_model.width": "384", …}, "config_hash", "seed", "seconds", "summary": {…}}
class RunDirectory {
 public:
  // Errors as RunJournal's.
  RunDirectory(std::filesystem::path path, const config::ExperimentConfig& config);

  const std::filesystem::path& path() const { return journal_.path(); }
  std::filesystem::path Folder(const StageId& stage) const { return path() / stage.folder; }

  // Compares the stage's settings with those it was begun or done with. Others: a user Error that
  // names the keys, or, with `force`, the folder is removed.
  StageState Inspect(const StageId& stage, bool force);
  void Begin(const StageId& stage);
  void Finish(const StageId& stage, double seconds, const nlohmann::json& summary);

  // As RunJournal's.
  void StartWork(const std::string& command);
  void EndWork(const std::string& outcome) { journal_.EndWork(outcome); }

  int threads() const { return journal_.threads(); }
  nn::Precision precision() const { return journal_.precision(); }

  // Kept in the checkpoints of a stage: config hash, seed, threads, precision, versions.
  nlohmann::json Identity(const StageId& stage) const;

 private:
  RunJournal journal_;
  config::ExperimentConfig config_;
};

}  // namespace hidreamer::pipeline
