#pragma once

#include <torch/torch.h>

#include "hidreamer/base/seed.h"

namespace hidreamer::tokenizer {

// Rows worth searching at a time: on a CPU their products with 256 centers take half a megabyte and
// stay in the cache between the product and the search for the smallest; a GPU wants many at once.
int64_t RowsOfBlock(torch::Device device);

// Index of the nearest of `centers` (V, D) for every one of `rows` (N, D), by squared Euclidean
// distance: (N) int64. Computed as |c|^2 - 2 z.c in the type of rows (f32 or f64), block by block,
// so that no N x V matrix is held. Of equally near centers, one is taken.
torch::Tensor NearestRows(const torch::Tensor& rows, const torch::Tensor& centers);

// k-means++ (Arthur and Vassilvitskii, 2007): `count` of the rows (N, D), each drawn with
// probability proportional to its squared distance from those before. Rows repeat only where
// there are fewer distinct ones. -> (count, D)
torch::Tensor KMeansPlusPlus(const torch::Tensor& rows, int64_t count, Rng& rng);

// k-means++ followed by `iterations` of Lloyd's; a center that loses all its rows stays where it
// is.
torch::Tensor KMeans(const torch::Tensor& rows, int64_t count, int64_t iterations, Rng& rng);

}  // namespace hidreamer::tokenizer
