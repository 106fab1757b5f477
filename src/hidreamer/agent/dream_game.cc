#include "hidreamer/agent/dream_game.h"

#include <utility>

#include "hidreamer/base/error.h"
#include "hidreamer/policy/action_distribution.h"

namespace hidreamer::agent {
namespace {

template <class T>
std::vector<T> Numbers(const torch::Tensor& x) {
  const torch::Tensor whole = x.contiguous();
  return {whole.data_ptr<T>(), whole.data_ptr<T>() + whole.numel()};
}

}  // namespace

DreamGame::DreamGame(std::shared_ptr<imagination::Agent> agent,
                     std::unique_ptr<env::Environment> game)
    : agent_(std::move(agent)), game_(std::move(game)), choices_(0), draws_(0), histories_(agent_) {
  HID_CHECK(game_->num_actions() == agent_->actions(), "a game of {} actions for {}",
            game_->num_actions(), agent_->actions());
}

void DreamGame::Look(const torch::Tensor& codes, const torch::Tensor& features, GameView& view) {
  view.codes = Numbers<int64_t>(codes);
  view.probabilities = Numbers<float>(agent_->networks().Policy(features).probabilities());
  view.value = agent_->networks().Values(features).item<double>();
  const torch::Tensor picture = agent_->Pictures(codes)[0];
  view.picture = env::ScreenOfGray(Numbers<uint8_t>(picture), static_cast<int>(picture.size(0)),
                                   static_cast<int>(picture.size(1)));
}

void DreamGame::SeeGame(int64_t action, bool first) {
  now_.picture = game_->screen();
  if (first) {
    stack_.Reset(game_->frame());
  } else {
    stack_.Push(game_->frame());
  }
  histories_.Acted(0, action);
  seen_ = histories_.Windows(
      histories_.GoOn({{.first = first, .environment = game_.get(), .stack = stack_.data()}}));
  const auto newest = [&](const torch::Tensor& x) { return x.select(1, seen_.length() - 1); };
  Look(newest(seen_.codes), newest(agent_->Features(agent_->world().Observe(seen_))), now_.game);
}

void DreamGame::Begin(uint64_t seed, int64_t lead) {
  torch::NoGradGuard no_grad;
  const layers::AutocastGuard autocast(torch::kCPU, agent_->precision());
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
  dream_.emplace(agent_, seen_);
  now_.step = 0;
  now_.action = -1;
  now_.continues = 1;
  now_.game.reward = now_.game.score = 0;
  now_.dream = now_.game;
}

int DreamGame::Choose(const GameView& view) {
  return static_cast<int>(policy::ChooseActions(torch::tensor(view.probabilities),
                                                policy::kScoringTemperature,
                                                torch::tensor(choices_.Uniform()))
                              .item<int64_t>());
}

void DreamGame::DreamStep(int action, double temperature) {
  const LongDream::Step step = dream_->Play(torch::tensor({int64_t{action}}), temperature, draws_);
  Look(dream_->codes(), dream_->Features(), now_.dream);
  now_.continues = step.continues.item<double>();
  now_.dream.reward = step.rewards.item<double>();
  now_.dream.score += now_.dream.reward;
}

void DreamGame::Edit(int64_t place, int64_t level, int64_t code) {
  torch::NoGradGuard no_grad;
  const layers::AutocastGuard autocast(torch::kCPU, agent_->precision());
  const world_model::TokenLayout& layout = agent_->world().options().layout;
  HID_CHECK(place >= 0 && place < layout.places && level >= 0 && level < layout.levels &&
                code >= 0 && code < layout.codes_of(level),
            "code {} at level {} of place {}", code, level, place);
  torch::Tensor codes = dream_->codes().clone();
  codes[0][place][level] = code;
  dream_->Replace(codes);
  Look(codes, dream_->Features(), now_.dream);
}

void DreamGame::Step(Pilot pilot, int action, double temperature) {
  torch::NoGradGuard no_grad;
  const layers::AutocastGuard autocast(torch::kCPU, agent_->precision());
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
