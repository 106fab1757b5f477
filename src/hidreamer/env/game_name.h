#pragma once

#include <string>

namespace hidreamer::env {

// The registered game that `name` means. Case, punctuation, a leading "ALE/" and the endings of
// Gym's names do not count: "ALE/MsPacman-v5", "MsPacmanNoFrameskip-v4" and "ms-pacman" are
// "ms_pacman". A name that means no known game is returned as it is.
std::string GameName(const std::string& name);

// The known game whose name is nearest to `name`, or "" where none is near.
std::string NearestGame(const std::string& name);

}  // namespace hidreamer::env
