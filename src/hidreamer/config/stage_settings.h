#pragma once

#include <string>

#include "hidreamer/config/dump.h"

namespace hidreamer::config {

// The settings that a stage's result depends on, those of the stages before it included. Stages:
// collect, encoder, embed, tokenizer, tokenize, world_model, policy, evaluate, report. Left out
// everywhere: threads, precision, checkpoint_seconds (a run keeps what it started with).
Settings StageSettings(const ExperimentConfig& config, const std::string& stage);

// Hash of StageSettings.
std::string ConfigHash(const ExperimentConfig& config, const std::string& stage);

// "world_model.width: 384 before, 192 now" for the first few keys that differ; "" where none does.
std::string DescribeChange(const Settings& before, const Settings& now);

}  // namespace hidreamer::config
