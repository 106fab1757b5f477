#include "hidreamer/agent/dreams.h"

#include <ATen/CPUGeneratorImpl.h>

#include "hidreamer/layers/categorical.h"

namespace hidreamer::agent {

torch::Tensor Uniforms(at::IntArrayRef shape, Rng& rng) {
  // A generator of its own: torch's global one is shared by all threads.
  return torch::rand(shape, at::detail::createCPUGenerator(rng.Next()), torch::kFloat32);
}

DreamDraws DrawForDreams(AgentModels models, int64_t batch, const DreamOptions& options, Rng& rng,
                         torch::Device device) {
  const auto& layout = models->options().world_model.layout;
  if (device.is_cuda()) {
    auto generator = at::globalContext().defaultGenerator(device).clone();
    generator.set_current_seed(rng.Next());
    const auto draw = [&](bool wanted, at::IntArrayRef shape) {
      return wanted ? torch::rand(shape, generator, torch::TensorOptions(device)) : torch::Tensor();
    };
    return {.actions = draw(!options.actions.defined(), {options.horizon, batch}),
            .codes = draw(options.temperature > 0,
                          {options.horizon, batch, layout.places, layout.levels})};
  }
  std::vector<torch::Tensor> actions, codes;
  for (int64_t h = 0; h < options.horizon; ++h) {
    if (!options.actions.defined()) {
      actions.push_back(Uniforms({batch}, rng));
    }
    if (options.temperature > 0) {
      codes.push_back(Uniforms({batch, layout.places, layout.levels}, rng));
    }
  }
  const auto together = [&](const std::vector<torch::Tensor>& draws) {
    return draws.empty() ? torch::Tensor() : torch::stack(draws);
  };
  return {.actions = together(actions), .codes = together(codes)};
}

policy::Dreams DreamOn(AgentModels models, const world_model::Steps& context,
                       const DreamOptions& options, Rng& rng) {
  return DreamOn(models, context, options,
                 DrawForDreams(models, context.windows(), options, rng, context.codes.device()));
}

policy::Dreams DreamOn(AgentModels models, const world_model::Steps& context,
                       const DreamOptions& options, const DreamDraws& draws) {
  torch::NoGradGuard no_grad;
  const auto rollout =
      models->world_model->Begin(context, options.horizon, models->ValuesOfCodes());
  std::vector<torch::Tensor> states, actions, log_probs, rewards, continues, codes;
  for (int64_t h = 0; h <= options.horizon; ++h) {
    states.push_back(models->Features(rollout->states()));
    if (h == options.horizon) {
      break;
    }
    const auto distribution = models->Policy(states.back());
    actions.push_back(options.actions.defined()
                          ? options.actions.select(1, h)
                          : layers::CategoryAt(distribution.probabilities(), draws.actions[h]));
    log_probs.push_back(distribution.LogProb(actions.back()));
    const auto outcomes =
        rollout->Imagine(actions.back(), options.temperature,
                         draws.codes.defined() ? draws.codes[h] : torch::Tensor());
    rewards.push_back(models->scalars().Value(outcomes.rewards));
    continues.push_back(torch::sigmoid(outcomes.continues));
    if (options.keep_codes) {
      codes.push_back(rollout->codes());
    }
  }
  return {.states = torch::stack(states, 1),
          .actions = torch::stack(actions, 1),
          .log_probs = torch::stack(log_probs, 1),
          .rewards = torch::stack(rewards, 1),
          .continues = torch::stack(continues, 1),
          .codes = options.keep_codes ? torch::stack(codes, 1) : torch::Tensor()};
}

}  // namespace hidreamer::agent
