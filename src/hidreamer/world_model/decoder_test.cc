#include "hidreamer/world_model/decoder.h"

#include <gtest/gtest.h>

#include "hidreamer/base/error.h"
#include "hidreamer/layers/decode_attention.h"
#include "hidreamer/layers/relative_error.h"

namespace hidreamer::world_model {
namespace {

constexpr int64_t kBatch = 3, kSteps = 7;

struct Case {
  MaskKind mask;
  int64_t levels;
};

class DecoderTest : public testing::TestWithParam<Case> {
 protected:
  DecoderTest() {
    torch::manual_seed(1);
    const auto [mask, levels] = GetParam();
    model_ = WorldModel(WorldModelOptions{.layout = {.levels = levels, .codes = 12, .actions = 4},
                                          .width = 40,
                                          .layers = 3,
                                          .heads = 2,
                                          .ffn_width = 64,
                                          .max_steps = kSteps,
                                          .mask = mask});
    tokens_ = torch::randint(12, {kBatch, kSteps, levels}, torch::kInt64);
    actions_ = torch::randint(4, {kBatch, kSteps}, torch::kInt64);
    model_->eval();
    full_ = model_->Hidden(tokens_, actions_);
    model_->train();  // the decoder must not mind
  }

  // Pushes positions [begin, T*K) one at a time; hidden states (B, T*K - begin, D).
  torch::Tensor PushFrom(Decoder& decoder, int64_t begin) {
    const int64_t levels = GetParam().levels;
    std::vector<torch::Tensor> hidden;
    for (int64_t p = begin; p < kSteps * (levels + 1); ++p) {
      const int64_t step = p / (levels + 1), slot = p % (levels + 1);
      hidden.push_back(slot == levels
                           ? decoder.PushAction(actions_.select(1, step))
                           : decoder.PushCode(slot, tokens_.select(1, step).select(1, slot)));
    }
    return torch::stack(hidden, 1);
  }

  WorldModel model_{nullptr};
  torch::Tensor tokens_, actions_, full_;
};

TEST_P(DecoderTest, OneAtATimeAgreesWithTheFullPass) {
  Decoder decoder(model_, kBatch);
  const torch::Tensor hidden = PushFrom(decoder, 0);
  EXPECT_LT((hidden - full_).abs().max().item<float>(), 1e-5f);
  EXPECT_EQ(decoder.steps(), kSteps);
  EXPECT_TRUE(model_->is_training());
}

TEST_P(DecoderTest, GoesOnFromAPrefill) {
  const int64_t per_step = GetParam().levels + 1;
  for (const int64_t context : {1, 4}) {
    for (const bool open : {false, true}) {
      Decoder decoder(model_, kBatch);
      const torch::Tensor prefilled = decoder.Prefill(
          tokens_.narrow(1, 0, context), actions_.narrow(1, 0, open ? context - 1 : context));
      const int64_t positions = context * per_step - (open ? 1 : 0);
      const int64_t last = (context - 1) * per_step;
      ASSERT_EQ(prefilled.size(1), positions - last);
      EXPECT_EQ(decoder.steps(), open ? context - 1 : context);
      EXPECT_LT((prefilled - full_.narrow(1, last, positions - last)).abs().max().item<float>(),
                1e-5f);
      const torch::Tensor rest = PushFrom(decoder, positions);
      EXPECT_LT((rest - full_.narrow(1, positions, kSteps * per_step - positions))
                    .abs()
                    .max()
                    .item<float>(),
                1e-5f)
          << context << " " << open;
    }
  }
}

// With and without kernels of our own: 48 is no multiple of their panels.
TEST_P(DecoderTest, AgreesInBf16) {
  const auto [mask, levels] = GetParam();
  for (const int64_t width : {64, 48}) {
    torch::manual_seed(1);
    WorldModel model(WorldModelOptions{.layout = {.levels = levels, .codes = 12, .actions = 4},
                                       .width = width,
                                       .layers = 2,
                                       .heads = 2,
                                       .ffn_width = 96,
                                       .max_steps = kSteps,
                                       .mask = mask});
    model->eval();
    const torch::Tensor full = model->Hidden(tokens_, actions_);
    Decoder decoder(model, kBatch, 0, layers::Precision::kBf16);
    for (const int64_t context : {0, 4}) {
      decoder.Reset();
      std::vector<torch::Tensor> hidden;
      if (context > 0) {
        hidden.push_back(
            decoder.Prefill(tokens_.narrow(1, 0, context), actions_.narrow(1, 0, context)));
      }
      hidden.push_back(PushFrom(decoder, context * (levels + 1)));
      const torch::Tensor found = torch::cat(hidden, 1);
      const torch::Tensor expected = full.narrow(1, full.size(1) - found.size(1), found.size(1));
      EXPECT_EQ(found.scalar_type(), torch::kFloat32);
      EXPECT_LT(layers::RelativeError(found, expected), 0.01) << width << " " << context;
    }
  }
}

TEST_P(DecoderTest, ForgetsOnReset) {
  Decoder decoder(model_, kBatch);
  decoder.Prefill(torch::zeros_like(tokens_), torch::zeros_like(actions_));
  decoder.Reset();
  EXPECT_EQ(decoder.steps(), 0);
  EXPECT_LT((PushFrom(decoder, 0) - full_).abs().max().item<float>(), 1e-5f);
}

TEST_P(DecoderTest, RefusesWrongSlotsAndOverflow) {
  Decoder decoder(model_, kBatch, 1);
  const torch::Tensor codes = torch::zeros({kBatch}, torch::kInt64);
  EXPECT_THROW(decoder.PushAction(codes), Error);
  EXPECT_THROW(decoder.PushCode(1, codes), Error);
  EXPECT_THROW(decoder.PushCode(0, torch::zeros({kBatch + 1}, torch::kInt64)), Error);
  for (int64_t level = 0; level < GetParam().levels; ++level) {
    decoder.PushCode(level, codes);
  }
  decoder.PushAction(codes);
  EXPECT_THROW(decoder.PushCode(0, codes), Error);
  EXPECT_THROW(decoder.Prefill(tokens_.narrow(1, 0, 1), actions_.narrow(1, 0, 1)), Error);
}

INSTANTIATE_TEST_SUITE_P(Masks, DecoderTest,
                         testing::Values(Case{MaskKind::kReference, 3}, Case{MaskKind::kStrict, 3},
                                         Case{MaskKind::kCausal, 3}, Case{MaskKind::kReference, 1},
                                         Case{MaskKind::kStrict, 8}, Case{MaskKind::kReference, 8}),
                         [](const auto& parameters) {
                           return MaskName(parameters.param.mask) +
                                  std::to_string(parameters.param.levels);
                         });

TEST(DecodeAttentionTest, EqualsTheSameSumInDoublePrecision) {
  torch::manual_seed(2);
  for (const int64_t d : {20, 64}) {
    const torch::Tensor q = torch::randn({5, 3, d}), keys = torch::randn({5, 3, 40, d}),
                        values = torch::randn({5, 3, 40, d});
    const torch::Tensor fast = layers::DecodeAttention(q, keys, values, 7, 33);
    const torch::Tensor exact = layers::DecodeAttention(
        q.to(torch::kFloat64), keys.to(torch::kFloat64), values.to(torch::kFloat64), 7, 33);
    EXPECT_LT((fast - exact).abs().max().item<double>(), 1e-5);
  }
}

}  // namespace
}  // namespace hidreamer::world_model
