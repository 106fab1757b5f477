#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "hidreamer/config/config.h"
#include "hidreamer/layers/precision.h"
#include "hidreamer/pipeline/imported_stage.h"
#include "hidreamer/pipeline/run_journal.h"

namespace hidreamer::pipeline {

// A stage as the pipeline knows it.
struct StageId {
  std::string name;      // of StageRecord
  std::string settings;  // of config::StageSettings
  std::string folder;    // below the run directory
};

// The run directory of hidreamer run: a journal whose stages take their settings from one config.
class RunDirectory {
 public:
  // Errors as RunJournal's.
  RunDirectory(std::filesystem::path path, const config::Config& config);

  const std::filesystem::path& path() const { return journal_.path(); }
  std::filesystem::path Folder(const StageId& stage) const { return path() / stage.folder; }

  // As RunJournal's; an imported stage is done, whatever the settings.
  StageState Inspect(const StageId& stage, bool force) const {
    return ReadImportedStage(Folder(stage)) ? StageState::kDone
                                            : journal_.Inspect(Record(stage), force);
  }
  void SetAside(const std::vector<StageId>& stages);
  config::Settings Begin(const StageId& stage) { return journal_.Begin(Record(stage)); }
  void Finish(const StageId& stage, double seconds, const nlohmann::json& summary) {
    journal_.Finish(Record(stage), seconds, summary);
  }
  nlohmann::json Identity(const StageId& stage) const { return journal_.Identity(Record(stage)); }

  void StartWork(const std::string& command);
  void EndWork(const std::string& outcome) { journal_.EndWork(outcome); }
  void DoWork(const std::function<void()>& work) { journal_.DoWork(work); }

  torch::Device device() const { return journal_.device(); }
  int threads() const { return journal_.threads(); }
  layers::Precision precision() const { return journal_.precision(); }

 private:
  StageRecord Record(const StageId& stage) const;
  // {"imported.encoder": checksum} of the imported stages that come before this one: its result
  // depends on them.
  config::Settings ImportsBefore(const StageId& stage, const config::Settings& settings) const;

  RunJournal journal_;
  config::Config config_;
};

}  // namespace hidreamer::pipeline
