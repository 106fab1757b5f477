#include "hidreamer/agent/dreams.h"

#include <ATen/CPUGeneratorImpl.h>

#include "hidreamer/nn/categorical.h"

namespace hidreamer::agent {

torch::Tensor Uniforms(at::IntArrayRef shape, Rng& rng, torch::Device device) {
  // A generator of its own: torch's global one is shared by all threads.
  const auto generator = at::detail::createCPUGenerator(rng.Next());
  return torch::rand(shape, generator, torch::kFloat32).to(device);
}

Dreams DreamOn(AgentModels models, const world_model::StepInputs& context,
               const DreamOptions& options, Rng& rng) {
  torch::NoGradGuard no_grad;
  const int64_t b = context.values.size(0), length = context.values.size(1);
  const auto device = context.values.device();
  const auto& layout = models->options().world_model.layout;
  world_model::StepDecoder decoder(models->world_model, context, options.horizon);
  torch::Tensor values = context.values.select(1, length - 1);
  std::vector<torch::Tensor> features, actions, log_probs, rewards, continues, codes;
  for (int64_t h = 0; h <= options.horizon; ++h) {
    features.push_back(models->Features({values, decoder.hidden(), decoder.local()}));
    if (h == options.horizon) {
      break;
    }
    const auto distribution = models->Policy(features.back());
    actions.push_back(options.actions.defined() ? options.actions.select(1, h)
                                                : nn::CategoryAt(distribution.probabilities(),
                                                                 Uniforms({b}, rng, device)));
    log_probs.push_back(distribution.LogProb(actions.back()));
    const auto outcome =
        models->world_model->Foretell(decoder.hidden(), decoder.local(), actions.back());
    rewards.push_back(models->scalars().Value(outcome.reward));
    continues.push_back(torch::sigmoid(outcome.continues));
    const auto uniforms = options.temperature > 0
                              ? Uniforms({b, layout.places, layout.levels}, rng, device)
                              : torch::Tensor();
    const auto next = models->world_model->Sample(outcome.places, options.temperature, uniforms);
    if (options.keep_codes) {
      codes.push_back(next);
    }
    values = models->tokenizer->Values(next);
    decoder.Push(values, actions.back());
  }
  return {.features = torch::stack(features, 1),
          .actions = torch::stack(actions, 1),
          .log_probs = torch::stack(log_probs, 1),
          .rewards = torch::stack(rewards, 1),
          .continues = torch::stack(continues, 1),
          .codes = options.keep_codes ? torch::stack(codes, 1) : torch::Tensor()};
}

}  // namespace hidreamer::agent
