// The register tile of two rows of a depthwise 3x3 convolution with stride 1 on a patch that has its
// padding: see depthwise_transposed.h.
//
//   sum[r][i] = bias + sum over kh, kw of patch[r + kh][i + kw] * weight[kh, kw]
//
// Lanes are channels.
#pragma once

#include "kernels/depthwise_tile.h"

namespace fastconv {
namespace {

// Where sixteen sums and the filters of two rows fit the registers.
#if defined(__AVX512F__) || defined(__aarch64__)
constexpr bool kPairs = true;
#else
constexpr bool kPairs = false;
#endif

// P positions of two rows, of 3x3 filters with stride 1: a row of the patch is loaded once for both,
// and twice as many chains of sums hide the latency of the multiply-adds (8 x 1024 x 7 x 7:
// 1.6 -> 1.0 times the time of channels-last data). The order of a sum is that of the tile of one
// row.
template <class T, int P>
[[gnu::noinline]] void sum_pair(const T* patch, int64_t pitch, const T* weights,
                                int64_t weight_pitch, const T* bias, T* sums, int64_t sums_pitch) {
  constexpr int L = kLanes<T>, K = 3;
  Vec<T> sum[2][P];
  FASTCONV_UNROLL
  for (int i = 0; i < P; ++i) sum[0][i] = sum[1][i] = load(bias);
  FASTCONV_UNROLL
  for (int row = 0; row < K + 1; ++row, patch += pitch) {
    Vec<T> weight[2][K];  // of the rows of the filter over this one
    FASTCONV_UNROLL
    for (int k = 0; k < K; ++k) {
      if (row < K) weight[0][k] = load(weights + (row * K + k) * weight_pitch);
      if (row > 0) weight[1][k] = load(weights + ((row - 1) * K + k) * weight_pitch);
    }
    FASTCONV_UNROLL
    for (int j = 0; j < P + K - 1; ++j) {
      Vec<T> x = load(patch + j * L);
      hold(x);
      FASTCONV_UNROLL
      for (int k = 0; k < K; ++k) {
        if (j < k || j - k >= P) continue;
        if (row < K) sum[0][j - k] += x * weight[0][k];
        if (row > 0) sum[1][j - k] += x * weight[1][k];
      }
    }
  }
  FASTCONV_UNROLL
  for (int i = 0; i < P; ++i) store(sums + i * L, sum[0][i]);
  // What the first row wrote beyond its end belongs to the second.
  FASTCONV_UNROLL
  for (int i = 0; i < P; ++i) store(sums + sums_pitch + i * L, sum[1][i]);
}

}  // namespace
}  // namespace fastconv
