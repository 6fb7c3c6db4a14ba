// Problems as the kernels see them: 1-D and 2-D are 3-D with leading extents of 1, every
// extent and stride is int64 and already validated, and layout is nothing but strides.
// Plain data only: kernel files include this header, and an inline function here would be
// emitted once per instruction set under one name.
#pragma once

#include <cstddef>
#include <cstdint>

namespace fastconv {

constexpr int kSpatial = 3;  // depth, height, width

// A function of one element and its parameters, which mean what fastconv_activation says.
struct Activation {
  int32_t kind;
  double alpha, beta;
};

// output[n, oc, o] = sum over ic, k of input[n, ic, o * stride - pad + k * dilation] * weight[oc, ic, k]
struct ConvParams {
  int64_t n, groups;
  int64_t in_channels, out_channels;  // in all groups together
  int64_t in[kSpatial], kernel[kSpatial], out[kSpatial];
  int64_t stride[kSpatial], dilation[kSpatial], pad_before[kSpatial];
  // Strides in elements: input and output N, C, D, H, W; weight OC, IC / groups, KD, KH, KW.
  int64_t x_stride[5], w_stride[5], y_stride[5], residual_stride[5];
  int64_t bias_stride;
  Activation activation;
};

// A window sliding over (N, C, D, H, W): pooling, im2col, col2im.
struct WindowParams {
  int64_t n, channels;
  int64_t in[kSpatial], kernel[kSpatial], out[kSpatial];
  int64_t stride[kSpatial], dilation[kSpatial], pad_before[kSpatial], pad_after[kSpatial];
  // Output o sees [floor(o * in / out), ceil((o + 1) * in / out)) of each dimension; the
  // kernel is then the largest of these, the stride the smallest step, the padding 0.
  bool adaptive;
  int64_t x_stride[5], y_stride[5], index_stride[5];  // of indices or argmax
  // cols (N, C * KD * KH * KW, OD * OH * OW)
  int64_t cols_stride[3];
};

}  // namespace fastconv
