#pragma once

#include <torch/torch.h>

#include <optional>

#include "hidreamer/kernels/bf16_search.h"

namespace hidreamer::layers {

// Rows worth searching at a time: on a CPU their products with 256 centers take half a megabyte and
// stay in the cache between the product and the search for the smallest; a GPU wants many at once.
int64_t RowsOfBlock(torch::Device device);
// On the CPU no more of `rows` than give every thread some.
int64_t RowsOfThread(int64_t rows);

// Centers (V, D) f32 on the CPU made ready for many searches, in bf16 where the processor
// multiplies it (the results are those of f32). They must not change in the meantime.
class NearestSearch {
 public:
  explicit NearestSearch(const torch::Tensor& centers);
  // Made ready afterwards piece by piece, which several threads may do.
  struct Unprepared {};
  static constexpr Unprepared kUnprepared{};
  NearestSearch(const torch::Tensor& centers, Unprepared);
  int64_t pieces() const;
  void Prepare(int64_t piece);

  // nearest (n) <- index of the nearest center for rows (n, D) f32, contiguous. On the calling
  // thread, and from several at once.
  void Find(const torch::Tensor& rows, int64_t* nearest) const;
  // Tells a FlopMeter of searches of so many rows, as far as it does not see them itself.
  void Count(int64_t rows) const;

 private:
  torch::Tensor centers_, norms_;
  std::optional<kernels::Bf16Search> in_bf16_;
};

// Index of the nearest of `centers` (V, D) for every one of `rows` (N, D), by squared Euclidean
// distance: (N) int64. Computed as |c|^2 - 2 z.c in the type of rows (f32 or f64), block by block,
// so that no N x V matrix is held. Of equally near centers, one is taken.
torch::Tensor NearestRows(const torch::Tensor& rows, const torch::Tensor& centers);

}  // namespace hidreamer::layers
