#pragma once

#include <cstdint>
#include <vector>

#include "hidreamer/nn/bf16_product.h"

// One position of a transformer over a cache, in bf16 with sums in f32: all blocks for some rows
// without leaving the thread, so that neither calls nor waiting threads cost between the 24
// products. Only where nn::HasBf16Products().
namespace hidreamer::world_model {

struct DecodeNorm {
  std::vector<float> weight, bias;  // (D)
  float epsilon = 1e-5f;            // torch's
};

struct DecodeLinear {
  nn::Bf16Matrix weight;    // (K, N)
  std::vector<float> bias;  // (N)
};

struct DecodeBlock {
  DecodeNorm norm1, norm2;
  DecodeLinear qkv, out, expand, contract;
};

struct DecodeWeights {
  int64_t width = 0, heads = 0, hidden_width = 0;  // D; D / heads a multiple of 32
  std::vector<DecodeBlock> blocks;
  DecodeNorm final_norm;
  int64_t products = 0;  // multiply-adds of a row
};

// Keys and values of all rows, (layers, B, heads, places, d) each.
struct DecodeCache {
  nn::Bf16* keys = nullptr;
  nn::Bf16* values = nullptr;
  int64_t batch = 0, places = 0;
  // The position writes `place` and attends to [begin, place].
  int64_t begin = 0, place = 0;
};

// x (rows, D) f32: the embedded position of batch rows first … first + rows - 1; becomes their
// hidden states after the final norm.
void DecodeRows(const DecodeWeights& weights, const DecodeCache& cache, int64_t first, int64_t rows,
                float* x);

}  // namespace hidreamer::world_model
