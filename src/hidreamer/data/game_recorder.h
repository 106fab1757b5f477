#pragma once

#include <algorithm>
#include <array>
#include <filesystem>

#include "hidreamer/data/episode_store.h"
#include "hidreamer/env/environment.h"

namespace hidreamer::data {

// Writes a game down, step by step: keeps what it showed before a step, which belongs to the row.
class GameRecorder {
 public:
  GameRecorder(const std::filesystem::path& path, const StoreInfo& info) : writer_(path, info) {}

  // What the next step will begin from; after a reset, and by Append.
  void Observe(const env::Environment& game) {
    std::copy(game.frame().begin(), game.frame().end(), frame_.begin());
    std::copy(game.ram().begin(), game.ram().end(), ram_.begin());
  }
  // The step that `action` has led to. Of a game that is then reset, Observe again.
  void Append(const env::Environment& game, int action, const env::StepResult& result) {
    writer_.Append({.frame = frame_, .action = action, .result = result, .ram = ram_});
    Observe(game);
  }
  EpisodeStoreWriter& writer() { return writer_; }

 private:
  EpisodeStoreWriter writer_;
  std::array<uint8_t, env::kFrameBytes> frame_{};
  std::array<uint8_t, env::kRamBytes> ram_{};
};

}  // namespace hidreamer::data
