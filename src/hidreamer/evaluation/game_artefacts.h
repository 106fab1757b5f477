#pragma once

#include <torch/torch.h>

#include <optional>
#include <string>
#include <vector>

#include "hidreamer/data/episode_store.h"
#include "hidreamer/data/windows.h"
#include "hidreamer/tokenizer/residual_quantizer.h"
#include "hidreamer/tokenizer/tokenized_game.h"
#include "hidreamer/world_model/world_model.h"

namespace hidreamer::evaluation {

// What judging one game reads: its recording, and what the stages made of it. A module that is not
// there yet is empty.
struct GameArtefacts {
  const data::EpisodeStore* store = nullptr;
  data::EpisodeSplit split;  // held-out episodes as in training
  torch::Tensor embeddings;  // (N, D) f32
  tokenizer::ResidualQuantizer quantizer{nullptr};
  const tokenizer::TokenizedGame* tokens = nullptr;
  world_model::WorldModel world_model{nullptr};

  const std::string& game() const { return store->info().game; }
};

// At most `count` starts of windows of `length` rows inside the episodes, spread evenly, each at
// least `stride` rows after the one before where it is of the same episode.
std::vector<int64_t> SpreadWindowStarts(const std::vector<data::EpisodeRange>& episodes,
                                        int64_t length, int64_t stride, int64_t count);

// All of them in order, at most `size` at a time.
std::vector<std::vector<int64_t>> Chunks(const std::vector<int64_t>& all, size_t size);

// Rows s, s+1, …, s+length-1 of each start, (B, length) int64.
torch::Tensor WindowRows(const std::vector<int64_t>& starts, int64_t length);
// values (N, …) at rows (B, T) -> (B, T, …)
torch::Tensor TakeRows(const torch::Tensor& values, const torch::Tensor& rows);

}  // namespace hidreamer::evaluation
