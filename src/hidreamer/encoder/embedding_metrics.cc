#include "hidreamer/encoder/embedding_metrics.h"

#include <algorithm>
#include <utility>

#include "hidreamer/base/error.h"
#include "hidreamer/encoder/embed.h"

namespace hidreamer::encoder {
namespace {

using RowPairs = std::pair<std::vector<int64_t>, std::vector<int64_t>>;

torch::Tensor AsIndex(const std::vector<int64_t>& rows) {
  return torch::tensor(rows, torch::kLong);
}

// Rows of the episodes that have a successor (`before_end` 1), or all of them (0).
std::vector<int64_t> RowsOf(const std::vector<data::EpisodeRange>& episodes, int64_t before_end,
                            int64_t offset = 0) {
  std::vector<int64_t> rows;
  for (const data::EpisodeRange& episode : episodes) {
    for (int64_t row = episode.begin; row + before_end < episode.end; ++row) {
      rows.push_back(row + offset);
    }
  }
  return rows;
}

int64_t Draw(const std::vector<int64_t>& rows, Rng& rng) {
  return rows[static_cast<size_t>(rng.UniformInt(static_cast<int64_t>(rows.size())))];
}

RowPairs DrawConsecutive(const std::vector<int64_t>& starts, int64_t pairs, Rng& rng) {
  RowPairs drawn;
  for (int64_t i = 0; i < pairs; ++i) {
    const int64_t row = Draw(starts, rng);
    drawn.first.push_back(row);
    drawn.second.push_back(row + 1);
  }
  return drawn;
}

// Two different rows each.
RowPairs DrawRandom(const std::vector<int64_t>& rows, int64_t pairs, Rng& rng) {
  RowPairs drawn;
  for (int64_t i = 0; i < pairs; ++i) {
    const int64_t first = Draw(rows, rng);
    int64_t second = first;
    while (second == first) {
      second = Draw(rows, rng);
    }
    drawn.first.push_back(first);
    drawn.second.push_back(second);
  }
  return drawn;
}

double MeanDistance(const torch::Tensor& a, const torch::Tensor& b) {
  return (a.to(torch::kDouble) - b.to(torch::kDouble)).norm(2, 1).mean().item<double>();
}

// consecutive and random are pairs of (P, D) tensors.
EmbeddingMetrics FromPairs(const torch::Tensor& before, const torch::Tensor& after,
                           const torch::Tensor& one, const torch::Tensor& other) {
  EmbeddingMetrics metrics;
  metrics.consecutive_distance = MeanDistance(before, after);
  metrics.diversity = MeanDistance(one, other);
  metrics.temporal_consistency =
      metrics.diversity > 0 ? metrics.consecutive_distance / metrics.diversity : 0;
  const torch::Tensor rows = one.to(torch::kDouble);  // (P, D)
  metrics.mean_norm = rows.norm(2, 1).mean().item<double>();
  // tr(C)^2 / tr(C^2) of the covariance C: no eigenvalues needed.
  const torch::Tensor centered = rows - rows.mean(0, /*keepdim=*/true);
  const torch::Tensor covariance = torch::mm(centered.t(), centered);  // (D, D)
  const double squares = covariance.square().sum().item<double>();
  const double trace = covariance.trace().item<double>();
  metrics.effective_dimensions = squares > 0 ? trace * trace / squares : 0;
  return metrics;
}

void RequirePairs(const std::vector<int64_t>& starts, const std::vector<int64_t>& rows) {
  if (starts.empty() || rows.size() < 2) {
    throw UserError("record longer episodes", "no two consecutive frames to measure on");
  }
}

}  // namespace

void to_json(nlohmann::json& json, const EmbeddingMetrics& metrics) {
  json = {{"temporal_consistency", metrics.temporal_consistency},
          {"consecutive_distance", metrics.consecutive_distance},
          {"diversity", metrics.diversity},
          {"mean_norm", metrics.mean_norm},
          {"effective_dimensions", metrics.effective_dimensions}};
}

EmbeddingMetrics MeasureEmbeddings(const EmbeddedGame& game, const SeedTree& seeds, int64_t pairs) {
  return MeasureJointEmbeddings({game}, seeds, pairs);
}

EmbeddingMetrics MeasureJointEmbeddings(const std::vector<EmbeddedGame>& games,
                                        const SeedTree& seeds, int64_t pairs) {
  // Rows are numbered as if the games lay one behind the other.
  std::vector<int64_t> starts, rows, first_row;
  int64_t offset = 0;
  for (const EmbeddedGame& game : games) {
    const auto game_starts = RowsOf(game.episodes, 1, offset);
    const auto game_rows = RowsOf(game.episodes, 0, offset);
    starts.insert(starts.end(), game_starts.begin(), game_starts.end());
    rows.insert(rows.end(), game_rows.begin(), game_rows.end());
    first_row.push_back(offset);
    offset += game.embeddings.size(0);
  }
  RequirePairs(starts, rows);
  std::vector<torch::Tensor> tables;  // f32 on the CPU, row by row
  for (const EmbeddedGame& game : games) {
    tables.push_back(game.embeddings.to(torch::kCPU, torch::kFloat).contiguous());
  }
  const auto gather = [&tables, &first_row](const std::vector<int64_t>& wanted) {
    const int64_t width = tables.front().size(1);
    torch::Tensor out = torch::empty({static_cast<int64_t>(wanted.size()), width});
    for (size_t i = 0; i < wanted.size(); ++i) {
      const auto g = static_cast<size_t>(
          std::upper_bound(first_row.begin(), first_row.end(), wanted[i]) - first_row.begin() - 1);
      std::copy_n(tables[g].data_ptr<float>() + (wanted[i] - first_row[g]) * width, width,
                  out.data_ptr<float>() + static_cast<int64_t>(i) * width);
    }
    return out;
  };
  Rng rng = seeds.Generator("encoder/metrics");
  const RowPairs consecutive = DrawConsecutive(starts, pairs, rng);
  const RowPairs random = DrawRandom(rows, pairs, rng);
  return FromPairs(gather(consecutive.first), gather(consecutive.second), gather(random.first),
                   gather(random.second));
}

EmbeddingMetrics MeasureEncoder(Encoder encoder, const data::EpisodeStore& store,
                                const std::vector<data::EpisodeRange>& episodes,
                                const SeedTree& seeds, int64_t pairs) {
  const auto starts = RowsOf(episodes, 1);
  const auto rows = RowsOf(episodes, 0);
  RequirePairs(starts, rows);
  Rng rng = seeds.Generator("encoder/metrics");
  const RowPairs consecutive = DrawConsecutive(starts, pairs, rng);
  const torch::Tensor before = EmbedRows(encoder, store, consecutive.first);
  const torch::Tensor after = EmbedRows(encoder, store, consecutive.second);
  // Random pairs among the frames just embedded, so that each frame is embedded once.
  std::vector<int64_t> positions(static_cast<size_t>(pairs));
  for (size_t i = 0; i < positions.size(); ++i) {
    positions[i] = static_cast<int64_t>(i);
  }
  const RowPairs random = DrawRandom(positions, pairs, rng);
  return FromPairs(before, after, before.index_select(0, AsIndex(random.first)),
                   before.index_select(0, AsIndex(random.second)));
}

}  // namespace hidreamer::encoder
