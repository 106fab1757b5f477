#pragma once

#include <cstdint>
#include <vector>

#include "hidreamer/kernels/gemm.h"

// The nearest of many vectors by products in bf16, twice as fast as in f32 and more, and exact all
// the same: what the rounding can have moved is looked at again in f32. Only where
// HasBf16Kernels().
namespace hidreamer::kernels {

// Vectors c (V, D) f32 to search among, D even; they must stay where they are.
class Bf16Search {
 public:
  Bf16Search(const float* centers, int64_t count, int64_t dim);
  // Makes `count` of them from `first`, a multiple of 32, ready: all must be before the first
  // search.
  void Pack(int64_t first, int64_t count);

  // nearest (n) <- index of the smallest |c|^2 - 2 x.c, both in f32, for rows x (n, D); of equals,
  // the first. Does not depend on the other rows.
  void Find(const float* rows, int64_t n, int64_t* nearest) const;

  // What the kernels work on.
  struct Prepared {
    const float* centers;
    int64_t count, dim, padded;  // padded: a multiple of a panel's 32
    Bf16Matrix panels;
    std::vector<float> norms;      // (V) |c|^2
    std::vector<float> low, high;  // (padded) the same less and more than any rounding makes of it
    std::vector<float> radii;      // (padded) how far bf16 can move 2 x.c, over |x|
  };

 private:
  Prepared prepared_;
};

}  // namespace hidreamer::kernels
