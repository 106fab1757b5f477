#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "hidreamer/base/files.h"
#include "hidreamer/config/dump.h"
#include "hidreamer/layers/precision.h"
#include "hidreamer/training/device.h"

namespace hidreamer::pipeline {

// A piece of work that a run directory keeps in a folder of its own.
struct StageRecord {
  std::string name;  // "encoder", "policy/pong": for messages
  std::filesystem::path folder;
  config::Settings settings;  // that its result depends on
  // Their defaults. A setting that a record does not name, since an older version knew none such,
  // had its default then.
  config::Settings defaults = {};
  // Whether its folder may hold files before it is begun: recordings, figures.
  bool may_hold_files = false;
  // Once done it can be gone on with under settings that may change (config::MayChange); its
  // checkpoints are kept for that.
  bool can_go_on = false;
};

enum class StageState {
  kToDo,
  kBegun,
  kDone,
  kChanged,  // begun or done with other settings, to be set aside and done anew
};

// What is common to every run directory: RUN/{config.yaml, run.json, STAGE/…}, the lock (one
// process works in a run directory at a time; a killed process leaves it free), and the threads and
// precision that a resumed run keeps where no others are asked for. A stage's folder holds
// begun.json from its first moment and stage.json once it is done, both with the settings it
// depends on:
//   {"settings": {"world_model.width": "384", …}, "config_hash", "seed", "seconds", "summary": {…}}
// What changed on the way stands in run.json:
//   "changes": [{"stage", "update", "time", "settings": {KEY: {"before", "now"}}}, …]
class RunJournal {
 public:
  // Creates the directory or opens it to go on. Throws a user Error if it cannot be written, holds
  // somebody's files that a run would replace, or another process works in it. Until StartWork
  // nothing is changed, and a directory that was made here goes again. Where the file system
  // cannot lock files, a warning.
  explicit RunJournal(std::filesystem::path path);
  ~RunJournal();
  RunJournal(const RunJournal&) = delete;
  RunJournal& operator=(const RunJournal&) = delete;

  const std::filesystem::path& path() const { return path_; }

  struct Work {
    std::string command;
    std::string config_text;         // becomes config.yaml
    int64_t threads = 0;             // wanted; 0: as before, or all cores
    std::string device = "cpu";      // config's name
    std::string precision = "auto";  // config's name; auto: as before on the same device
    double checkpoint_seconds = 0;
    std::function<layers::Precision(torch::Device)> choose_precision;
    nlohmann::json facts;  // goes into run.json: seed, games
  };
  // Writes config.yaml and the start of this call into run.json, and sets the process up.
  void StartWork(const Work& work);
  // The end of this call, with its outcome: "done", "interrupted", "failed". What was set aside is
  // removed once everything that replaces it is done; until then a message says where it is.
  void EndWork(const std::string& outcome);
  // Does `work` between StartWork and EndWork, with the outcome that it comes to.
  void DoWork(const std::function<void()>& work);

  // Compares the stage's settings with those it was begun or done with. Where others were changed
  // than it can go on with: a user Error that names the keys. With `force` any change is kChanged.
  // Also a user Error: a record that cannot be read, and a folder with files but no record. Changes
  // nothing.
  StageState Inspect(const StageRecord& stage, bool force) const;
  // Moves the folders of these stages and `more` (names in the run directory) to RUN/before, or the
  // first of before2, before3, … that is free, beside copies of what lies at the run's top.
  void SetAside(const std::vector<StageRecord>& stages, const std::vector<std::string>& more = {});
  // Returns the settings that changed since it was begun, as config::ChangedSettings; they are
  // recorded.
  config::Settings Begin(const StageRecord& stage);
  // Its checkpoints are removed unless it can be gone on with.
  void Finish(const StageRecord& stage, double seconds, const nlohmann::json& summary);

  torch::Device device() const { return device_; }
  int threads() const { return threads_; }
  layers::Precision precision() const { return precision_; }
  // Kept in a stage's checkpoints: hash of the settings it was begun with at first, seed, threads,
  // precision, versions.
  nlohmann::json Identity(const StageRecord& stage) const;

 private:
  void Lock();
  void Write() const;
  void RemoveSetAside();

  std::filesystem::path path_;
  MadeDirectories made_;
  int lock_ = -1;
  nlohmann::json run_;
  nlohmann::json changes_;  // of this call, beside those of a stage's settings
  torch::Device device_ = torch::kCPU;
  int threads_ = 0;
  layers::Precision precision_ = layers::Precision::kF32;
};

}  // namespace hidreamer::pipeline
