#include "hidreamer/encoder/frame_pairs.h"

#include <algorithm>
#include <cstdlib>
#include <numeric>
#include <utility>

#include "hidreamer/base/error.h"

namespace hidreamer::encoder {
namespace {

constexpr size_t kObservationBytes = size_t{env::kStackDepth} * env::kFrameBytes;

int64_t TotalRows(const std::vector<data::EpisodeRange>& episodes) {
  return std::accumulate(episodes.begin(), episodes.end(), int64_t{0},
                         [](int64_t sum, const data::EpisodeRange& e) { return sum + e.size(); });
}

// The index-th row of the ranges laid end to end.
int64_t RowAt(const std::vector<data::EpisodeRange>& episodes, int64_t index, int32_t* episode) {
  *episode = 0;
  for (const data::EpisodeRange& range : episodes) {
    if (index < range.size()) {
      return range.begin + index;
    }
    index -= range.size();
    ++*episode;
  }
  HID_CHECK(false, "index beyond the last episode");
}

}  // namespace

int64_t BytesOfFrames(const std::vector<EncoderGame>& games) {
  int64_t rows = 0;
  for (const EncoderGame& game : games) {
    rows += game.store->size();
  }
  return rows * int64_t{env::kFrameBytes};
}

std::vector<FrameRow> AnchorsOf(const std::vector<EncoderGame>& games, bool validation) {
  std::vector<FrameRow> anchors;
  for (size_t g = 0; g < games.size(); ++g) {
    const auto& episodes = validation ? games[g].split.validation : games[g].split.train;
    for (size_t e = 0; e < episodes.size(); ++e) {
      for (int64_t row = episodes[e].begin; row + 1 < episodes[e].end; ++row) {
        anchors.push_back({static_cast<int32_t>(g), static_cast<int32_t>(e), row});
      }
    }
  }
  return anchors;
}

torch::Tensor ExcludedNegatives(const std::vector<FrameRow>& anchors) {
  const auto batch = static_cast<int64_t>(anchors.size());
  torch::Tensor excluded = torch::zeros({batch, batch}, torch::kBool);
  bool* out = excluded.data_ptr<bool>();
  for (size_t i = 0; i < anchors.size(); ++i) {
    for (size_t j = 0; j < anchors.size(); ++j) {
      const FrameRow& anchor = anchors[i];
      const FrameRow& other = anchors[j];
      *out++ = i == j || (anchor.game == other.game && anchor.episode == other.episode &&
                          std::abs(other.row + 1 - anchor.row) < kMinNegativeDistance);
    }
  }
  return excluded;
}

std::vector<FrameRow> DrawNegatives(const std::vector<EncoderGame>& games,
                                    const std::vector<FrameRow>& anchors, Rng& rng) {
  std::vector<FrameRow> negatives;
  negatives.reserve(anchors.size());
  std::vector<int64_t> rows_of_game;
  for (const EncoderGame& game : games) {
    rows_of_game.push_back(TotalRows(game.split.train));
  }
  for (const FrameRow& anchor : anchors) {
    const auto& game = games[static_cast<size_t>(anchor.game)];
    const int64_t rows = rows_of_game[static_cast<size_t>(anchor.game)];
    // Fewer than 2 * distance rows can all be too near to an anchor.
    if (rows < 2 * kMinNegativeDistance) {
      throw UserError("record more steps, or set encoder.negatives to batch",
                      "{} has {} training frames; a negative {} steps away needs {}",
                      game.store->info().game, rows, kMinNegativeDistance,
                      2 * kMinNegativeDistance);
    }
    FrameRow negative{.game = anchor.game};
    do {
      negative.row = RowAt(game.split.train, rng.UniformInt(rows), &negative.episode);
    } while (std::abs(negative.row - anchor.row) < kMinNegativeDistance);
    negatives.push_back(negative);
  }
  return negatives;
}

torch::Tensor GatherFrames(const std::vector<EncoderGame>& games,
                           const std::vector<FrameRow>& rows) {
  torch::Tensor frames = torch::empty(
      {static_cast<int64_t>(rows.size()), env::kStackDepth, env::kFrameSize, env::kFrameSize},
      torch::kUInt8);
  std::vector<size_t> order(rows.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(), [&rows](size_t a, size_t b) {
    return std::pair(rows[a].game, rows[a].row) < std::pair(rows[b].game, rows[b].row);
  });
  auto* out = frames.data_ptr<uint8_t>();
  for (const size_t i : order) {
    games[static_cast<size_t>(rows[i].game)].store->ReadStack(rows[i].row,
                                                              out + i * kObservationBytes);
  }
  return frames;
}

}  // namespace hidreamer::encoder
