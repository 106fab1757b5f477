#include "hidreamer/imagination/player.h"

#include <gtest/gtest.h>

#include "hidreamer/base/error.h"
#include "hidreamer/imagination/staged_agent.h"
#include "hidreamer/imagination/tiny_world.h"

namespace hidreamer::imagination {
namespace {

constexpr int64_t kContext = 4, kHorizon = 3;

std::shared_ptr<StagedAgent> MakeAgent(const std::string& feature) {
  torch::manual_seed(21);
  StagedAgent::Networks networks;
  networks.encoder = encoder::Encoder(encoder::EncoderOptions{.width = 8});
  networks.quantizer = tokenizer::ResidualQuantizer(
      tokenizer::ResidualQuantizerOptions{.dim = 8, .levels = 2, .codes = 4});
  Rng rng(1);
  auto rows = torch::randn({100, 8});
  networks.quantizer->Seed(rows / rows.norm(2, 1, true), rng);
  networks.world_model = TinyWorldModel();
  const StateFeatures features(feature, networks.world_model->options(),
                               Codebooks(networks.quantizer));
  networks.policy = TinyPolicy(features, kContext, kHorizon);
  for (auto& parameter : networks.policy->actor->parameters()) {
    torch::NoGradGuard no_grad;
    parameter.normal_();  // not uniform
  }
  return std::make_shared<StagedAgent>(networks);
}

// Frames of a slot at a step.
torch::Tensor Frames(int slot, int step) {
  torch::manual_seed(static_cast<uint64_t>(100 + 31 * slot + step));
  return torch::randint(256, {1, 4, 84, 84}, torch::kUInt8);
}

// The likeliest actions of games side by side; slot s begins an episode at calls divisible by
// period[s]. actions[call][game].
std::vector<std::vector<int>> Play(Player player, const std::vector<int>& period, int steps) {
  std::vector<Rng> rngs(period.size(), Rng(1));
  std::vector<std::vector<int>> actions;
  for (int step = 0; step < steps; ++step) {
    std::vector<torch::Tensor> frames;
    std::vector<env::PlayerView> views;
    for (size_t i = 0; i < period.size(); ++i) {
      frames.push_back(Frames(static_cast<int>(i), step));
      views.push_back({.slot = static_cast<int>(i),
                       .first = step % period[i] == 0,
                       .stack = frames.back().data_ptr<uint8_t>()});
    }
    actions.push_back(player.Act(views, rngs));
  }
  return actions;
}

// The states are those of one forward pass from where the games were read last: when one begins,
// and when `horizon` steps were followed. Before its start a game stood still.
TEST(Player, SeesTheSameStatesAsOneForwardPass) {
  torch::NoGradGuard no_grad;
  constexpr int kSteps = 20;
  const std::vector<int> periods = {100, 8};
  const auto agent = MakeAgent("hidden");
  const auto played = Play(Player(agent, /*temperature=*/0), periods, kSteps);
  int read = 0;
  for (int step = 0; step < kSteps; ++step) {
    if (step % 8 == 0 || step - read > kHorizon) {
      read = step;
    }
    for (int slot = 0; slot < 2; ++slot) {
      const int begin = step - step % periods[static_cast<size_t>(slot)];
      std::vector<torch::Tensor> codes;
      std::vector<int64_t> actions;
      for (int t = read - (kContext - 1); t <= step; ++t) {
        codes.push_back(agent->See(Frames(slot, std::max(t, begin))).codes.squeeze(1));  // (1, L)
        actions.push_back(t < begin ? 0
                                    : played[static_cast<size_t>(t)][static_cast<size_t>(slot)]);
      }
      actions.pop_back();
      const auto states = agent->Features(agent->world().Observe(world_model::StepsOfSlots(
          agent->world().options().layout, torch::stack(codes, 1),
          torch::tensor(actions, torch::kLong).view({1, -1}), agent->ValuesOfCodes())));
      const auto chosen = agent->networks()
                              .Policy(states.select(1, states.size(1) - 1))
                              .probabilities()
                              .argmax(-1)
                              .item<int64_t>();
      EXPECT_EQ(played[static_cast<size_t>(step)][static_cast<size_t>(slot)], chosen)
          << step << " of " << slot;
    }
  }
}

// What a policy of codes does depends on the newest frame alone.
TEST(Player, GamesDoNotInfluenceEachOther) {
  const auto agent = MakeAgent("codes");
  const auto together = Play(Player(agent, 0), {5, 100, 8}, 20);
  const auto alone = Play(Player(agent, 0), {5}, 20);
  for (size_t step = 0; step < 20; ++step) {
    EXPECT_EQ(together[step][0], alone[step][0]) << step;
  }
}

TEST(Player, GoesOnWhenSomeGamesAreOver) {
  Player player(MakeAgent("hidden"), /*temperature=*/1);
  std::vector<Rng> rngs = {Rng(1), Rng(2)};
  for (int step = 0; step < 20; ++step) {
    const auto left = Frames(0, step), right = Frames(1, step);
    std::vector<env::PlayerView> views = {
        {.slot = 0, .first = step == 0, .stack = left.data_ptr<uint8_t>()}};
    if (step < 5 || step > 12) {
      views.push_back({.slot = 1, .first = step == 0, .stack = right.data_ptr<uint8_t>()});
    }
    EXPECT_EQ(player.Act(views, rngs).size(), views.size());
  }
}

TEST(LoadStagedNetworks, RefusesARunWithoutAPolicy) {
  EXPECT_THROW(LoadStagedNetworks("/nonexistent", "pong"), Error);
}

}  // namespace
}  // namespace hidreamer::imagination
