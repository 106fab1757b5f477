#include "hidreamer/imagination/dream.h"

#include <ATen/CPUGeneratorImpl.h>

#include <vector>

#include "hidreamer/base/seed.h"
#include "hidreamer/imagination/code_roller.h"
#include "hidreamer/nn/categorical.h"

namespace hidreamer::imagination {

Dreamer::Dreamer(world_model::WorldModel model, StateFeatures features, int64_t batch,
                 int64_t capacity, nn::Precision precision)
    : model_(model),
      features_(std::move(features)),
      precision_(precision),
      decoder_(model, batch, capacity, precision) {}

Dream Dreamer::Roll(policy::PolicyModel policy, const torch::Tensor& context_tokens,
                    const torch::Tensor& context_actions, int64_t horizon, uint64_t seed) {
  torch::NoGradGuard no_grad;
  const nn::AutocastGuard autocast(context_tokens.device(), precision_);
  const SeedTree seeds(seed);
  auto action_generator = at::make_generator<at::CPUGeneratorImpl>(seeds.Stream("actions"));
  CodeRoller roller(model_, decoder_, CodeSampling{.seed = seeds.Stream("codes")});
  roller.Start(context_tokens, context_actions);
  std::vector<torch::Tensor> tokens, states, outcomes, actions, log_probs;
  tokens.push_back(roller.tokens());
  states.push_back(features_.State(roller.hidden(), roller.tokens()));
  for (int64_t h = 0; h < horizon; ++h) {
    const auto distribution = policy->Policy(policy->extractor->forward(states.back()));
    const auto action = nn::SampleCategory(distribution.probabilities(), action_generator);
    actions.push_back(action);
    log_probs.push_back(distribution.LogProb(action));
    const auto action_hidden = roller.Advance(action);
    outcomes.push_back(features_.Outcome(states.back(), action_hidden, action));
    tokens.push_back(roller.tokens());
    states.push_back(features_.State(roller.hidden(), roller.tokens()));
  }
  Dream dream;
  dream.tokens = torch::stack(tokens, 1);
  dream.states = torch::stack(states, 1);
  dream.outcomes = torch::stack(outcomes, 1);
  dream.actions = torch::stack(actions, 1);
  dream.log_probs = torch::stack(log_probs, 1);
  dream.rewards = policy->Reward(dream.outcomes);
  dream.continues = policy->Continue(dream.outcomes);
  return dream;
}

}  // namespace hidreamer::imagination
