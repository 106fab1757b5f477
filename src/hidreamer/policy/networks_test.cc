#include "hidreamer/policy/networks.h"

#include <gtest/gtest.h>

#include "hidreamer/formats/tensor_map.h"

namespace hidreamer::policy {
namespace {

TEST(MlpHead, MapsAnyLeadingShape) {
  MlpHead head(12, 8, 5);
  EXPECT_EQ(head->forward(torch::randn({3, 12})).sizes(), (torch::IntArrayRef{3, 5}));
  EXPECT_EQ(head->forward(torch::randn({2, 4, 12})).sizes(), (torch::IntArrayRef{2, 4, 5}));
}

TEST(MlpHead, HasTheTextsParameters) {
  const int64_t expected = 2 * 1152 + (1152 * 512 + 512) + (512 * 512 + 512) + (512 * 6 + 6);
  EXPECT_EQ(formats::CountParameters(*MlpHead(1152, 512, 6)), expected);
  EXPECT_EQ(formats::NamedState(*MlpHead(4, 4, 4)).count("net.5.weight"), 1U);
}

TEST(MlpHead, GradientsReachEveryParameter) {
  torch::manual_seed(1);
  MlpHead head(6, 8, 3);
  head->forward(torch::randn({10, 6})).square().sum().backward();
  for (const auto& item : head->named_parameters()) {
    EXPECT_GT(item.value().grad().abs().sum().item<double>(), 0) << item.key();
  }
}

TEST(MlpHead, StartsAtZeroWhereAskedTo) {
  MlpHead head(6, 8, 3);
  head->ZeroOutput();
  EXPECT_EQ(head->forward(torch::randn({4, 6})).abs().max().item<float>(), 0.0F);
}

}  // namespace
}  // namespace hidreamer::policy
