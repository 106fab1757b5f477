#pragma once

#include <torch/torch.h>

#include "hidreamer/config/config.h"
#include "hidreamer/imagination/state_features.h"
#include "hidreamer/policy/policy_model.h"
#include "hidreamer/tokenizer/tokenized_game.h"
#include "hidreamer/world_model/world_model.h"

// A world small enough to learn in seconds, for the tests of this folder.
namespace hidreamer::imagination {

// Two levels of four codes, two actions, 6 episodes of 24 steps played at random. The action that
// equals the parity of the coarse code pays 1. Every second episode ends with the game, the others
// are cut off.
tokenizer::TokenizedGame TinyGame();

// An untrained world model: its hidden states show codes and actions, its dreams are random.
world_model::WorldModel TinyWorldModel();

// (2, 4, 5)
torch::Tensor TinyCodebooks();

config::PolicyConfig TinyConfig();

// An untrained policy of two actions for such a world.
policy::PolicyModel TinyPolicy(const StateFeatures& features, int64_t context, int64_t horizon);

}  // namespace hidreamer::imagination
