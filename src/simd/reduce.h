// From a vector to one number.
#pragma once

#include "simd/vec.h"

namespace fastconv {
namespace {

// The sum of a vector's lanes as a tree.
template <class T>
FASTCONV_INLINE T sum_lanes(Vec<T> v) {
  T lanes[kLanes<T>];
  store(lanes, v);
  FASTCONV_UNROLL
  for (int width = kLanes<T> / 2; width > 0; width /= 2)
    for (int i = 0; i < width; ++i) lanes[i] += lanes[i + width];
  return lanes[0];
}

}  // namespace
}  // namespace fastconv
