#include "hidreamer/agent/online_learner.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <future>

#include "hidreamer/base/error.h"
#include "hidreamer/base/interrupt.h"
#include "hidreamer/env/registry.h"
#include "hidreamer/env/scripted_player.h"
#include "hidreamer/training/device.h"
#include "hidreamer/training/flop_meter.h"

namespace hidreamer::agent {
namespace {

constexpr int64_t kRecording = 5;  // policy updates in which its GPU work is recorded

std::unique_ptr<env::Environment> MakeGame(const config::Config& config) {
  return env::MakeEnvironment(config.game, config.collect.protocol);
}

}  // namespace

OnlineLearner::OnlineLearner(const config::Config& config, std::filesystem::path replay_directory,
                             layers::Precision precision)
    : config_(config),
      seeds_(SeedTree(static_cast<uint64_t>(config.seed)).Subtree("agent/" + config.game)),
      precision_(precision),
      device_(training::UseDevice(config.device)),
      replay_directory_(std::move(replay_directory)),
      replay_(ReplayOf(config)),
      reader_(replay_, device_),
      prefill_updates_((config.collect.prefill + config.collect.steps_per_update - 1) /
                       config.collect.steps_per_update),
      threads_(at::get_num_threads()),
      score_(config, seeds_, threads_) {
  const int64_t played = total_updates() * config.collect.steps_per_update;
  if (played < config.steps) {
    spdlog::warn("{} of {} steps are played: an update plays {}, and {} are left over", played,
                 config.steps, config.collect.steps_per_update, config.steps - played);
  }
  const auto count = static_cast<int>(config.collect.environments);
  environments_ = std::make_unique<env::VectorEnvironment>(count, std::min(threads_, count),
                                                           [&] { return MakeGame(config); });
  const int64_t actions = static_cast<int64_t>(environments_->spec().action_names.size());
  auto options = OptionsOf(config, actions);
  options.precision = layers::PrecisionName(precision);
  torch::manual_seed(seeds_.Stream("init"));
  models_ = AgentModels(options);
  models_->to(device_);
  models_->eval();
  if (config.overlap) {
    dreaming_ = AgentModels(options);
    dreaming_->to(device_);
    dreaming_->eval();
  }
  model_learner_ = std::make_unique<ModelLearner>(models_, config, seeds_, precision, device_);
  policy_trainer_ = std::make_unique<PolicyTrainer>(models_, config, seeds_, precision, device_);
  agent_player_ = std::make_unique<imagination::Player>(models_.ptr(), /*temperature=*/1);
  fixed_player_ =
      env::MakePlayer(config.collect.policy == "agent" ? "random" : config.collect.policy);
  observers_.resize(static_cast<size_t>(count));
  streams_.resize(static_cast<size_t>(count));
  for (auto& stream : streams_) {
    stream.frame.resize(kObservationBytes);
  }
  for (int slot = 0; slot < count; ++slot) {
    Begin(slot);
  }
}

OnlineLearner::~OnlineLearner() = default;

int64_t OnlineLearner::total_updates() const {
  return config_.steps / config_.collect.steps_per_update;
}

int64_t OnlineLearner::updates_per_epoch() const {
  return std::max<int64_t>(
      1, (total_updates() + config_.evaluation.times - 1) / config_.evaluation.times);
}

void OnlineLearner::Begin(int slot) {
  Stream& stream = streams_[static_cast<size_t>(slot)];
  environments_->Reset(slot, seeds_.Stream(fmt::format("episode/{}", slot), stream.episode));
  stream.episode_start = replay_.size(slot);
  stream.score = 0;
  stream.first = true;
  stream.lives = 0;
  Observe(slot);
}

void OnlineLearner::Observe(int slot) {
  observers_[static_cast<size_t>(slot)].Observe(environments_->environment(slot).frame(),
                                                streams_[static_cast<size_t>(slot)].frame.data());
}

void OnlineLearner::Play(int64_t count, int64_t update) {
  const auto slots = static_cast<size_t>(environments_->size());
  const bool agent = config_.collect.policy == "agent" && training(update);
  std::vector<Rng> rngs;
  for (size_t slot = 0; slot < slots; ++slot) {
    rngs.push_back(seeds_.Generator(fmt::format("player/{}", slot), static_cast<uint64_t>(update)));
  }
  if (agent) {
    // All streams are equally long.
    const int64_t length = std::min(config_.policy.context - 1, replay_.size(0));
    std::vector<data::WindowStart> starts;
    for (int slot = 0; slot < environments_->size(); ++slot) {
      starts.push_back({.source = slot, .row = replay_.size(slot) - length});
    }
    const auto windows = replay_.Read(starts, length, /*frames=*/false);
    std::vector<int64_t> last_actions;
    for (size_t slot = 0; slot < slots; ++slot) {
      const auto end = (slot + 1) * static_cast<size_t>(length);
      last_actions.push_back(length > 0 ? windows.actions[end - 1] : 0);
    }
    agent_player_->Recall(windows, reader_.Frames(starts, length), last_actions);
  }
  env::Player& player = agent ? static_cast<env::Player&>(*agent_player_) : *fixed_player_;
  for (int64_t played = 0; played < count; played += environments_->size()) {
    const auto [actions, results] = environments_->Play(player, rngs);
    for (int slot = 0; slot < environments_->size(); ++slot) {
      const auto i = static_cast<size_t>(slot);
      Stream& stream = streams_[i];
      const env::StepResult& result = results[i];
      // A lost life ends a training episode; the game goes on.
      const bool life_lost = result.lives < stream.lives;
      replay_.Append(slot, {.frame = stream.frame,
                            .action = actions[i],
                            .reward = result.reward,
                            .terminal = result.terminal || life_lost,
                            .first = stream.first});
      stream.first = life_lost;
      stream.lives = result.lives;
      stream.score += static_cast<double>(result.reward);
      if (result.terminal || result.truncated) {
        games_.push_back({.step = replay_.size(),
                          .score = stream.score,
                          .length = replay_.size(slot) - stream.episode_start});
        ++stream.episode;
        Begin(slot);
      } else {
        Observe(slot);
      }
    }
  }
}

void OnlineLearner::ReplayGames() {
  std::vector<int64_t> next;
  for (const Stream& stream : streams_) {
    next.push_back(stream.episode_start);
  }
  for (bool more = true; more;) {
    more = false;
    std::vector<int> actions(streams_.size(), env::VectorEnvironment::kIdle);
    for (size_t i = 0; i < streams_.size(); ++i) {
      const auto stream = static_cast<int64_t>(i);
      if (next[i] < replay_.size(stream)) {
        const auto step = replay_.Read({{.source = stream, .row = next[i]++}}, 1);
        actions[i] = static_cast<int>(step.actions[0]);
        more = true;
      }
    }
    const auto results = environments_->Step(actions);
    for (size_t i = 0; i < streams_.size(); ++i) {
      if (actions[i] != env::VectorEnvironment::kIdle) {
        streams_[i].first = results[i].lives < streams_[i].lives;
        streams_[i].lives = results[i].lives;
        streams_[i].score += static_cast<double>(results[i].reward);
      }
    }
  }
  for (int slot = 0; slot < environments_->size(); ++slot) {
    Observe(slot);
  }
}

void OnlineLearner::AddScores(int64_t update, training::Metrics& metrics) const {
  double sum = 0;
  int64_t count = 0;
  for (auto game = games_.rbegin();
       game != games_.rend() && game->step > update * config_.collect.steps_per_update; ++game) {
    sum += game->score;
    ++count;
  }
  if (count > 0) {
    metrics.Add("game_score", sum / static_cast<double>(count));
  }
}

void OnlineLearner::HeadStart() {
  if (head_start_done_ == 0) {
    model_learner_->Start(reader_);
  }
  while (head_start_done_ < config_.tokenizer.warmup_updates) {
    model_learner_->UpdateTokenizer(reader_, head_start_done_++);
    if (InterruptRequested() && head_start_done_ < config_.tokenizer.warmup_updates) {
      throw Interrupted();
    }
  }
  head_start_done_ = 0;
}

training::Metrics OnlineLearner::Update(int64_t update) {
  training::Metrics metrics;
  if (head_start_done_ == 0) {  // else this update's steps were played before it was interrupted
    Play(config_.collect.steps_per_update, update);
  }
  reader_.Follow();
  metrics.Add("env_steps", replay_.size());
  AddScores(update, metrics);
  if (!training(update + 1)) {
    return metrics;
  }
  const int64_t trained = update + 1 - prefill_updates_;  // updates of the networks before this one
  std::unique_ptr<training::FlopMeter> meter;
  if (trained == config_.policy.start_after) {  // the first whole update: what a step costs
    meter = std::make_unique<training::FlopMeter>();
  }
  if (trained == 0) {
    HeadStart();
  }
  const int64_t total = total_updates() - prefill_updates_;
  const bool policy = trained >= config_.policy.start_after && config_.collect.policy == "agent";
  if (policy && config_.overlap) {
    // What a dream uses; the critics judge it afterwards.
    formats::LoadNamedState(*dreaming_->tokenizer, formats::NamedState(*models_->tokenizer));
    formats::LoadNamedState(*dreaming_->world_model, formats::NamedState(*models_->world_model));
    formats::LoadNamedState(*dreaming_->actor, formats::NamedState(*models_->actor));
    training::WaitFor(device_);
    UpdateBoth(trained, total, metrics);
  } else {
    metrics.Add(model_learner_->Update(reader_, trained, total));
    if (policy) {
      policy_trainer_->Begin(models_, reader_, trained, total);
      policy_trainer_->Work(threads_);
      metrics.Add(policy_trainer_->Finish());
    }
  }
  if (meter) {
    const double per_step =
        static_cast<double>(meter->flops()) / static_cast<double>(config_.collect.steps_per_update);
    metrics.Add("gflop_per_step", per_step * 1e-9);
    spdlog::info("{:.2f} GFLOP per environment step, {:.0f} TFLOP for all {} steps",
                 per_step * 1e-9, per_step * 1e-12 * static_cast<double>(config_.steps),
                 config_.steps);
  }
  return metrics;
}

void OnlineLearner::UpdateBoth(int64_t trained, int64_t total, training::Metrics& metrics) {
  policy_trainer_->Begin(dreaming_, reader_, trained, total);
  // Half of the threads train the world model, each of the others dreams on its own; whoever is
  // done first helps with what is left of the policy. A GPU has a stream for each; recording a CUDA
  // graph wants no other work beside it: the first updates are made one after the other.
  const bool records = device_.is_cuda() && policy_updates_++ < kRecording;
  const int half = std::max(1, threads_ / 2), to_learn = std::max(1, threads_ / 4);
  const int64_t dreamers =
      std::min<int64_t>(std::max(1, threads_ - half), policy_trainer_->parts());
  auto dreams = policy_trainer_->StartWorkers(dreamers, to_learn, records);
  at::set_num_threads(half);
  const training::Metrics model = model_learner_->Update(reader_, trained, total);
  training::WaitFor(device_);
  if (!device_.is_cuda()) {
    at::set_num_threads(1);  // as any dreamer: the library's sums may depend on it
    policy_trainer_->Work(to_learn);
  }
  for (auto& dreamer : dreams) {
    dreamer.get();
  }
  metrics.Add(policy_trainer_->Finish());
  metrics.Add(model);
  at::set_num_threads(threads_);
}

nlohmann::json OnlineLearner::EndEpoch(int64_t epoch) {
  if (config_.collect.policy != "agent") {
    return nlohmann::json::object();
  }
  nlohmann::json scores =
      score_.Measure(models_, epoch, fmt::format("{} of {} steps", replay_.size(), config_.steps));
  if (!scores.empty()) {
    scores["env_steps"] = replay_.size();
  }
  return scores;
}

formats::TensorMap OnlineLearner::State() const {
  formats::TensorMap state = formats::NamedState(*models_, "model.");
  formats::InsertWithPrefix(state, model_learner_->State(), "optimizer.model.");
  formats::InsertWithPrefix(state, policy_trainer_->State(), "optimizer.policy.");
  state["state.replay"] = torch::tensor(replay_.Save(replay_directory_), torch::kLong);
  std::vector<int64_t> streams;
  for (const Stream& stream : streams_) {
    streams.insert(streams.end(), {static_cast<int64_t>(stream.episode), stream.episode_start});
  }
  state["state.streams"] = torch::tensor(streams, torch::kLong);
  std::vector<double> games;
  for (const TrainingGame& game : games_) {
    games.insert(games.end(),
                 {static_cast<double>(game.step), game.score, static_cast<double>(game.length)});
  }
  state["state.games"] = torch::tensor(games, torch::kFloat64);
  if (head_start_done_ > 0) {
    state["state.head_start"] = torch::tensor(head_start_done_, torch::kLong);
  }
  return state;
}

formats::TensorMap OnlineLearner::BatchOf(int64_t update) {
  if (!training(update + 1) || replay_.size() != (update + 1) * config_.collect.steps_per_update) {
    return {};
  }
  return model_learner_->BatchOf(reader_, update + 1 - prefill_updates_);
}

void OnlineLearner::LoadState(const formats::TensorMap& state) {
  formats::LoadNamedState(*models_, state, "model.");
  model_learner_->LoadState(formats::WithoutPrefix(state, "optimizer.model."));
  policy_trainer_->LoadState(formats::WithoutPrefix(state, "optimizer.policy."));
  const auto sizes = state.at("state.replay");
  replay_.Load(replay_directory_,
               {sizes.data_ptr<int64_t>(), sizes.data_ptr<int64_t>() + sizes.numel()});
  reader_.Reload();
  games_.clear();
  const auto games = state.at("state.games").view({-1, 3});
  for (int64_t i = 0; i < games.size(0); ++i) {
    games_.push_back({.step = games[i][0].item<int64_t>(),
                      .score = games[i][1].item<double>(),
                      .length = games[i][2].item<int64_t>()});
  }
  // The games under way are played again up to where they were.
  const auto streams = state.at("state.streams").view({-1, 2});
  for (int slot = 0; slot < environments_->size(); ++slot) {
    Stream& stream = streams_[static_cast<size_t>(slot)];
    stream.episode = static_cast<uint64_t>(streams[slot][0].item<int64_t>());
    Begin(slot);
    stream.episode_start = streams[slot][1].item<int64_t>();
  }
  const auto head_start = state.find("state.head_start");
  head_start_done_ = head_start == state.end() ? 0 : head_start->second.item<int64_t>();
  agent_player_ = std::make_unique<imagination::Player>(models_.ptr(), /*temperature=*/1);
  ReplayGames();
}

}  // namespace hidreamer::agent
