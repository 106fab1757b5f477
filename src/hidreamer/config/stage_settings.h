#pragma once

#include <string>

#include "hidreamer/config/dump.h"

namespace hidreamer::config {

// The settings that a stage's result depends on, those of the stages before it included. Stages:
// collect, encoder, embed, tokenizer, tokenize, world_model, policy, evaluate, report. Left out
// everywhere: schedule, threads, device, precision, checkpoint_seconds.
Settings StageSettings(const Config& config, const std::string& stage);

// Hash of StageSettings.
std::string ConfigHash(const Config& config, const std::string& stage);

// What differs of two Settings of the same stage: keys with their value before, "" where they were
// not there.
Settings ChangedSettings(const Settings& before, const Settings& now);

// Whether work that was begun with the one value of a key can go on with the other: learning rates,
// clipping, how long is trained, what is evaluated. All else is built into what was learned.
bool MayChange(const std::string& key, const std::string& before, const std::string& now);

// "world_model.width: 384 before, 192 now" for the first few keys that differ; "" where none does.
std::string DescribeChange(const Settings& before, const Settings& now);

}  // namespace hidreamer::config
