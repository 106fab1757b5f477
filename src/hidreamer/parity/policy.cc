#include <string>
#include <vector>

#include "hidreamer/base/error.h"
#include "hidreamer/parity/parity.h"
#include "hidreamer/parity/recorded_world_model.h"
#include "hidreamer/policy/ac_cpc.h"
#include "hidreamer/policy/action_distribution.h"
#include "hidreamer/policy/horizon_schedule.h"
#include "hidreamer/policy/losses.h"
#include "hidreamer/policy/networks.h"
#include "hidreamer/policy/normalizer.h"
#include "hidreamer/policy/returns.h"
#include "hidreamer/policy/two_hot.h"
#include "hidreamer/training/optimizer.h"
#include "hidreamer/world_model/token_world.h"

namespace hidreamer::parity {
namespace {

using policy::ActionDistribution;
using policy::ScalarCoding;

constexpr int64_t kScheduleLength = 100000;

// The recorded networks: all heads read the extractor's features.
struct RecordedNetworks {
  explicit RecordedNetworks(const ParityComponent& component)
      : config(component.config()),
        extractor(config.at("feature_in"), config.at("feature_in")),
        actor(config.at("feature_in"), config.at("hidden"), config.at("actions")),
        critic(config.at("feature_in"), config.at("hidden"), 1),
        slow_critic(config.at("feature_in"), config.at("hidden"), 1),
        reward(config.at("feature_in"), config.at("hidden"), 1),
        continues(config.at("feature_in"), config.at("continue_hidden"), 1),
        cpc(policy::AcCpcOptions{.feature_width = config.at("feature_in"),
                                 .width = config.at("cpc").at("proj"),
                                 .steps = config.at("cpc").at("k"),
                                 .actions = 0,
                                 .temperature = config.at("cpc").at("temperature")}) {
    formats::LoadNamedState(*extractor, component.weights(), "feature_extractor.");
    formats::LoadNamedState(*actor, component.weights(), "actor.");
    formats::LoadNamedState(*critic, component.weights(), "critic.");
    formats::LoadNamedState(*slow_critic, component.weights(), "slow_critic.target_net.");
    formats::LoadNamedState(*reward, component.weights(), "reward.");
    formats::LoadNamedState(*continues, component.weights(), "continue.");
    formats::LoadNamedState(*cpc, component.weights(), "cpc.");
  }

  ActionDistribution Policy(const torch::Tensor& features) {
    return ActionDistribution(actor->forward(features), config.at("unimix"));
  }

  const nlohmann::json& config;
  policy::FeatureExtractor extractor;
  policy::MlpHead actor, critic, slow_critic, reward, continues;
  policy::AcCpc cpc;
  ScalarCoding scalars{ScalarCoding::Kind::kSymlogMse};
};

policy::ReturnNormalizer MakeNormalizer(const nlohmann::json& config) {
  const auto& options = config.at("normalizer");
  return policy::ReturnNormalizer({.decay = options.at("decay"),
                                   .low = options.at("low"),
                                   .high = options.at("high"),
                                   .min_scale = options.at("min_scale")});
}

torch::Tensor NormalizerRow(const policy::ReturnNormalizer& normalizer) {
  return torch::stack({normalizer.low(), normalizer.high(), normalizer.Scale()});
}

torch::Tensor GradientNorms(const torch::nn::Module& module) {
  std::vector<torch::Tensor> norms;
  for (const auto& parameter : training::NamedParameters(module)) {
    norms.push_back(parameter.value.grad().norm());
  }
  return torch::stack(norms);
}

void CheckFormulas(const ParityComponent& component, std::vector<ParityRow>& rows) {
  const auto& config = component.config();
  rows.push_back(component.Compare("symlog", policy::Symlog(component.Input("symlog_in"))));
  rows.push_back(component.Compare("symexp", policy::Symexp(component.Input("symexp_in"))));
  const auto steps = component.Input("horizon_steps").contiguous();
  std::vector<int64_t> decay, bell;
  for (int64_t i = 0; i < steps.numel(); ++i) {
    decay.push_back(policy::DecayingHorizon(steps.data_ptr<int64_t>()[i], kScheduleLength));
    bell.push_back(policy::BellHorizon(steps.data_ptr<int64_t>()[i], kScheduleLength));
  }
  rows.push_back(component.Compare("horizon_decay", torch::tensor(decay, torch::kLong)));
  rows.push_back(component.Compare("horizon_bell", torch::tensor(bell, torch::kLong)));
  rows.push_back(component.Compare(
      "lambda_returns",
      policy::LambdaReturns(component.Input("returns_rewards"), component.Input("returns_values"),
                            component.Input("returns_continues"), config.at("gamma"),
                            config.at("lambda"))));
  auto normalizer = MakeNormalizer(config);
  std::vector<torch::Tensor> history;
  for (const auto& batch : component.Input("normalizer_batches").unbind(0)) {
    normalizer.Update(batch);
    history.push_back(NormalizerRow(normalizer));
  }
  rows.push_back(component.Compare("normalizer", torch::stack(history)));
}

void CheckNetworks(const ParityComponent& component, std::vector<ParityRow>& rows) {
  const torch::NoGradGuard no_grad;
  RecordedNetworks networks(component);
  const auto features = networks.extractor->forward(component.Input("hidden").flatten(1));
  const auto reward = networks.reward->forward(features).squeeze(-1);
  const auto continues = networks.continues->forward(features).squeeze(-1);
  const auto distribution = networks.Policy(features);
  rows.push_back(component.Compare("features", features));
  rows.push_back(component.Compare("actor_logits", networks.actor->forward(features)));
  rows.push_back(component.Compare("actor_probs", distribution.probabilities()));
  rows.push_back(component.Compare("actor_entropy", distribution.Entropy()));
  rows.push_back(component.Compare("critic", networks.critic->forward(features).squeeze(-1)));
  rows.push_back(component.Compare("reward", reward));
  rows.push_back(component.Compare("continue_logit", continues));
  rows.push_back(
      component.Compare("slow_critic", networks.slow_critic->forward(features).squeeze(-1)));
  // The coding's loss has the factor 1/2 of the critic's; the reward's is recorded without.
  const auto target = component.Input("head_target_rewards").to(torch::kFloat32);
  rows.push_back(component.Compare("head_reward_loss",
                                   2 * networks.scalars.Loss(reward.unsqueeze(-1), target).mean()));
  const auto alive = 1 - component.Input("head_target_dones").to(torch::kFloat32);
  rows.push_back(component.Compare("head_continue_loss",
                                   torch::binary_cross_entropy_with_logits(continues, alive)));
  std::vector<torch::Tensor> updated;
  for (int update = 1; update <= 5; ++update) {
    training::MoveTowards(*networks.slow_critic, *networks.critic,
                          networks.config.at("slow_tau").get<double>());
    if (update == 1 || update == 5) {
      updated.push_back(networks.slow_critic->forward(features).squeeze(-1));
    }
  }
  rows.push_back(component.Compare("slow_critic_updated", torch::stack(updated)));
}

void CheckRollout(const ParityComponent& component, std::vector<ParityRow>& rows) {
  auto model = LoadRecordedWorldModel(ParityComponent(component.directory(), "world_model"));
  model->eval();
  const auto seed_tokens = component.Input("rollout_seed_tokens");    // (B, C, L)
  const auto seed_actions = component.Input("rollout_seed_actions");  // (B, C)
  const auto actions = component.Input("rollout_actions");            // (B, H)
  const int64_t context = seed_tokens.size(1);
  const world_model::TokenLayout& layout = model->options().layout;
  world_model::TokenWorld world(model, /*value_channels=*/1, context, context + actions.size(1));
  world.eval();
  const auto rollout = world.Begin(
      world_model::StepsOfSlots(layout, seed_tokens, seed_actions.narrow(1, 0, context - 1),
                                world_model::NoValues),
      actions.size(1), world_model::NoValues);
  std::vector<torch::Tensor> tokens, hidden = {rollout->states().hidden};
  for (const auto& action : actions.unbind(1)) {
    rollout->Imagine(action.contiguous(), /*temperature=*/0, {});
    tokens.push_back(rollout->codes().squeeze(1));
    hidden.push_back(rollout->states().hidden);
  }
  rows.push_back(component.Compare("rollout_tokens", torch::stack(tokens, 1)));
  rows.push_back(component.Compare("rollout_hidden",
                                   torch::stack(hidden, 1).unflatten(2, {layout.levels, -1})));
}

void CheckLosses(const ParityComponent& component, std::vector<ParityRow>& rows) {
  RecordedNetworks networks(component);
  const auto& config = networks.config;
  const auto actions = component.Input("rollout_actions");  // (B, H)
  const int64_t horizon = actions.size(1);
  const double gamma = config.at("gamma");
  const double entropy_scale = config.at("entropy_scale");

  const auto all = networks.extractor->forward(component.Input("loss_hidden").flatten(2));
  const auto features = all.narrow(1, 0, horizon);  // (B, H, F)
  torch::Tensor returns, weights, advantages;
  {
    const torch::NoGradGuard no_grad;
    const auto reward = networks.reward->forward(features).squeeze(-1);
    const auto continues = torch::sigmoid(networks.continues->forward(features).squeeze(-1));
    const auto slow_output = networks.slow_critic->forward(all);
    const auto slow_value = networks.scalars.Value(slow_output);
    returns = policy::LambdaReturns(policy::Symexp(reward), slow_value, continues, gamma,
                                    config.at("lambda"));
    weights = policy::ContinueWeights(continues, gamma);
    auto normalizer = MakeNormalizer(config);
    normalizer.Update(returns);
    advantages = (returns - slow_value.narrow(1, 0, horizon)) / normalizer.Scale();
    rows.push_back(component.Compare("loss_features", all));
    rows.push_back(component.Compare("loss_reward_symlog", reward));
    rows.push_back(component.Compare("loss_continue", continues));
    rows.push_back(component.Compare("loss_slow_value_symlog", slow_output.squeeze(-1)));
    rows.push_back(component.Compare("loss_slow_value", slow_value));
    rows.push_back(component.Compare("loss_lambda_returns", returns));
    rows.push_back(component.Compare("loss_normalizer", NormalizerRow(normalizer)));
    rows.push_back(component.Compare("loss_advantages", advantages));
    rows.push_back(component.Compare("loss_weights", weights));
  }
  const auto distribution = networks.Policy(features);
  const auto terms = networks.scalars.Loss(networks.critic->forward(features.detach()), returns);
  const auto critic_loss = terms.mean();
  const policy::PolicyTargets plain{actions, advantages, torch::ones_like(weights)};
  const policy::PolicyTargets weighted{actions, advantages, weights};
  const auto actor_loss = policy::ReinforceLoss(distribution, plain, torch::zeros({}));
  const auto entropy_loss = -distribution.Entropy().mean();
  const auto cpc_loss = networks.cpc->forward(features, actions);
  const auto total =
      actor_loss + entropy_scale * entropy_loss + config.at("cpc_scale").get<double>() * cpc_loss;
  critic_loss.backward();
  total.backward();

  const torch::NoGradGuard no_grad;
  rows.push_back(component.Compare("loss_log_probs", distribution.LogProb(actions)));
  rows.push_back(component.Compare("loss_entropies", distribution.Entropy()));
  rows.push_back(component.Compare("critic_loss", critic_loss));
  rows.push_back(component.Compare("critic_loss_weighted", (weights * terms).mean()));
  rows.push_back(component.Compare("actor_loss", actor_loss));
  rows.push_back(component.Compare("entropy_loss", entropy_loss));
  rows.push_back(component.Compare(
      "actor_loss_weighted", policy::ReinforceLoss(distribution, weighted,
                                                   torch::tensor(entropy_scale, torch::kFloat32))));
  rows.push_back(component.Compare("cpc_loss", cpc_loss));
  rows.push_back(component.Compare("policy_total", total));
  rows.push_back(component.Compare("critic_grad_norm_per_tensor", GradientNorms(*networks.critic)));
  rows.push_back(component.Compare("actor_grad_norm_per_tensor", GradientNorms(*networks.actor)));
  rows.push_back(
      component.Compare("feature_grad_norm_per_tensor", GradientNorms(*networks.extractor)));
  rows.push_back(component.Compare("cpc_grad_norm_per_tensor", GradientNorms(*networks.cpc)));
}

}  // namespace

std::vector<ParityRow> CheckPolicy(const ParityComponent& component) {
  std::vector<ParityRow> rows;
  CheckFormulas(component, rows);
  CheckNetworks(component, rows);
  CheckRollout(component, rows);
  CheckLosses(component, rows);
  return rows;
}

}  // namespace hidreamer::parity
