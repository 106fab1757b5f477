#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

#include "hidreamer/config/experiment_config.h"
#include "hidreamer/nn/precision.h"

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
// One process works in a run directory at a time (a lock that a killed process leaves free).
class RunDirectory {
 public:
  // Creates the directory or opens it to go on. Throws a user Error if it cannot be written or
  // another process works in it.
  RunDirectory(std::filesystem::path path, const config::ExperimentConfig& config);
  ~RunDirectory();
  RunDirectory(const RunDirectory&) = delete;
  RunDirectory& operator=(const RunDirectory&) = delete;

  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path Folder(const StageId& stage) const { return path_ / stage.folder; }

  // Compares the stage's settings with those it was begun or done with. Others: a user Error that
  // names the keys, or, with `force`, the folder is removed.
  StageState Inspect(const StageId& stage, bool force);
  void Begin(const StageId& stage);
  void Finish(const StageId& stage, double seconds, const nlohmann::json& summary);

  // Writes config.yaml and the start of this call into run.json, and sets the process up: the
  // threads and precision a resumed run keeps are those it was started with.
  void StartWork(const std::string& command);
  // The end of this call, with its outcome: "done", "interrupted", "failed".
  void EndWork(const std::string& outcome);

  int threads() const { return threads_; }
  nn::Precision precision() const { return precision_; }

  // Kept in the checkpoints of a stage: config hash, seed, threads, precision, versions.
  nlohmann::json Identity(const StageId& stage) const;

 private:
  void Lock();
  void Write() const;

  std::filesystem::path path_;
  config::ExperimentConfig config_;
  int lock_ = -1;
  nlohmann::json run_;
  int threads_ = 0;
  nn::Precision precision_ = nn::Precision::kF32;
};

}  // namespace hidreamer::pipeline
