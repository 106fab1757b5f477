#include "hidreamer/data/npz_import.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>

#include "hidreamer/base/files.h"
#include "hidreamer/data/test_npz.h"
#include "hidreamer/data/test_recording.h"

namespace hidreamer::data {
namespace {

namespace fs = std::filesystem;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

// Five steps in two episodes (3 + 2); stacks repeat the first frame.
Arrays FiveSteps() {
  const std::array<std::array<int64_t, 4>, 5> stacks = {
      {{0, 0, 0, 0}, {0, 0, 0, 1}, {0, 0, 1, 2}, {3, 3, 3, 3}, {3, 3, 3, 4}}};
  std::string states;
  for (const auto& stack : stacks) {
    for (const int64_t row : stack) {
      const auto frame = TestFrame(row);
      states.append(frame.begin(), frame.end());
    }
  }
  return {{"states", Npy("|u1", "(5, 4, 84, 84)", states)},
          {"actions", Npy("<i8", "(5,)", Items<int64_t>({0, 2, 1, 3, 0}), 2)},
          {"rewards", Npy("<f8", "(5,)", Items<double>({0, 1, 0, -1, 0}))},
          {"dones", Npy("|b1", "(5,)", Items<uint8_t>({0, 0, 1, 0, 0}))}};
}

TEST(ImportNpz, KeepsTheNewestFrames) {
  for (const int level : {0, 6}) {
    const fs::path npz = WriteNpz("five.npz", FiveSteps(), level);
    const fs::path path = FreshPath("imported");
    const NpzImportSummary summary = ImportNpz(npz, path, {.game = "pong"});
    EXPECT_EQ(summary.steps, 5);
    EXPECT_EQ(summary.episodes, 2);
    EXPECT_THAT(summary.notes, testing::IsEmpty());
    const EpisodeStore store(path);
    ASSERT_EQ(store.size(), 5);
    EXPECT_EQ(store.num_actions(), 4);
    EXPECT_EQ(store.actions()[1], 2);
    EXPECT_EQ(store.rewards()[3], -1.0F);
    EXPECT_EQ(store.terminals()[2], 1);
    EXPECT_EQ(store.episodes().size(), 2U);
    std::vector<uint8_t> frames(5 * env::kFrameBytes);
    store.ReadFrames(0, 5, frames.data());
    for (int64_t row = 0; row < 5; ++row) {
      const auto frame = TestFrame(row);
      EXPECT_EQ(std::memcmp(frame.data(), frames.data() + row * env::kFrameBytes, frame.size()), 0);
    }
  }
}

// Imports the arrays with one of them, or more, replaced; what the store holds then.
struct Imported {
  NpzImportSummary summary;
  EpisodeStore store;
};
Arrays With(const Arrays& changes) {
  Arrays arrays = FiveSteps();
  for (const auto& [name, bytes] : changes) {
    const auto old = std::find_if(arrays.begin(), arrays.end(),
                                  [&](const auto& array) { return array.first == name; });
    if (old == arrays.end()) {
      arrays.emplace_back(name, bytes);
    } else {
      old->second = bytes;
    }
  }
  return arrays;
}
Imported Import(const Arrays& arrays, const NpzImportOptions& options = {}) {
  const fs::path path = FreshPath("changed");
  const NpzImportSummary summary = ImportNpz(WriteNpz("changed.npz", arrays, 6), path, options);
  return {summary, EpisodeStore(path)};
}

// What it says on refusing; nothing may be written then.
std::string Refusal(const Arrays& arrays, const NpzImportOptions& options = {}) {
  const fs::path npz = WriteNpz("bad.npz", arrays, 6);
  const fs::path path = FreshPath("refused");
  try {
    ImportNpz(npz, path, options);
    return "";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), Error::Kind::kUser) << error.what();
    EXPECT_FALSE(fs::exists(path));
    EXPECT_FALSE(fs::exists(fs::path(path) += ".recording"));
    return error.what();
  }
}

Arrays Without(const std::string& name) {
  Arrays arrays = FiveSteps();
  std::erase_if(arrays, [&](const auto& array) { return array.first == name; });
  return arrays;
}

std::string Rewards(double odd) { return Npy("<f8", "(5,)", Items<double>({0, 1, 0, odd, 0})); }

TEST(ImportNpz, NamesTheRowOfARewardThatIsNoNumber) {
  const double nan = std::nan("");
  EXPECT_THAT(Refusal(With({{"rewards", Rewards(nan)}})), HasSubstr("row 3 of 'rewards' is nan"));
  EXPECT_THAT(Refusal(With({{"rewards", Rewards(-std::numeric_limits<double>::infinity())}})),
              HasSubstr("row 3 of 'rewards' is -inf"));
  EXPECT_THAT(Refusal(With({{"rewards", Rewards(1e39)}})),
              HasSubstr("row 3 of 'rewards' is 1e+39"));
  EXPECT_THAT(Refusal(With({{"actions", Npy("<f8", "(5,)", Items<double>({0, nan, 1, 3, 0}))}})),
              HasSubstr("row 1 of 'actions' is nan"));
  EXPECT_THAT(Refusal(With({{"dones", Npy("<f8", "(5,)", Items<double>({0, 0, nan, 0, 0}))}})),
              HasSubstr("row 2 of 'dones' is nan"));
}

TEST(ImportNpz, ChecksActionsAgainstTheGame) {
  const NpzImportOptions three = {.game = "catch", .action_names = {"STAY", "LEFT", "RIGHT"}};
  EXPECT_THAT(Refusal(FiveSteps(), three),
              HasSubstr("row 3 of 'actions' is 3, which is no action of the game; catch has 3 "
                        "actions: 0 STAY, 1 LEFT, 2 RIGHT"));
  NpzImportOptions mapped = three;
  mapped.actions = "0=0,1=LEFT,2=2,3=RIGHT";
  const Imported imported = Import(FiveSteps(), mapped);
  EXPECT_THAT(imported.store.actions(), ElementsAre(0, 2, 1, 2, 0));
  EXPECT_EQ(imported.store.info().action_names, three.action_names);
}

TEST(ImportNpz, SaysWhichArrayDoesNotFitAndHow) {
  for (const char* name : {"states", "actions", "rewards"}) {
    EXPECT_THAT(Refusal(Without(name)), HasSubstr(name));
  }
  EXPECT_THAT(Refusal(With({{"rewards", Npy("<f4", "(4,)", Items<float>({0, 1, 0, -1}))}})),
              HasSubstr("array 'rewards' of"));
  EXPECT_THAT(Refusal(With({{"rewards", Npy("<f4", "(4,)", Items<float>({0, 1, 0, -1}))}})),
              HasSubstr("has 4 rows, the states have 5"));
  EXPECT_THAT(Refusal(With({{"actions", Npy("<i8", "(99999999999999,)", "short")}})),
              HasSubstr("'actions'"));
  EXPECT_THAT(Refusal(With({{"actions", Npy("<i8", "(5, 2)", std::string(80, '\0'))}})),
              HasSubstr("shape (5, 2)"));
  EXPECT_THAT(Refusal(With({{"actions", Npy(">i8", "(5,)", std::string(40, '\0'))}})),
              HasSubstr("'actions' has item type"));
  EXPECT_THAT(Refusal(With({{"actions", Npy("|O8", "(5,)", std::string(40, '\0'))}})),
              HasSubstr("'actions' has item type"));
  EXPECT_THAT(Refusal(With({{"actions", Npy("<i8", "(5,)", Items<int64_t>({0, 2, -1, 3, 0}))}})),
              HasSubstr("row 2 of 'actions' is -1"));
  EXPECT_THAT(Refusal(With({{"dones", Npy("<i8", "(5,)", Items<int64_t>({0, 0, 2, 0, 0}))}})),
              HasSubstr("row 2 of 'dones' is 2"));
  EXPECT_THAT(Refusal(With({{"states", Npy("|u1", "(5, 4, 80, 80)", "")}})),
              HasSubstr("'states' has shape (5, 4, 80, 80)"));
  EXPECT_THAT(Refusal(With({{"done", Npy("|b1", "(5,)", std::string(5, '\0'))}})),
              HasSubstr("both 'dones' and 'done'"));
  EXPECT_NE(Refusal(With({{"states", Npy("|u1", "(5, 4, 84, 84)", "too short")}})), "");
  EXPECT_NE(Refusal(With({{"rewards", "no array"}})), "");
}

TEST(ImportNpz, EndsEpisodesWhereTheStacksRestart) {
  const std::string none = Npy("|b1", "(5,)", std::string(5, '\0'));
  for (const Arrays& arrays : {With({{"dones", none}}), Without("dones")}) {
    const Imported imported = Import(arrays);
    EXPECT_EQ(imported.summary.episodes, 2);
    EXPECT_THAT(imported.summary.notes,
                Contains(HasSubstr("no end is marked: 1 episodes are cut")));
    EXPECT_THAT(imported.store.terminals(), ElementsAre(0, 0, 0, 0, 0));
    EXPECT_THAT(imported.store.truncateds(), ElementsAre(0, 0, 1, 0, 1));
  }
}

TEST(ImportNpz, RefusesStacksInAnotherOrder) {
  Arrays arrays = FiveSteps();
  std::string& states = arrays[0].second;
  const size_t header = states.size() - 20 * env::kFrameBytes;
  const auto swap = [&](size_t a, size_t b) {
    std::swap_ranges(
        states.begin() + static_cast<std::ptrdiff_t>(header + a * env::kFrameBytes),
        states.begin() + static_cast<std::ptrdiff_t>(header + (a + 1) * env::kFrameBytes),
        states.begin() + static_cast<std::ptrdiff_t>(header + b * env::kFrameBytes));
  };
  for (size_t row = 0; row < 5; ++row) {
    swap(4 * row, 4 * row + 3);
    swap(4 * row + 1, 4 * row + 2);
  }
  EXPECT_THAT(Refusal(arrays), HasSubstr("newest frame first"));
  for (size_t i = 0; i < 20; ++i) {
    states[header + i * env::kFrameBytes] = static_cast<char>(i);
  }
  EXPECT_THAT(Refusal(arrays), HasSubstr("do not continue the one before"));
}

TEST(ImportNpz, TakesTerminalsAndTruncationsApart) {
  Arrays arrays = Without("dones");
  arrays.emplace_back("terminations", Npy("|b1", "(5, 1)", Items<uint8_t>({0, 1, 0, 0, 0})));
  arrays.emplace_back("truncations", Npy("<f4", "(5,)", Items<float>({0, 0, 1, 0, 0})));
  const Imported imported = Import(arrays);
  EXPECT_THAT(imported.store.terminals(), ElementsAre(0, 1, 0, 0, 0));
  EXPECT_THAT(imported.store.truncateds(), ElementsAre(0, 0, 1, 0, 1));
}

TEST(ImportNpz, TakesColumnsOfAnyNumbersAndOneColumnTables) {
  const Imported imported =
      Import(With({{"actions", Npy("<f4", "(5, 1)", Items<float>({0, 2, 1, 3, 0}))},
                   {"rewards", Npy("|i1", "(5,)", Items<int8_t>({0, 1, 0, -1, 0}))},
                   {"dones", Npy("<i4", "(5, 1)", Items<int32_t>({0, 0, 1, 0, 0}))}}));
  EXPECT_THAT(imported.store.actions(), ElementsAre(0, 2, 1, 3, 0));
  EXPECT_THAT(imported.store.rewards(), ElementsAre(0, 1, 0, -1, 0));
  EXPECT_EQ(imported.summary.episodes, 2);
}

// The frames of FiveSteps in other layouts and types give the same recording.
std::vector<uint8_t> FiveFrames() {
  std::vector<uint8_t> frames;
  for (int64_t row = 0; row < 5; ++row) {
    const auto frame = TestFrame(row);
    frames.insert(frames.end(), frame.begin(), frame.end());
  }
  return frames;
}
std::vector<uint8_t> FramesOf(const EpisodeStore& store) {
  std::vector<uint8_t> frames(static_cast<size_t>(store.size()) * env::kFrameBytes);
  store.ReadFrames(0, store.size(), frames.data());
  return frames;
}

TEST(ImportNpz, TakesStatesInEveryClearLayout) {
  const std::string whole = FiveSteps()[0].second;
  const std::string stacks = whole.substr(whole.size() - 20 * env::kFrameBytes);
  std::string channels_last(stacks.size(), '\0'), fortran = channels_last, both = channels_last;
  for (size_t n = 0; n < 5; ++n) {
    for (size_t c = 0; c < 4; ++c) {
      for (size_t y = 0; y < 84; ++y) {
        for (size_t x = 0; x < 84; ++x) {
          const char byte = stacks[((n * 4 + c) * 84 + y) * 84 + x];
          channels_last[((n * 84 + y) * 84 + x) * 4 + c] = byte;
          fortran[((x * 84 + y) * 4 + c) * 5 + n] = byte;
          both[((c * 84 + x) * 84 + y) * 5 + n] = byte;
        }
      }
    }
  }
  const std::vector<uint8_t> frames = FiveFrames();
  const std::string single(frames.begin(), frames.end());
  const std::pair<std::string, std::string> layouts[] = {
      {Npy("|u1", "(5, 84, 84, 4)", channels_last), "channels last"},
      {Npy("|u1", "(5, 4, 84, 84)", fortran, 1, true), "Fortran order"},
      {Npy("|u1", "(5, 84, 84, 4)", both, 1, true), "channels last"},
      {Npy("|u1", "(5, 84, 84)", single), "single frames"},
      {Npy("|u1", "(5, 1, 84, 84)", single), "single frames"},
      {Npy("|u1", "(5, 84, 84, 1)", single), "single frames"},
  };
  for (const auto& [states, note] : layouts) {
    const Imported imported = Import(With({{"states", states}}));
    EXPECT_TRUE(FramesOf(imported.store) == frames) << note;
    EXPECT_THAT(imported.summary.notes, Contains(HasSubstr(note)));
    EXPECT_EQ(imported.summary.episodes, 2) << note;
  }
}

template <typename T>
std::string StatesAs(const std::string& type, T scale) {
  std::vector<T> items;
  for (const uint8_t byte : FiveFrames()) {
    items.push_back(static_cast<T>(byte) / scale);
  }
  return Npy(type, "(5, 84, 84)", Items(items));
}

TEST(ImportNpz, TakesFractionsAndWholeNumbersForPictures) {
  for (const std::string& states : {StatesAs<float>("<f4", 255), StatesAs<double>("<f8", 255),
                                    StatesAs<float>("<f4", 1), StatesAs<int32_t>("<i4", 1)}) {
    EXPECT_TRUE(FramesOf(Import(With({{"states", states}})).store) == FiveFrames());
  }
  EXPECT_THAT(Refusal(With({{"states", StatesAs<float>("<f4", 2)}})),
              HasSubstr("neither whole nor fractions"));
  EXPECT_THAT(Refusal(With({{"states", StatesAs<float>("<f4", -1)}})),
              HasSubstr("row 0 of 'states' holds -"));
  EXPECT_THAT(Refusal(With({{"states", StatesAs<double>("<f8", 0)}})),
              HasSubstr("row 0 of 'states' holds"));
  EXPECT_THAT(Refusal(With({{"states", Npy("|u1", "(5, 84, 84)", std::string(35280, '\1'))}})),
              HasSubstr("nothing but 0 and 1"));
}

TEST(ImportNpz, RefusesEveryTruncation) {
  const fs::path npz = WriteNpz("whole.npz", FiveSteps(), 6);
  const std::string bytes = ReadFile(npz);
  for (size_t part = 0; part < 8; ++part) {
    WriteFileAtomically(npz, bytes.substr(0, bytes.size() * part / 8));
    EXPECT_TRUE(ThrowsUserError([&] { ImportNpz(npz, FreshPath("cut"), {}); })) << part;
  }
}

}  // namespace
}  // namespace hidreamer::data
