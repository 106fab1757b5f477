#include "hidreamer/data/windows.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <set>
#include <sstream>

namespace hidreamer::data {
namespace {

// Recorded from the reference implementation: 500 end flags, valid starts of windows of 64.
TEST(ValidWindowStarts, AgreesWithTheReference) {
  std::ifstream file(std::string(HID_GOLDEN_DIR) + "/window_index.txt");
  std::string digits;
  std::getline(file, digits);
  ASSERT_EQ(digits.size(), 500U);
  std::vector<uint8_t> ends;
  for (const char digit : digits) {
    ends.push_back(digit == '1' ? 1 : 0);
  }
  std::vector<int64_t> expected;
  for (int64_t start = 0; file >> start;) {
    expected.push_back(start);
  }
  ASSERT_EQ(expected.size(), 66U);
  EXPECT_EQ(ValidWindowStarts(ends, 64), expected);
}

TEST(ValidWindowStarts, AllowsAnEndOnTheLastRowOnly) {
  const std::vector<uint8_t> ends = {0, 0, 1, 0, 0, 0};
  EXPECT_EQ(ValidWindowStarts(ends, 3), (std::vector<int64_t>{0, 3}));
  EXPECT_EQ(ValidWindowStarts(ends, 1).size(), 6U);
  EXPECT_TRUE(ValidWindowStarts(ends, 7).empty());
}

std::vector<EpisodeRange> Episodes(const std::vector<int64_t>& sizes) {
  std::vector<EpisodeRange> episodes;
  int64_t begin = 0;
  for (const int64_t size : sizes) {
    episodes.push_back({begin, begin + size});
    begin += size;
  }
  return episodes;
}

int64_t Rows(const std::vector<EpisodeRange>& episodes) {
  int64_t rows = 0;
  for (const EpisodeRange& episode : episodes) {
    rows += episode.size();
  }
  return rows;
}

TEST(SplitEpisodes, HoldsOutAboutTheShareAndCoversEveryRowOnce) {
  const auto episodes = Episodes(std::vector<int64_t>(50, 20));
  for (uint64_t seed = 0; seed < 10; ++seed) {
    const EpisodeSplit split = SplitEpisodes(episodes, 0.1, SeedTree(seed));
    EXPECT_EQ(Rows(split.validation), 100);
    EXPECT_EQ(Rows(split.train), 900);
    std::set<int64_t> begins;
    for (const auto& part : {split.train, split.validation}) {
      for (const EpisodeRange& episode : part) {
        EXPECT_TRUE(begins.insert(episode.begin).second);
      }
    }
    EXPECT_EQ(begins.size(), 50U);
  }
}

TEST(SplitEpisodes, NeverTakesAllOrNone) {
  for (uint64_t seed = 0; seed < 10; ++seed) {
    for (const double share : {0.01, 0.1, 0.5}) {
      const EpisodeSplit split = SplitEpisodes(Episodes({300, 5, 900}), share, SeedTree(seed));
      EXPECT_GE(split.train.size(), 1U);
      EXPECT_GE(split.validation.size(), 1U);
      EXPECT_EQ(Rows(split.train) + Rows(split.validation), 1205);
    }
  }
}

TEST(SplitEpisodes, CutsASingleEpisodeInTime) {
  const EpisodeSplit split = SplitEpisodes(Episodes({1000}), 0.1, SeedTree(1));
  ASSERT_EQ(split.train.size(), 1U);
  ASSERT_EQ(split.validation.size(), 1U);
  EXPECT_EQ(split.train[0].end, 900);
  EXPECT_EQ(split.validation[0].begin, 900);
}

TEST(SplitWindowsByEpisode, SharesNoRowBetweenTheParts) {
  const auto episodes = Episodes({40, 30, 9, 80, 25});
  const Split split = SplitWindowsByEpisode(episodes, 10, 0.2, SeedTree(3));
  ASSERT_FALSE(split.train.empty());
  ASSERT_FALSE(split.validation.empty());
  std::set<int64_t> held_out;
  for (const int64_t start : split.validation) {
    for (int64_t row = start; row < start + 10; ++row) {
      held_out.insert(row);
    }
  }
  for (const int64_t start : split.train) {
    for (int64_t row = start; row < start + 10; ++row) {
      EXPECT_EQ(held_out.count(row), 0U);
    }
  }
  EXPECT_TRUE(std::is_sorted(split.train.begin(), split.train.end()));
}

TEST(SplitWindowsAtRandom, DividesTheValidStarts) {
  std::vector<uint8_t> ends(200, 0);
  ends[77] = 1;
  const Split split = SplitWindowsAtRandom(ends, 16, 0.1, SeedTree(3));
  std::vector<int64_t> all = split.train;
  all.insert(all.end(), split.validation.begin(), split.validation.end());
  std::sort(all.begin(), all.end());
  EXPECT_EQ(all, ValidWindowStarts(ends, 16));
  EXPECT_EQ(split.validation.size(), 17U);
  EXPECT_NE(SplitWindowsAtRandom(ends, 16, 0.1, SeedTree(4)).validation, split.validation);
}

}  // namespace
}  // namespace hidreamer::data
