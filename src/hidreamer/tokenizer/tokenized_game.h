#pragma once

#include <torch/torch.h>

#include <filesystem>
#include <string>
#include <vector>

#include "hidreamer/data/episode_store.h"
#include "hidreamer/tokenizer/residual_quantizer.h"

namespace hidreamer::tokenizer {

// A recorded game as tokens: what the world model is trained on. Row t as in data::EpisodeStore.
struct TokenizedGame {
  std::string game;
  torch::Tensor tokens;                      // (N, L) int64
  torch::Tensor actions;                     // (N) int64
  torch::Tensor rewards;                     // (N) f32, unclipped
  torch::Tensor terminals;                   // (N) u8
  torch::Tensor truncateds;                  // (N) u8
  std::vector<data::EpisodeRange> episodes;  // ascending, covering all rows
  int64_t num_actions = 0;
  int64_t codes = 0;  // V, codes of each level
};

// embeddings (N, D) f32 of the store's rows.
TokenizedGame TokenizeStore(ResidualQuantizer quantizer, const data::EpisodeStore& store,
                            const torch::Tensor& embeddings);

void SaveTokenizedGame(const TokenizedGame& game, const std::filesystem::path& path);
// Throws a user Error for a missing, corrupt or inconsistent file.
TokenizedGame LoadTokenizedGame(const std::filesystem::path& path);

}  // namespace hidreamer::tokenizer
