// From finished sums to the output: out = activation(sum + bias + residual), in any layout.
//
//   tile[position][width]  ->  out[m * out.channel + position * out.position]
#pragma once

#include "kernels/activation.h"
#include "kernels/brgemm.h"
#include "simd/partial.h"
#include "simd/stream.h"
#include "simd/transpose.h"

namespace fastconv {
namespace {

template <class T>
struct Strided {
  T* data;
  int64_t channel, position;  // strides
  bool streams = false;       // of an output too large to be found in a cache again
};

// The first `count` lanes.
template <class T>
FASTCONV_INLINE void put(const Strided<T>& out, T* to, Vec<T> x, int64_t count) {
  if (count < kLanes<T>)
    store_lanes(to, x, count);
  else if (out.streams && is_aligned(to))
    stream(to, x);
  else
    store(to, x);
}

// Channels-last: one position's channels are consecutive in tile and output alike.
template <class T>
inline void store_channels_last(const T* tile, int64_t width, int64_t outputs, int64_t positions,
                                const T* bias, Strided<const T> residual, Strided<T> out,
                                const Activation& activation) {
  constexpr int n = kLanes<T>;
  for (int64_t i = 0; i < positions; ++i) {
    for (int64_t m = 0; m < outputs; m += n) {
      const int64_t count = min(n, outputs - m);
      Vec<T> x = load(tile + i * width + m) + load(bias + m);
      if (residual.data != nullptr)
        x += load_lanes(residual.data + i * residual.position + m, 0, count, T(0));
      x = activate<T>(x, activation);
      T* to = out.data + i * out.position + m;
      put(out, to, x, count);
    }
  }
}

// Planar: one channel's positions are consecutive in the output; blocks are transposed in
// registers.
template <class T>
inline void store_planar(const T* tile, int64_t width, int64_t outputs, int64_t positions,
                         const T* bias, Strided<const T> residual, Strided<T> out,
                         const Activation& activation) {
  constexpr int n = kLanes<T>;
  for (int64_t i = 0; i < positions; i += n) {
    const int64_t count = min(n, positions - i);
    for (int64_t m = 0; m < outputs; m += n) {
      const Vec<T> bias_m = load(bias + m);
      Vec<T> block[n];
      FASTCONV_UNROLL
      for (int r = 0; r < n; ++r)
        block[r] = r < count ? load(tile + (i + r) * width + m) + bias_m : Vec<T>{};
      transpose<T>(block);
      for (int64_t r = 0; r < min(n, outputs - m); ++r) {
        Vec<T> x = block[r];
        if (residual.data != nullptr)
          x += load_lanes(residual.data + (m + r) * residual.channel + i, 0, count, T(0));
        x = activate<T>(x, activation);
        T* to = out.data + (m + r) * out.channel + i;
        put(out, to, x, count);
      }
    }
  }
}

template <class T>
inline void store_strided(const T* tile, int64_t width, int64_t outputs, int64_t positions,
                          const T* bias, Strided<const T> residual, Strided<T> out,
                          const Activation& activation) {
  for (int64_t m = 0; m < outputs; ++m) {
    for (int64_t i = 0; i < positions; ++i) {
      T x = tile[i * width + m] + bias[m];
      if (residual.data != nullptr)
        x += residual.data[m * residual.channel + i * residual.position];
      out.data[m * out.channel + i * out.position] = activate_element<T>(x, activation);
    }
  }
}

// `bias` has `width` entries; residual.data may be null.
template <class T>
void store_tile(const T* tile, int64_t width, int64_t outputs, int64_t positions, const T* bias,
                Strided<const T> residual, Strided<T> out, const Activation& activation) {
  const bool no_residual = residual.data == nullptr;
  if (out.channel == 1 && (no_residual || residual.channel == 1))
    store_channels_last(tile, width, outputs, positions, bias, residual, out, activation);
  else if (out.position == 1 && (no_residual || residual.position == 1))
    store_planar(tile, width, outputs, positions, bias, residual, out, activation);
  else
    store_strided(tile, width, outputs, positions, bias, residual, out, activation);
}

}  // namespace
}  // namespace fastconv
