#pragma once

#include <atomic>
#include <future>
#include <memory>
#include <vector>

#include "hidreamer/agent/agent_models.h"
#include "hidreamer/agent/replay_reader.h"
#include "hidreamer/base/seed.h"
#include "hidreamer/imagination/dreams.h"
#include "hidreamer/layers/precision.h"
#include "hidreamer/policy/actor_critic_learner.h"
#include "hidreamer/training/captured_graph.h"
#include "hidreamer/training/metrics.h"

namespace hidreamer::agent {

// Trains actor and critic (policy::ActorCriticLearner) on dreams that start from the replay, or, as
// a baseline, on the newest real steps alone.
class PolicyTrainer {
 public:
  // Actor and critic are those of `models`.
  PolicyTrainer(AgentModels models, const config::Config& config, const SeedTree& seeds,
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
  // Starts `count` threads that each Work on their own, as Work(threads) says; on a GPU in a stream
  // of their own. deferred: when their result is asked for, one after the other.
  std::vector<std::future<void>> StartWorkers(int64_t count, int threads, bool deferred = false);
  // As policy::ActorCriticLearner's.
  training::Metrics Finish();

  formats::TensorMap State() const { return learner_.State(); }
  void LoadState(const formats::TensorMap& state) { learner_.LoadState(state); }

 private:
  // Some of an update's dreams.
  struct Part {
    std::vector<data::WindowStart> starts;
    Rng rng;
    policy::Dreams dreams = {};
  };
  policy::Dreams Imagine(Part& part);
  policy::Dreams RealSteps(const Part& part);
  policy::Dreams AllDreams() const;

  AgentModels models_;
  config::Config config_;
  SeedTree seeds_;
  layers::Precision precision_;
  torch::Device device_;
  policy::ActorCriticLearner learner_;
  std::unique_ptr<imagination::DreamLoop> loop_;  // on a GPU; by the networks of the first update

  // Of the update under way:
  AgentModels dreaming_{nullptr};
  const ReplayReader* reader_ = nullptr;
  double progress_ = 0;  // through the training, in [0, 1]
  std::vector<Part> parts_;
  std::atomic<int64_t> begun_ = 0, dreamed_ = 0;  // parts
  std::atomic<int> learners_begun_ = 0;           // actor, critic
  std::promise<void> judged_;
  std::shared_future<void> is_judged_;
  std::atomic_flag failed_;
};

}  // namespace hidreamer::agent
