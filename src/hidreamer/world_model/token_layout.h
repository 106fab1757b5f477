#pragma once

#include <cstdint>

namespace hidreamer::world_model {

// How one time step is laid out as transformer positions. Tokenizer, mask, embedding and heads all
// read this one value.
//   step t of the sequence:  L0  L1  …  L(L-1)  ACTION      K = levels + 1 positions
struct TokenLayout {
  int64_t levels = 3;   // L, tokens of a frame, coarse to fine
  int64_t codes = 256;  // V, codes of each level
  int64_t actions = 9;  // A, size of the action vocabulary

  int64_t positions_per_step() const { return levels + 1; }  // K
  int64_t action_slot() const { return levels; }             // slot of ACTION within a step
  bool operator==(const TokenLayout&) const = default;
};

}  // namespace hidreamer::world_model
