#pragma once

#include <map>
#include <string>

#include "hidreamer/config/config.h"

namespace hidreamer::config {

// Where a key was set ("file:line" or "--set …"), by dotted key; keys left at their default are
// absent.
using Origins = std::map<std::string, std::string>;

// Checks of values against each other: heads divide the width, lists as long as there are levels,
// windows and dreams that fit the longest sequence, … Throws a user Error that names both keys,
// their values and where they were set. Whether the games exist is found out when they are opened.
void CheckConfig(const Config& config, const Origins& origins = {});

}  // namespace hidreamer::config
