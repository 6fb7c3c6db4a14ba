// From a vector to one number.
#pragma once

#include "simd/vec.h"

namespace fastconv {
namespace {

// Lane i + width in lane i, for i < width.
template <int width, class V>
FASTCONV_INLINE V upper_lanes(V v) {
  constexpr int n = sizeof(v) / sizeof(v[0]);
  constexpr int w = width;
  if constexpr (n == 2) return __builtin_shufflevector(v, v, w % 2, w % 2);
  if constexpr (n == 4)
    return __builtin_shufflevector(v, v, w % 4, (w + 1) % 4, (w + 2) % 4, (w + 3) % 4);
  if constexpr (n == 8)
    return __builtin_shufflevector(v, v, w % 8, (w + 1) % 8, (w + 2) % 8, (w + 3) % 8, (w + 4) % 8,
                                   (w + 5) % 8, (w + 6) % 8, (w + 7) % 8);
  if constexpr (n == 16)
    return __builtin_shufflevector(v, v, w % 16, (w + 1) % 16, (w + 2) % 16, (w + 3) % 16,
                                   (w + 4) % 16, (w + 5) % 16, (w + 6) % 16, (w + 7) % 16,
                                   (w + 8) % 16, (w + 9) % 16, (w + 10) % 16, (w + 11) % 16,
                                   (w + 12) % 16, (w + 13) % 16, (w + 14) % 16, (w + 15) % 16);
}

// The sum of a vector's lanes as a tree, in registers.
template <class T>
FASTCONV_INLINE T sum_lanes(Vec<T> v) {
  if constexpr (kLanes<T> >= 16) v += upper_lanes<8>(v);
  if constexpr (kLanes<T> >= 8) v += upper_lanes<4>(v);
  if constexpr (kLanes<T> >= 4) v += upper_lanes<2>(v);
  v += upper_lanes<1>(v);
  return v[0];
}

}  // namespace
}  // namespace fastconv
