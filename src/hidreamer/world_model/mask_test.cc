#include "hidreamer/world_model/mask.h"

#include <gtest/gtest.h>

#include "hidreamer/base/error.h"
#include "hidreamer/world_model/world_model.h"

namespace hidreamer::world_model {
namespace {

constexpr MaskKind kAllKinds[] = {MaskKind::kReference, MaskKind::kStrict, MaskKind::kCausal};

// The reference's construction, written down for three levels: start from causal, then block.
torch::Tensor BruteForceMask(MaskKind kind, int64_t steps) {
  torch::Tensor mask = torch::ones({steps * 4, steps * 4}, torch::kBool).tril();
  for (int64_t query_step = 0; query_step < steps; ++query_step) {
    for (int64_t key_step = 0; key_step < query_step; ++key_step) {
      for (int64_t slot = 0; slot < 4; ++slot) {
        const bool blocked =
            kind == MaskKind::kStrict || (kind == MaskKind::kReference && slot != 0);
        if (blocked) {
          mask[query_step * 4 + slot][key_step * 4 + 1] = false;
          mask[query_step * 4 + slot][key_step * 4 + 2] = false;
        }
      }
    }
  }
  return mask;
}

TEST(AttentionMaskTest, EqualsTheReferencesConstruction) {
  for (const MaskKind kind : kAllKinds) {
    for (const int64_t steps : {1, 5}) {
      EXPECT_TRUE(
          torch::equal(AttentionMask(TokenLayout{}, kind, steps * 4), BruteForceMask(kind, steps)))
          << MaskName(kind) << " " << steps;
    }
  }
}

TEST(AttentionMaskTest, IsPlainlyCausalWithASingleLevel) {
  const TokenLayout layout{.levels = 1, .codes = 8, .actions = 2};
  for (const MaskKind kind : kAllKinds) {
    EXPECT_TRUE(
        torch::equal(AttentionMask(layout, kind, 9), torch::ones({9, 9}, torch::kBool).tril()))
        << MaskName(kind);
  }
}

TEST(AttentionMaskTest, KnowsItsNames) {
  for (const MaskKind kind : kAllKinds) {
    EXPECT_EQ(MaskFromName(MaskName(kind)), kind);
  }
  EXPECT_THROW(MaskFromName("none"), Error);
}

// One block: a key that a query may not attend to must not change the query's output, and one that
// it may attend to must.
TEST(AttentionMaskTest, HidesExactlyTheForbiddenKeysInABlock) {
  torch::NoGradGuard no_grad;
  torch::manual_seed(3);
  for (const MaskKind kind : kAllKinds) {
    const TokenLayout layout{.levels = 4, .codes = 8, .actions = 3};
    const int64_t positions = 3 * layout.positions_per_step();
    const torch::Tensor allowed = AttentionMask(layout, kind, positions);
    layers::TransformerBlock block(16, 2, 32, 0.0);
    const torch::Tensor x = torch::randn({1, positions, 16});
    const layers::AttentionPattern pattern = layers::MakeAttentionPattern(allowed);
    const torch::Tensor before = block->forward(x, pattern);
    for (int64_t key = 0; key < positions; ++key) {
      torch::Tensor other = x.clone();
      other[0][key] = torch::randn({16});
      const torch::Tensor change =
          (block->forward(other, pattern) - before).abs().amax({0, 2});  // (P)
      for (int64_t query = 0; query < positions; ++query) {
        EXPECT_EQ(change[query].item<float>() > 0, allowed[query][key].item<bool>())
            << MaskName(kind) << " query " << query << " key " << key;
      }
    }
  }
}

// The whole model: whatever is reached through several blocks still lies in the past.
TEST(AttentionMaskTest, LeavesNoWayFromTheFutureThroughTheWholeModel) {
  torch::NoGradGuard no_grad;
  torch::manual_seed(4);
  for (const MaskKind kind : kAllKinds) {
    WorldModelOptions options{.layout = {.levels = 3, .codes = 11, .actions = 3},
                              .width = 16,
                              .layers = 3,
                              .heads = 2,
                              .ffn_width = 32,
                              .max_steps = 6,
                              .mask = kind};
    WorldModel model(options);
    model->eval();
    const torch::Tensor tokens = torch::randint(11, {1, 5, 3}, torch::kInt64);
    const torch::Tensor actions = torch::randint(3, {1, 5}, torch::kInt64);
    const torch::Tensor before = model->Hidden(tokens, actions);
    for (int64_t position = 0; position < 20; ++position) {
      torch::Tensor other_tokens = tokens.clone(), other_actions = actions.clone();
      torch::Tensor changed = position % 4 == 3 ? other_actions[0][position / 4]
                                                : other_tokens[0][position / 4][position % 4];
      changed.fill_((changed.item<int64_t>() + 1) % 3);
      const torch::Tensor change =
          (model->Hidden(other_tokens, other_actions) - before).abs().amax({0, 2});
      EXPECT_EQ(change.narrow(0, 0, position).sum().item<float>(), 0.0f) << position;
      EXPECT_GT(change[position].item<float>(), 0.0f) << position;
    }
  }
}

}  // namespace
}  // namespace hidreamer::world_model
