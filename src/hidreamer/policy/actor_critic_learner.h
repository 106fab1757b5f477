#pragma once

#include <memory>
#include <string>

#include "hidreamer/layers/precision.h"
#include "hidreamer/policy/actor_critic.h"
#include "hidreamer/policy/dreams.h"
#include "hidreamer/policy/normalizer.h"
#include "hidreamer/training/captured_graph.h"
#include "hidreamer/training/metrics.h"
#include "hidreamer/training/optimizer.h"

namespace hidreamer::config {
struct PolicyConfig;
}

namespace hidreamer::policy {

struct ActorCriticLearnerOptions {
  std::string algorithm = "ppo";  // "reinforce" | "ppo"
  int64_t passes = 3;             // over a batch of dreams, ppo
  double ppo_clip = 0.2;
  double gamma = 0.99, lambda = 0.95;
  double entropy = 0.01, final_entropy = 0.01;  // bonus at the start, and at the end
  bool normalize_returns = true;                // divides advantages by the spread of the returns
  double normalizer_decay = 0.99;
  // Takes their weighted mean from the advantages: a critic that lags behind would push every
  // action the same way.
  bool center_advantages = false;
  double lr = 2e-4;
  double clip_norm = 1.0;
  double slow_tau = 0.02;  // share of the critic mixed into the slow critic at each update
  double cpc_scale = 0;    // weight of the contrastive loss, where the networks have one
};

ActorCriticLearnerOptions LearnerOptions(const config::PolicyConfig& config);

// Trains actor and critic on batches of dreams (lambda-returns, percentile normalization, two-hot
// critic with a slow copy; DreamerV3), by REINFORCE or PPO.
class ActorCriticLearner {
 public:
  ActorCriticLearner(std::shared_ptr<ActorCritic> networks,
                     const ActorCriticLearnerOptions& options, layers::Precision precision,
                     torch::Device device);
  ActorCriticLearner(const ActorCriticLearner&) = delete;  // its recorded work points to it
  ActorCriticLearner& operator=(const ActorCriticLearner&) = delete;

  // An update: targets of these dreams, then LearnActor and LearnCritic, in any order; without an
  // extractor also at the same time, by two threads. progress in [0, 1] through the training.
  void ComputeTargets(const Dreams& dreams, double progress);
  void LearnActor();
  void LearnCritic();
  // {"return", "dream_reward", "rewarding_dreams", "continue", "value", "return_scale", "entropy",
  // "actor_loss", "actor_grad_norm", "critic_loss", "critic_grad_norm", "cpc_loss"}
  training::Metrics Finish();

  formats::TensorMap State() const;  // "actor.", "critic." (optimizers), "normalizer."
  void LoadState(const formats::TensorMap& state);

 private:
  using Tensors = training::CapturedGraph::Tensors;
  // Of what each is recorded (training::CapturedGraph):
  //   states (B, H + 1, F), rewards, continues (B, H) -> values (B, H + 1), returns, weights
  Tensors Targets(const Tensors& inputs);
  //   states (B, H, F), actions, advantages, weights, log_probs (B, H), entropy bonus () -> loss,
  //   entropy, contrastive loss (); backward
  Tensors ActorGradients(const Tensors& inputs);
  //   states (B, H, F), weights, returns (B, H) -> loss (); backward
  Tensors CriticGradients(const Tensors& inputs);
  int64_t passes() const { return options_.algorithm == "ppo" ? options_.passes : 1; }

  std::shared_ptr<ActorCritic> networks_;
  ActorCriticLearnerOptions options_;
  layers::Precision precision_;
  torch::Device device_;
  training::Adam actor_optimizer_;  // of actor, extractor and contrastive head
  training::Adam critic_optimizer_;
  ReturnNormalizer normalizer_;
  training::CapturedGraph targets_, actor_gradients_, critic_gradients_;
  // What the update under way learns from.
  struct PolicyBatch {
    torch::Tensor states;                                            // (B, H, F)
    torch::Tensor actions, advantages, weights, returns, log_probs;  // (B, H)
    double entropy_bonus = 0;
  } batch_;
  training::Metrics dream_metrics_, actor_metrics_, critic_metrics_;
};

}  // namespace hidreamer::policy
