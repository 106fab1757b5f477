#include "hidreamer/encoder/encoder_learner.h"

#include <gtest/gtest.h>

#include <cmath>

#include "hidreamer/base/error.h"
#include "hidreamer/encoder/test_recording.h"

namespace hidreamer::encoder {
namespace {

class EncoderLearnerTest : public testing::Test {
 protected:
  EncoderLearnerTest() {
    for (data::EpisodeStore* store : {&first_, &second_}) {
      games_.push_back({.store = store,
                        .split = {.train = {store->episodes()[0], store->episodes()[1]},
                                  .validation = {store->episodes()[2]}}});
    }
    config_.epochs = 3;
    config_.batch = 12;
  }
  formats::TensorMap Trained(int64_t begin, int64_t end, const formats::TensorMap* from = nullptr) {
    EncoderLearner learner(games_, config_, SeedTree(1));
    if (from != nullptr) {
      learner.LoadState(*from);
    }
    for (int64_t u = begin; u < end; ++u) {
      learner.Update(u);
    }
    formats::TensorMap state;
    for (const auto& [name, value] : learner.State()) {
      state[name] = value.clone();
    }
    return state;
  }

  TestRecording recordings_[2] = {{"learner_a", 3, 15}, {"learner_b", 3, 15}};
  data::EpisodeStore first_ = recordings_[0].Open();
  data::EpisodeStore second_ = recordings_[1].Open();
  std::vector<EncoderGame> games_;
  config::EncoderConfig config_;
};

void ExpectSameState(const formats::TensorMap& a, const formats::TensorMap& b) {
  ASSERT_EQ(a.size(), b.size());
  for (const auto& [name, value] : a) {
    EXPECT_TRUE(value.equal(b.at(name))) << name;
  }
}

TEST_F(EncoderLearnerTest, CountsPairsOfTrainingEpisodes) {
  EncoderLearner learner(games_, config_, SeedTree(1));
  EXPECT_EQ(learner.updates_per_epoch(), 4);  // 2 games x 2 episodes x 14 pairs / 12
  EXPECT_EQ(learner.total_updates(), 12);
}

TEST_F(EncoderLearnerTest, LearnsToTellTheNextFrame) {
  config_.epochs = 6;
  EncoderLearner learner(games_, config_, SeedTree(1));
  std::vector<double> epoch_loss(6, 0.0);
  double rate = config_.lr;
  for (int64_t u = 0; u < learner.total_updates(); ++u) {
    const nlohmann::json record = learner.Update(u).Read();
    epoch_loss[static_cast<size_t>(u / learner.updates_per_epoch())] +=
        record.at("loss").get<double>();
    EXPECT_LE(record.at("lr").get<double>(), rate);
    rate = record.at("lr");
  }
  EXPECT_LT(epoch_loss.back(), 0.5 * epoch_loss.front());
  EXPECT_LT(rate, 0.1 * config_.lr);
}

TEST_F(EncoderLearnerTest, ValidatesOnHeldOutPairsWithoutChangingTheState) {
  EncoderLearner learner(games_, config_, SeedTree(1));
  learner.Update(0);
  const torch::Tensor before = learner.State().at("model.projection.2.weight").clone();
  const nlohmann::json record = learner.EndEpoch(0);
  EXPECT_EQ(record.at("validation_pairs"), 28);  // 2 games x 14
  EXPECT_GT(record.at("validation_loss").get<double>(), 0);
  EXPECT_EQ(record, learner.EndEpoch(0));
  EXPECT_TRUE(before.equal(learner.State().at("model.projection.2.weight")));
}

TEST_F(EncoderLearnerTest, GoesOnToTheBitAfterLoading) {
  for (const char* negatives : {"batch", "one"}) {
    config_.negatives = negatives;
    const formats::TensorMap whole = Trained(0, 7);
    const formats::TensorMap half = Trained(0, 3);
    ExpectSameState(whole, Trained(3, 7, &half));
  }
}

TEST_F(EncoderLearnerTest, StopsBeforeNaNReachesTheWeights) {
  EncoderLearner learner(games_, config_, SeedTree(1));
  formats::TensorMap state = learner.State();
  for (auto& [name, tensor] : state) {
    tensor = tensor.clone();
  }
  state.at("model.projection.2.weight")[0].fill_(std::nan(""));
  learner.LoadState(state);
  EXPECT_THROW(learner.Update(0), training::NotFinite);
  EXPECT_TRUE(
      state.at("model.projection.2.bias").equal(learner.State().at("model.projection.2.bias")));
  EXPECT_EQ(learner.BatchOf(0).at("frames").scalar_type(), torch::kUInt8);
}

TEST_F(EncoderLearnerTest, RefusesGamesWithoutPairs) {
  games_.resize(1);
  games_[0].split.train = {{0, 1}};
  EXPECT_THROW(EncoderLearner(games_, config_, SeedTree(1)), Error);
}

}  // namespace
}  // namespace hidreamer::encoder
