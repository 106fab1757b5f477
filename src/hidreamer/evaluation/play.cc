#include "hidreamer/evaluation/play.h"

#include <algorithm>
#include <chrono>
#include <optional>

#include "hidreamer/base/error.h"
#include "hidreamer/base/interrupt.h"
#include "hidreamer/base/progress.h"
#include "hidreamer/data/game_recorder.h"
#include "hidreamer/env/vector_environment.h"
#include "hidreamer/evaluation/statistics.h"

namespace hidreamer::evaluation {
namespace {

// What one of the games side by side is doing.
struct Slot {
  int64_t episode = -1;  // -1: idle
  PlayedEpisode record;
};

}  // namespace

std::vector<double> PlayResult::Scores() const {
  std::vector<double> scores;
  for (const PlayedEpisode& episode : episodes) {
    scores.push_back(episode.score);
  }
  return scores;
}

PlayResult PlayEpisodes(const EnvironmentFactory& factory, env::Player& player,
                        const PlayOptions& options) {
  HID_CHECK(options.episodes > 0 && options.environments > 0 && options.max_frames > 0,
            "{} episodes, {} environments, {} frames", options.episodes, options.environments,
            options.max_frames);
  const auto start = std::chrono::steady_clock::now();
  const SeedTree seeds(options.seed);
  const int count = static_cast<int>(std::min(options.environments, options.episodes));
  const int threads = std::min(env::ThreadCount(options.threads), count);
  env::VectorEnvironment games(count, threads, factory);
  std::vector<Slot> slots(static_cast<size_t>(count));
  std::vector<Rng> rngs(slots.size(), Rng(0));
  PlayResult result{.game = games.spec().game,
                    .protocol = games.spec().protocol,
                    .player = player.name(),
                    .seed = options.seed,
                    .max_frames = options.max_frames,
                    .episodes = std::vector<PlayedEpisode>(static_cast<size_t>(options.episodes)),
                    .seconds = 0};
  const int64_t max_steps = std::max<int64_t>(1, options.max_frames / options.frame_skip);
  int64_t next_episode = 0;
  int64_t finished = 0;
  const auto start_episode = [&](int index) {
    Slot& slot = slots[static_cast<size_t>(index)];
    slot.episode = next_episode < options.episodes ? next_episode++ : -1;
    if (slot.episode >= 0) {
      const auto episode = static_cast<uint64_t>(slot.episode);
      slot.record = {.seed = seeds.Stream("episode", episode)};
      rngs[static_cast<size_t>(index)] = seeds.Generator("player", episode);
      games.Reset(index, slot.record.seed);
    }
  };
  for (int i = 0; i < count; ++i) {
    start_episode(i);
  }
  std::optional<data::GameRecorder> recorder;  // of episode 0, which slot 0 plays first
  if (!options.record.empty()) {
    recorder.emplace(options.record, data::StoreInfo{.game = result.game,
                                                     .protocol = result.protocol,
                                                     .policy = result.player,
                                                     .action_names = games.spec().action_names,
                                                     .seed = result.seed,
                                                     .extra = {}});
    recorder->Observe(games.environment(0));
  }
  std::optional<Progress> progress;
  if (options.progress) {
    progress.emplace("playing " + result.game, options.episodes, "games");
  }
  while (finished < options.episodes) {
    if (InterruptRequested()) {
      throw Interrupted();
    }
    std::vector<int> active;
    for (int i = 0; i < count; ++i) {
      if (slots[static_cast<size_t>(i)].episode >= 0) {
        active.push_back(i);
      }
    }
    const auto steps = games
                           .Play(active, player, rngs,
                                 [&](int slot, int action, const env::StepResult& step) {
                                   if (recorder && slots[static_cast<size_t>(slot)].episode == 0) {
                                     recorder->Append(games.environment(slot), action, step);
                                   }
                                 })
                           .results;
    for (const int index : active) {
      Slot& slot = slots[static_cast<size_t>(index)];
      const env::StepResult& step = steps[static_cast<size_t>(index)];
      slot.record.score += static_cast<double>(step.reward);
      ++slot.record.length;
      if (!step.terminal && !step.truncated && slot.record.length < max_steps) {
        continue;
      }
      slot.record.truncated = !step.terminal;
      result.episodes[static_cast<size_t>(slot.episode)] = slot.record;
      ++finished;
      if (slot.episode == 0 && recorder) {
        recorder->writer().EndEpisode();
        recorder->writer().Finish();
        recorder.reset();
      }
      start_episode(index);
    }
    if (progress) {
      progress->Update(finished);
    }
  }
  result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return result;
}

nlohmann::json ToJson(const PlayResult& result, const PlayResult* random) {
  const std::vector<double> scores = result.Scores();
  const Interval interval = BootstrapInterval(scores, InterquartileMean, 0.95, 1000,
                                              SeedTree(result.seed).Generator("bootstrap"));
  auto episodes = nlohmann::json::array();
  std::vector<double> lengths;
  int64_t cut_off = 0;
  for (const PlayedEpisode& episode : result.episodes) {
    episodes.push_back({{"score", episode.score},
                        {"length", episode.length},
                        {"truncated", episode.truncated},
                        {"seed", episode.seed}});
    lengths.push_back(static_cast<double>(episode.length));
    cut_off += episode.truncated ? 1 : 0;
  }
  nlohmann::json object = {
      {"game", result.game},
      {"protocol", result.protocol},
      {"player", result.player},
      {"seed", result.seed},
      {"max_frames", result.max_frames},
      {"seconds", result.seconds},
      {"count", scores.size()},
      {"cut_off", cut_off},
      {"mean", Mean(scores)},
      {"standard_error", StandardError(scores)},
      {"median", Median(scores)},
      {"min", *std::min_element(scores.begin(), scores.end())},
      {"max", *std::max_element(scores.begin(), scores.end())},
      {"iqm", InterquartileMean(scores)},
      {"iqm_interval_95", {interval.low, interval.high}},
      {"mean_length", Mean(lengths)},
      {"episodes", episodes},
  };
  if (const auto reference = ReferenceScoresOf(result.game)) {
    const bool v5 = result.protocol == "v5";
    object["random_recorded"] = {
        {"mean", v5 ? reference->random_v5 : reference->random_atari100k},
        {"standard_error", v5 ? reference->random_v5_error : reference->random_atari100k_error}};
    object["literature"] = {{"random", reference->random}, {"human", reference->human}};
    if (cut_off == 0) {
      object["human_normalized"] =
          HumanNormalizedScore(Mean(scores), reference->random, reference->human);
    }
  }
  if (random != nullptr) {
    const std::vector<double> random_scores = random->Scores();
    object["random_measured"] = {{"mean", Mean(random_scores)},
                                 {"standard_error", StandardError(random_scores)},
                                 {"count", random_scores.size()},
                                 {"scores", random_scores}};
  }
  return object;
}

}  // namespace hidreamer::evaluation
