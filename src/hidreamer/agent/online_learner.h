#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "hidreamer/agent/agent_models.h"
#include "hidreamer/agent/game_score.h"
#include "hidreamer/agent/model_learner.h"
#include "hidreamer/agent/policy_trainer.h"
#include "hidreamer/agent/replay_reader.h"
#include "hidreamer/data/replay_buffer.h"
#include "hidreamer/env/vector_environment.h"
#include "hidreamer/imagination/player.h"
#include "hidreamer/training/learner.h"

namespace hidreamer::agent {

// A finished game of the training itself.
struct TrainingGame {
  int64_t step = 0;  // agent steps played in all when it ended
  double score = 0;  // unclipped
  int64_t length = 0;
};

// Plays, remembers, learns and dreams, all from one replay. Update u plays `steps_per_update` real
// steps, then trains tokenizer and world model, and actor and critic; with `overlap` the two run
// side by side, the dreams then use the world model of the update before. Resuming replays the
// recorded actions of the games under way, so the emulator is where it was.
class OnlineLearner : public training::Learner {
 public:
  // `replay_directory`: where the replay is kept for resuming.
  OnlineLearner(const config::Config& config, std::filesystem::path replay_directory,
                layers::Precision precision);
  ~OnlineLearner() override;

  std::string name() const override { return "agent"; }
  int64_t total_updates() const override;
  int64_t updates_per_epoch() const override;
  // Throws Interrupted in the tokenizer's head start.
  training::Metrics Update(int64_t update) override;
  formats::TensorMap BatchOf(int64_t update) override;
  // Scores the policy of the moment in the real game, and random play beside it: {"score",
  // "score_error", "score_games", "random_score", …}; empty where the settings ask for no games.
  nlohmann::json EndEpoch(int64_t epoch) override;
  formats::TensorMap State() const override;
  void LoadState(const formats::TensorMap& state) override;

  AgentModels models() const { return models_; }
  void RecordGamesAt(const std::filesystem::path& path) { score_.RecordAt(path); }
  const std::vector<TrainingGame>& games() const { return games_; }
  const data::ReplayBuffer& replay() const { return replay_; }

 private:
  // One of the games side by side.
  struct Stream {
    uint64_t episode = 0;       // Reset's seed is a function of it
    int64_t episode_start = 0;  // step of the stream at which the game began
    double score = 0;
    bool first = true;  // the next step begins an episode or life
    int lives = 0;
    std::vector<uint8_t> frame = {};
  };

  void Begin(int slot);
  void Observe(int slot);
  // Plays the recorded actions of the games under way again, after LoadState.
  void ReplayGames();
  // `count` steps over all streams.
  void Play(int64_t count, int64_t update);
  // Mean score of the games that ended in the update.
  void AddScores(int64_t update, training::Metrics& metrics) const;
  void HeadStart();
  // World model and policy side by side.
  void UpdateBoth(int64_t trained, int64_t total, training::Metrics& metrics);
  bool training(int64_t update) const { return update >= prefill_updates_; }

  config::Config config_;
  SeedTree seeds_;
  layers::Precision precision_;
  torch::Device device_;
  std::filesystem::path replay_directory_;
  mutable data::ReplayBuffer replay_;
  ReplayReader reader_;
  std::unique_ptr<env::VectorEnvironment> environments_;
  std::vector<Stream> streams_;
  std::vector<Observer> observers_;
  std::vector<TrainingGame> games_;
  AgentModels models_{nullptr};
  AgentModels dreaming_{nullptr};  // copy of tokenizer and world model; `overlap` alone
  std::unique_ptr<imagination::Player> agent_player_;
  std::unique_ptr<env::Player> fixed_player_;  // prefill, and policies other than "agent"
  std::unique_ptr<ModelLearner> model_learner_;
  std::unique_ptr<PolicyTrainer> policy_trainer_;
  int64_t prefill_updates_;
  int64_t head_start_done_ = 0;  // of an interrupted head start
  int64_t policy_updates_ = 0;   // in this process
  int threads_;
  GameScore score_;
};

}  // namespace hidreamer::agent
