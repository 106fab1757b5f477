#pragma once

#include <cstdint>
#include <vector>

// Inner loops of the quantizer on the CPU, f32, written for the compiler's vectorizer. Everything
// is contiguous.
namespace hidreamer::kernels {

// norms (n) <- the sum of squares of each row (n, D).
void SquaredNorms(const float* rows, int64_t n, int64_t dim, float* norms);

// nearest (n) <- the code of the smallest norms[v] - 2 products[i, v]; products (n, V), norms (V).
// Of equals, the first.
void NearestByProducts(const float* products, const float* norms, int64_t n, int64_t codes,
                       int64_t* nearest);

// out (n, D) = rows (n, D) - their codewords of the codebook (V, D); out may be rows. Returns the
// sum of out's squares.
double SubtractCodewords(const float* rows, const float* codebook, const int64_t* codes, int64_t n,
                         int64_t dim, float* out);

// One codebook's moving averages (CodebookLevel::Update).
struct Averages {
  int64_t codes, dim;  // V, D
  float* sizes;        // (V)
  float* sums;         // (V, D)
  float* codebook;     // (V, D)
};
// Moves them towards rows (n, D) and their codes: the sizes at once, sums and codewords of codes
// [first, last) when told, which several threads may be. rows must stay.
class AveragesMove {
 public:
  AveragesMove(const Averages& averages, const float* rows, const int64_t* codes, int64_t n,
               float decay, float epsilon);
  void Move(int64_t first, int64_t last) const;

 private:
  Averages averages_;
  const float* rows_;
  float share_, epsilon_, total_ = 0;  // of the sizes
  std::vector<int64_t> ends_, order_;  // rows by code, in their order
};

}  // namespace hidreamer::kernels
