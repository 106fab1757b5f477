#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>

#include "hidreamer/nn/precision.h"

namespace hidreamer::pipeline {

// What is common to every run directory: RUN/{config.yaml, run.json}, the lock (one process works
// in a run directory at a time; a killed process leaves it free), and the threads and precision
// that a resumed run keeps.
class RunJournal {
 public:
  // Creates the directory or opens it to go on. Throws a user Error if it cannot be written or
  // another process works in it.
  explicit RunJournal(std::filesystem::path path);
  ~RunJournal();
  RunJournal(const RunJournal&) = delete;
  RunJournal& operator=(const RunJournal&) = delete;

  const std::filesystem::path& path() const { return path_; }

  struct Work {
    std::string command;
    std::string config_text;  // becomes config.yaml
    int64_t threads = 0;      // wanted; 0: all cores
    std::function<nn::Precision()> choose_precision;
    nlohmann::json facts;  // goes into run.json: seed, games
  };
  // Writes config.yaml and the start of this call into run.json, and sets the process up.
  void StartWork(const Work& work);
  // The end of this call, with its outcome: "done", "interrupted", "failed".
  void EndWork(const std::string& outcome);

  void FinishStage(const std::string& name, double seconds);
  int threads() const { return threads_; }
  nn::Precision precision() const { return precision_; }
  // Kept in checkpoints beside a config hash: seed, threads, precision, versions.
  nlohmann::json Identity() const;

 private:
  void Lock();
  void Write() const;

  std::filesystem::path path_;
  int lock_ = -1;
  nlohmann::json run_;
  int threads_ = 0;
  nn::Precision precision_ = nn::Precision::kF32;
};

// UTC, "2026-01-31T12:00:00Z".
std::string TimeNow();
// An empty object where the file is missing or no JSON object.
nlohmann::json ReadJsonObject(const std::filesystem::path& path);

}  // namespace hidreamer::pipeline
