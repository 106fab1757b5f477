#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <vector>

namespace hidreamer::world_model {

// How a frame's tokens and a time step are laid out. Tokenizer, mask, embedding and heads all read
// this one value.
//   One transformer position per token (WorldModel, the text's system; positions = 1):
//     step t of the sequence:  L0  L1  …  L(L-1)  ACTION      K = levels + 1 positions
//   One transformer position per step (StepModel): the step's P x L tokens are embedded together.
struct TokenLayout {
  int64_t levels = 3;   // L, tokens of a place, coarse to fine
  int64_t codes = 256;  // V, codes of each level
  int64_t actions = 9;  // A, size of the action vocabulary
  int64_t places = 1;   // P, places of a frame's code grid, row by row; a square number
  std::vector<int64_t> level_codes = {};  // codes of each level where they differ; else empty

  int64_t codes_of(int64_t level) const {
    return level_codes.empty() ? codes : level_codes.at(static_cast<size_t>(level));
  }
  int64_t positions_per_step() const { return levels + 1; }  // K
  int64_t action_slot() const { return levels; }             // slot of ACTION within a step
  bool operator==(const TokenLayout&) const = default;

  NLOHMANN_DEFINE_TYPE_INTRUSIVE(TokenLayout, levels, codes, actions, places, level_codes)
};

}  // namespace hidreamer::world_model
