// Vectors of which only some lanes are in memory, or whose lanes lie apart in it: row ends,
// padding, strides. Reads and writes nothing outside the lanes named.
#pragma once

#include "simd/vec.h"

#if defined(__AVX2__)
#include <immintrin.h>
#endif

namespace fastconv {
namespace {

FASTCONV_INLINE int64_t clamp(int64_t value, int64_t lo, int64_t hi) {
  return value < lo ? lo : value > hi ? hi : value;
}

// 0, 1, 2, ... as integer lanes of the width of T.
template <class T>
FASTCONV_INLINE Mask<T> lane_numbers() {
  Mask<T> lanes = {};
  FASTCONV_UNROLL
  for (int i = 0; i < kLanes<T>; ++i) lanes[i] = i;
  return lanes;
}

template <class T>
FASTCONV_INLINE Mask<T> broadcast_integer(int64_t a) {
  return Mask<T>{} + static_cast<typename VecType<T>::integer>(a);
}

// Whether any lane is set.
template <class T>
FASTCONV_INLINE bool any(Mask<T> mask) {
#if defined(__AVX512F__)
  return _mm512_test_epi64_mask((__m512i)mask, (__m512i)mask) != 0;
#elif defined(__AVX2__)
  return !_mm256_testz_si256((__m256i)mask, (__m256i)mask);
#else
  typename VecType<T>::integer lanes = 0;
  FASTCONV_UNROLL
  for (int i = 0; i < kLanes<T>; ++i) lanes |= mask[i];
  return lanes != 0;
#endif
}

// Lane i is p[i] for lo <= i < hi, 0 <= lo and hi <= kLanes, and `fill` otherwise.
template <class T>
FASTCONV_INLINE Vec<T> load_lanes(const T* p, int64_t lo, int64_t hi, T fill) {
#if defined(__AVX512F__)
  const uint32_t mask = hi > lo ? ((1u << hi) - 1) & ~((1u << lo) - 1) : 0;
  if constexpr (sizeof(T) == 4)
    return _mm512_mask_loadu_ps(broadcast(fill), static_cast<__mmask16>(mask), p);
  else
    return _mm512_mask_loadu_pd(broadcast(fill), static_cast<__mmask8>(mask), p);
#elif defined(__AVX2__)
  const Mask<T> lane = lane_numbers<T>();
  const Mask<T> mask = (lane >= broadcast_integer<T>(lo)) & (lane < broadcast_integer<T>(hi));
  if constexpr (sizeof(T) == 4)
    return mask ? static_cast<Vec<T>>(_mm256_maskload_ps(p, (__m256i)mask)) : broadcast(fill);
  else
    return mask ? static_cast<Vec<T>>(_mm256_maskload_pd(p, (__m256i)mask)) : broadcast(fill);
#else
  if (lo <= 0 && hi >= kLanes<T>) return load(p);
  T lanes[kLanes<T>];
  store(lanes, broadcast(fill));
  for (int64_t i = lo; i < hi; ++i) lanes[i] = p[i];
  return load(lanes);
#endif
}

// Stores the first `count` lanes, 0 <= count <= kLanes.
template <class T>
FASTCONV_INLINE void store_lanes(T* p, Vec<T> v, int64_t count) {
#if defined(__AVX512F__)
  if constexpr (sizeof(T) == 4)
    _mm512_mask_storeu_ps(p, static_cast<__mmask16>((1u << count) - 1), v);
  else
    _mm512_mask_storeu_pd(p, static_cast<__mmask8>((1u << count) - 1), v);
#elif defined(__AVX2__)
  const Mask<T> mask = lane_numbers<T>() < broadcast_integer<T>(count);
  if constexpr (sizeof(T) == 4)
    _mm256_maskstore_ps(p, (__m256i)mask, v);
  else
    _mm256_maskstore_pd(p, (__m256i)mask, v);
#else
  if (count == kLanes<T>) return store(p, v);
  for (int64_t i = 0; i < count; ++i) p[i] = v[i];
#endif
}

// The same for 64-bit integers, as many as a vector has.
typedef int64_t Int64s __attribute__((vector_size(FASTCONV_VEC_BYTES)));

FASTCONV_INLINE void store_lanes(int64_t* p, Int64s v, int64_t count) {
#if defined(__AVX512F__)
  _mm512_mask_storeu_epi64(p, static_cast<__mmask8>((1u << count) - 1), (__m512i)v);
#elif defined(__AVX2__)
  _mm256_maskstore_epi64(reinterpret_cast<long long*>(p),
                         (__m256i)(lane_numbers<double>() < broadcast_integer<double>(count)),
                         (__m256i)v);
#else
  if (count == kLanes<double>) {
    __builtin_memcpy(p, &v, sizeof(v));
    return;
  }
  for (int64_t i = 0; i < count; ++i) p[i] = v[i];
#endif
}

// Every other element of the two vectors end to end, beginning with the first or the second.
template <class T>
FASTCONV_INLINE Vec<T> even_lanes(Vec<T> low, Vec<T> high) {
  if constexpr (kLanes<T> == 16)
    return __builtin_shufflevector(low, high, 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28,
                                   30);
  else if constexpr (kLanes<T> == 8)
    return __builtin_shufflevector(low, high, 0, 2, 4, 6, 8, 10, 12, 14);
  else if constexpr (kLanes<T> == 4)
    return __builtin_shufflevector(low, high, 0, 2, 4, 6);
  else
    return __builtin_shufflevector(low, high, 0, 2);
}

template <class T>
FASTCONV_INLINE Vec<T> odd_lanes(Vec<T> low, Vec<T> high) {
  if constexpr (kLanes<T> == 16)
    return __builtin_shufflevector(low, high, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29,
                                   31);
  else if constexpr (kLanes<T> == 8)
    return __builtin_shufflevector(low, high, 1, 3, 5, 7, 9, 11, 13, 15);
  else if constexpr (kLanes<T> == 4)
    return __builtin_shufflevector(low, high, 1, 3, 5, 7);
  else
    return __builtin_shufflevector(low, high, 1, 3);
}

// Even elements of p, from p[0..] and p[kLanes - 1..]: so overlapped, the two vectors reach
// no further than the last element wanted.
template <class T>
FASTCONV_INLINE Vec<T> even_lanes_overlapped(Vec<T> low, Vec<T> high) {
  if constexpr (kLanes<T> == 16)
    return __builtin_shufflevector(low, high, 0, 2, 4, 6, 8, 10, 12, 14, 17, 19, 21, 23, 25, 27, 29,
                                   31);
  else if constexpr (kLanes<T> == 8)
    return __builtin_shufflevector(low, high, 0, 2, 4, 6, 9, 11, 13, 15);
  else if constexpr (kLanes<T> == 4)
    return __builtin_shufflevector(low, high, 0, 2, 5, 7);
  else
    return __builtin_shufflevector(low, high, 0, 3);
}

// Integer lanes [first, first + kLanes<double>) as 64-bit integers.
template <class T, int first>
FASTCONV_INLINE Int64s widen(Mask<T> v) {
  if constexpr (sizeof(T) == 8)
    return v;
  else if constexpr (kLanes<T> == 16)
    return __builtin_convertvector(
        __builtin_shufflevector(v, v, first, first + 1, first + 2, first + 3, first + 4, first + 5,
                                first + 6, first + 7),
        Int64s);
  else if constexpr (kLanes<T> == 8)
    return __builtin_convertvector(
        __builtin_shufflevector(v, v, first, first + 1, first + 2, first + 3), Int64s);
  else
    return __builtin_convertvector(__builtin_shufflevector(v, v, first, first + 1), Int64s);
}

// How the lanes of a vector lie in memory.
enum class Step { kOne, kTwo, kAny };

// Lane i is p[i * step]; `step` counts for kAny only.
template <Step kStep, class T>
FASTCONV_INLINE Vec<T> load_spaced(const T* p, int64_t step) {
  constexpr int L = kLanes<T>;
  if constexpr (kStep == Step::kOne) {
    return load(p);
  } else if constexpr (kStep == Step::kTwo) {
    return even_lanes_overlapped<T>(load(p), load(p + L - 1));
  } else {
    T lanes[L];
    FASTCONV_UNROLL
    for (int i = 0; i < L; ++i) lanes[i] = p[i * step];
    return load(lanes);
  }
}

// The same for lanes lo <= i < hi; the others are `fill`.
template <Step kStep, class T>
FASTCONV_INLINE Vec<T> load_spaced_lanes(const T* p, int64_t step, int64_t lo, int64_t hi, T fill) {
  constexpr int L = kLanes<T>;
  if constexpr (kStep == Step::kOne) {
    return load_lanes(p, lo, hi, fill);
  } else if constexpr (kStep == Step::kTwo) {
    const int64_t first = 2 * lo, last = hi > lo ? 2 * hi - 1 : first;
    return even_lanes_overlapped<T>(
        load_lanes(p, clamp(first, 0, L), clamp(last, 0, L), fill),
        load_lanes(p + L - 1, clamp(first - L + 1, 0, L), clamp(last - L + 1, 0, L), fill));
  } else {
    T lanes[L];
    store(lanes, broadcast(fill));
    for (int64_t i = lo; i < hi; ++i) lanes[i] = p[i * step];
    return load(lanes);
  }
}

// p[i * step] = lane i, for the first `count` lanes.
template <class T>
FASTCONV_INLINE void store_spaced(T* p, int64_t step, Vec<T> v, int64_t count) {
  if (step == 1) {
    if (count == kLanes<T>)
      store(p, v);
    else
      store_lanes(p, v, count);
  } else {
    T lanes[kLanes<T>];
    store(lanes, v);
    for (int64_t i = 0; i < count; ++i) p[i * step] = lanes[i];
  }
}

}  // namespace
}  // namespace fastconv
