#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>

#include "hidreamer/agent/agent_models.h"
#include "hidreamer/agent/game_score.h"
#include "hidreamer/agent/model_learner.h"
#include "hidreamer/agent/policy_trainer.h"
#include "hidreamer/agent/replay_reader.h"
#include "hidreamer/data/replay_buffer.h"
#include "hidreamer/training/learner.h"

namespace hidreamer::agent {

enum class Learns { kPolicy, kWorldModel };

struct OfflineOptions {
  Learns learns = Learns::kPolicy;
  int64_t updates = 300;
  bool anew = false;  // the part begins with new weights, of the shape that the config asks for
};

// Throws a user Error unless the run holds an agent and its replay, of as many streams as config
// says.
void CheckHoldsAgentAndReplay(const std::filesystem::path& run, const config::Config& config);

// Trains one part of an agent, its policy or its world model, on the replay of a run, while all
// other parts stay as they are: the bench on which an idea is tried in minutes.
class OfflineLearner : public training::Learner {
 public:
  // run: that of a finished or running agent, read alone. config: its own, perhaps with other
  // settings. A new world model shows other states, so actor and critics begin anew with it. Throws
  // a user Error where the run holds no agent, or its parts do not fit the config.
  OfflineLearner(const std::filesystem::path& run, const config::Config& config,
                 const OfflineOptions& options, layers::Precision precision);

  std::string name() const override { return "agent"; }
  int64_t total_updates() const override { return options_.updates; }
  int64_t updates_per_epoch() const override;
  training::Metrics Update(int64_t update) override;
  formats::TensorMap BatchOf(int64_t update) override;
  // The policy's scores, as GameScore has them; nothing for a world model.
  nlohmann::json EndEpoch(int64_t epoch) override;
  formats::TensorMap State() const override;
  void LoadState(const formats::TensorMap& state) override;

  AgentModels models() const { return models_; }
  void RecordGamesAt(const std::filesystem::path& path) { score_.RecordAt(path); }

 private:
  bool learns_policy() const { return options_.learns == Learns::kPolicy; }

  config::Config config_;
  OfflineOptions options_;
  torch::Device device_;
  int threads_;
  data::ReplayBuffer replay_;
  ReplayReader reader_;
  AgentModels models_{nullptr};
  std::unique_ptr<ModelLearner> model_learner_;  // of the two, the one that learns
  std::unique_ptr<PolicyTrainer> policy_trainer_;
  GameScore score_;
};

}  // namespace hidreamer::agent
