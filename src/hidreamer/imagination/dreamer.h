#pragma once

#include <torch/torch.h>

#include "hidreamer/policy/actor_critic.h"
#include "hidreamer/world_model/world.h"

namespace hidreamer::imagination {

// A world model, and the actor and the critic that live in it.
//   world() --> states --Features--> networks() --> actions, values
class Dreamer {
 public:
  virtual ~Dreamer() = default;

  virtual world_model::World& world() = 0;
  virtual policy::ActorCritic& networks() = 0;                                  // see Features
  virtual torch::Tensor Features(const world_model::States& states) const = 0;  // (..., F) f32
  virtual world_model::ValuesOfCodes ValuesOfCodes() const = 0;
};

}  // namespace hidreamer::imagination
