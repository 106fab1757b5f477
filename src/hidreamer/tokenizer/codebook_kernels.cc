#include "hidreamer/tokenizer/codebook_kernels.h"

#include <algorithm>
#include <limits>

#include "hidreamer/nn/vector_clones.h"

// Vectors are passed between inlined functions alone, so how they would be passed does not matter.
#pragma GCC diagnostic ignored "-Wpsabi"

// Tiles of some rows by two vectors of codes: with 6 rows, 12 sums, 2 codes and a row's number fit
// the 16 vector registers of AVX2 (12 rows the 32 of AVX-512). A panel of codes stays in the first
// cache while a block of rows passes it.
namespace hidreamer::tokenizer {
namespace {

#define HID_INLINE __attribute__((always_inline)) inline

constexpr int kVectors = 2;
constexpr int64_t kBlockRows = 48;

template <int kLanes>
struct VectorOf {
  typedef float Type __attribute__((vector_size(kLanes * sizeof(float))));
  typedef float Unaligned
      __attribute__((vector_size(kLanes * sizeof(float)), aligned(sizeof(float)), may_alias));
  typedef int32_t Index __attribute__((vector_size(kLanes * sizeof(int32_t))));
};

// The smallest score of each lane so far, and whose it is.
template <int kLanes>
struct Best {
  typename VectorOf<kLanes>::Type score;
  typename VectorOf<kLanes>::Index code;
};

template <int kLanes, int kR>
HID_INLINE void Tile(const float* rows, int64_t dim, const float* panel, const float* half_norms,
                     int32_t first_code, Best<kLanes>* best) {
  using Vector = typename VectorOf<kLanes>::Type;
  using Unaligned = typename VectorOf<kLanes>::Unaligned;
  using Index = typename VectorOf<kLanes>::Index;
  Vector sums[kR][kVectors] = {};
  for (int64_t k = 0; k < dim; ++k) {
    Vector c[kVectors];
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) {
      c[v] = *reinterpret_cast<const Unaligned*>(panel + (k * kVectors + v) * kLanes);
    }
#pragma GCC unroll 12
    for (int r = 0; r < kR; ++r) {
      const float z = rows[r * dim + k];
#pragma GCC unroll 2
      for (int v = 0; v < kVectors; ++v) {
        sums[r][v] += z * c[v];
      }
    }
  }
  Index lane;
  for (int i = 0; i < kLanes; ++i) {
    lane[i] = i;
  }
#pragma GCC unroll 12
  for (int r = 0; r < kR; ++r) {
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) {
      const Vector norms = *reinterpret_cast<const Unaligned*>(half_norms + v * kLanes);
      const Vector score = norms - sums[r][v];
      const Index code = lane + (first_code + v * kLanes);
      const auto nearer = score < best[r].score;
      best[r].score = nearer ? score : best[r].score;
      best[r].code = nearer ? code : best[r].code;
    }
  }
}

template <int kLanes, int kRows>
HID_INLINE void Search(const float* rows, int64_t count, const PackedCodes& packed,
                       int64_t* nearest, int64_t stride) {
  constexpr int64_t kPanel = kLanes * kVectors;
  const int64_t dim = packed.dim, panels = (packed.codes + kPanel - 1) / kPanel;
  Best<kLanes> best[kBlockRows];
  for (int64_t begin = 0; begin < count; begin += kBlockRows) {
    const int64_t n = std::min(kBlockRows, count - begin);
    const float* const block = rows + begin * dim;
    for (int64_t r = 0; r < n; ++r) {
      best[r].score = typename VectorOf<kLanes>::Type{} + std::numeric_limits<float>::infinity();
      best[r].code = typename VectorOf<kLanes>::Index{};
    }
    for (int64_t p = 0; p < panels; ++p) {
      const float* const panel = packed.panels + p * kPanel * dim;
      const float* const norms = packed.half_norms + p * kPanel;
      const auto first = static_cast<int32_t>(p * kPanel);
      int64_t r = 0;
      for (; r + kRows <= n; r += kRows) {
        Tile<kLanes, kRows>(block + r * dim, dim, panel, norms, first, best + r);
      }
      for (; r + 2 <= n; r += 2) {
        Tile<kLanes, 2>(block + r * dim, dim, panel, norms, first, best + r);
      }
      if (r < n) {
        Tile<kLanes, 1>(block + r * dim, dim, panel, norms, first, best + r);
      }
    }
    for (int64_t r = 0; r < n; ++r) {
      float score = best[r].score[0];
      int32_t code = best[r].code[0];
      for (int i = 1; i < kLanes; ++i) {
        const bool nearer =
            best[r].score[i] < score || (best[r].score[i] == score && best[r].code[i] < code);
        score = nearer ? best[r].score[i] : score;
        code = nearer ? best[r].code[i] : code;
      }
      nearest[(begin + r) * stride] = code;
    }
  }
}

struct Kernel {
  void (*search)(const float*, int64_t, const PackedCodes&, int64_t*, int64_t);
  int64_t panel;
};

void SearchPlain(const float* rows, int64_t count, const PackedCodes& packed, int64_t* nearest,
                 int64_t stride) {
  Search<4, 6>(rows, count, packed, nearest, stride);
}

#if defined(__x86_64__) && defined(__GNUC__)
__attribute__((target("avx2,fma"))) void SearchAvx2(const float* rows, int64_t count,
                                                    const PackedCodes& packed, int64_t* nearest,
                                                    int64_t stride) {
  Search<8, 6>(rows, count, packed, nearest, stride);
}

__attribute__((target("avx512f"))) void SearchAvx512(const float* rows, int64_t count,
                                                     const PackedCodes& packed, int64_t* nearest,
                                                     int64_t stride) {
  Search<16, 12>(rows, count, packed, nearest, stride);
}

Kernel Choose() {
  if (__builtin_cpu_supports("avx512f")) {
    return {SearchAvx512, 16 * kVectors};
  }
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
    return {SearchAvx2, 8 * kVectors};
  }
  return {SearchPlain, 4 * kVectors};
}
#else
Kernel Choose() { return {SearchPlain, 4 * kVectors}; }
#endif

const Kernel& Chosen() {
  static const Kernel kernel = Choose();
  return kernel;
}

}  // namespace

int64_t PanelCodes() { return Chosen().panel; }

void PackPanel(const float* codes, int64_t count, int64_t dim, float* panel, float* half_norms) {
  const int64_t width = PanelCodes();
  for (int64_t i = 0; i < width; ++i) {
    if (i >= count) {
      half_norms[i] = std::numeric_limits<float>::infinity();
      for (int64_t k = 0; k < dim; ++k) {
        panel[k * width + i] = 0;
      }
      continue;
    }
    const float* const code = codes + i * dim;
    double norm = 0;
    for (int64_t k = 0; k < dim; ++k) {
      norm += static_cast<double>(code[k]) * static_cast<double>(code[k]);
      panel[k * width + i] = code[k];
    }
    half_norms[i] = static_cast<float>(norm / 2);
  }
}

void NearestCodes(const float* rows, int64_t count, const PackedCodes& packed, int64_t* nearest,
                  int64_t stride) {
  Chosen().search(rows, count, packed, nearest, stride);
}

HID_VECTOR_CLONES
void SubtractCodes(const float* rows, int64_t count, int64_t dim, const float* codes,
                   const int64_t* nearest, int64_t stride, float* left) {
  for (int64_t i = 0; i < count; ++i) {
    const float* const code = codes + nearest[i * stride] * dim;
    for (int64_t k = 0; k < dim; ++k) {
      left[i * dim + k] = rows[i * dim + k] - code[k];
    }
  }
}

HID_VECTOR_CLONES
void MoveCode(const float* rows, const int32_t* mine, int64_t count, int64_t dim, double keep,
              float size, float* sum, float* code) {
  for (int64_t k = 0; k < dim; ++k) {
    code[k] = 0;
  }
  for (int64_t i = 0; i < count; ++i) {
    const float* const row = rows + mine[i] * dim;
    for (int64_t k = 0; k < dim; ++k) {
      code[k] += row[k];
    }
  }
  const auto kept = static_cast<float>(keep), added = static_cast<float>(1 - keep);
  for (int64_t k = 0; k < dim; ++k) {
    sum[k] = kept * sum[k] + added * code[k];
    code[k] = sum[k] / size;
  }
}

}  // namespace hidreamer::tokenizer
