// Stores of results that may pass by the caches.
#pragma once

#include "simd/partial.h"
#include "simd/stream.h"

namespace fastconv {
namespace {

// x[0, count) = v, streamed if that is wanted and the vector is whole and aligned.
template <class T>
FASTCONV_INLINE void put(T* x, Vec<T> v, int64_t count, bool streamed) {
  if (streamed && count == kLanes<T> && is_aligned(x))
    stream(x, v);
  else
    store_spaced(x, 1, v, count);
}

}  // namespace
}  // namespace fastconv
