#include "hidreamer/imagination/open_loop.h"

#include "hidreamer/base/error.h"
#include "hidreamer/base/seed.h"
#include "hidreamer/imagination/dreams.h"
#include "hidreamer/training/device.h"
#include "hidreamer/world_model/token_world.h"

namespace hidreamer::imagination {

OpenLoopOutput DreamUnderActions(world_model::WorldModel model, const torch::Tensor& context_tokens,
                                 const torch::Tensor& actions, int64_t horizon,
                                 const CodeSampling& sampling) {
  torch::NoGradGuard no_grad;
  const int64_t batch = context_tokens.size(0), context = context_tokens.size(1);
  HID_CHECK(actions.size(1) == context + horizon - 1, "{} actions for {} + {} steps",
            actions.size(1), context, horizon);
  const world_model::TokenLayout& layout = model->options().layout;
  const bool was_training = model->is_training();
  world_model::TokenWorld world(model, /*value_channels=*/1, context, context + horizon);
  world.eval();
  Rng rng(sampling.seed);
  const auto dream = world_model::RunOpenLoop(
      world,
      world_model::StepsOfSlots(layout, context_tokens, actions.narrow(1, 0, context - 1),
                                world_model::NoValues),
      actions.narrow(1, context - 1, horizon), world_model::NoValues, sampling.temperature,
      training::ToDevice(Uniforms({horizon, batch, layout.places, layout.levels}, rng),
                         context_tokens.device()));
  model->train(was_training);
  const auto levels = [&](const torch::Tensor& x) {
    return x.unflatten(2, {layout.levels, model->options().width});
  };
  return {dream.codes.transpose(2, 3).flatten(2), levels(dream.hidden)};
}

}  // namespace hidreamer::imagination
