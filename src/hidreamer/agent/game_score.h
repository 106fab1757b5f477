#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

#include "hidreamer/agent/agent_models.h"
#include "hidreamer/base/seed.h"
#include "hidreamer/config/config.h"

namespace hidreamer::agent {

// Scores an agent on the way in whole games of the real thing, beside random play.
class GameScore {
 public:
  // config: game, collect.protocol and evaluation.episodes, of which 0 asks for no games.
  GameScore(const config::Config& config, const SeedTree& seeds, int threads);

  // The first game of each measurement is kept there, a data::EpisodeStore, until the next.
  void RecordAt(const std::filesystem::path& path) { recording_ = path; }

  // {"score", "score_error", "score_games", "random_score", …}, errors are standard errors of
  // means; empty where no games are asked for. Random play is scored once a process. Tells the
  // user, `after` how much learning ("300 updates").
  nlohmann::json Measure(AgentModels models, int64_t epoch, const std::string& after);

 private:
  config::Config config_;
  SeedTree seeds_;
  int threads_;
  std::filesystem::path recording_;  // "": nowhere
  nlohmann::json random_;
};

}  // namespace hidreamer::agent
