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

// The first `count` lanes, out.position apart. Every other element is what a phase of a strided
// gradient owns of a row (the rest may be another thread's): two stores of half their lanes.
template <class T>
FASTCONV_INLINE void put_spaced(const Strided<T>& out, T* to, Vec<T> x, int64_t count) {
  if (out.position == 1) return put(out, to, x, count);
#if defined(__AVX512F__)
  if (out.position == 2) {
    constexpr int64_t n = kLanes<T>, half = n / 2;
    const auto put_half = [](T* half_to, Vec<T> v, int64_t lanes) {
      const uint32_t mask = 0x5555u & ((1u << 2 * lanes) - 1);
      if constexpr (sizeof(T) == 4)
        _mm512_mask_storeu_ps(half_to, static_cast<__mmask16>(mask), v);
      else
        _mm512_mask_storeu_pd(half_to, static_cast<__mmask8>(mask), v);
    };
    put_half(to, zip_low(x, x), min(count, half));
    if (count > half) put_half(to + n, zip_high(x, x), count - half);
    return;
  }
#endif
  T lanes[kLanes<T>];
  store(lanes, x);
  for (int64_t i = 0; i < count; ++i) to[i * out.position] = lanes[i];
}

// One channel after the other: blocks are transposed in registers. Planar outputs, and all others.
template <class T>
inline void store_by_channel(const T* tile, int64_t width, int64_t outputs, int64_t positions,
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
        if (residual.data != nullptr) {
          const T* from = residual.data + (m + r) * residual.channel + i * residual.position;
          x += residual.position == 1
                   ? load_lanes(from, 0, count, T(0))
                   : load_spaced_lanes<Step::kAny, T>(from, residual.position, 0, count, T(0));
        }
        x = activate<T>(x, activation);
        put_spaced(out, out.data + (m + r) * out.channel + i * out.position, x, count);
      }
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
  else
    store_by_channel(tile, width, outputs, positions, bias, residual, out, activation);
}

}  // namespace
}  // namespace fastconv
