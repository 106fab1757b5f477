#pragma once

#include <string>
#include <vector>

namespace hidreamer::config {

// The games of the Arcade Learning Environment that one player can play, and the built-in catch,
// ascending, by the names that options, configs, files and run directories use.
const std::vector<std::string>& GameNames();

// The game that `name` means. Case, punctuation, a leading "ALE/" and the endings of Gym's names do
// not count: "ALE/MsPacman-v5", "MsPacmanNoFrameskip-v4" and "ms-pacman" are "ms_pacman". A name
// that means no known game is returned as it is.
std::string GameName(const std::string& name);

// The known game whose name is nearest to `name`, or "" where none is near.
std::string NearestGame(const std::string& name);

}  // namespace hidreamer::config
