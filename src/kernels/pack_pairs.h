// Packing bfloat16 operands as pairs, from any layout.
//
//   to[i * pitch + j] = (from[i * row + j * column], from[i * row + j * column + second])
//
// the first of the two in the lower half. What is paired, channels or pixels, and what lies side
// by side, is all in the strides.
#pragma once

#include "kernels/brgemm.h"
#include "simd/bfloat16.h"
#include "simd/transpose.h"

namespace fastconv {
namespace {

struct PairStrides {
  int64_t row, column, second;
};

// Lane j of the result is the pair at from[j].
template <bool kSecond>
FASTCONV_INLINE Words join_halves(const BFloat16* from, int64_t second, int64_t count) {
  const Words first = load_halves(from, count);
  if constexpr (kSecond) return first | load_halves(from + second, count) << 16;
  return first;
}

// kSecond: without it the second of every pair is 0.
template <bool kSecond>
FASTCONV_INLINE uint32_t join(const BFloat16* from, int64_t second) {
  return from[0].bits | (kSecond ? uint32_t{from[second].bits} << 16 : 0u);
}

// A vector of words of which the first `count` are in memory.
FASTCONV_INLINE Vec<float> load_pairs_as_float(const BFloat16* from, int64_t count) {
  float lanes[kLanes<float>] = {};
  if (count >= kLanes<float>)
    __builtin_memcpy(lanes, from, sizeof(lanes));
  else
    __builtin_memcpy(lanes, from, static_cast<size_t>(count) * sizeof(uint32_t));
  return load(lanes);
}

// Blocks of which `load_row(i, count)` gives the pairs of i along j are transposed in registers:
// to[j * pitch + i].
template <class LoadRow>
FASTCONV_INLINE void transpose_pairs(uint32_t* to, int64_t pitch, int64_t rows, int64_t columns,
                                     const LoadRow& load_row) {
  constexpr int n = kLanes<float>;
  for (int64_t i = 0; i < rows; i += n) {
    const int64_t height = min(rows - i, n);
    for (int64_t j = 0; j < columns; j += n) {
      const int64_t width = min(columns - j, n);
      Vec<float> block[n];
      FASTCONV_UNROLL
      for (int r = 0; r < n; ++r) block[r] = r < height ? load_row(i + r, j, width) : Vec<float>{};
      transpose<float>(block);
      float* block_to = reinterpret_cast<float*>(to + j * pitch + i);
      if (height == n) {
        FASTCONV_UNROLL
        for (int r = 0; r < n; ++r)
          if (r < width) store(block_to + r * pitch, block[r]);
      } else {
        FASTCONV_UNROLL
        for (int r = 0; r < n; ++r)
          if (r < width) store_lanes(block_to + r * pitch, block[r], height);
      }
    }
  }
}

template <bool kSecond>
void pack_pairs(uint32_t* to, int64_t pitch, const BFloat16* from, const PairStrides& stride,
                int64_t rows, int64_t columns) {
  constexpr int n = kLanes<float>;
  if (kSecond && stride.second == 1 && stride.column == 2) {  // pairs already
    for (int64_t i = 0; i < rows; ++i)
      __builtin_memcpy(to + i * pitch, from + i * stride.row,
                       static_cast<size_t>(columns) * sizeof(uint32_t));
  } else if (stride.column == 1) {
    for (int64_t i = 0; i < rows; ++i)
      for (int64_t j = 0; j < columns; j += n) {
        const int64_t count = min(n, columns - j);
        const auto pairs =
            (Vec<float>)join_halves<kSecond>(from + i * stride.row + j, stride.second, count);
        float* at = reinterpret_cast<float*>(to + i * pitch + j);
        if (count == n)
          store(at, pairs);
        else
          store_lanes(at, pairs, count);
      }
  } else if (kSecond && stride.second == 1 && stride.row == 2) {
    transpose_pairs(to, pitch, columns, rows, [&](int64_t j, int64_t i, int64_t count) {
      return load_pairs_as_float(from + j * stride.column + 2 * i, count);
    });
  } else if (stride.row == 1) {
    transpose_pairs(to, pitch, columns, rows, [&](int64_t j, int64_t i, int64_t count) {
      return (Vec<float>)join_halves<kSecond>(from + j * stride.column + i, stride.second, count);
    });
  } else {
    for (int64_t i = 0; i < rows; ++i)
      for (int64_t j = 0; j < columns; ++j)
        to[i * pitch + j] = join<kSecond>(from + i * stride.row + j * stride.column, stride.second);
  }
}

inline void zero_pairs(uint32_t* to, int64_t count) {
  for (int64_t i = 0; i < count; ++i) to[i] = 0;
}

}  // namespace
}  // namespace fastconv
