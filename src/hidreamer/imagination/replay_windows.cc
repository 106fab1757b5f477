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

world_model::Steps ReplayWindows::At(const std::vector<int64_t>& starts, int64_t length) const {
  return world_model::ReadSteps(game_, torch::tensor(starts, torch::kLong).unsqueeze(1) +
                                           torch::arange(length, torch::kLong));
}

WeighedSteps ReplayWindows::Draw(int64_t batch, int64_t length, double rewarding, Rng& rng) const {
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
  return {.steps = At(chosen, length), .weights = torch::tensor(weights)};
}

world_model::Steps ReplayWindows::DrawContexts(int64_t batch, int64_t length, int64_t horizon,
                                               double near_reward, Rng& rng) const {
  int64_t size = 0;
  for (const auto& episode : episodes_) {
    size += episode.size();
  }
  std::vector<int64_t> last, begins;
  for (int64_t i = 0; i < batch; ++i) {
    if (rng.Bernoulli(near_reward) && !reward_rows_.empty()) {
      const auto pick =
          static_cast<size_t>(rng.UniformInt(static_cast<int64_t>(reward_rows_.size())));
      begins.push_back(episode_of_reward_[pick].begin);
      last.push_back(std::max(reward_rows_[pick] - rng.UniformInt(horizon), begins.back()));
      continue;
    }
    int64_t row = rng.UniformInt(size);
    auto episode = episodes_.begin();
    for (; row >= episode->size(); ++episode) {
      row -= episode->size();
    }
    begins.push_back(episode->begin);
    last.push_back(episode->begin + row);
  }
  const auto column = [](const std::vector<int64_t>& of) {
    return torch::tensor(of, torch::kLong).unsqueeze(1);
  };
  const torch::Tensor rows = column(last) + torch::arange(1 - length, 1, torch::kLong);
  auto contexts = world_model::ReadSteps(game_, torch::maximum(rows, column(begins)));
  contexts.actions = contexts.actions.masked_fill(rows < column(begins), 0);
  contexts.previous_actions = torch::constant_pad_nd(contexts.actions.slice(1, 0, -1), {1, 0}, 0);
  return contexts;
}

}  // namespace hidreamer::imagination
