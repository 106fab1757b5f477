#pragma once

#include <cstdint>

// Inner loops of the quantizer on the CPU, f32, written for the compiler's vectorizer. Everything
// is contiguous.
namespace hidreamer::tokenizer {

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
void MoveAverages(const Averages& averages, const float* rows, const int64_t* codes, int64_t n,
                  float decay, float epsilon);

}  // namespace hidreamer::tokenizer
