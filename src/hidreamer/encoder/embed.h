#pragma once

#include <torch/torch.h>

#include <span>

#include "hidreamer/data/episode_store.h"
#include "hidreamer/encoder/encoder.h"

namespace hidreamer::encoder {

// Embeddings of all observations of a store, (N, D) f32 on the CPU, in f32 arithmetic. Shows
// progress; throws Interrupted on Ctrl-C. `batch` observations at a time on the encoder's device.
torch::Tensor EmbedStore(Encoder encoder, const data::EpisodeStore& store, int64_t batch = 256);

// The same for some rows, (rows.size(), D), without progress.
torch::Tensor EmbedRows(Encoder encoder, const data::EpisodeStore& store,
                        std::span<const int64_t> rows, int64_t batch = 256);

}  // namespace hidreamer::encoder
