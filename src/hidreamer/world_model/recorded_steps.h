#pragma once

#include <cstdint>
#include <vector>

#include "hidreamer/data/windows.h"
#include "hidreamer/tokenizer/tokenized_game.h"
#include "hidreamer/world_model/token_world.h"

namespace hidreamer::world_model {

// Windows of tokenized recordings as worlds read them. Each lies within one episode: no step is a
// first one. Their values are NoValues: who needs others sets them.

// rows (B, T) of a game, consecutive, or a first row again and again: a game that stood still.
Steps ReadSteps(const tokenizer::TokenizedGame& game, const torch::Tensor& rows);
// Windows of `length` steps of several games; source: the game.
Steps ReadSteps(const std::vector<tokenizer::TokenizedGame>& games,
                const std::vector<data::WindowStart>& windows, int64_t length);

}  // namespace hidreamer::world_model
