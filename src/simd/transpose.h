// In-register transpose of a square block, kLanes x kLanes.
#pragma once

#include "simd/partial.h"

namespace fastconv {
namespace {

// The lower and the upper halves of a and b, interleaved: a0 b0 a1 b1 ...
template <class V>
FASTCONV_INLINE V zip_low(V a, V b) {
  constexpr int n = sizeof(V) / sizeof(a[0]);
  if constexpr (n == 2) return __builtin_shufflevector(a, b, 0, 2);
  if constexpr (n == 4) return __builtin_shufflevector(a, b, 0, 4, 1, 5);
  if constexpr (n == 8) return __builtin_shufflevector(a, b, 0, 8, 1, 9, 2, 10, 3, 11);
  if constexpr (n == 16)
    return __builtin_shufflevector(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
}

template <class V>
FASTCONV_INLINE V zip_high(V a, V b) {
  constexpr int n = sizeof(V) / sizeof(a[0]);
  if constexpr (n == 2) return __builtin_shufflevector(a, b, 1, 3);
  if constexpr (n == 4) return __builtin_shufflevector(a, b, 2, 6, 3, 7);
  if constexpr (n == 8) return __builtin_shufflevector(a, b, 4, 12, 5, 13, 6, 14, 7, 15);
  if constexpr (n == 16)
    return __builtin_shufflevector(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15,
                                   31);
}

// Seen as one sequence of n * n elements, interleaving its first half with its second rotates
// the bits of every element's index by one; after log2(n) of those, row and column have
// changed places. Every step is n two-source permutes, and nothing goes through memory.
template <class T>
FASTCONV_INLINE void transpose(Vec<T> (&rows)[kLanes<T>]) {
  constexpr int n = kLanes<T>;
  FASTCONV_UNROLL
  for (int step = 1; step < n; step *= 2) {
    Vec<T> next[n];
    FASTCONV_UNROLL
    for (int i = 0; i < n / 2; ++i) {
      next[2 * i] = zip_low(rows[i], rows[i + n / 2]);
      next[2 * i + 1] = zip_high(rows[i], rows[i + n / 2]);
    }
    FASTCONV_UNROLL
    for (int i = 0; i < n; ++i) rows[i] = next[i];
  }
}

// dst[j * dst_stride + i] = src[i * src_stride + j] for i < rows, j < columns: `rows` rows of
// contiguous source become `columns` rows of contiguous destination. Blocks go through registers,
// ragged ones with lanes left out; a few elements go one by one.
template <class T>
inline void transpose_copy(T* dst, int64_t dst_stride, const T* src, int64_t src_stride,
                           int64_t rows, int64_t columns) {
  constexpr int n = kLanes<T>;
  constexpr int64_t kWorthwhile = 4 * n;  // elements, against a block's 4 n permutations
  for (int64_t i = 0; i < rows; i += n) {
    const int64_t height = clamp(rows - i, 0, n);
    for (int64_t j = 0; j < columns; j += n) {
      const int64_t width = clamp(columns - j, 0, n);
      const T* from = src + i * src_stride + j;
      T* to = dst + j * dst_stride + i;
      Vec<T> block[n];
      if (height == n && width == n) {
        FASTCONV_UNROLL
        for (int r = 0; r < n; ++r) block[r] = load(from + r * src_stride);
        transpose<T>(block);
        FASTCONV_UNROLL
        for (int r = 0; r < n; ++r) store(to + r * dst_stride, block[r]);
      } else if (height * width >= kWorthwhile) {
        FASTCONV_UNROLL
        for (int r = 0; r < n; ++r)
          block[r] = r < height ? load_lanes(from + r * src_stride, 0, width, T(0)) : Vec<T>{};
        transpose<T>(block);
        FASTCONV_UNROLL
        for (int r = 0; r < n; ++r)
          if (r < width) store_lanes(to + r * dst_stride, block[r], height);
      } else {
        for (int64_t r = 0; r < height; ++r)
          for (int64_t k = 0; k < width; ++k) to[k * dst_stride + r] = from[r * src_stride + k];
      }
    }
  }
}

}  // namespace
}  // namespace fastconv
