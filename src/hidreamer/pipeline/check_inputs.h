#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "hidreamer/config/config.h"

namespace hidreamer::pipeline {

// Throws a user Error unless a run can begin: its games can be played here, the recordings and
// imported models that lie in its directory are of these games and fit each other and the config.
// `only` are the stages asked for; empty: all. Writes nothing.
void CheckInputs(const config::Config& config, const std::filesystem::path& run,
                 const std::vector<std::string>& only);

}  // namespace hidreamer::pipeline
