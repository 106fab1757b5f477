#pragma once

#include <torch/torch.h>

#include "hidreamer/base/seed.h"

namespace hidreamer::tokenizer {

// k-means++ (Arthur and Vassilvitskii, 2007): `count` of the rows (N, D), each drawn with
// probability proportional to its squared distance from those before. Rows repeat only where
// there are fewer distinct ones. -> (count, D)
torch::Tensor KMeansPlusPlus(const torch::Tensor& rows, int64_t count, Rng& rng);

// k-means++ followed by `iterations` of Lloyd's; a center that loses all its rows stays where it
// is.
torch::Tensor KMeans(const torch::Tensor& rows, int64_t count, int64_t iterations, Rng& rng);

}  // namespace hidreamer::tokenizer
