// Packing with the channels of a position side by side, from any layout.
#pragma once

#include "kernels/brgemm.h"
#include "simd/transpose.h"

namespace fastconv {
namespace {

// dst[i * width + c] = src[c * channel_stride + i * position_stride]
template <class T>
void pack_positions(T* dst, int64_t width, const T* src, int64_t channels, int64_t channel_stride,
                    int64_t positions, int64_t position_stride) {
  if (channel_stride == 1) {
    if (position_stride == channels && width == channels) {  // one run, however few the channels
      channels *= positions;
      positions = min(positions, 1);
    }
    for (int64_t i = 0; i < positions; ++i) {
      const T* from = src + i * position_stride;
      T* to = dst + i * width;
      int64_t c = 0;
      for (; c + kLanes<T> <= channels; c += kLanes<T>) store(to + c, load(from + c));
      for (; c < channels; ++c) to[c] = from[c];
    }
  } else if (position_stride == 1) {
    transpose_copy(dst, width, src, channel_stride, channels, positions);
  } else {
    for (int64_t i = 0; i < positions; ++i)
      for (int64_t c = 0; c < channels; ++c)
        dst[i * width + c] = src[c * channel_stride + i * position_stride];
  }
}

template <class T>
inline void zero(T* data, int64_t count) {
  for (int64_t i = 0; i < count; ++i) data[i] = T(0);
}

}  // namespace
}  // namespace fastconv
