#pragma once

#include <map>
#include <string>
#include <vector>

#include "hidreamer/config/config.h"

namespace hidreamer::config {

// Every key of the config's schedule as YAML, each under a comment with its meaning, unit and
// range; reads back to the same config.
std::string DumpConfig(Config config);

// Dotted key -> value as YAML text: {"world_model.width", "384"}.
using Settings = std::map<std::string, std::string>;
Settings Flatten(Config config);

// All dotted keys of a schedule, in the order of the field lists.
std::vector<std::string> AllKeys(const std::string& schedule = kStaged);

// Dotted keys of older versions -> what they are called now.
const std::map<std::string, std::string>& FormerKeys();

// The same settings with today's keys.
Settings WithKeysOfToday(const Settings& settings);

// 16 hexadecimal digits that differ when any value differs.
std::string HashSettings(const Settings& settings);

}  // namespace hidreamer::config
