#include "hidreamer/policy/policy_model.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "hidreamer/base/error.h"
#include "hidreamer/base/files.h"
#include "hidreamer/formats/safetensors.h"

namespace hidreamer::policy {
namespace {

PolicyModelOptions Small() {
  return {.game = "pong",
          .feature_width = 12,
          .outcome_width = 16,
          .hidden_width = 8,
          .actions = 3,
          .cpc_width = 4,
          .context = 5,
          .horizon = 4};
}

TEST(PolicyModel, StartsUniformWithValuesOfZero) {
  torch::manual_seed(1);
  PolicyModel model(Small());
  const auto features = model->extractor->forward(torch::randn({2, 7, 12}));
  EXPECT_TRUE(
      torch::allclose(model->Policy(features).probabilities(), torch::full({2, 7, 3}, 1.0 / 3)));
  EXPECT_EQ(model->scalars().Value(model->critic->forward(features)).abs().max().item<float>(), 0);
  EXPECT_EQ(model->Reward(torch::randn({2, 7, 16})).sizes(), (torch::IntArrayRef{2, 7}));
  EXPECT_EQ(model->Continue(torch::randn({4, 16})).sizes(), (torch::IntArrayRef{4}));
}

TEST(PolicyModel, IsTheSameAfterSavingAndLoading) {
  torch::manual_seed(1);
  PolicyModel model(Small());
  const auto path = std::filesystem::path(testing::TempDir()) / "policy.safetensors";
  SavePolicyModel(model, path);
  auto loaded = LoadPolicyModel(path);
  EXPECT_EQ(loaded->options().ToJson(), model->options().ToJson());
  const auto outcome = torch::randn({4, 16});
  EXPECT_TRUE(torch::equal(loaded->Continue(outcome), model->Continue(outcome)));
}

TEST(PolicyModel, ForeignFilesAreTheUsersError) {
  const auto path = std::filesystem::path(testing::TempDir()) / "foreign.safetensors";
  formats::SaveSafetensors(path, {{"x", torch::zeros({2})}});
  EXPECT_THROW(LoadPolicyModel(path), Error);
  formats::SaveSafetensors(path, {{"x", torch::zeros({2})}}, {{"options", "{\"game\": 3}"}});
  EXPECT_THROW(LoadPolicyModel(path), Error);
}

}  // namespace
}  // namespace hidreamer::policy
