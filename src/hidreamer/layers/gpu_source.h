#pragma once

namespace hidreamer::layers {

// CUDA C++ for NVRTC; WIDTH is the length of a row. Used by gpu.cc alone. bf16 numbers are
// handled as their bits, so that no header of CUDA's is needed at run time.
constexpr char kGpuLayersSource[] = R"cuda(
typedef long long int64;
typedef unsigned short Bf16;

__device__ __forceinline__ float Low(unsigned pair) { return __uint_as_float(pair << 16); }
__device__ __forceinline__ float High(unsigned pair) { return __uint_as_float(pair & 0xffff0000u); }
__device__ __forceinline__ unsigned Pack(float low, float high) {
  unsigned pair;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(high), "f"(low));
  return pair;
}

extern __shared__ float total[];  // sums of a block

// ---- norm: a warp a row, a lane holds columns 4 lane + 128 p

constexpr int kPieces = (WIDTH + 127) / 128;

__device__ __forceinline__ float SumOfWarp(float x) {
  for (int step = 16; step > 0; step /= 2) x += __shfl_xor_sync(0xffffffffu, x, step);
  return x;
}
__device__ __forceinline__ int ColumnOf(int piece) { return 4 * (threadIdx.x % 32) + 128 * piece; }
__device__ __forceinline__ float Sum(float4 v) { return (v.x + v.y) + (v.z + v.w); }

// statistics (rows, 2): mean, 1 / deviation.
extern "C" __global__ void Normalize(const float* x, const float* weight, const float* bias,
                                     float epsilon, int64 rows, Bf16* out, float* statistics) {
  const int64 row = (int64)blockIdx.x * (blockDim.x / 32) + threadIdx.x / 32;
  if (row >= rows) return;
  float4 v[kPieces];
  float sum = 0;
  for (int p = 0; p < kPieces; ++p) {
    if (ColumnOf(p) < WIDTH) {
      v[p] = *(const float4*)(x + row * WIDTH + ColumnOf(p));
      sum += Sum(v[p]);
    }
  }
  const float mean = SumOfWarp(sum) / WIDTH;
  float squares = 0;
  for (int p = 0; p < kPieces; ++p) {
    if (ColumnOf(p) < WIDTH) {
      v[p].x -= mean; v[p].y -= mean; v[p].z -= mean; v[p].w -= mean;
      squares += v[p].x * v[p].x + v[p].y * v[p].y + v[p].z * v[p].z + v[p].w * v[p].w;
    }
  }
  const float scale = rsqrtf(SumOfWarp(squares) / WIDTH + epsilon);
  for (int p = 0; p < kPieces; ++p) {
    const int c = ColumnOf(p);
    if (c < WIDTH) {
      const float4 w = *(const float4*)(weight + c), b = *(const float4*)(bias + c);
      uint2 packed;
      packed.x = Pack(v[p].x * scale * w.x + b.x, v[p].y * scale * w.y + b.y);
      packed.y = Pack(v[p].z * scale * w.z + b.z, v[p].w * scale * w.w + b.w);
      *(uint2*)(out + row * WIDTH + c) = packed;
    }
  }
  if (threadIdx.x % 32 == 0) {
    statistics[2 * row] = mean;
    statistics[2 * row + 1] = scale;
  }
}

// other: the gradient of x that passes the norm by. sums (blocks, 2, WIDTH): of weight and bias.
extern "C" __global__ void NormalizeBackward(const float* x, const float* weight,
                                             const float* statistics, const Bf16* gradient,
                                             const float* other, int64 rows, float* x_gradient,
                                             float* sums) {
  const int warps = blockDim.x / 32, warp = threadIdx.x / 32;
  float4 of_weight[kPieces], of_bias[kPieces];
  for (int p = 0; p < kPieces; ++p) {
    of_weight[p] = make_float4(0, 0, 0, 0);
    of_bias[p] = make_float4(0, 0, 0, 0);
  }
  for (int64 row = (int64)blockIdx.x * warps + warp; row < rows; row += (int64)gridDim.x * warps) {
    const float mean = statistics[2 * row], scale = statistics[2 * row + 1];
    float4 normed[kPieces], g[kPieces];
    float sum = 0, with_normed = 0;
    for (int p = 0; p < kPieces; ++p) {
      const int c = ColumnOf(p);
      if (c < WIDTH) {
        const float4 v = *(const float4*)(x + row * WIDTH + c);
        const uint2 bits = *(const uint2*)(gradient + row * WIDTH + c);
        const float4 w = *(const float4*)(weight + c);
        normed[p] = make_float4((v.x - mean) * scale, (v.y - mean) * scale, (v.z - mean) * scale,
                                (v.w - mean) * scale);
        const float4 up = make_float4(Low(bits.x), High(bits.x), Low(bits.y), High(bits.y));
        of_bias[p].x += up.x; of_bias[p].y += up.y; of_bias[p].z += up.z; of_bias[p].w += up.w;
        of_weight[p].x += up.x * normed[p].x; of_weight[p].y += up.y * normed[p].y;
        of_weight[p].z += up.z * normed[p].z; of_weight[p].w += up.w * normed[p].w;
        g[p] = make_float4(up.x * w.x, up.y * w.y, up.z * w.z, up.w * w.w);
        sum += Sum(g[p]);
        with_normed += g[p].x * normed[p].x + g[p].y * normed[p].y + g[p].z * normed[p].z +
                       g[p].w * normed[p].w;
      }
    }
    sum = SumOfWarp(sum) / WIDTH;
    with_normed = SumOfWarp(with_normed) / WIDTH;
    for (int p = 0; p < kPieces; ++p) {
      const int c = ColumnOf(p);
      if (c < WIDTH) {
        const float4 o = *(const float4*)(other + row * WIDTH + c);
        *(float4*)(x_gradient + row * WIDTH + c) =
            make_float4(o.x + scale * (g[p].x - sum - normed[p].x * with_normed),
                        o.y + scale * (g[p].y - sum - normed[p].y * with_normed),
                        o.z + scale * (g[p].z - sum - normed[p].z * with_normed),
                        o.w + scale * (g[p].w - sum - normed[p].w * with_normed));
      }
    }
  }
  // The warps' sums, one warp after the other: total is (2, WIDTH).
  for (int turn = 0; turn < warps; ++turn) {
    if (warp == turn) {
      for (int p = 0; p < kPieces; ++p) {
        const int c = ColumnOf(p);
        if (c < WIDTH) {
          float4* const w = (float4*)(total + c);
          float4* const b = (float4*)(total + WIDTH + c);
          if (turn == 0) {
            *w = of_weight[p];
            *b = of_bias[p];
          } else {
            *w = make_float4(w->x + of_weight[p].x, w->y + of_weight[p].y, w->z + of_weight[p].z,
                             w->w + of_weight[p].w);
            *b = make_float4(b->x + of_bias[p].x, b->y + of_bias[p].y, b->z + of_bias[p].z,
                             b->w + of_bias[p].w);
          }
        }
      }
    }
    __syncthreads();
  }
  for (int c = threadIdx.x; c < 2 * WIDTH; c += blockDim.x) {
    sums[(int64)blockIdx.x * 2 * WIDTH + c] = total[c];
  }
}

// ---- bias, GELU, dropout: a thread has 8 columns of every (gridDim.x blockDim.y)-th row

struct Numbers {
  float v[8];
};

__device__ __forceinline__ Numbers Load(const Bf16* from) {
  const uint4 bits = *(const uint4*)from;
  return {{Low(bits.x), High(bits.x), Low(bits.y), High(bits.y), Low(bits.z), High(bits.z),
           Low(bits.w), High(bits.w)}};
}
__device__ __forceinline__ Numbers Load(const float* from) {
  const float4 a = *(const float4*)from, b = *(const float4*)(from + 4);
  return {{a.x, a.y, a.z, a.w, b.x, b.y, b.z, b.w}};
}
__device__ __forceinline__ void Store(const Numbers& x, Bf16* to) {
  *(uint4*)to = make_uint4(Pack(x.v[0], x.v[1]), Pack(x.v[2], x.v[3]), Pack(x.v[4], x.v[5]),
                           Pack(x.v[6], x.v[7]));
}
__device__ __forceinline__ void Store(const Numbers& x, float* to) {
  *(float4*)to = make_float4(x.v[0], x.v[1], x.v[2], x.v[3]);
  *(float4*)(to + 4) = make_float4(x.v[4], x.v[5], x.v[6], x.v[7]);
}

// Factors of 8 numbers: 0 with probability threshold / 2^16, else `scale`. Philox 4x32-10 (Salmon et
// al., 2011, "Parallel random numbers: as easy as 1, 2, 3"), 16 bits a number.
__device__ __forceinline__ Numbers Factors(int64 key, int64 index, unsigned threshold,
                                           float scale) {
  unsigned c[4] = {(unsigned)index, (unsigned)(index >> 32), 0, 0};
  unsigned k0 = (unsigned)key, k1 = (unsigned)(key >> 32);
  for (int round = 0; round < 10; ++round) {
    const unsigned h0 = __umulhi(0xD2511F53u, c[0]), l0 = 0xD2511F53u * c[0];
    const unsigned h1 = __umulhi(0xCD9E8D57u, c[2]), l1 = 0xCD9E8D57u * c[2];
    c[0] = h1 ^ c[1] ^ k0; c[1] = l1; c[2] = h0 ^ c[3] ^ k1; c[3] = l0;
    k0 += 0x9E3779B9u; k1 += 0xBB67AE85u;
  }
  Numbers factors;
  for (int i = 0; i < 8; ++i) {
    const unsigned draw = i % 2 == 0 ? c[i / 2] & 0xffffu : c[i / 2] >> 16;
    factors.v[i] = draw < threshold ? 0.f : scale;
  }
  return factors;
}

__device__ __forceinline__ int64 FirstRow() { return (int64)blockIdx.x * blockDim.y + threadIdx.y; }
__device__ __forceinline__ int64 RowStep() { return (int64)gridDim.x * blockDim.y; }

// sums (blocks, WIDTH): of each block's rows. total is (WIDTH).
__device__ __forceinline__ void StoreSums(const Numbers& own, float* sums) {
  const int c = 8 * threadIdx.x;
  for (int turn = 0; turn < blockDim.y; ++turn) {
    if (threadIdx.y == turn) {
      for (int i = 0; i < 8; ++i) total[c + i] = turn == 0 ? own.v[i] : total[c + i] + own.v[i];
    }
    __syncthreads();
  }
  if (threadIdx.y == 0) {
    for (int i = 0; i < 8; ++i) sums[(int64)blockIdx.x * WIDTH + c + i] = total[c + i];
  }
}

// The normal distribution up to z and its density there. Abramowitz and Stegun 7.1.26: to 1.5e-7.
__device__ __forceinline__ void Normal(float z, float* below, float* density) {
  const float e = __expf(-0.5f * z * z);
  const float t = __fdividef(1.f, 1.f + 0.3275911f * 0.70710678f * fabsf(z));
  const float tail =
      0.5f * e * t *
      (0.254829592f + t * (-0.284496736f + t * (1.421413741f + t * (-1.453152027f + t * 1.061405429f))));
  *below = z < 0 ? tail : 1.f - tail;
  *density = 0.39894228f * e;
}

extern "C" __global__ void BiasGeluDropout(const Bf16* x, const float* bias, const int64* key,
                                           unsigned threshold, float scale, int64 rows, Bf16* out) {
  const int c = 8 * threadIdx.x;
  const Numbers b = Load(bias + c);
  const int64 k = threshold > 0 ? *key : 0;
  for (int64 row = FirstRow(); row < rows; row += RowStep()) {
    const int64 at = row * WIDTH + c;
    Numbers y = Load(x + at);
    for (int i = 0; i < 8; ++i) {
      const float z = y.v[i] + b.v[i];
      float below, density;
      Normal(z, &below, &density);
      y.v[i] = z * below;
    }
    if (threshold > 0) {
      const Numbers factors = Factors(k, at / 8, threshold, scale);
      for (int i = 0; i < 8; ++i) y.v[i] *= factors.v[i];
    }
    Store(y, out + at);
  }
}

extern "C" __global__ void BiasGeluDropoutBackward(const Bf16* x, const float* bias,
                                                   const int64* key, unsigned threshold,
                                                   float scale, int64 rows, const Bf16* gradient,
                                                   Bf16* x_gradient, float* sums) {
  const int c = 8 * threadIdx.x;
  const Numbers b = Load(bias + c);
  const int64 k = threshold > 0 ? *key : 0;
  Numbers sum = {};
  for (int64 row = FirstRow(); row < rows; row += RowStep()) {
    const int64 at = row * WIDTH + c;
    const Numbers in = Load(x + at);
    Numbers g = Load(gradient + at);
    if (threshold > 0) {
      const Numbers factors = Factors(k, at / 8, threshold, scale);
      for (int i = 0; i < 8; ++i) g.v[i] *= factors.v[i];
    }
    for (int i = 0; i < 8; ++i) {
      const float z = in.v[i] + b.v[i];
      float below, density;
      Normal(z, &below, &density);
      g.v[i] *= below + z * density;
      sum.v[i] += g.v[i];
    }
    Store(g, x_gradient + at);
  }
  StoreSums(sum, sums);
}

extern "C" __global__ void BiasDropoutAdd(const float* residual, const Bf16* x, const float* bias,
                                          const int64* key, unsigned threshold, float scale,
                                          int64 rows, float* out) {
  const int c = 8 * threadIdx.x;
  const Numbers b = Load(bias + c);
  const int64 k = threshold > 0 ? *key : 0;
  for (int64 row = FirstRow(); row < rows; row += RowStep()) {
    const int64 at = row * WIDTH + c;
    const Numbers in = Load(x + at);
    Numbers y = Load(residual + at);
    if (threshold > 0) {
      const Numbers factors = Factors(k, at / 8, threshold, scale);
      for (int i = 0; i < 8; ++i) y.v[i] += (in.v[i] + b.v[i]) * factors.v[i];
    } else {
      for (int i = 0; i < 8; ++i) y.v[i] += in.v[i] + b.v[i];
    }
    Store(y, out + at);
  }
}

extern "C" __global__ void BiasDropoutAddBackward(const int64* key, unsigned threshold, float scale,
                                                  int64 rows, const float* gradient,
                                                  Bf16* x_gradient, float* sums) {
  const int c = 8 * threadIdx.x;
  const int64 k = threshold > 0 ? *key : 0;
  Numbers sum = {};
  for (int64 row = FirstRow(); row < rows; row += RowStep()) {
    const int64 at = row * WIDTH + c;
    Numbers g = Load(gradient + at);
    if (threshold > 0) {
      const Numbers factors = Factors(k, at / 8, threshold, scale);
      for (int i = 0; i < 8; ++i) g.v[i] *= factors.v[i];
    }
    for (int i = 0; i < 8; ++i) sum.v[i] += g.v[i];
    Store(g, x_gradient + at);
  }
  StoreSums(sum, sums);
}
)cuda";

}  // namespace hidreamer::layers
