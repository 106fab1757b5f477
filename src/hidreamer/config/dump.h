#pragma once

#include <map>
#include <string>
#include <vector>

#include "hidreamer/config/agent_config.h"
#include "hidreamer/config/experiment_config.h"

namespace hidreamer::config {

// Every key as YAML, each under a comment with its meaning, unit and range; reads back to the same
// config.
std::string DumpConfig(const ExperimentConfig& config);
std::string DumpConfig(const AgentConfig& config);

// Dotted key -> value as YAML text: {"world_model.width", "384"}.
using Settings = std::map<std::string, std::string>;
Settings Flatten(const ExperimentConfig& config);
Settings Flatten(const AgentConfig& config);

// All dotted keys, in the order of the field lists.
std::vector<std::string> AllKeys(const ExperimentConfig& config = {});
std::vector<std::string> AllKeys(const AgentConfig& config);

// 16 hexadecimal digits that differ when any value differs.
std::string HashSettings(const Settings& settings);

}  // namespace hidreamer::config
