#include "hidreamer/imagination/agent_player.h"

#include <gtest/gtest.h>

#include "hidreamer/base/error.h"
#include "hidreamer/imagination/tiny_world.h"

namespace hidreamer::imagination {
namespace {

constexpr int64_t kContext = 4, kHorizon = 3;
constexpr size_t kStackBytes = static_cast<size_t>(env::kStackDepth) * env::kFrameBytes;

PolicyParts MakeParts(const std::string& feature) {
  torch::manual_seed(21);
  PolicyParts parts;
  parts.encoder = encoder::Encoder(encoder::EncoderOptions{.width = 8});
  parts.quantizer = tokenizer::ResidualQuantizer(
      tokenizer::ResidualQuantizerOptions{.dim = 8, .levels = 2, .codes = 4});
  Rng rng(1);
  auto rows = torch::randn({100, 8});
  parts.quantizer->Seed(rows / rows.norm(2, 1, true), rng);
  parts.world_model = TinyWorldModel();
  const StateFeatures features(feature, parts.world_model->options(), Codebooks(parts.quantizer));
  parts.policy =
      policy::PolicyModel(policy::PolicyModelOptions{.game = "tiny",
                                                     .feature = feature,
                                                     .feature_width = features.state_width(),
                                                     .outcome_width = features.outcome_width(),
                                                     .hidden_width = 8,
                                                     .actions = 2,
                                                     .cpc_width = 4,
                                                     .context = kContext,
                                                     .horizon = kHorizon});
  for (auto& parameter : parts.policy->actor->parameters()) {
    torch::NoGradGuard no_grad;
    parameter.normal_();  // not uniform
  }
  return parts;
}

AgentPlayer MakePlayer(const PolicyParts& parts) { return AgentPlayer(parts); }

// Frames of a slot at a step.
torch::Tensor Frames(int slot, int step) {
  torch::manual_seed(static_cast<uint64_t>(100 + 31 * slot + step));
  return torch::randint(256, {1, 4, 84, 84}, torch::kUInt8);
}

// Plays `steps` calls; slot s begins an episode at calls divisible by period[s]. Returns
// states[call] (n, F) and the actions.
struct Played {
  std::vector<torch::Tensor> states;
  std::vector<std::vector<int>> actions;
};
Played Play(AgentPlayer player, const std::vector<int>& slots, const std::vector<int>& period,
            int steps) {
  std::vector<Rng> rngs;
  for (uint64_t slot = 0; slot < 8; ++slot) {
    rngs.emplace_back(slot);
  }
  Played played;
  for (int step = 0; step < steps; ++step) {
    std::vector<torch::Tensor> frames;
    std::vector<env::PlayerView> views;
    for (size_t i = 0; i < slots.size(); ++i) {
      frames.push_back(Frames(slots[i], step));
      views.push_back({.slot = slots[i],
                       .first = step % period[i] == 0,
                       .stack = frames.back().data_ptr<uint8_t>()});
    }
    played.actions.push_back(player.Act(views, rngs));
    played.states.push_back(player.last_states().clone());
  }
  return played;
}

TEST(AgentPlayer, SeesTheSameStatesAsOneForwardPass) {
  const auto parts = MakeParts("hidden");
  constexpr int kSteps = 12;
  const auto played = Play(MakePlayer(parts), {0}, {100}, kSteps);
  torch::NoGradGuard no_grad;
  std::vector<torch::Tensor> codes;
  std::vector<int64_t> actions;
  auto encoder = parts.encoder;
  auto quantizer = parts.quantizer;
  for (int step = 0; step < kSteps; ++step) {
    codes.push_back(quantizer->Encode(encoder->forward(Frames(0, step)))[0]);
    actions.push_back(played.actions[static_cast<size_t>(step)][0]);
  }
  const StateFeatures features("hidden", parts.world_model->options());
  for (int64_t step = 0; step < kSteps; ++step) {
    // Refilled at calls 3, 6, 9 … from the last 4 steps.
    const int64_t first = std::max<int64_t>(0, step / kHorizon * kHorizon - (kContext - 1));
    const int64_t length = step - first + 1;
    const auto tokens = torch::stack(codes).narrow(0, first, length).unsqueeze(0);
    const auto window = torch::tensor(actions).narrow(0, first, length).unsqueeze(0);
    const auto expected = FeaturesOfWindows(parts.world_model, features, tokens, window).states;
    EXPECT_TRUE(torch::allclose(played.states[static_cast<size_t>(step)][0],
                                expected[0][length - 1], 1e-4, 1e-5))
        << step;
  }
}

TEST(AgentPlayer, GamesDoNotInfluenceEachOther) {
  for (const auto& feature : {"hidden", "codes"}) {
    const auto parts = MakeParts(feature);
    const std::vector<int> periods = {5, 100, 8};
    const auto together = Play(MakePlayer(parts), {0, 1, 2}, periods, 20);
    for (int slot = 0; slot < 3; ++slot) {
      const auto alone = Play(MakePlayer(parts), {slot}, {periods[static_cast<size_t>(slot)]}, 20);
      for (size_t step = 0; step < 20; ++step) {
        EXPECT_TRUE(torch::allclose(together.states[step][slot], alone.states[step][0], 1e-4, 1e-5))
            << slot << " at " << step;
        EXPECT_EQ(together.actions[step][static_cast<size_t>(slot)], alone.actions[step][0]);
      }
    }
  }
}

TEST(AgentPlayer, GoesOnWhenSomeGamesAreOver) {
  const auto parts = MakeParts("hidden");
  auto player = MakePlayer(parts);
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

TEST(AgentPlayer, RefusesPartsOfDifferentRuns) {
  auto parts = MakeParts("hidden");
  parts.quantizer = tokenizer::ResidualQuantizer(
      tokenizer::ResidualQuantizerOptions{.dim = 8, .levels = 3, .codes = 4});
  EXPECT_THROW(MakePlayer(parts), Error);
  EXPECT_THROW(LoadAgentPlayer("/nonexistent", "pong"), Error);
}

}  // namespace
}  // namespace hidreamer::imagination
