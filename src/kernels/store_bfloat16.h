// From float32 sums to bfloat16 outputs: out = round(activation(sum + bias + residual)), the
// only rounding, in any layout. What store_tile.h does for outputs as wide as their sums.
//
//   tile[position][width]  ->  out[m * out.channel + position * out.position]
#pragma once

#include "dispatch/args.h"
#include "kernels/store_tile.h"
#include "simd/bfloat16.h"

namespace fastconv {
namespace {

// p[i * step], i < count, as float32; zeros beyond.
FASTCONV_INLINE Vec<float> load_widened(const BFloat16* p, int64_t step, int64_t count) {
  if (step == 1) return widen(load_halves(p, count));
  BFloat16 lanes[kLanes<float>] = {};
  for (int64_t i = 0; i < count; ++i) lanes[i] = p[i * step];
  return widen(load_halves(lanes));
}

FASTCONV_INLINE void store_rounded(BFloat16* p, int64_t step, Vec<float> x, int64_t count) {
  if (step == 1) return store_halves(p, round_to_halves(x), count);
  BFloat16 lanes[kLanes<float>];
  store_halves(lanes, round_to_halves(x));
  for (int64_t i = 0; i < count; ++i) p[i * step] = lanes[i];
}

#if defined(__AVX512F__)
// A whole line of outputs; `streams` as in Strided.
FASTCONV_INLINE void put_rounded(BFloat16* to, Vec<float> low, Vec<float> high, bool streams) {
  const auto line = (Vec<float>)round_by_instruction(low, high);
  float* at = reinterpret_cast<float*>(to);
  if (streams && is_aligned(at))
    stream(at, line);
  else
    store(at, line);
}

// Whole panels, by the instruction.
inline void round_panels_by_instruction(const float* tile, int64_t positions, const float* bias,
                                        Strided<const BFloat16> residual, Strided<BFloat16> out,
                                        const Activation& activation) {
  constexpr int n = kLanes<float>;
  const Vec<float> bias_low = load(bias), bias_high = load(bias + n);
  for (int64_t i = 0; i < positions; ++i) {
    Vec<float> low = load(tile + i * 2 * n) + bias_low;
    Vec<float> high = load(tile + i * 2 * n + n) + bias_high;
    if (residual.data != nullptr) {
      const BFloat16* from = residual.data + i * residual.position;
      low += widen(load_halves(from));
      high += widen(load_halves(from + n));
    }
    put_rounded(out.data + i * out.position, activate<float>(low, activation),
                activate<float>(high, activation), out.streams);
  }
}
#endif

inline void round_channels_last(const float* tile, int64_t width, int64_t outputs,
                                int64_t positions, const float* bias,
                                Strided<const BFloat16> residual, Strided<BFloat16> out,
                                const Activation& activation) {
  constexpr int n = kLanes<float>;
  for (int64_t i = 0; i < positions; ++i) {
    for (int64_t m = 0; m < outputs; m += n) {
      const int64_t count = min(n, outputs - m);
      Vec<float> x = load(tile + i * width + m) + load(bias + m);
      if (residual.data != nullptr)
        x += load_widened(residual.data + i * residual.position + m, 1, count);
      store_rounded(out.data + i * out.position + m, 1, activate<float>(x, activation), count);
    }
  }
}

inline void round_by_channel(const float* tile, int64_t width, int64_t outputs, int64_t positions,
                             const float* bias, Strided<const BFloat16> residual,
                             Strided<BFloat16> out, const Activation& activation) {
  constexpr int n = kLanes<float>;
  for (int64_t i = 0; i < positions; i += n) {
    const int64_t count = min(n, positions - i);
    for (int64_t m = 0; m < outputs; m += n) {
      const Vec<float> bias_m = load(bias + m);
      Vec<float> block[n];
      FASTCONV_UNROLL
      for (int r = 0; r < n; ++r)
        block[r] = r < count ? load(tile + (i + r) * width + m) + bias_m : Vec<float>{};
      transpose<float>(block);
      for (int64_t r = 0; r < min(n, outputs - m); ++r) {
        Vec<float> x = block[r];
        if (residual.data != nullptr)
          x += load_widened(residual.data + (m + r) * residual.channel + i * residual.position,
                            residual.position, count);
        store_rounded(out.data + (m + r) * out.channel + i * out.position, out.position,
                      activate<float>(x, activation), count);
      }
    }
  }
}

// `bias` has `width` entries; residual.data may be null.
inline void store_bfloat16(const Exec& exec, const float* tile, int64_t width, int64_t outputs,
                           int64_t positions, const float* bias, Strided<const BFloat16> residual,
                           Strided<BFloat16> out, const Activation& activation) {
  const bool channels_last =
      out.channel == 1 && (residual.data == nullptr || residual.channel == 1);
#if defined(__AVX512F__)
  if (channels_last && exec.has_avx512_bf16 && width == outputs && width == kPanel<float>)
    return round_panels_by_instruction(tile, positions, bias, residual, out, activation);
#endif
  (void)exec;
  if (channels_last)
    round_channels_last(tile, width, outputs, positions, bias, residual, out, activation);
  else
    round_by_channel(tile, width, outputs, positions, bias, residual, out, activation);
}

}  // namespace
}  // namespace fastconv
