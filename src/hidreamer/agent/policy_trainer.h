#pragma once

#include <atomic>
#include <future>
#include <memory>
#include <vector>

#include "hidreamer/agent/agent_models.h"
#include "hidreamer/agent/dreams.h"
#include "hidreamer/agent/replay_reader.h"
#include "hidreamer/base/seed.h"
#include "hidreamer/layers/precision.h"
#include "hidreamer/policy/normalizer.h"
#include "hidreamer/training/figures.h"
#include "hidreamer/training/graphed_work.h"
#include "hidreamer/training/optimizer.h"

namespace hidreamer::agent {

// Trains actor and critic on dreams that start from the replay (lambda-returns, percentile
// normalisation, two-hot critic with a slow copy; DreamerV3), or, as a baseline, on the newest real
// steps alone.
class PolicyTrainer {
 public:
  // Actor and critic are those of `models`.
  PolicyTrainer(AgentModels models, const config::AgentConfig& config, const SeedTree& seeds,
                layers::Precision precision, torch::Device device);

  // An update: Begin, Work by one or several threads at the same time, Finish.
  // `dreaming`: the networks that dream, the same at every update; they may be a copy of `models`
  // one update behind. They and the replay stay as they are until the work is done. The entropy
  // bonus has fallen to its last value at update `total`.
  void Begin(AgentModels dreaming, const ReplayReader& reader, int64_t update, int64_t total);
  int64_t parts() const { return std::ssize(parts_); }
  // Takes part after part of the dreams until all have been begun; then, when all are dreamed and
  // judged, what is left to begin of actor's and critic's learning, with so many of torch's
  // threads. The results do not depend on who does what.
  void Work(int threads);
  // {"return", "dream_reward", "entropy", "actor_loss", "critic_loss", "value", …}
  training::Figures Finish();

  formats::TensorMap State() const;  // optimizers and normaliser
  void LoadState(const formats::TensorMap& state);

 private:
  // Some of an update's dreams.
  struct Part {
    std::vector<data::ReplayIndex> starts;
    Rng rng;
    Dreams dreams = {};
  };
  Dreams Imagine(Part& part);
  Dreams RealSteps(const Part& part);
  // Makes `lesson_` of all dreams.
  void JudgeDreams();
  void LearnActor();
  void LearnCritic();
  // Of what each is recorded (training::GraphedWork):
  //   features (B, H + 1, F), rewards, continues (B, H) -> values (B, H + 1), returns, weights
  training::GraphedWork::Tensors Judge(const training::GraphedWork::Tensors& inputs);
  //   features (B, H, F), actions, advantages, weights, log_probs (B, H), entropy bonus () -> loss,
  //   entropy (); backward
  training::GraphedWork::Tensors ActorGradients(const training::GraphedWork::Tensors& inputs);
  //   features (B, H, F), weights, returns (B, H) -> loss (); backward
  training::GraphedWork::Tensors CriticGradients(const training::GraphedWork::Tensors& inputs);
  int64_t passes() const;

  AgentModels models_;
  config::AgentConfig config_;
  SeedTree seeds_;
  layers::Precision precision_;
  torch::Device device_;
  training::Adam actor_optimizer_;
  training::Adam critic_optimizer_;
  policy::ReturnNormalizer normalizer_;
  training::GraphedWork judge_;
  training::GraphedWork actor_gradients_;
  training::GraphedWork critic_gradients_;
  std::unique_ptr<training::GraphedWork> dream_;  // on a GPU; by the networks of the first update

  // Of the update under way:
  AgentModels dreaming_{nullptr};
  const ReplayReader* reader_ = nullptr;
  double entropy_bonus_ = 0;
  std::vector<Part> parts_;
  std::atomic<int64_t> begun_ = 0, dreamed_ = 0;  // parts
  std::atomic<int> learners_begun_ = 0;           // actor, critic
  std::promise<void> judged_;
  std::shared_future<void> is_judged_;
  std::atomic_flag failed_;
  struct Lesson {
    torch::Tensor features;                                          // (B, H, F)
    torch::Tensor actions, advantages, weights, returns, log_probs;  // (B, H)
  } lesson_;
  training::Figures dream_figures_, actor_figures_, critic_figures_;
};

}  // namespace hidreamer::agent
