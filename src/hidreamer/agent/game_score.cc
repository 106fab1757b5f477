#include "hidreamer/agent/game_score.h"

#include <spdlog/spdlog.h>

#include <string>

#include "hidreamer/env/registry.h"
#include "hidreamer/env/scripted_player.h"
#include "hidreamer/evaluation/play.h"
#include "hidreamer/imagination/player.h"
#include "hidreamer/policy/action_distribution.h"

namespace hidreamer::agent {
namespace {

// {PREFIX, PREFIX_error, PREFIX_games}
nlohmann::json Score(env::Player& player, const config::Config& config, uint64_t seed, int threads,
                     const std::string& prefix, const std::filesystem::path& recording = {}) {
  const auto result = evaluation::ToJson(evaluation::PlayEpisodes(
      [&] { return env::MakeEnvironment(config.game, config.collect.protocol); }, player,
      {.episodes = config.evaluation.episodes,
       .environments = config.evaluation.episodes,
       .threads = threads,
       .seed = seed,
       .progress = false,
       .record = recording}));
  return {{prefix, result["mean"]},
          {prefix + "_error", result["standard_error"]},
          {prefix + "_games", result["count"]}};
}

}  // namespace

GameScore::GameScore(const config::Config& config, const SeedTree& seeds, int threads)
    : config_(config), seeds_(seeds), threads_(threads) {}

nlohmann::json GameScore::Measure(AgentModels models, int64_t epoch, const std::string& after) {
  if (config_.evaluation.episodes == 0) {
    return nlohmann::json::object();
  }
  if (random_.is_null()) {
    env::RandomPlayer random;
    random_ = Score(random, config_, seeds_.Stream("evaluation/random"), threads_, "random_score");
  }
  nlohmann::json scores = random_;
  imagination::Player player(models.ptr(), policy::kScoringTemperature);
  scores.update(Score(player, config_, seeds_.Stream("evaluation", static_cast<uint64_t>(epoch)),
                      threads_, "score", recording_));
  spdlog::info("{} after {}: {:.2f} ± {:.2f} in {} games; random play {:.2f} ± {:.2f}",
               config_.game, after, scores["score"].get<double>(),
               scores["score_error"].get<double>(), config_.evaluation.episodes,
               scores["random_score"].get<double>(), scores["random_score_error"].get<double>());
  return scores;
}

}  // namespace hidreamer::agent
