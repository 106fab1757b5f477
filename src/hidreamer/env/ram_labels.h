#pragma once

#include <string>
#include <vector>

namespace hidreamer::env {

// Which byte of the console's RAM holds which variable of a game (Anand et al., 2019, AtariARI):
// the truth that probes are fitted to.
struct RamLabel {
  std::string name;  // "ball_x"
  int byte = 0;      // in [0, 128)
};

// All labels of a game, in a fixed order; empty for games without a table.
const std::vector<RamLabel>& RamLabels(const std::string& game);

// Byte of the variable `name`; throws an internal Error if the game has no such label.
int RamByte(const std::string& game, const std::string& name);

}  // namespace hidreamer::env
