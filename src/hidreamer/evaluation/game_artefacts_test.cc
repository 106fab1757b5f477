#include "hidreamer/evaluation/game_artefacts.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace hidreamer::evaluation {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

TEST(GameArtefactsTest, WindowsStayInsideTheirEpisodes) {
  const std::vector<data::EpisodeRange> episodes = {{0, 10}, {10, 13}, {13, 20}};
  EXPECT_THAT(SpreadWindowStarts(episodes, 4, 3, 100), ElementsAre(0, 3, 6, 13, 16));
  EXPECT_THAT(SpreadWindowStarts(episodes, 4, 3, 2), ElementsAre(0, 6));
  EXPECT_THAT(SpreadWindowStarts(episodes, 11, 1, 100), IsEmpty());
}

TEST(GameArtefactsTest, TakesRowsOfWindows) {
  const torch::Tensor values = torch::arange(20, torch::kInt64).view({10, 2});
  const torch::Tensor rows = WindowRows({1, 6}, 3);
  EXPECT_TRUE(rows.equal(torch::tensor({1, 2, 3, 6, 7, 8}, torch::kInt64).view({2, 3})));
  const torch::Tensor taken = TakeRows(values, rows);
  EXPECT_EQ(taken.sizes(), (std::vector<int64_t>{2, 3, 2}));
  EXPECT_EQ(taken[1][2][1].item<int64_t>(), 17);
}

}  // namespace
}  // namespace hidreamer::evaluation
