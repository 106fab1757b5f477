#include "hidreamer/imagination/dreams.h"

#include <ATen/CPUGeneratorImpl.h>

#include <vector>

#include "hidreamer/layers/categorical.h"

namespace hidreamer::imagination {
namespace {

// From where the rollout stands.
policy::Dreams DreamIn(Dreamer& dreamer, world_model::Rollout& rollout, const DreamOptions& options,
                       const DreamDraws& draws) {
  std::vector<torch::Tensor> states, actions, log_probs, rewards, continues;
  for (int64_t h = 0; h < options.horizon; ++h) {
    states.push_back(dreamer.Features(rollout.states()));
    const auto distribution = dreamer.networks().Policy(states.back());
    actions.push_back(layers::CategoryAt(distribution.probabilities(), draws.actions[h]));
    log_probs.push_back(distribution.LogProb(actions.back()));
    const auto outcomes = rollout.Imagine(actions.back(), options.temperature,
                                          draws.codes.defined() ? draws.codes[h] : torch::Tensor());
    rewards.push_back(outcomes.rewards);
    continues.push_back(outcomes.continues);
  }
  states.push_back(dreamer.Features(rollout.states()));
  return {.states = torch::stack(states, 1),
          .actions = torch::stack(actions, 1),
          .log_probs = torch::stack(log_probs, 1),
          .rewards = dreamer.networks().scalars().Value(torch::stack(rewards, 1)),
          .continues = torch::sigmoid(torch::stack(continues, 1))};
}

}  // namespace

torch::Tensor Uniforms(at::IntArrayRef shape, Rng& rng) {
  // A generator of its own: torch's global one is shared by all threads.
  return torch::rand(shape, at::detail::createCPUGenerator(rng.Next()), torch::kFloat32);
}

DreamDraws DrawForDreams(Dreamer& dreamer, int64_t batch, const DreamOptions& options, Rng& rng,
                         torch::Device device) {
  const auto& layout = dreamer.world().options().layout;
  if (device.is_cuda()) {
    auto generator = at::globalContext().defaultGenerator(device).clone();
    generator.set_current_seed(rng.Next());
    const auto draw = [&](at::IntArrayRef shape) {
      return torch::rand(shape, generator, torch::TensorOptions(device));
    };
    return {.actions = draw({options.horizon, batch}),
            .codes = options.temperature > 0
                         ? draw({options.horizon, batch, layout.places, layout.levels})
                         : torch::Tensor()};
  }
  std::vector<torch::Tensor> actions, codes;
  for (int64_t h = 0; h < options.horizon; ++h) {
    actions.push_back(Uniforms({batch}, rng));
    if (options.temperature > 0) {
      codes.push_back(Uniforms({batch, layout.places, layout.levels}, rng));
    }
  }
  return {.actions = torch::stack(actions),
          .codes = codes.empty() ? torch::Tensor() : torch::stack(codes)};
}

policy::Dreams DreamOn(Dreamer& dreamer, const world_model::Steps& context,
                       const DreamOptions& options, Rng& rng) {
  return DreamOn(dreamer, context, options,
                 DrawForDreams(dreamer, context.windows(), options, rng, context.codes.device()));
}

policy::Dreams DreamOn(Dreamer& dreamer, const world_model::Steps& context,
                       const DreamOptions& options, const DreamDraws& draws) {
  torch::NoGradGuard no_grad;
  const auto rollout = dreamer.world().Begin(context, options.horizon, dreamer.ValuesOfCodes());
  return DreamIn(dreamer, *rollout, options, draws);
}

DreamLoop::DreamLoop(Dreamer& dreamer, const DreamOptions& options, layers::Precision precision,
                     torch::Device device)
    : dreamer_(dreamer),
      options_(options),
      precision_(precision),
      device_(device),
      work_([this](const training::CapturedGraph::Tensors& inputs) { return Compute(inputs); }) {}

policy::Dreams DreamLoop::Run(const world_model::Steps& context, const DreamDraws& draws) {
  training::CapturedGraph::Tensors inputs = {
      context.codes, context.values, context.previous_actions, context.firsts, draws.actions};
  if (draws.codes.defined()) {
    inputs.push_back(draws.codes);
  }
  const auto results = work_.Run(inputs);
  return {.states = results[0],
          .actions = results[1],
          .log_probs = results[2],
          .rewards = results[3],
          .continues = results[4]};
}

training::CapturedGraph::Tensors DreamLoop::Compute(
    const training::CapturedGraph::Tensors& inputs) {
  torch::NoGradGuard no_grad;
  const layers::AutocastGuard autocast(device_, precision_);
  const world_model::Steps context = {
      .codes = inputs[0], .values = inputs[1], .previous_actions = inputs[2], .firsts = inputs[3]};
  if (rollout_) {
    rollout_->Restart(context);
  } else {
    rollout_ = dreamer_.world().Begin(context, options_.horizon, dreamer_.ValuesOfCodes());
  }
  const policy::Dreams dreams =
      DreamIn(dreamer_, *rollout_, options_,
              {.actions = inputs[4], .codes = inputs.size() > 5 ? inputs[5] : torch::Tensor()});
  return {dreams.states, dreams.actions, dreams.log_probs, dreams.rewards, dreams.continues};
}

}  // namespace hidreamer::imagination
