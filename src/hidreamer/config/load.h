#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "hidreamer/config/experiment_config.h"

namespace hidreamer::config {

// Defaults, then the file (after the file it `extends:`, relative to it), then the overrides
// ("world_model.width=192", as given to --set; lists as [a, b] or a,b). An empty path: no file.
// Throws a user Error for an unreadable file, broken YAML, an unknown key (with the nearest known
// one), a key given twice, a value of the wrong type or out of range (each with file:line, or the
// --set text), and for values that do not fit each other (CheckConfig).
ExperimentConfig LoadConfig(const std::filesystem::path& path,
                            const std::vector<std::string>& overrides = {});

// The same for YAML text; `name` stands for the file in messages, `extends` is relative to `base`.
ExperimentConfig ParseConfig(const std::string& text, const std::string& name,
                             const std::filesystem::path& base = ".",
                             const std::vector<std::string>& overrides = {});

}  // namespace hidreamer::config
