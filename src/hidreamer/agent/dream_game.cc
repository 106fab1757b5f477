#include "hidreamer/agent/dream_game.h"

#include <utility>

#include "hidreamer/base/error.h"
#include "hidreamer/layers/categorical.h"

namespace hidreamer::agent {
namespace {

template <class T>
std::vector<T> Numbers(const torch::Tensor& x) {
  const torch::Tensor whole = x.contiguous();
  return {whole.data_ptr<T>(), whole.data_ptr<T>() + whole.numel()};
}

}  // namespace

DreamGame::DreamGame(AgentModels models, std::unique_ptr<env::Environment> game)
    : models_(std::move(models)),
      precision_(PrecisionOf(models_->options())),
      game_(std::move(game)),
      choices_(0),
      draws_(0) {
  HID_CHECK(game_->num_actions() == models_->options().actions, "a game of {} actions for {}",
            game_->num_actions(), models_->options().actions);
}

void DreamGame::Look(const torch::Tensor& codes, const torch::Tensor& values,
                     const torch::Tensor& features, GameView& view) {
  view.codes = Numbers<int64_t>(codes);
  view.probabilities = Numbers<float>(models_->Policy(features).probabilities());
  view.value = models_->Values(features).item<double>();
  view.picture = Numbers<uint8_t>(PicturesOf(models_, values));
}

void DreamGame::SeeGame(int64_t action, bool first) {
  now_.picture.resize(kObservationBytes);
  observer_.Observe(game_->frame(), now_.picture.data());
  const tokenizer::SpatialCodes seen = models_->tokenizer->Encode(ToTensor(now_.picture));
  const world_model::Steps step{.codes = seen.codes.unsqueeze(1),
                                .values = seen.values.unsqueeze(1),
                                .previous_actions = torch::tensor({{action}}),
                                .firsts = torch::full({1, 1}, first, torch::kBool)};
  const int64_t length = models_->options().world_model.context;
  if (first) {
    // Before its start a game is taken to have stood still, each step an episode of its own.
    history_ = step;
    while (history_.length() < length) {
      history_ = history_.FollowedBy(step);
    }
  } else {
    history_ = history_.FollowedBy(step).Between(1, length + 1);
  }
  const auto states = models_->world_model->Observe(history_);
  Look(seen.codes, seen.values, models_->Features(states).select(1, length - 1), now_.game);
}

void DreamGame::Begin(uint64_t seed, int64_t lead) {
  torch::NoGradGuard no_grad;
  const layers::AutocastGuard autocast(torch::kCPU, precision_);
  const SeedTree seeds(seed);
  choices_ = seeds.Generator("dream_game/choices");
  draws_ = seeds.Generator("dream_game/draws");
  game_->Reset(seeds.Stream("dream_game/reset"));
  now_ = {};
  SeeGame(0, /*first=*/true);
  for (int64_t i = 0; i < lead && !now_.game_over; ++i) {
    const int action = Choose(now_.game);
    const env::StepResult result = game_->Step(action);
    now_.game_over = result.terminal || result.truncated;
    SeeGame(action, /*first=*/false);
  }
  Rejoin();
}

void DreamGame::Rejoin() {
  dream_.emplace(models_, history_);
  now_.step = 0;
  now_.action = -1;
  now_.continues = 1;
  now_.game.reward = now_.game.score = 0;
  now_.dream = now_.game;
}

int DreamGame::Choose(const GameView& view) {
  return layers::CategoryAt(torch::tensor(view.probabilities), torch::tensor(choices_.Uniform()))
      .item<int>();
}

void DreamGame::DreamStep(int action, double temperature) {
  const LongDream::Step step = dream_->Play(torch::tensor({int64_t{action}}), temperature, draws_);
  Look(dream_->codes(), dream_->values(), dream_->Features(), now_.dream);
  now_.continues = step.continues.item<double>();
  now_.dream.reward = step.rewards.item<double>();
  now_.dream.score += now_.dream.reward;
}

void DreamGame::Step(Pilot pilot, int action, double temperature) {
  torch::NoGradGuard no_grad;
  const layers::AutocastGuard autocast(torch::kCPU, precision_);
  HID_CHECK(!now_.game_over, "step after the end of the game");
  if (pilot != Pilot::kPerson) {
    action = Choose(pilot == Pilot::kActorInGame ? now_.game : now_.dream);
  }
  const env::StepResult result = game_->Step(action);
  DreamStep(action, temperature);
  SeeGame(action, /*first=*/false);
  now_.game.reward = static_cast<double>(result.reward);
  now_.game.score += now_.game.reward;
  now_.game_over = result.terminal || result.truncated;
  now_.action = action;
  ++now_.step;
}

}  // namespace hidreamer::agent
