// Forward and backward_input as one computation.
//
//   out[n, m, q] = sum over taps t, c of in[n, c, q * step + offset(t)] * weight[m, c, t]
//   in (N, G * C, spatial)   weight, per group (M, C, taps)   out (N, G * M, spatial)
//
// Forward is that with in = x, C = IC / G, M = OC / G, step = stride and
// offset(k) = k * dilation - pad. For backward_input (in = y, C = OC / G, M = IC / G) the
// element ih of x receives y[oh] * weight[kh] wherever ih + pad - kh * dilation = oh * stride.
// For all ih of one residue modulo the stride the same taps qualify, and they look at y with
// step 1: every residue ("phase") is a problem of this form over its own taps, so no
// multiplication with the zeros between strided positions ever happens. The axes are
// independent: a problem is three axes, a phase one choice on each.
#pragma once

#include "dispatch/args.h"
#include "kernels/brgemm.h"

namespace fastconv {
namespace {

// One spatial axis of a problem: taps and their offsets are arithmetic progressions.
struct Axis {
  int64_t in;                         // extent of `in`
  int64_t out;                        // positions q
  int64_t step;                       // of the input position with q
  int64_t taps;                       // may be 0: then the sum is empty
  int64_t first_kernel, kernel_step;  // kernel index of tap t: first_kernel + t * kernel_step
  int64_t first_offset, offset_step;
  int64_t out_first, out_step;  // position in the output: out_first + q * out_step

  FASTCONV_INLINE int64_t offset(int64_t tap) const { return first_offset + tap * offset_step; }
  FASTCONV_INLINE int64_t dilation() const { return offset_step < 0 ? -offset_step : offset_step; }
  FASTCONV_INLINE int64_t lowest() const {
    return taps == 0 || offset_step >= 0 ? first_offset : offset(taps - 1);
  }
};

FASTCONV_INLINE Axis forward_axis(const ConvParams& p, int i) {
  return {p.in[i], p.out[i], p.stride[i], p.kernel[i], 0, 1, -p.pad_before[i], p.dilation[i], 0, 1};
}

FASTCONV_INLINE Axis backward_axis(const ConvParams& p, int i, int64_t phase) {
  const int64_t stride = p.stride[i];
  Axis axis = {p.out[i], 0, 1, 0, 0, 1, 0, 0, phase, stride};
  axis.out = phase < p.in[i] ? (p.in[i] - phase - 1) / stride + 1 : 0;
  // Qualifying taps repeat every stride / gcd(stride, dilation): at most `stride` to look at.
  for (int64_t k = 0, found = 0, previous = 0; k < p.kernel[i] && k <= 2 * stride; ++k) {
    const int64_t distance = phase + p.pad_before[i] - k * p.dilation[i];
    if (distance % stride != 0) continue;
    if (found == 0) {
      axis.first_kernel = k;
      axis.first_offset = distance / stride;
      axis.taps = 1;
    } else if (found == 1) {
      axis.kernel_step = k - previous;
      axis.offset_step = distance / stride - axis.first_offset;
      axis.taps = (p.kernel[i] - 1 - axis.first_kernel) / axis.kernel_step + 1;
    }
    previous = k;
    ++found;
  }
  return axis;
}

// Multiplications of one image by direct summation.
inline int64_t direct_multiplications(const ConvParams& p, bool backward) {
  int64_t result = p.in_channels / p.groups * p.out_channels;
  for (int i = 0; i < kSpatial; ++i) {
    int64_t of_axis = backward ? 0 : p.out[i] * p.kernel[i];
    for (int64_t phase = 0; backward && phase < min(p.stride[i], p.in[i]); ++phase) {
      const Axis axis = backward_axis(p, i, phase);
      of_axis += axis.out * axis.taps;
    }
    result *= of_axis;
  }
  return result;
}

// What a run of neighbouring positions reads along one axis, as it is packed: each tap reads
// `span` elements, and taps closer than that share them in one segment; taps further apart
// have a segment each, so that a dilation of thousands does not pack what lies between.
struct Reach {
  int64_t span, tap_step;  // elements of one tap; from one tap's first to the next's
  int64_t extent;          // elements in all
  int64_t segments, segment_extent, segment_step;  // the last in the tensor, not the packing

  Reach(int64_t positions, int64_t step, int64_t taps, int64_t dilation) {
    span = (positions - 1) * step + 1;
    tap_step = min(dilation, span);
    extent = taps == 0 ? 0 : (taps - 1) * tap_step + span;
    segments = dilation > span ? taps : 1;
    segment_extent = dilation > span ? span : extent;
    segment_step = dilation;
  }
  Reach(const Axis& axis, int64_t positions)
      : Reach(positions, axis.step, axis.taps, axis.dilation()) {}
  // Where in the tensor packed element i is, counted from the first.
  FASTCONV_INLINE int64_t position(int64_t i) const {
    return segments == 1 ? i : i / span * segment_step + i % span;
  }
};

// The operands of either direction under the names used here. Strides N, C, D, H, W; the
// weight's are M, C, D, H, W.
template <class T>
struct Operands {
  const T *in, *weight, *bias, *residual;
  T* out;
  int64_t n, groups, channels, outputs;
  const int64_t *in_stride, *out_stride, *residual_stride;
  int64_t weight_stride[5], weight_group_stride, bias_stride;
  Activation activation;

  // to[0, width): the `count` biases from `channel` on, then zeros; zeros where there are none.
  void copy_bias(T* to, int64_t width, int64_t channel, int64_t count) const {
    for (int64_t m = 0; m < width; ++m)
      to[m] = bias != nullptr && m < count ? bias[(channel + m) * bias_stride] : T(0);
  }
};

template <class T>
FASTCONV_INLINE Operands<T> forward_operands(const ConvArgs<T>& args, const ConvParams& p) {
  const int64_t channels = p.in_channels / p.groups, outputs = p.out_channels / p.groups;
  const int64_t* w = p.w_stride;
  return {args.x,
          args.weight,
          args.bias,
          args.residual,
          args.y,
          p.n,
          p.groups,
          channels,
          outputs,
          p.x_stride,
          p.y_stride,
          p.residual_stride,
          {w[0], w[1], w[2], w[3], w[4]},
          outputs * w[0],
          p.bias_stride,
          p.activation};
}

template <class T>
FASTCONV_INLINE Operands<T> backward_operands(const ConvArgs<T>& args, const ConvParams& p) {
  const int64_t channels = p.out_channels / p.groups, outputs = p.in_channels / p.groups;
  const int64_t* w = p.w_stride;
  return {args.y,
          args.weight,
          args.bias,
          args.residual,
          args.x,
          p.n,
          p.groups,
          channels,
          outputs,
          p.y_stride,
          p.x_stride,
          p.residual_stride,
          {w[1], w[0], w[2], w[3], w[4]},
          channels * w[0],
          p.bias_stride,
          p.activation};
}

}  // namespace
}  // namespace fastconv
