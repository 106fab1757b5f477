#include "hidreamer/tokenizer/spatial_tokenizer.h"

#include <gtest/gtest.h>

#include "hidreamer/training/optimizer.h"

namespace hidreamer::tokenizer {
namespace {

constexpr int64_t kSize = 32;

// A gray background with one bright 2x2 dot at a random place.
torch::Tensor Dots(int64_t count, uint64_t seed) {
  Rng rng(seed);
  auto frames = torch::full({count, 1, kSize, kSize}, 0.4F);
  for (int64_t i = 0; i < count; ++i) {
    frames[i][0]
        .narrow(0, rng.UniformInt(kSize - 2), 2)
        .narrow(1, rng.UniformInt(kSize - 2), 2)
        .fill_(0.9F);
  }
  return frames;
}

class SpatialTokenizerOf : public testing::TestWithParam<std::string> {
 protected:
  SpatialTokenizer Make() {
    torch::manual_seed(5);
    SpatialTokenizer tokenizer(SpatialTokenizerOptions{.frame_size = kSize,
                                                       .grid = 4,
                                                       .channels = 16,
                                                       .quantizer = GetParam(),
                                                       .fsq_levels = {8, 5, 5},
                                                       .rvq_levels = 3,
                                                       .rvq_codes = 32,
                                                       .rvq_dim = 8});
    Rng rng(1);
    tokenizer->Start(Dots(64, 1), rng);
    return tokenizer;
  }
};

TEST_P(SpatialTokenizerOf, CodesStandForTheirValues) {
  auto tokenizer = Make();
  tokenizer->eval();
  const auto codes = tokenizer->Encode(Dots(6, 2));
  EXPECT_EQ(codes.codes.sizes(), (torch::IntArrayRef{6, 16, 3}));
  EXPECT_EQ(codes.values.size(1), tokenizer->options().value_channels());
  EXPECT_TRUE(torch::allclose(tokenizer->Values(codes.codes), codes.values, 1e-5, 1e-5));
  const auto again = tokenizer->Codes(codes.values);
  EXPECT_EQ(again.sizes(), codes.codes.sizes());
  EXPECT_TRUE(tokenizer->options().quantizer == "rvq" || again.equal(codes.codes));
  const auto level_codes = tokenizer->options().level_codes();
  for (int64_t l = 0; l < 3; ++l) {
    EXPECT_GE(codes.codes.select(2, l).min().item<int64_t>(), 0);
    EXPECT_LT(codes.codes.select(2, l).max().item<int64_t>(), level_codes[static_cast<size_t>(l)]);
  }
  EXPECT_EQ(tokenizer->Decode(codes.values).sizes(), (torch::IntArrayRef{6, 1, kSize, kSize}));
  // The background of dots is the plain gray.
  EXPECT_TRUE(torch::allclose(tokenizer->background(), torch::full({1, 1, kSize, kSize}, 0.4F)));
}

TEST_P(SpatialTokenizerOf, LearnsToDrawTheDot) {
  auto tokenizer = Make();
  tokenizer->train();
  training::Adam adam(training::NamedParameters(*tokenizer), {});
  for (int i = 0; i < 300; ++i) {
    const auto frames = Dots(64, static_cast<uint64_t>(100 + i));
    const auto codes = tokenizer->Encode(frames);
    const auto loss = 10 * ChangeWeightedLoss(tokenizer->Decode(codes.values), frames, frames,
                                              tokenizer->background(), torch::tensor(20.0F)) +
                      codes.commitment;
    adam.ZeroGrad();
    loss.backward();
    adam.Step(2e-3);
    if (i % 20 == 19) {
      Rng rng(static_cast<uint64_t>(i));
      tokenizer->Revive(frames, rng);
    }
  }
  tokenizer->eval();
  const auto frames = Dots(64, 7);
  const auto decoded = tokenizer->Decode(tokenizer->Encode(frames).values);
  const auto brightest = (decoded - 0.4).flatten(1).argmax(1);
  // The brightest decoded pixel lies on the dot or beside it.
  const auto near = torch::max_pool2d(frames, 3, 1, 1).flatten(1).gt(0.8);
  EXPECT_GT(near.gather(1, brightest.unsqueeze(1)).to(torch::kFloat32).mean().item<float>(), 0.9);
}

TEST_P(SpatialTokenizerOf, OptionsSurviveJson) {
  const auto options = Make()->options();
  const nlohmann::json json = options;
  EXPECT_EQ(nlohmann::json(json.get<SpatialTokenizerOptions>()), json);
  EXPECT_EQ(json["quantizer"], GetParam());
}

// Each place of the grid has a picture of its own, there or not: a bit a place tells all.
TEST(SpatialTokenizer, DrawsWhatIsAlwaysAtAPlace) {
  const int64_t grid = 8, size = 64, n = 32;
  torch::manual_seed(1);
  const auto pictures = torch::rand({1, 1, size, size}).round();
  const auto draw = [&] {
    const auto there = torch::rand({n, 1, grid, grid}).lt(0.4).to(torch::kFloat32);
    return there.repeat_interleave(size / grid, 2).repeat_interleave(size / grid, 3) * pictures;
  };
  const auto error = [&](const std::string& body) {
    torch::manual_seed(2);
    SpatialTokenizer tokenizer(
        SpatialTokenizerOptions{.frame_size = size, .grid = grid, .channels = 8, .body = body});
    Rng rng(1);
    tokenizer->Start(draw(), rng);
    training::Adam adam(training::NamedParameters(*tokenizer), {});
    torch::Tensor loss;
    for (int i = 0; i < 250; ++i) {
      const auto frames = draw();
      loss = (tokenizer->Decode(tokenizer->Encode(frames).values) - frames).square().mean();
      adam.ZeroGrad();
      loss.backward();
      adam.Step(6e-3);
    }
    return loss.item<double>();
  };
  const double places = error("places");
  EXPECT_LT(places, 0.03);  // guessing its mean gives .12
  EXPECT_LT(places, error("near") / 2);
}

INSTANTIATE_TEST_SUITE_P(Quantizers, SpatialTokenizerOf, testing::Values("fsq", "rvq"),
                         [](const auto& quantizer) { return quantizer.param; });

TEST(ChangeWeightedLoss, CountsWhatMovesMore) {
  const auto frames = torch::zeros({1, 1, 64, 64});
  auto wrong = frames.clone();
  wrong[0][0][3][3] = 1;
  const auto background = torch::zeros({1, 1, 64, 64});
  auto previous = frames.clone();
  const auto still = ChangeWeightedLoss(wrong, frames, previous, background, torch::tensor(20.0F));
  previous[0][0][3][3] = 1;  // the pixel moved
  const auto moved = ChangeWeightedLoss(wrong, frames, previous, background, torch::tensor(20.0F));
  EXPECT_FLOAT_EQ(moved.item<float>(), 21 * still.item<float>());
}

TEST(ChangeWeightedLoss, AFlashCountsForTenFrames) {
  const auto frames = torch::zeros({5, 1, 64, 64});
  auto wrong = torch::full({5, 1, 64, 64}, 0.01F);
  const auto loss = [&] {
    return ChangeWeightedLoss(wrong, frames, frames, torch::zeros({1, 1, 64, 64}),
                              torch::tensor(20.0F))
        .item<float>();
  };
  const float usual = loss();
  wrong[2].fill_(1);
  EXPECT_NEAR(loss(), usual * (4 + 10) / 5, 1e-7);
}

}  // namespace
}  // namespace hidreamer::tokenizer
