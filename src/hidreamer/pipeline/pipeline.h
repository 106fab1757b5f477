#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "hidreamer/config/config.h"

namespace hidreamer::pipeline {

struct PipelineOptions {
  std::filesystem::path directory;  // the run directory
  std::string command;              // for run.json
  bool force = false;  // redo stages whose settings changed, instead of an error; what was done
                       // before is kept in RUN/before until the new one is
  // Stages to run, by name ("collect/pong", "encoder", …); empty: all. A stage before them that is
  // not done is a user Error.
  std::vector<std::string> only = {};
  std::function<void()> begun = [] {};  // called once all is checked, before the work
};

// Runs all stages of the config that are not yet done and, where all were asked for, prints the
// figures beside their baselines and the report's path to stdout. Throws Interrupted on Ctrl-C; the
// same call goes on.
void RunPipeline(const config::Config& config, const PipelineOptions& options);

}  // namespace hidreamer::pipeline
