#include "hidreamer/encoder/encoder.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

#include "hidreamer/base/error.h"
#include "hidreamer/encoder/info_nce.h"
#include "hidreamer/formats/safetensors.h"
#include "hidreamer/training/optimizer.h"

namespace hidreamer::encoder {
namespace {

Encoder Fresh(uint64_t seed) {
  torch::manual_seed(seed);
  return Encoder(EncoderOptions{});
}

torch::Tensor Frames(int64_t count) {
  torch::manual_seed(1);
  return torch::randint(256, {count, 4, 84, 84}, torch::kUInt8);
}

TEST(Encoder, HasTheStatedParameters) {
  Encoder encoder = Fresh(1);
  EXPECT_EQ(formats::CountParameters(*encoder), 1'881'888);
  std::vector<std::string> names;
  for (const training::NamedParameter& parameter : training::NamedParameters(*encoder)) {
    names.push_back(parameter.name);
  }
  EXPECT_EQ(names, (std::vector<std::string>{
                       "encoder.0.weight", "encoder.0.bias", "encoder.2.weight", "encoder.2.bias",
                       "encoder.4.weight", "encoder.4.bias", "projection.0.weight",
                       "projection.0.bias", "projection.2.weight", "projection.2.bias",
                       "projection.3.weight", "projection.3.bias"}));
}

TEST(Encoder, GivesUnitVectorsAndLeavesTheFramesAlone) {
  Encoder encoder = Fresh(1);
  for (const int64_t batch : {1, 5}) {
    const torch::Tensor frames = Frames(batch);
    const torch::Tensor before = frames.clone();
    const torch::Tensor z = encoder->forward(frames);
    EXPECT_EQ(z.sizes(), (std::vector<int64_t>{batch, 384}));
    EXPECT_TRUE(torch::allclose(z.norm(2, 1), torch::ones({batch}), 1e-5, 1e-5));
    EXPECT_TRUE(frames.equal(before));
  }
  EXPECT_THROW(encoder->forward(torch::zeros({1, 4, 84, 84})), Error);
}

TEST(Encoder, EmbedsEachFrameByItself) {
  Encoder encoder = Fresh(1);
  const torch::Tensor frames = Frames(3);
  const torch::Tensor all = encoder->forward(frames);
  EXPECT_TRUE(torch::allclose(all[1], encoder->forward(frames.narrow(0, 1, 1))[0], 1e-4, 1e-6));
}

TEST(Encoder, GradientReachesEveryParameter) {
  Encoder encoder = Fresh(2);
  const torch::Tensor z = encoder->forward(Frames(4));
  (z * torch::randn({4, 384})).sum().backward();
  for (const auto& parameter : encoder->named_parameters()) {
    ASSERT_TRUE(parameter.value().grad().defined()) << parameter.key();
    EXPECT_GT(parameter.value().grad().abs().sum().item<double>(), 0) << parameter.key();
  }
}

TEST(Encoder, StartFollowsFromTheSeed) {
  const formats::TensorMap a = formats::NamedState(*Fresh(3)), b = formats::NamedState(*Fresh(3));
  EXPECT_TRUE(a.at("projection.0.weight").equal(b.at("projection.0.weight")));
  EXPECT_FALSE(
      a.at("encoder.0.weight").equal(formats::NamedState(*Fresh(4)).at("encoder.0.weight")));
}

TEST(Encoder, OverfitsOneBatch) {
  Encoder encoder = Fresh(5);
  const torch::Tensor frames = Frames(16);
  training::Adam adam(training::NamedParameters(*encoder), {});
  double accuracy = 0;
  for (int step = 0; step < 40 && accuracy < 1; ++step) {
    const auto parts = encoder->forward(frames).split(8);
    const InfoNceOutput output = InBatchInfoNce(parts[0], parts[1], {}, 0.1);
    accuracy = output.accuracy.item<double>();
    adam.ZeroGrad();
    output.loss.backward();
    adam.Step(3e-4);
  }
  EXPECT_EQ(accuracy, 1);
}

TEST(Encoder, ComesBackFromAFile) {
  const auto path = std::filesystem::temp_directory_path() /
                    (std::to_string(getpid()) + "_hid_encoder.safetensors");
  Encoder encoder = Fresh(6);
  SaveEncoder(encoder, path);
  EXPECT_TRUE(LoadEncoder(path)->forward(Frames(2)).equal(encoder->forward(Frames(2))));

  formats::SaveSafetensors(path, formats::NamedState(*encoder));  // as an imported one: no metadata
  EXPECT_EQ(LoadEncoder(path)->options().width, 384);
  formats::SaveSafetensors(path, {{"x", torch::zeros({2})}});
  EXPECT_THROW(LoadEncoder(path), Error);
  formats::SaveSafetensors(path, formats::NamedState(*encoder), {{"format", "something else"}});
  EXPECT_THROW(LoadEncoder(path), Error);
  std::filesystem::remove(path);
}

}  // namespace
}  // namespace hidreamer::encoder
