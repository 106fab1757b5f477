#include "hidreamer/data/episode_store.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <thread>

#include "hidreamer/base/files.h"
#include "hidreamer/base/seed.h"
#include "hidreamer/data/store_format.h"
#include "hidreamer/data/test_recording.h"

namespace hidreamer::data {
namespace {

namespace fs = std::filesystem;
using env::kFrameBytes;

TEST(EpisodeStore, GivesBackWhatWasWritten) {
  const fs::path path = FreshPath("round_trip");
  WriteTestStore(path, 53, {9, 40});
  const EpisodeStore store(path);
  ASSERT_EQ(store.size(), 53);
  EXPECT_EQ(store.info().game, "test");
  EXPECT_EQ(store.info().seed, 9U);
  EXPECT_EQ(store.info().extra["note"], "x");
  EXPECT_EQ(store.num_actions(), 3);
  std::vector<uint8_t> frames(53 * kFrameBytes);
  store.ReadFrames(0, 53, frames.data());
  for (int64_t row = 0; row < 53; ++row) {
    const auto i = static_cast<size_t>(row);
    EXPECT_EQ(store.actions()[i], row % 3);
    EXPECT_EQ(store.rewards()[i], static_cast<float>(row));
    EXPECT_EQ(store.terminals()[i], row == 9 || row == 40);
    EXPECT_EQ(store.truncateds()[i], row == 52) << "a recording cut off ends truncated";
    EXPECT_EQ(store.lives()[i], 2);
    EXPECT_EQ(store.ram()[i * env::kRamBytes + 5], row);
    const auto frame = TestFrame(row);
    EXPECT_EQ(std::memcmp(frame.data(), frames.data() + i * kFrameBytes, kFrameBytes), 0) << row;
  }
}

TEST(EpisodeStore, FindsEpisodes) {
  const fs::path path = FreshPath("episodes");
  WriteTestStore(path, 53, {9, 40});
  const EpisodeStore store(path);
  ASSERT_EQ(store.episodes().size(), 3U);
  for (const auto& [row, begin, end] :
       {std::array<int64_t, 3>{0, 0, 10}, {9, 0, 10}, {10, 10, 41}, {40, 10, 41}, {52, 41, 53}}) {
    EXPECT_EQ(store.EpisodeOf(row).begin, begin);
    EXPECT_EQ(store.EpisodeOf(row).end, end);
  }
}

// First bytes of the four frames of a row's stack.
std::vector<int> Stack(const EpisodeStore& store, int64_t row) {
  std::vector<uint8_t> out(4 * kFrameBytes);
  store.ReadStack(row, out.data());
  return {out[0], out[kFrameBytes], out[2 * kFrameBytes], out[3 * kFrameBytes]};
}

TEST(EpisodeStore, StacksStayInsideTheEpisode) {
  const fs::path path = FreshPath("stacks");
  WriteTestStore(path, 33, {9});
  const EpisodeStore store(path);
  EXPECT_EQ(Stack(store, 0), (std::vector<int>{0, 0, 0, 0}));
  EXPECT_EQ(Stack(store, 2), (std::vector<int>{0, 0, 7, 14}));
  EXPECT_EQ(Stack(store, 9), (std::vector<int>{42, 49, 56, 63}));
  EXPECT_EQ(Stack(store, 10), (std::vector<int>{70, 70, 70, 70}));
  EXPECT_EQ(Stack(store, 18), (std::vector<int>{105, 112, 119, 126})) << "across two blocks";
}

TEST(EpisodeStore, ReadsStacksInAnyOrderOnSeveralThreads) {
  const fs::path path = FreshPath("threads");
  WriteTestStore(path, 120, {50});
  EpisodeStore store(path);
  const auto check = [&](uint64_t seed) {
    Rng rng(seed);
    std::vector<int64_t> rows(40);
    for (int64_t& row : rows) {
      row = rng.UniformInt(store.size());
    }
    std::vector<uint8_t> stacks(rows.size() * 4 * kFrameBytes);
    store.ReadStacks(rows, stacks.data());
    std::vector<uint8_t> one(4 * kFrameBytes);
    for (size_t i = 0; i < rows.size(); ++i) {
      store.ReadStack(rows[i], one.data());
      EXPECT_TRUE(std::equal(one.begin(), one.end(),
                             stacks.begin() + static_cast<std::ptrdiff_t>(i * one.size())));
      const auto frame = TestFrame(rows[i]);
      EXPECT_EQ(std::memcmp(one.data() + 3 * kFrameBytes, frame.data(), kFrameBytes), 0);
    }
  };
  const auto check_on_two_threads = [&] {
    std::thread other(check, 1);
    check(2);
    other.join();
  };
  check_on_two_threads();
  store.KeepFrames();
  check_on_two_threads();
  check_on_two_threads();
}

TEST(EpisodeStore, JoinsStores) {
  const fs::path first = FreshPath("first");
  const fs::path joined = FreshPath("joined");
  WriteTestStore(first, 21, {20});
  EpisodeStoreWriter writer(joined, TestInfo());
  writer.AppendStore(EpisodeStore(first));
  writer.AppendStore(EpisodeStore(first));
  AppendTestRow(writer, 5, false);
  writer.Finish();
  const EpisodeStore store(joined);
  ASSERT_EQ(store.size(), 43);
  EXPECT_EQ(store.episodes().size(), 3U);
  EXPECT_EQ(Stack(store, 21), (std::vector<int>{0, 0, 0, 0}));
  EXPECT_EQ(Stack(store, 41), (std::vector<int>{119, 126, 133, 140}));
  EXPECT_EQ(Stack(store, 42), (std::vector<int>{35, 35, 35, 35}));
}

TEST(EpisodeStore, NothingIsVisibleBeforeFinish) {
  const fs::path path = FreshPath("unfinished");
  {
    EpisodeStoreWriter writer(path, TestInfo());
    AppendTestRow(writer, 0, false);
  }
  EXPECT_FALSE(fs::exists(path));
  EXPECT_FALSE(fs::exists(path.string() + ".partial"));
}

class DamagedStore : public ::testing::Test {
 protected:
  void SetUp() override {
    path_ = FreshPath("damaged");
    WriteTestStore(path_, 40, {20});
  }
  bool OpensWithUserError() const {
    return ThrowsUserError([&] { EpisodeStore store(path_); });
  }
  void Flip(const char* file, size_t at) const {
    std::string bytes = ReadFile(path_ / file);
    bytes.at(at) = static_cast<char>(bytes[at] ^ 0x41);
    WriteFileAtomically(path_ / file, bytes);
  }
  fs::path path_;
};

// One row with this reward and action, of a game of 3 actions.
std::string ErrorOfRow(float reward, int action) {
  const fs::path path = FreshPath("odd_row");
  EpisodeStoreWriter writer(path, {.game = "g",
                                   .protocol = "v5",
                                   .policy = "p",
                                   .action_names = {"a", "b", "c"},
                                   .seed = 0,
                                   .extra = {}});
  const auto frame = TestFrame(0);
  const std::array<uint8_t, env::kRamBytes> ram{};
  writer.Append({.frame = frame, .action = action, .result = {.reward = reward}, .ram = ram});
  writer.Finish();
  try {
    EpisodeStore store(path);
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), Error::Kind::kUser);
    return error.what();
  }
  return "";
}

TEST(EpisodeStore, RefusesRewardsAndActionsThatNobodyCanLearnFrom) {
  EXPECT_EQ(ErrorOfRow(1, 2), "");
  EXPECT_NE(ErrorOfRow(std::nanf(""), 2).find("the reward nan in row 0"), std::string::npos);
  EXPECT_NE(ErrorOfRow(1, 3).find("the action 3 of 3 in row 0"), std::string::npos);
}

TEST_F(DamagedStore, MissingOrForeign) {
  EXPECT_TRUE(ThrowsUserError([] { EpisodeStore store("/nowhere/at/all"); }));
  WriteFileAtomically(path_ / store_format::kManifestFile, "{\"format\": \"other\"}");
  EXPECT_TRUE(OpensWithUserError());
  WriteFileAtomically(path_ / store_format::kManifestFile, "[1, 2");
  EXPECT_TRUE(OpensWithUserError());
  fs::remove(path_ / store_format::kManifestFile);
  EXPECT_TRUE(OpensWithUserError());
}

TEST_F(DamagedStore, OtherVersion) {
  std::string manifest = ReadFile(path_ / store_format::kManifestFile);
  manifest.replace(manifest.find("\"version\": 1"), 12, "\"version\": 2");
  WriteFileAtomically(path_ / store_format::kManifestFile, manifest);
  EXPECT_TRUE(OpensWithUserError());
}

TEST_F(DamagedStore, EveryTruncation) {
  for (const char* file :
       {store_format::kManifestFile, store_format::kColumnsFile, store_format::kFramesFile}) {
    const std::string bytes = ReadFile(path_ / file);
    for (const size_t size : {size_t{0}, size_t{1}, bytes.size() / 2, bytes.size() - 3}) {
      WriteFileAtomically(path_ / file, bytes.substr(0, size));
      EXPECT_TRUE(OpensWithUserError()) << file << " cut to " << size;
    }
    WriteFileAtomically(path_ / file, bytes);
  }
  EXPECT_EQ(EpisodeStore(path_).size(), 40);
}

TEST_F(DamagedStore, FlippedManifestAndColumns) {
  const std::string manifest = ReadFile(path_ / store_format::kManifestFile);
  Flip(store_format::kManifestFile, manifest.find("test"));
  EXPECT_TRUE(OpensWithUserError());
  WriteFileAtomically(path_ / store_format::kManifestFile, manifest);
  Flip(store_format::kColumnsFile, 300);
  EXPECT_TRUE(OpensWithUserError());
}

TEST_F(DamagedStore, FlippedFrames) {
  const size_t size = ReadFile(path_ / store_format::kFramesFile).size();
  for (const size_t at : {size_t{0}, size_t{6}, size / 2, size - 1}) {
    Flip(store_format::kFramesFile, at);
    for (const bool kept : {false, true}) {
      EXPECT_TRUE(ThrowsUserError([&] {
        std::vector<uint8_t> out(40 * kFrameBytes);
        EpisodeStore store(path_);
        if (kept) {
          store.KeepFrames();
        }
        store.ReadFrames(0, 40, out.data());
      })) << at;
    }
    Flip(store_format::kFramesFile, at);
  }
}

}  // namespace
}  // namespace hidreamer::data
