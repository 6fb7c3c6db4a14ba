// Sums of many elements whose error is that of a few: every 16 terms a partial sum of T is added
// to one of double, and every 16 of those of double to the next.
#pragma once

#include "simd/partial.h"

namespace fastconv {
namespace {

constexpr int kTerms = 16;  // off by 16 epsilon at most, by a few mostly

// The sum of the lanes, the upper half onto the lower until one is left.
template <class D>
FASTCONV_INLINE D across(Vec<D> v) {
  if constexpr (kLanes<D> == 8) {
    v += __builtin_shufflevector(v, v, 4, 5, 6, 7, 0, 1, 2, 3);
    v += __builtin_shufflevector(v, v, 2, 3, 0, 1, 6, 7, 4, 5);
  } else if constexpr (kLanes<D> == 4) {
    v += __builtin_shufflevector(v, v, 2, 3, 0, 1);
  }
  return v[0] + v[1];
}

// A vector of sums, in double for both element types.
template <class T>
struct WideSum {
  // Low and high lanes of float; of double, what is finished and the sum of the last kTerms.
  static constexpr int kParts = 2;
  Vec<double> part[kParts] = {};
  int terms = 0;

  FASTCONV_INLINE void add(Vec<T> v) {
    if constexpr (sizeof(T) == 8) {
      part[1] += v;
      if (++terms < kTerms) return;
      terms = 0;
      part[0] += part[1];
      part[1] = Vec<double>{};
    } else {
      typedef float Half __attribute__((vector_size(FASTCONV_VEC_BYTES / 2)));
      Half half[2];
      __builtin_memcpy(half, &v, sizeof(v));
      part[0] += __builtin_convertvector(half[0], Vec<double>);
      part[1] += __builtin_convertvector(half[1], Vec<double>);
    }
  }

  // The sums divided, as T again.
  FASTCONV_INLINE Vec<T> divided(double divisor) const {
    if constexpr (sizeof(T) == 8) {
      return (part[0] + part[1]) / divisor;
    } else {
      typedef float Half __attribute__((vector_size(FASTCONV_VEC_BYTES / 2)));
      const Half half[2] = {__builtin_convertvector(part[0] / divisor, Half),
                            __builtin_convertvector(part[1] / divisor, Half)};
      Vec<T> v;
      __builtin_memcpy(&v, half, sizeof(v));
      return v;
    }
  }

  FASTCONV_INLINE double total() const { return across<double>(part[0] + part[1]); }
};

// The sum of x[i * step], i in [0, count).
template <class T>
inline double sum_run(const T* x, int64_t step, int64_t count) {
  constexpr int L = kLanes<T>, kChains = 4;  // chains of additions: one waits 3 to 4 cycles
  if (step != 1) {
    double sum[kChains] = {};
    for (int64_t i = 0; i < count; ++i) sum[i % kChains] += static_cast<double>(x[i * step]);
    return (sum[0] + sum[1]) + (sum[2] + sum[3]);
  }
  WideSum<T> wide;
  Vec<T> sum[kChains] = {};
  int64_t i = 0;
  for (; i + kTerms * kChains * L <= count; i += kTerms * kChains * L) {
    FASTCONV_UNROLL
    for (int chain = 0; chain < kChains; ++chain) sum[chain] = Vec<T>{};
    for (int term = 0; term < kTerms; ++term) {
      FASTCONV_UNROLL
      for (int chain = 0; chain < kChains; ++chain)
        sum[chain] += load(x + i + (term * kChains + chain) * L);
    }
    wide.add((sum[0] + sum[1]) + (sum[2] + sum[3]));
  }
  FASTCONV_UNROLL
  for (int chain = 0; chain < kChains; ++chain) sum[chain] = Vec<T>{};
  for (; i + kChains * L <= count; i += kChains * L) {
    FASTCONV_UNROLL
    for (int chain = 0; chain < kChains; ++chain) sum[chain] += load(x + i + chain * L);
  }
  for (int chain = 0; i < count; i += L, ++chain)
    sum[chain % kChains] += load_lanes(x + i, 0, clamp(count - i, 0, L), T{0});
  wide.add((sum[0] + sum[1]) + (sum[2] + sum[3]));
  return wide.total();
}

}  // namespace
}  // namespace fastconv
