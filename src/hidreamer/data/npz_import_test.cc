#include "hidreamer/data/npz_import.h"

#include <gtest/gtest.h>
#include <minizip/zip.h>
#include <zlib.h>

#include <cstring>

#include "hidreamer/base/files.h"
#include "hidreamer/data/test_recording.h"

namespace hidreamer::data {
namespace {

namespace fs = std::filesystem;

std::string Npy(const std::string& descr, const std::string& shape, const std::string& items,
                char version = 1) {
  std::string header =
      "{'descr': '" + descr + "', 'fortran_order': False, 'shape': " + shape + ", }\n";
  std::string bytes = "\x93NUMPY";
  bytes += version;
  bytes += '\0';
  bytes += static_cast<char>(header.size());
  bytes += std::string(version == 1 ? 1 : 3, '\0');
  return bytes + header + items;
}

template <typename T>
std::string Items(const std::vector<T>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)};
}

using Arrays = std::vector<std::pair<std::string, std::string>>;

fs::path WriteZip(const std::string& name, const Arrays& arrays, int level) {
  const fs::path path = FreshPath(name);
  const zipFile zip = zipOpen64(path.c_str(), APPEND_STATUS_CREATE);
  for (const auto& [array, bytes] : arrays) {
    const zip_fileinfo info = {};
    zipOpenNewFileInZip64(zip, (array + ".npy").c_str(), &info, nullptr, 0, nullptr, 0, nullptr,
                          level == 0 ? 0 : Z_DEFLATED, level, 1);
    zipWriteInFileInZip(zip, bytes.data(), static_cast<unsigned>(bytes.size()));
    zipCloseFileInZip(zip);
  }
  zipClose(zip, nullptr);
  return path;
}

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
    const fs::path npz = WriteZip("five.npz", FiveSteps(), level);
    const fs::path path = FreshPath("imported");
    const NpzImportSummary summary = ImportNpz(npz, path, {.game = "pong"});
    EXPECT_EQ(summary.steps, 5);
    EXPECT_EQ(summary.episodes, 2);
    EXPECT_EQ(summary.inconsistent_stacks, 0);
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

TEST(ImportNpz, CountsInconsistentStacks) {
  Arrays arrays = FiveSteps();
  arrays[0].second[arrays[0].second.size() - 4 * env::kFrameBytes] ^= 1;
  const NpzImportSummary summary =
      ImportNpz(WriteZip("odd.npz", arrays, 0), FreshPath("odd"), {.game = "pong"});
  EXPECT_EQ(summary.inconsistent_stacks, 1);
}

bool Refuses(const Arrays& arrays) {
  const fs::path npz = WriteZip("bad.npz", arrays, 6);
  const fs::path path = FreshPath("refused");
  return ThrowsUserError([&] { ImportNpz(npz, path, {}); }) && !fs::exists(path);
}

TEST(ImportNpz, RefusesArraysThatDoNotFit) {
  EXPECT_FALSE(Refuses(FiveSteps()));
  for (size_t missing = 0; missing < 4; ++missing) {
    Arrays arrays = FiveSteps();
    arrays.erase(arrays.begin() + static_cast<std::ptrdiff_t>(missing));
    EXPECT_TRUE(Refuses(arrays)) << missing;
  }
  const auto with = [](size_t index, const std::string& bytes) {
    Arrays arrays = FiveSteps();
    arrays[index].second = bytes;
    return arrays;
  };
  EXPECT_TRUE(Refuses(with(0, Npy("|u1", "(5, 4, 84, 84)", "too short"))));
  EXPECT_TRUE(Refuses(with(0, Npy("<f4", "(5, 4, 84, 84)", std::string(564480, '\0')))));
  EXPECT_TRUE(Refuses(with(1, Npy("<i8", "(99999999999999,)", "short"))));
  EXPECT_TRUE(Refuses(with(1, Npy("<i8", "(4,)", Items<int64_t>({0, 2, 1, 3})))));
  EXPECT_TRUE(Refuses(with(1, Npy(">i8", "(5,)", Items<int64_t>({0, 2, 1, 3, 0})))));
  EXPECT_TRUE(Refuses(with(1, Npy("<i8", "(5,)", Items<int64_t>({0, 2, -1, 3, 0})))));
  EXPECT_TRUE(Refuses(with(1, Npy("|O8", "(5,)", Items<int64_t>({0, 2, 1, 3, 0})))));
  EXPECT_TRUE(Refuses(with(2, "no array")));
}

TEST(ImportNpz, RefusesEveryTruncation) {
  const fs::path npz = WriteZip("whole.npz", FiveSteps(), 6);
  const std::string bytes = ReadFile(npz);
  for (size_t part = 0; part < 8; ++part) {
    WriteFileAtomically(npz, bytes.substr(0, bytes.size() * part / 8));
    EXPECT_TRUE(ThrowsUserError([&] { ImportNpz(npz, FreshPath("cut"), {}); })) << part;
  }
}

}  // namespace
}  // namespace hidreamer::data
