#pragma once

#include <memory>

#include "hidreamer/base/seed.h"
#include "hidreamer/imagination/dreamer.h"
#include "hidreamer/layers/precision.h"
#include "hidreamer/policy/dreams.h"
#include "hidreamer/training/captured_graph.h"

namespace hidreamer::imagination {

// Numbers uniform in [0, 1), f32, on the CPU; they follow from the next draw of `rng`.
torch::Tensor Uniforms(at::IntArrayRef shape, Rng& rng);

struct DreamOptions {
  int64_t horizon = 15;
  double temperature = 1;  // of the codes; 0: the likeliest
};

// What a batch of dreams draws with: numbers uniform in [0, 1).
struct DreamDraws {
  torch::Tensor actions;  // (H, B)
  torch::Tensor codes;    // (H, B, P, L); undefined at temperature 0
};
DreamDraws DrawForDreams(Dreamer& dreamer, int64_t batch, const DreamOptions& options, Rng& rng,
                         torch::Device device);

// Dreams on from the last step of each window.
policy::Dreams DreamOn(Dreamer& dreamer, const world_model::Steps& context,
                       const DreamOptions& options, const DreamDraws& draws);
policy::Dreams DreamOn(Dreamer& dreamer, const world_model::Steps& context,
                       const DreamOptions& options, Rng& rng);

// DreamOn for batches of one shape, over and over, by networks that may learn in between: takes
// the rollout's room once, and on a GPU records the work as a graph (CapturedGraph). Not
// thread-safe.
class DreamLoop {
 public:
  // precision: of products.
  DreamLoop(Dreamer& dreamer, const DreamOptions& options, layers::Precision precision,
            torch::Device device);

  policy::Dreams Run(const world_model::Steps& context, const DreamDraws& draws);

 private:
  // Codes, values, previous actions and firsts of the context; draws of the actions and, where the
  // temperature is not 0, of the codes. Returns the tensors of Dreams, in its order.
  training::CapturedGraph::Tensors Compute(const training::CapturedGraph::Tensors& inputs);

  Dreamer& dreamer_;
  DreamOptions options_;
  layers::Precision precision_;
  torch::Device device_;
  std::unique_ptr<world_model::Rollout> rollout_;
  training::CapturedGraph work_;
};

}  // namespace hidreamer::imagination
