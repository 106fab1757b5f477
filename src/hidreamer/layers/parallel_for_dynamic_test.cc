#include "hidreamer/layers/parallel_for_dynamic.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <atomic>
#include <chrono>
#include <optional>
#include <thread>
#include <vector>

namespace hidreamer::layers {
namespace {

TEST(ParallelForDynamic, GivesEachPieceOnceAndMoreToTheFaster) {
  const int before = torch::get_num_threads();
  torch::set_num_threads(2);
  constexpr int64_t kPieces = 40;
  std::vector<std::atomic<int>> taken(kPieces);
  std::atomic<int64_t> of_the_first = 0;
  ParallelForDynamic(kPieces, [&](const auto& next) {
    while (const std::optional<int64_t> piece = next()) {
      ++taken[static_cast<size_t>(*piece)];
      if (at::get_thread_num() == 0) {
        ++of_the_first;
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
      }
    }
  });
  torch::set_num_threads(before);
  for (const auto& times : taken) {
    EXPECT_EQ(times, 1);
  }
  EXPECT_LT(of_the_first, kPieces / 2);
}

TEST(ParallelForDynamic, HasNothingToGive) {
  ParallelForDynamic(0, [](const auto& next) { EXPECT_FALSE(next()); });
}

}  // namespace
}  // namespace hidreamer::layers
