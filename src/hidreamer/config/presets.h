#pragma once

#include <map>
#include <string>

namespace hidreamer::config {

// The files of configs/, which are part of the program: it knows them wherever it is started. Name
// without folder and ending ("quickstart", "cpu") -> YAML.
const std::map<std::string, std::string>& Presets();

}  // namespace hidreamer::config
