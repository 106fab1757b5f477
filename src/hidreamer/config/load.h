#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "hidreamer/config/config.h"

namespace hidreamer::config {

struct ConfigLayers {
  std::string preset = {};                  // by name (Presets())
  std::filesystem::path file = {};          // or the name of a preset; a file may `extends:` either
  std::vector<std::string> overrides = {};  // "world_model.width=192", as given to --set
};

// Defaults, then the preset, then the file (after what it extends, relative to it), then the
// overrides (lists as [a, b] or a,b). Empty: none; online without a preset: cpu. Keys of older
// versions are understood. Throws a user Error for an unreadable file, broken YAML, an unknown key
// (with the nearest known one), one of the other schedule, a key given twice, a value of the wrong
// type or out of range (each with file:line, or the --set text), for values that do not fit each
// other (CheckConfig), and a configuration that is not for this schedule.
Config LoadConfig(const std::string& schedule, const ConfigLayers& layers = {});

// A preset as it is.
Config Preset(const std::string& name);

// LoadConfig(kStaged) of YAML text; `name` stands for the file in messages.
Config ParseConfig(const std::string& text, const std::string& name,
                   const std::vector<std::string>& overrides = {});

}  // namespace hidreamer::config
