#pragma once

#include <gtest/gtest.h>

#include <array>
#include <filesystem>
#include <string>
#include <vector>

#include "hidreamer/base/error.h"
#include "hidreamer/data/episode_store.h"

// A made-up recording for tests.
namespace hidreamer::data {

inline std::filesystem::path FreshPath(const std::string& name) {
  const std::filesystem::path path = std::filesystem::path(::testing::TempDir()) / name;
  std::filesystem::remove_all(path);
  return path;
}

// Row t's frame has every byte (7 t + i) mod 251, its RAM all t, action t mod 3, reward t.
inline std::array<uint8_t, env::kFrameBytes> TestFrame(int64_t row) {
  std::array<uint8_t, env::kFrameBytes> frame{};
  for (size_t i = 0; i < frame.size(); ++i) {
    frame[i] = static_cast<uint8_t>((7 * static_cast<size_t>(row) + i) % 251);
  }
  return frame;
}

inline void AppendTestRow(EpisodeStoreWriter& writer, int64_t row, bool terminal) {
  std::array<uint8_t, env::kRamBytes> ram{};
  ram.fill(static_cast<uint8_t>(row));
  const auto frame = TestFrame(row);
  writer.Append({.frame = frame,
                 .action = static_cast<int>(row % 3),
                 .result = {.reward = static_cast<float>(row), .terminal = terminal, .lives = 2},
                 .ram = ram});
}

inline StoreInfo TestInfo() {
  return {.game = "test",
          .protocol = "v5",
          .policy = "made up",
          .action_names = {"A", "B", "C"},
          .seed = 9,
          .extra = {{"note", "x"}}};
}

// `rows` rows whose rows in `ends` are terminal.
inline void WriteTestStore(const std::filesystem::path& path, int64_t rows,
                           const std::vector<int64_t>& ends) {
  EpisodeStoreWriter writer(path, TestInfo());
  for (int64_t row = 0; row < rows; ++row) {
    bool terminal = false;
    for (const int64_t end : ends) {
      terminal = terminal || end == row;
    }
    AppendTestRow(writer, row, terminal);
  }
  writer.Finish();
}

// Is it a user Error?
template <typename Work>
bool ThrowsUserError(Work work) {
  try {
    work();
  } catch (const Error& error) {
    return error.kind() == Error::Kind::kUser;
  }
  return false;
}

}  // namespace hidreamer::data
