#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>

#include "hidreamer/layers/precision.h"
#include "hidreamer/policy/actor_critic.h"
#include "hidreamer/world_model/world.h"

namespace hidreamer::agent {

// A trained agent of either kind of run, as all that plays and dreams with it knows it.
//   frames --See--> codes --> world() --> states --Features--> networks() --> actions, values
//                     └──Pictures--> what they show
class Agent {
 public:
  virtual ~Agent() = default;

  virtual const std::string& game() const = 0;
  virtual int64_t actions() const = 0;  // A, the game's own
  virtual layers::Precision precision() const = 0;
  virtual world_model::World& world() = 0;
  virtual policy::ActorCritic& networks() = 0;                                  // see Features
  virtual torch::Tensor Features(const world_model::States& states) const = 0;  // (..., F) f32

  struct Sight {
    torch::Tensor codes;   // (1, P, L) int64
    torch::Tensor values;  // (1, C, G, G) f32, their quantized grid
  };
  // What the newest of the frames shows, (4, 84, 84) u8, oldest first.
  virtual Sight See(const uint8_t* stack) = 0;
  virtual world_model::ValuesOfCodes ValuesOfCodes() const = 0;
  virtual torch::Tensor Pictures(const torch::Tensor& codes) = 0;  // (N, P, L) -> (N, S, S) u8
};

// The finished agent of RUN: of hidreamer agent, or, in a staged run, encoder, tokenizer, world
// model and the policy of `game`, drawn with the frames of its recording. game "": the only one.
// Throws a user Error where the run holds none, or no recording to draw with.
std::shared_ptr<Agent> LoadAgent(const std::filesystem::path& run, const std::string& game);

}  // namespace hidreamer::agent
