#include "hidreamer/layers/versioned_cache.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

namespace hidreamer::layers {
namespace {

TEST(VersionedCache, IsMadeAnewWhereAParameterHasChangedOrMoved) {
  torch::Tensor parameter = torch::ones({2});
  VersionedCache<float> sum;
  int made = 0;
  const auto get = [&] {
    return *sum.Get({parameter}, [&] {
      ++made;
      return parameter.sum().item<float>();
    });
  };
  EXPECT_EQ(get(), 2);
  EXPECT_EQ(get(), 2);
  EXPECT_EQ(made, 1);
  parameter.add_(1);
  EXPECT_EQ(get(), 4);
  parameter = torch::full({2}, 5.0f);
  EXPECT_EQ(get(), 10);
  EXPECT_EQ(made, 3);
}

TEST(VersionedCache, SeveralThreadsMakeItOnce) {
  const torch::Tensor parameter = torch::ones({2});
  VersionedCache<int> number;
  std::atomic<int> made = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] { number.Get({parameter}, [&] { return ++made; }); });
  }
  for (auto& thread : threads) {
    thread.join();
  }
  EXPECT_EQ(made, 1);
}

}  // namespace
}  // namespace hidreamer::layers
