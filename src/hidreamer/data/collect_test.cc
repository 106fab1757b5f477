#include "hidreamer/data/collect.h"

#include <gtest/gtest.h>

#include "hidreamer/base/files.h"
#include "hidreamer/base/interrupt.h"
#include "hidreamer/base/temporary_directory.h"
#include "hidreamer/data/store_format.h"
#include "hidreamer/data/test_recording.h"
#include "hidreamer/env/registry.h"
#include "hidreamer/env/scripted_player.h"

namespace hidreamer::data {
namespace {

namespace fs = std::filesystem;

std::string Bytes(const fs::path& store) {
  return ReadFile(store / store_format::kManifestFile) +
         ReadFile(store / store_format::kColumnsFile) + ReadFile(store / store_format::kFramesFile);
}

CollectOptions Options(const std::string& game, int64_t steps, int64_t threads) {
  return {.game = game,
          .steps = steps,
          .environments = 3,
          .threads = threads,
          .seed = 11,
          .show_progress = false};
}

fs::path Record(const std::string& name, const CollectOptions& options) {
  const fs::path path = FreshPath(name);
  env::MixturePlayer player;
  CollectEpisodes(options, player, path);
  return path;
}

TEST(CollectEpisodes, SameBytesForAnyNumberOfThreads) {
  const std::string bytes = Bytes(Record("one", Options("catch", 700, 1)));
  EXPECT_EQ(bytes, Bytes(Record("three", Options("catch", 700, 3))));
  CollectOptions other = Options("catch", 700, 1);
  other.seed = 12;
  EXPECT_NE(bytes, Bytes(Record("other", other)));
}

TEST(CollectEpisodes, RecordsEveryStepOfWholeEpisodes) {
  const EpisodeStore store(Record("catch", Options("catch", 1000, 2)));
  ASSERT_EQ(store.size(), 1000);
  EXPECT_EQ(store.info().policy, "mixture");
  // Three games of 334, 333 and 333 steps, episodes of 110 and a rest that is cut off.
  ASSERT_EQ(store.episodes().size(), 12U);
  EXPECT_EQ(store.episodes()[3].begin, 330);
  EXPECT_EQ(store.episodes()[4].begin, 334);
  EXPECT_EQ(store.terminals()[109], 1);
  EXPECT_EQ(store.truncateds()[333], 1);
  for (size_t row = 0; row < 109; ++row) {
    const size_t at = row * env::kRamBytes;
    EXPECT_EQ(store.ram()[at + static_cast<size_t>(env::RamByte("catch", "ball_y"))], row % 11)
        << "RAM belongs to the frame before the action";
    EXPECT_EQ(store.rewards()[row] != 0, row % 11 == 10);
  }
}

TEST(CollectEpisodes, LeavesNothingBehindWhenInterrupted) {
  const fs::path path = FreshPath("interrupted");
  env::RandomPlayer player;
  SetInterruptRequested(true);
  EXPECT_THROW(CollectEpisodes(Options("catch", 100, 1), player, path), Interrupted);
  SetInterruptRequested(false);
  EXPECT_FALSE(fs::exists(path));
  EXPECT_FALSE(fs::exists(path.string() + ".shards"));
}

TEST(CollectEpisodes, IgnoresWhatAKilledRunLeft) {
  const std::string bytes = Bytes(Record("clean", Options("catch", 300, 1)));
  const fs::path path = FreshPath("killed");
  for (const char* rest : {".shards", ".partial"}) {
    const fs::path left = FreshPath("killed" + std::string(rest));
    const TemporaryDirectory directory(FreshPath("alive"));
    WriteFileAtomically(directory.path() / "0000.partial/new/frames.bin", "half");
    fs::copy(directory.path(), left, fs::copy_options::recursive);
  }
  env::MixturePlayer player;
  CollectEpisodes(Options("catch", 300, 1), player, path);
  EXPECT_EQ(Bytes(path), bytes);
  EXPECT_FALSE(fs::exists(path.string() + ".shards"));
  EXPECT_FALSE(fs::exists(path.string() + ".partial"));
}

TEST(CollectEpisodes, SomebodysFilesAreRefusedUntouched) {
  env::RandomPlayer player;
  const fs::path path = FreshPath("somebodys");
  for (const char* file : {"x/thesis.tex", "x.shards/thesis.tex", "x.partial/thesis.tex"}) {
    WriteFileAtomically(path / file, "Chapter 1");
    EXPECT_TRUE(
        ThrowsUserError([&] { CollectEpisodes(Options("catch", 10, 1), player, path / "x"); }));
    EXPECT_EQ(ReadFile(path / file), "Chapter 1");
    fs::remove_all(path);
  }
}

TEST(CollectEpisodes, ARefusalLeavesNoTrace) {
  env::RandomPlayer player;
  const fs::path path = FreshPath("refused");
  EXPECT_TRUE(ThrowsUserError(
      [&] { CollectEpisodes(Options("cacth", 10, 1), player, path / "deep/down"); }));
  EXPECT_FALSE(fs::exists(path));
}

TEST(CollectEpisodes, RefusesBadTargetsBeforeWork) {
  env::RandomPlayer player;
  EXPECT_TRUE(ThrowsUserError(
      [&] { CollectEpisodes(Options("catch", 10, 1), player, "/proc/nowhere/store"); }));
  EXPECT_TRUE(
      ThrowsUserError([&] { CollectEpisodes(Options("catch", 0, 1), player, FreshPath("none")); }));
}

#ifdef HID_WITH_ALE
TEST(CollectEpisodes, RecordsPong) {
  const fs::path path = Record("pong", Options("pong", 300, 2));
  const EpisodeStore store(path);
  EXPECT_EQ(store.size(), 300);
  EXPECT_EQ(store.num_actions(), 6);
  EXPECT_LT(store.frame_bytes(), 300U * 1000);
  EXPECT_EQ(Bytes(path), Bytes(Record("pong_again", Options("pong", 300, 1))));
}
#endif

}  // namespace
}  // namespace hidreamer::data
