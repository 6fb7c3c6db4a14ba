// Packing with the channels of a position side by side, from any layout.
#pragma once

#include "kernels/brgemm.h"
#include "simd/transpose.h"

namespace fastconv {
namespace {

// dst[3 * i + c] = src[c * channel_stride + i]: the colours of planar images. Two permutations of
// two vectors make one of the result.
template <class T>
inline void interleave_three(T* dst, const T* src, int64_t channel_stride, int64_t positions) {
  constexpr int n = kLanes<T>;
  Mask<T> pair[3], third[3];  // lanes of (first, second), then of (those, third)
  FASTCONV_UNROLL
  for (int v = 0; v < 3; ++v) {
    FASTCONV_UNROLL
    for (int i = 0; i < n; ++i) {
      const int position = (v * n + i) / 3, channel = (v * n + i) % 3;
      pair[v][i] = channel == 1 ? n + position : position;
      third[v][i] = channel == 2 ? n + position : i;
    }
  }
  int64_t i = 0;
  for (; i + n <= positions; i += n) {
    const Vec<T> a = load(src + i), b = load(src + channel_stride + i);
    const Vec<T> c = load(src + 2 * channel_stride + i);
    FASTCONV_UNROLL
    for (int v = 0; v < 3; ++v)
      store(dst + 3 * i + v * n, __builtin_shuffle(__builtin_shuffle(a, b, pair[v]), c, third[v]));
  }
  for (; i < positions; ++i)
    for (int64_t c = 0; c < 3; ++c) dst[3 * i + c] = src[c * channel_stride + i];
}

// dst[b * block_pitch + i * width + c] = src[i * position_stride + b * width + c]: channels-last
// memory as blocks of `width` channels, zeros beyond the last, in the one pass over it that
// reads every line once and in order.
template <class T>
inline void pack_channel_blocks(T* dst, int64_t width, int64_t block_pitch, const T* src,
                                int64_t channels, int64_t positions, int64_t position_stride) {
  const int64_t whole = channels / width * width;
  for (int64_t i = 0; i < positions; ++i, src += position_stride, dst += width) {
    T* to = dst;
    for (int64_t c = 0; c < whole; c += width, to += block_pitch)
      for (int64_t v = 0; v < width; v += kLanes<T>) store(to + v, load(src + c + v));
    if (whole == channels) continue;
    for (int64_t c = 0; c < width; ++c) to[c] = whole + c < channels ? src[whole + c] : T(0);
  }
}

// dst[i * width + c] = src[c * channel_stride + i * position_stride]
template <class T>
void pack_positions(T* dst, int64_t width, const T* src, int64_t channels, int64_t channel_stride,
                    int64_t positions, int64_t position_stride) {
  if (channel_stride == 1 && channels == width && position_stride == width) {
    __builtin_memcpy(dst, src, static_cast<size_t>(positions * width) * sizeof(T));
  } else if (channel_stride == 1) {
    for (int64_t i = 0; i < positions; ++i) {
      const T* from = src + i * position_stride;
      T* to = dst + i * width;
      int64_t c = 0;
      for (; c + kLanes<T> <= channels; c += kLanes<T>) store(to + c, load(from + c));
      for (; c < channels; ++c) to[c] = from[c];
    }
  } else if (position_stride == 1 && channels == 3 && width == 3) {
    interleave_three(dst, src, channel_stride, positions);
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
