#pragma once

#include <torch/torch.h>

#include <vector>

#include "hidreamer/tokenizer/residual_quantizer.h"
#include "hidreamer/tokenizer/tokenized_game.h"

namespace hidreamer::evaluation {

// Draws code tuples without a decoder: finds the stored frame that has the same tuple or, where
// none has, the one whose decoded vector lies nearest.
class FrameLookup {
 public:
  // Looks among the rows of `episodes` alone (the training ones, so that a held-out dream is not
  // drawn with the very frames it is compared to).
  FrameLookup(const tokenizer::TokenizedGame& game, tokenizer::ResidualQuantizer quantizer,
              const std::vector<data::EpisodeRange>& episodes);

  struct Match {
    std::vector<int64_t> rows;  // of the store, one a tuple
    std::vector<bool> exact;    // the very tuple is stored
  };
  // tuples (n, L) int64
  Match Find(const torch::Tensor& tuples) const;

 private:
  tokenizer::ResidualQuantizer quantizer_;
  torch::Tensor rows_;     // (U) int64, first row of each distinct tuple
  torch::Tensor tuples_;   // (U, L) int64
  torch::Tensor vectors_;  // (U, D)
};

}  // namespace hidreamer::evaluation
