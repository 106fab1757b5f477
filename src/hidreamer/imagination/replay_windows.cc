#include "hidreamer/imagination/replay_windows.h"

#include <algorithm>

#include "hidreamer/base/error.h"

namespace hidreamer::imagination {

ReplayWindows::ReplayWindows(const tokenizer::TokenizedGame& game,
                             std::vector<data::EpisodeRange> episodes)
    : game_(game), episodes_(std::move(episodes)) {
  const auto rewards = game.rewards.contiguous();
  const auto terminals = game.terminals.contiguous();
  const auto* reward = rewards.data_ptr<float>();
  const auto* terminal = terminals.data_ptr<uint8_t>();
  const int64_t rows = rewards.size(0);
  events_before_.assign(static_cast<size_t>(rows) + 1, 0);
  for (int64_t row = 0; row < rows; ++row) {
    const bool event = reward[row] != 0 || terminal[row] != 0;
    events_before_[static_cast<size_t>(row) + 1] =
        events_before_[static_cast<size_t>(row)] + (event ? 1 : 0);
  }
  for (const auto& episode : episodes_) {
    longest_ = std::max(longest_, episode.size());
    for (int64_t row = episode.begin; row < episode.end; ++row) {
      if (reward[row] != 0) {
        reward_rows_.push_back(row);
        episode_of_reward_.push_back(episode);
      }
    }
  }
}

std::vector<int64_t> ReplayWindows::Starts(int64_t length) const {
  std::vector<int64_t> starts;
  for (const auto& episode : episodes_) {
    for (int64_t start = episode.begin; start + length <= episode.end; ++start) {
      starts.push_back(start);
    }
  }
  return starts;
}

ReplayBatch ReplayWindows::At(const std::vector<int64_t>& starts, int64_t length) const {
  const auto first = torch::tensor(starts, torch::kLong).unsqueeze(1);
  const auto rows = (first + torch::arange(length, torch::kLong)).flatten();  // (B T)
  const auto batch = static_cast<int64_t>(starts.size());
  ReplayBatch result;
  result.tokens = game_.tokens.index_select(0, rows).view({batch, length, -1});
  result.actions = game_.actions.index_select(0, rows).view({batch, length});
  result.rewards = game_.rewards.index_select(0, rows).view({batch, length});
  result.continues =
      (1 - game_.terminals.index_select(0, rows).to(torch::kFloat32)).view({batch, length});
  result.weights = torch::ones({batch});
  return result;
}

ReplayBatch ReplayWindows::Draw(int64_t batch, int64_t length, double rewarding, Rng& rng) const {
  const auto starts = Starts(length);
  if (starts.empty()) {
    throw UserError("collect longer episodes or shorten the context or the horizon",
                    "no recorded episode of {} has {} steps", game_.game, length);
  }
  const auto eventful = [&](int64_t start) {
    return events_before_[static_cast<size_t>(start + length)] >
           events_before_[static_cast<size_t>(start)];
  };
  std::vector<int64_t> events;
  std::copy_if(starts.begin(), starts.end(), std::back_inserter(events), eventful);
  const double share = events.empty() ? 0 : rewarding;
  // q(start) N, uniform probability being 1 / N.
  const double event_rate =
      (1 - share) + (events.empty() ? 0
                                    : share * static_cast<double>(starts.size()) /
                                          static_cast<double>(events.size()));
  std::vector<int64_t> chosen;
  std::vector<float> weights;
  for (int64_t i = 0; i < batch; ++i) {
    const auto& pool = rng.Bernoulli(share) ? events : starts;
    chosen.push_back(pool[static_cast<size_t>(rng.UniformInt(static_cast<int64_t>(pool.size())))]);
    weights.push_back(static_cast<float>(1 / (eventful(chosen.back()) ? event_rate : 1 - share)));
  }
  auto result = At(chosen, length);
  result.weights = torch::tensor(weights);
  return result;
}

ReplayBatch ReplayWindows::DrawSeeds(int64_t batch, int64_t length, int64_t horizon,
                                     double near_reward, Rng& rng) const {
  std::vector<int64_t> chosen;
  const auto starts = Starts(length);
  if (starts.empty()) {
    throw UserError("collect longer episodes or shorten the context",
                    "no recorded episode of {} has {} steps", game_.game, length);
  }
  for (int64_t i = 0; i < batch; ++i) {
    int64_t start =
        starts[static_cast<size_t>(rng.UniformInt(static_cast<int64_t>(starts.size())))];
    if (rng.Bernoulli(near_reward) && !reward_rows_.empty()) {
      const auto pick =
          static_cast<size_t>(rng.UniformInt(static_cast<int64_t>(reward_rows_.size())));
      // The last row of the context lies 0 … horizon - 1 rows before the reward's; a reward so
      // early that no context of this length goes before it is left to the uniform draw.
      const int64_t near = reward_rows_[pick] - rng.UniformInt(horizon) - (length - 1);
      const int64_t earliest = episode_of_reward_[pick].begin;
      if (reward_rows_[pick] - (length - 1) >= earliest) {
        start = std::max(near, earliest);
      }
    }
    chosen.push_back(start);
  }
  return At(chosen, length);
}

}  // namespace hidreamer::imagination
