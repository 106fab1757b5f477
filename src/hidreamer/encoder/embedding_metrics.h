#pragma once

#include <torch/torch.h>

#include <nlohmann/json.hpp>
#include <vector>

#include "hidreamer/base/seed.h"
#include "hidreamer/data/episode_store.h"
#include "hidreamer/encoder/encoder.h"

// How an encoder's embeddings lie in space; the reference's text reports consistency 0.260 and
// diversity 1.411 for one game, norm 1.0 and ratio 0.22 for three.
namespace hidreamer::encoder {

struct EmbeddingMetrics {
  // Mean distance of consecutive frames of an episode / mean distance of random pairs: the text's
  // "temporal consistency" and "temporal ratio". Low: neighbours in time lie close.
  double temporal_consistency = 0;
  double consecutive_distance = 0;
  // Mean L2 distance of random pairs; sqrt(2) for directions without any preference.
  double diversity = 0;
  double mean_norm = 0;
  // Effective number of dimensions: (sum of covariance eigenvalues)^2 / sum of their squares.
  double effective_dimensions = 0;
};
void to_json(nlohmann::json& json, const EmbeddingMetrics& metrics);

struct EmbeddedGame {
  torch::Tensor embeddings;  // (N, D) f32
  std::vector<data::EpisodeRange> episodes;
};

// Over `pairs` pairs of each kind, drawn with replacement from the given episodes.
EmbeddingMetrics MeasureEmbeddings(const EmbeddedGame& game, const SeedTree& seeds,
                                   int64_t pairs = 20000);
// The games as one set: consecutive pairs inside each game's episodes, random pairs across all.
EmbeddingMetrics MeasureJointEmbeddings(const std::vector<EmbeddedGame>& games,
                                        const SeedTree& seeds, int64_t pairs = 20000);
// Embeds no more than it needs: for encoders whose embeddings are not at hand (an untrained one, as
// baseline).
EmbeddingMetrics MeasureEncoder(Encoder encoder, const data::EpisodeStore& store,
                                const std::vector<data::EpisodeRange>& episodes,
                                const SeedTree& seeds, int64_t pairs = 2000);

}  // namespace hidreamer::encoder
