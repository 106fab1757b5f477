#include "hidreamer/imagination/dream.h"

#include <ATen/CPUGeneratorImpl.h>

#include <vector>

#include "hidreamer/base/seed.h"
#include "hidreamer/layers/categorical.h"
#include "hidreamer/training/device.h"
#include "hidreamer/world_model/code_roller.h"

namespace hidreamer::imagination {

Dreamer::Dreamer(world_model::WorldModel model, StateFeatures features, int64_t batch,
                 int64_t capacity, layers::Precision precision)
    : model_(model),
      features_(std::move(features)),
      precision_(precision),
      decoder_(model, batch, capacity, precision) {}

policy::Dreams Dreamer::Roll(policy::PolicyModel policy, const torch::Tensor& context_tokens,
                             const torch::Tensor& context_actions, int64_t horizon, uint64_t seed) {
  const SeedTree seeds(seed);
  const auto draw = [&](const char* stream, torch::IntArrayRef shape) {
    auto generator = at::make_generator<at::CPUGeneratorImpl>(seeds.Stream(stream));
    return training::ToDevice(torch::rand(shape, generator, torch::kFloat64),
                              context_tokens.device());
  };
  if (policy_.is_empty() || policy_.ptr() != policy.ptr()) {
    policy_ = policy;
    works_.clear();
  }
  const auto shape = std::pair(context_tokens.size(1), horizon);
  auto work = works_.find(shape);
  if (work == works_.end()) {
    work = works_
               .try_emplace(shape,
                            [this](const training::CapturedGraph::Tensors& inputs) {
                              return Compute(inputs);
                            })
               .first;
  }
  const int64_t batch = context_tokens.size(0);
  const training::CapturedGraph::Tensors results =
      work->second.Run({context_tokens, context_actions,
                        draw("codes", {horizon, model_->options().layout.levels, batch}),
                        draw("actions", {horizon, batch})});
  return {.states = results[0],
          .actions = results[1],
          .log_probs = results[2],
          .rewards = results[3],
          .continues = results[4],
          .codes = results[5]};
}

training::CapturedGraph::Tensors Dreamer::Compute(const training::CapturedGraph::Tensors& inputs) {
  torch::NoGradGuard no_grad;
  const torch::Tensor &context_tokens = inputs[0], &context_actions = inputs[1],
                      &code_draws = inputs[2], &action_draws = inputs[3];
  const layers::AutocastGuard autocast(context_tokens.device(), precision_);
  world_model::CodeRoller roller(model_, decoder_);
  roller.Start(context_tokens, context_actions);
  std::vector<torch::Tensor> tokens, states, outcomes, actions, log_probs;
  tokens.push_back(roller.tokens());
  states.push_back(features_.State(roller.hidden(), roller.tokens()));
  for (int64_t h = 0; h < action_draws.size(0); ++h) {
    const auto distribution = policy_->Policy(states.back());
    const auto action = layers::CategoryAt(distribution.probabilities(), action_draws[h]);
    actions.push_back(action);
    log_probs.push_back(distribution.LogProb(action));
    const auto action_hidden = roller.Advance(action, /*temperature=*/1, code_draws[h]);
    outcomes.push_back(features_.Outcome(states.back(), action_hidden, action));
    tokens.push_back(roller.tokens());
    states.push_back(features_.State(roller.hidden(), roller.tokens()));
  }
  const torch::Tensor outcome = torch::stack(outcomes, 1);
  return {torch::stack(states, 1),  torch::stack(actions, 1),   torch::stack(log_probs, 1),
          policy_->Reward(outcome), policy_->Continue(outcome), torch::stack(tokens, 1)};
}

}  // namespace hidreamer::imagination
