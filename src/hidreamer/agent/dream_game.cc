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
      precision_(models_->options().precision == "bf16" ? layers::Precision::kBf16
                                                        : layers::Precision::kF32),
      game_(std::move(game)),
      choices_(0),
      draws_(0) {
  HID_CHECK(game_->num_actions() == models_->options().actions, "a game of {} actions for {}",
            game_->num_actions(), models_->options().actions);
}

void DreamGame::Push(Sight& sight, const torch::Tensor& values, int64_t action, bool first) const {
  const auto length = static_cast<size_t>(models_->options().world_model.context);
  // Before its start a game is taken to have stood still, each step an episode of its own.
  do {
    sight.grids.push_back(values[0]);
    sight.actions.push_back(action);
    sight.first.push_back(first);
  } while (sight.grids.size() < length);
  if (sight.grids.size() > length) {
    sight.grids.pop_front();
    sight.actions.pop_front();
    sight.first.pop_front();
  }
}

void DreamGame::Look(Sight& sight, const torch::Tensor& values, const torch::Tensor& codes,
                     GameView& view) {
  const auto length = static_cast<int64_t>(sight.grids.size());
  const auto states = models_->world_model->Observe(
      {.values = torch::stack(std::vector(sight.grids.begin(), sight.grids.end())).unsqueeze(0),
       .previous_actions =
           torch::tensor(std::vector(sight.actions.begin(), sight.actions.end())).unsqueeze(0),
       .first = torch::tensor(std::vector<uint8_t>(sight.first.begin(), sight.first.end()))
                    .to(torch::kBool)
                    .unsqueeze(0)});
  sight.hidden = states.hidden.select(1, length - 1);
  sight.local = states.local.select(1, length - 1);
  const auto features = models_->Features({values, sight.hidden, sight.local});
  view.codes = Numbers<int64_t>(codes);
  view.probabilities = Numbers<float>(models_->Policy(features).probabilities());
  view.value = models_->scalars()
                   .Value(models_->critic->forward(features).to(torch::kFloat32))
                   .item<double>();
  view.picture = Numbers<uint8_t>(
      models_->tokenizer->Decode(values).clamp(0, 1).mul(255).round().to(torch::kUInt8));
}

void DreamGame::SeeGame(int64_t action, bool first) {
  now_.picture.resize(kObservationBytes);
  observer_.Observe(game_->frame(), now_.picture.data());
  const tokenizer::SpatialCodes seen = models_->tokenizer->Encode(ToTensor(now_.picture));
  Push(game_sight_, seen.values, action, first);
  Look(game_sight_, seen.values, seen.codes, now_.game);
}

void DreamGame::Begin(uint64_t seed, int64_t lead) {
  torch::NoGradGuard no_grad;
  const layers::AutocastGuard autocast(torch::kCPU, precision_);
  const SeedTree seeds(seed);
  choices_ = seeds.Generator("dream_game/choices");
  draws_ = seeds.Generator("dream_game/draws");
  game_->Reset(seeds.Stream("dream_game/reset"));
  game_sight_ = {};
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
  dream_sight_ = game_sight_;
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
  const auto outcome = models_->world_model->Foretell(dream_sight_.hidden, dream_sight_.local,
                                                      torch::tensor({int64_t{action}}));
  const auto& layout = models_->options().world_model.layout;
  const auto uniforms = torch::rand({1, layout.places, layout.levels},
                                    at::detail::createCPUGenerator(draws_.Next()), torch::kFloat32);
  const auto now = torch::tensor(now_.dream.codes).view({1, layout.places, layout.levels});
  const auto codes = models_->world_model->Sample(outcome.places, now, temperature, uniforms);
  const auto values = models_->tokenizer->Values(codes);
  Push(dream_sight_, values, action, /*first=*/false);
  Look(dream_sight_, values, codes, now_.dream);
  now_.continues = torch::sigmoid(outcome.continues).item<double>();
  now_.dream.reward = models_->scalars().Value(outcome.reward).item<double>();
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
