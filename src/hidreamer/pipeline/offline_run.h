#pragma once

#include <filesystem>
#include <string>

#include "hidreamer/agent/offline_learner.h"
#include "hidreamer/config/config.h"

namespace hidreamer::pipeline {

struct OfflineRunOptions {
  std::filesystem::path source;     // run of the agent, read alone
  std::filesystem::path directory;  // where the result goes, another one
  std::string command;              // as given, for run.json
  bool force = false;               // as AgentRunOptions'
  agent::OfflineOptions learning;
};

// Trains one part of a trained agent alone, resumable to the bit, into a run directory of its own,
// which every command takes that takes an agent's:
//   OUT/config.yaml, run.json
//   OUT/agent/{begun.json or stage.json, checkpoints, metrics.jsonl, model.safetensors}
//   OUT/agent/curve.json  the scores on the way, by updates; none of a world model
void RunOffline(const config::Config& config, const OfflineRunOptions& options);

}  // namespace hidreamer::pipeline
