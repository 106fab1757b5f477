#include "hidreamer/evaluation/probe.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <memory>

#include "hidreamer/data/collect.h"
#include "hidreamer/env/scripted_player.h"
#include "hidreamer/evaluation/open_loop_evaluation.h"

namespace hidreamer::evaluation {
namespace {

constexpr int64_t kContext = 4;
constexpr int64_t kHorizon = 3;

// A short recording of catch with a quantizer and a world model that know nothing.
class JudgedGameTest : public testing::Test {
 protected:
  void SetUp() override {
    const auto path =
        std::filesystem::path(testing::TempDir()) / ("judged_catch_" + std::to_string(getpid()));
    env::MixturePlayer player;
    data::CollectEpisodes({.game = "catch",
                           .steps = 1200,
                           .environments = 2,
                           .threads = 1,
                           .seed = 3,
                           .show_progress = false},
                          player, path);
    store_ = std::make_unique<data::EpisodeStore>(path);
    torch::manual_seed(1);
    game_.store = store_.get();
    game_.split = data::SplitEpisodes(store_->episodes(), 0.25, SeedTree(2));
  }

  torch::Tensor Truth() const {
    return VariableValues(*store_, ChooseVariables(*store_).varying,
                          torch::arange(store_->size(), torch::kInt64));
  }

  void AddModel() {
    constexpr int64_t kWidth = 8;
    game_.quantizer = tokenizer::ResidualQuantizer(
        tokenizer::ResidualQuantizerOptions{.dim = kWidth, .levels = 2, .codes = 8});
    Rng rng(4);
    const torch::Tensor embeddings = torch::randn({store_->size(), kWidth});
    game_.quantizer->Seed(embeddings, rng);
    game_.quantizer->eval();
    tokens_ = tokenizer::TokenizeStore(game_.quantizer, *store_, embeddings);
    game_.tokens = &tokens_;
    game_.world_model = world_model::WorldModel(world_model::WorldModelOptions{
        .layout = {.levels = 2, .codes = 8, .actions = store_->num_actions()},
        .width = 16,
        .layers = 1,
        .heads = 2,
        .ffn_width = 16,
        .max_steps = kContext + kHorizon});
    game_.world_model->eval();
  }

  std::unique_ptr<data::EpisodeStore> store_;
  tokenizer::TokenizedGame tokens_;
  GameArtefacts game_;
};

TEST_F(JudgedGameTest, EmbeddingThatHoldsTheTruthIsReadPerfectlyAndNoiseIsNot) {
  const ProbeOptions options{.frames = 400, .context = kContext, .dream_windows = 8};
  game_.embeddings = Truth().to(torch::kFloat32);
  const auto knowing = ProbeGame(game_, options, SeedTree(5));
  EXPECT_GT(knowing["median_r2"]["embedding"].get<double>(), 0.999);
  EXPECT_NEAR(knowing["correlation"]["embedding"].get<double>(), 1, 1e-6);
  EXPECT_GT(knowing["median_r2"]["pixels"].get<double>(), 0.2);
  EXPECT_FALSE(knowing["median_r2"].contains("hidden")) << "there is no world model to probe";
  game_.embeddings = torch::randn_like(game_.embeddings);
  const auto ignorant = ProbeGame(game_, options, SeedTree(5));
  EXPECT_LT(ignorant["median_r2"]["embedding"].get<double>(), 0.1);
}

TEST_F(JudgedGameTest, ProbesCodesHiddenAndImaginedStatesOfAModel) {
  AddModel();
  game_.embeddings = Truth().to(torch::kFloat32);
  const ProbeOptions options{
      .frames = 200, .context = kContext, .dream_windows = 8, .dream_steps = {1, 3, 15}};
  const auto probe = ProbeGame(game_, options, SeedTree(5));
  EXPECT_EQ(probe, ProbeGame(game_, options, SeedTree(5)));
  for (const auto& variable : probe["variables"]) {
    EXPECT_EQ(variable["fits"].size(), 5U);      // embedding, codes, hidden and two baselines
    EXPECT_EQ(variable["imagined"].size(), 2U);  // 15 does not fit the model's longest sequence
  }
  EXPECT_LT(probe["median_r2"]["codes"].get<double>(), 0.2) << "random codes know nothing";
}

TEST_F(JudgedGameTest, CopyCurveOfTheOpenLoopIsTheShareOfChangedTokens) {
  AddModel();
  const auto result = MeasureOpenLoop(
      WorldOf(game_, kContext), EpisodesOf(game_, game_.split.train),
      EpisodesOf(game_, game_.split.validation), {.windows = 10, .steps = 50, .probe_frames = 200});
  EXPECT_EQ(result["steps"], kHorizon) << "cut to what the model can hold";
  ASSERT_EQ(result["levels"].size(), 2U);
  const auto starts = SpreadWindowStarts(game_.split.validation, kContext + kHorizon, 1, 10);
  int64_t changed = 0;
  for (const int64_t start : starts) {
    const int64_t last = start + kContext - 1;
    changed += tokens_.tokens[last][0].item<int64_t>() !=
               tokens_.tokens[last + kHorizon][0].item<int64_t>();
  }
  const auto& curves = result["levels"][0];
  EXPECT_NEAR(curves["copy"][kHorizon - 1].get<double>(),
              static_cast<double>(changed) / static_cast<double>(starts.size()), 1e-9);
  EXPECT_EQ(curves["model"].size(), static_cast<size_t>(kHorizon));
  EXPECT_EQ(curves["shuffled"].size(), static_cast<size_t>(kHorizon));
}

TEST_F(JudgedGameTest, DreamPicturesComeFromTrainingEpisodes) {
  AddModel();
  const auto dream = DreamPictures(game_, kContext, kHorizon, SeedTree(7));
  ASSERT_EQ(dream["dream_rows"].size(), static_cast<size_t>(kHorizon));
  EXPECT_EQ(dream["context_rows"].size(), static_cast<size_t>(kContext));
  EXPECT_EQ(dream["truth_rows"][0].get<int64_t>(),
            dream["context_rows"][kContext - 1].get<int64_t>() + 1);
  const auto inside = [](const std::vector<data::EpisodeRange>& episodes, int64_t row) {
    return std::any_of(episodes.begin(), episodes.end(), [row](const auto& episode) {
      return row >= episode.begin && row < episode.end;
    });
  };
  for (const auto& row : dream["dream_rows"]) {
    EXPECT_TRUE(inside(game_.split.train, row.get<int64_t>()));
  }
  EXPECT_TRUE(inside(game_.split.validation, dream["truth_rows"][0].get<int64_t>()));
}

}  // namespace
}  // namespace hidreamer::evaluation
