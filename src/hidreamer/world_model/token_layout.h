#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <vector>

namespace hidreamer::world_model {

// How a frame's tokens and a time step are laid out. Tokenizer, mask, embedding and heads all read
// this one value.
//   One transformer position per token (TokenWorld; the text's system has one place):
//     L0 of place 0, 1, … P-1 | L1 of place 0, 1, … P-1 | … | ACTION      K = P L + 1 positions
//   A code's slot is its index in that order: the whole frame coarsely, then finer and finer.
//   One transformer position per step (StepWorld): the step's P x L tokens are embedded together.
struct TokenLayout {
  int64_t levels = 3;   // L, tokens of a place, coarse to fine
  int64_t codes = 256;  // V, codes of each level
  int64_t actions = 9;  // A, size of the action vocabulary
  int64_t places = 1;   // P, places of a frame's code grid, row by row; a square number
  std::vector<int64_t> level_codes = {};  // codes of each level where they differ; else empty

  int64_t codes_of(int64_t level) const {
    return level_codes.empty() ? codes : level_codes.at(static_cast<size_t>(level));
  }
  int64_t code_slots() const { return places * levels; }
  int64_t level_of(int64_t slot) const { return slot / places; }   // of a code's slot
  int64_t action_slot() const { return code_slots(); }             // slot of ACTION within a step
  int64_t positions_per_step() const { return code_slots() + 1; }  // K
  bool operator==(const TokenLayout&) const = default;

  NLOHMANN_DEFINE_TYPE_INTRUSIVE(TokenLayout, levels, codes, actions, places, level_codes)
};

}  // namespace hidreamer::world_model
