// The argument block of every kernel in kernels.inc. One struct a family, the same for all
// directions and instruction sets, so that one list can declare, select and call them.
#pragma once

#include "core/params.h"

namespace fastconv {

// Kernels run on at most `threads` threads through core/parallel.h and take their scratch
// from `workspace` (64-byte aligned, at least what the *_workspace kernel answered).
struct Exec {
  int threads;
  void* workspace;
  bool highest_precision = false;  // sum directly: no algorithm that trades accuracy for speed
};

// forward reads x, weight and writes y; backward_input reads y, weight and writes x (and is
// what a transposed convolution calls forward: bias, residual and activation then apply to
// x, and residual_stride is laid out like x); backward_weight reads x, y, writes weight.
template <class T>
struct ConvArgs {
  const ConvParams* params;
  T* x;
  T* weight;
  T* y;
  const T* bias;           // per output channel of the computation, or null
  const T* residual;       // or null
  size_t* workspace_size;  // where the *_workspace kernels answer, in bytes
  Exec exec;
};

// out[c] = sum over n and positions of x[n, c, position]; extents and strides N, C, D, H, W.
template <class T>
struct ChannelSumArgs {
  T* out;
  const T* x;
  int64_t extent[5], x_stride[5], out_stride;
  Exec exec;
};

// Pooling and unpooling. forward: x -> y, indices (may be null). backward: y, indices -> x.
// unpool: y, indices -> x as well, but stores where backward adds. Both first clear x. Indices
// are checked by the caller before either runs.
template <class T>
struct PoolArgs {
  const WindowParams* params;
  T* x;
  T* y;
  int64_t* indices;
  Exec exec;
};

// im2col: x -> cols. col2im: cols -> x.
template <class T>
struct ColumnsArgs {
  const WindowParams* params;
  T* x;
  T* cols;
  Exec exec;
};

// Elementwise over a 5-D extent: out = f(a, b), f the activation or its gradient.
template <class T>
struct ElementwiseArgs {
  T* out;
  const T* a;
  const T* b;  // null for a function of one argument
  int64_t extent[5], out_stride[5], a_stride[5], b_stride[5];
  Activation activation;
  Exec exec;
};

// Softmax along the middle of (outer[0], outer[1], axis, inner[0], inner[1]), as 5-D
// extents and strides with the axis at position `axis`.
template <class T>
struct SoftmaxArgs {
  T* out;
  const T* a;  // forward: input; backward: grad_output
  const T* b;  // backward: the forward result
  int64_t extent[5], out_stride[5], a_stride[5], b_stride[5];
  int axis;
  bool log_softmax;
  Exec exec;
};

// Cross-entropy over classes: input (N, C, D0, D1, D2), target and loss (N, D0, D1, D2),
// given as 5-D strides whose class entry is unused. Targets are checked by the caller.
template <class T>
struct CrossEntropyArgs {
  T* loss;        // forward
  T* grad_input;  // backward
  const T* grad_loss;
  const T* input;
  const int64_t* target;
  int64_t extent[5], input_stride[5], grad_input_stride[5], target_stride[5], loss_stride[5];
  int64_t ignore_index;
  double label_smoothing;
  Exec exec;
};

// See fastconv_measure: runs `repeats` rounds on each thread and answers the floating-point
// operations of all of them; the caller holds the clock.
template <class T>
struct ProbeArgs {
  int64_t repeats;
  double* flops;
  Exec exec;
};

}  // namespace fastconv
