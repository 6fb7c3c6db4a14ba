// Lanes of a vector in an order known at run time, where the instruction set has that.
#pragma once

#include "simd/vec.h"

#if defined(__AVX2__)
#include <immintrin.h>
#endif

namespace fastconv {
namespace {

#if defined(__AVX2__)
constexpr bool kPermutes = true;
#else
constexpr bool kPermutes = false;
#endif

// An order of lanes in the form that `permute` takes: lane i of the result is lane order[i].
template <class T>
FASTCONV_INLINE Mask<T> permute_order(const int64_t* order) {
  Mask<T> lanes = {};
#if defined(__AVX2__) && !defined(__AVX512F__)
  if constexpr (sizeof(T) == 8) {  // of pairs of 32-bit lanes
    for (int i = 0; i < kLanes<T>; ++i) lanes[i] = (2 * order[i]) | ((2 * order[i] + 1) << 32);
    return lanes;
  }
#endif
  for (int i = 0; i < kLanes<T>; ++i)
    lanes[i] = static_cast<typename VecType<T>::integer>(order[i]);
  return lanes;
}

template <class T>
FASTCONV_INLINE Vec<T> permute(Vec<T> v, Mask<T> order) {
#if defined(__AVX512F__)
  // The masked forms: the others leave GCC 12 with an undefined vector that it warns about.
  if constexpr (sizeof(T) == 4)
    return _mm512_maskz_permutexvar_ps(0xffff, (__m512i)order, v);
  else
    return _mm512_maskz_permutexvar_pd(0xff, (__m512i)order, v);
#elif defined(__AVX2__)
  return (Vec<T>)_mm256_permutevar8x32_epi32((__m256i)v, (__m256i)order);
#else
  Vec<T> out = {};
  for (int i = 0; i < kLanes<T>; ++i) out[i] = v[order[i]];
  return out;
#endif
}

}  // namespace
}  // namespace fastconv
