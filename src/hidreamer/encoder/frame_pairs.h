#pragma once

#include <torch/torch.h>

#include <vector>

#include "hidreamer/base/seed.h"
#include "hidreamer/data/episode_store.h"
#include "hidreamer/data/windows.h"

namespace hidreamer::encoder {

// A recorded game and which of its episodes are trained on. `store` outlives whoever holds this.
struct EncoderGame {
  data::EpisodeStore* store = nullptr;
  data::EpisodeSplit split;
};

// Where an observation lies.
struct FrameRow {
  int32_t game = 0;
  int32_t episode = 0;  // index of its range in the game's list
  int64_t row = 0;      // row of the store
};

// Of all frames of the games, each once.
int64_t BytesOfFrames(const std::vector<EncoderGame>& games);

// Frames closer than this in one episode are near-duplicates, not negatives.
constexpr int64_t kMinNegativeDistance = 10;  // steps

// All (t, t + 1) inside the given ranges, as their first rows.
std::vector<FrameRow> AnchorsOf(const std::vector<EncoderGame>& games, bool validation);

// (B, B) bool, true where the positive of row j is no fair negative of anchor i: same episode and
// less than kMinNegativeDistance steps away. The diagonal is true.
torch::Tensor ExcludedNegatives(const std::vector<FrameRow>& anchors);

// A row of each anchor's game among that game's training rows, at least kMinNegativeDistance rows
// away. Throws a user Error where a game is too short for that.
std::vector<FrameRow> DrawNegatives(const std::vector<EncoderGame>& games,
                                    const std::vector<FrameRow>& anchors, Rng& rng);

// Observations of the rows: (rows.size(), 4, 84, 84) u8. Read in the order of the recordings, so
// that neighbours are decompressed once.
torch::Tensor GatherFrames(const std::vector<EncoderGame>& games,
                           const std::vector<FrameRow>& rows);

}  // namespace hidreamer::encoder
