// The argument block of every kernel in kernels.inc. One struct a family, the same for all
// directions and instruction sets, so that one list can declare, select and call them.
#pragma once

#include "core/bfloat16.h"
#include "core/params.h"

namespace fastconv {

// Kernels run on at most `threads` threads through core/parallel.h and take their scratch
// from `workspace` (64-byte aligned, at least what the *_plan kernel answered).
struct Exec {
  int threads;
  void* workspace;
  bool highest_precision = false;  // sum directly: no algorithm that trades accuracy for speed
  bool has_avx512_bf16 = false;    // products of pairs of bfloat16; else they are emulated
};

// How a convolution is computed. From kFirstCover on: Winograd, cover number minus that
// (winograd_plan.h). kByModel asks for what the cost model says; a plan that answers it says that
// the algorithm asked for does not apply.
enum ConvAlgorithm : int32_t {
  kByModel = 0,
  kDirect = 1,     // vectors along the output channels; of the weight gradient, all it has
  kPositions = 2,  // vectors along a row of outputs
  kDepthwise = 3,  // vectors along the channels, or for the weight gradient along either
  kNaive = 4,      // the reference
  kColumns = 5,    // depthwise, vectors along the columns
  kPairs = 8,      // bfloat16: kDirect over pairs of channels, or of pixels; others are in float32
  kFirstCover = 16,
  kConvAlgorithms = kFirstCover + 128
};

// What a *_plan kernel answers. The same function chooses for it and for the kernel that runs,
// and never looks at the batch or the threads.
struct ConvPlan {
  int32_t algorithm;     // ConvAlgorithm
  size_t workspace;      // bytes, of this batch and these threads
  bool full;             // set by the caller: fill in the rest, too
  bool asked;            // the algorithm was, or is a measured choice: the model did not decide
  int64_t m[2], r[2];    // outputs and taps of Winograd's tiles, rows and columns
  bool mixed;            // some of the taps come in shorter runs, with transforms of their own
  bool folded;           // the rows and columns are those of a folded signal
  bool widened;          // of bfloat16: computed by the float32 kernels
  double relative_cost;  // modelled, of direct summation
  int64_t multiplications, direct_multiplications;  // of one image
  // Bytes of the filters packed in the form that suits this batch (0: there is none), and what
  // identifies that form; its last bit, kTapsForm, is the one that may depend on the batch.
  size_t packed;
  uint64_t packed_form;
  size_t other_packed;  // bytes in the form with the other last bit, or 0
};

// In a packed form: the filters are not transformed yet, every call does it.
constexpr uint64_t kTapsForm = 1;

// forward reads x, weight and writes y; backward_input reads y, weight and writes x (and is
// what a transposed convolution calls forward: bias, residual and activation then apply to
// x, and residual_stride is laid out like x); backward_weight reads x, y, writes weight.
template <class T>
struct ConvArgs {
  const ConvParams* params;
  T* x;
  T* weight;
  T* y;
  const T* bias;      // per output channel of the computation, or null
  const T* residual;  // or null
  int32_t algorithm;  // ConvAlgorithm
  T* packed_weight;   // what *_pack_weight writes, and other kernels read if it is not null
  bool packed_taps;   // it is, or is to be, of a form with kTapsForm
  // If not null, only packed_weight is there yet: is set, and the result worthless, where `weight`
  // would have to be read.
  bool* wants_weight;
  ConvPlan* plan;  // where the *_plan kernels answer
  Exec exec;
};

// y = saturate(round((sum over taps of (x - x_zero) * (w - w_zero) + bias) * x_scale * w_scale /
// y_scale) + y_zero), forward only; the strides of params are in bytes. Scales and zero points of
// the filters are one for each output channel, or all the same (stride 0).
struct QuantizedConvArgs {
  const ConvParams* params;
  const uint8_t* x;
  const uint8_t* weight;
  uint8_t* y;
  bool x_signed, w_signed, y_signed;  // int8, else uint8
  int32_t x_zero, y_zero;
  float x_scale, y_scale;
  const float* w_scale;
  const uint8_t* w_zero;  // in the type of the filters, or null: 0
  int64_t w_scale_stride, w_zero_stride;
  const int32_t* bias;     // or null
  bool vnni;               // the CPU has AVX512-VNNI
  size_t* workspace_size;  // where the *_workspace kernel answers
  Exec exec;
};

// y[n, m] = activation(sum over k of a[m, k] * x[n, k] + bias[m] + residual[n, m]) for 1 to 4
// rows n; a_stride[0] (of m) or a_stride[1] (of k) is 1.
template <class T>
struct MatrixVectorArgs {
  T* y;
  const T* a;
  const T* x;
  const T* bias;      // or null
  const T* residual;  // or null
  int64_t rows, outputs, columns;
  int64_t a_stride[2], x_stride[2], y_stride[2], residual_stride[2], bias_stride;
  Activation activation;
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
// unpool: y, indices -> x as well, but stores where backward adds. Both first clear x. They
// leave the largest index they met, negative ones being the largest of all, and do not use those
// of a task in which it is outside the plane. The *_argmax kernels have the position in the
// window instead of the one in the plane: (kd * KH + kh) * KW + kw, kNoArgmax if the window has
// nothing but padding; what names no element of the input gets no gradient.
template <class T>
struct PoolArgs {
  const WindowParams* params;
  T* x;
  T* y;
  int64_t* indices;
  uint8_t* argmax;
  Exec exec;
  uint64_t* largest_index = nullptr;
};

constexpr int kNoArgmax = 255;  // so windows have at most as many elements

// Average pooling. forward: x -> y. backward: y -> x. A window's sum is divided by `divisor`,
// or, if that is 0, by how many of its elements are in the input, its padding counted or not.
template <class T>
struct AveragePoolArgs {
  const WindowParams* params;
  T* x;
  T* y;
  bool count_include_pad;
  int64_t divisor;
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

// out = a * scale + shift where an element's random 32 bits are not below the threshold, else
// `dropped`. number_stride: of the element's number among the random ones.
template <class T>
struct DropoutArgs {
  T* out;
  const T* a;
  int64_t extent[5], out_stride[5], a_stride[5];
  int64_t number_stride[5];
  uint64_t seed, threshold;
  double scale, shift, dropped;
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

// Normalisation of x (N, C, D, H, W) with statistics of channels (all samples together), or of
// `groups` groups of neighbouring channels (per_sample). mean and invstd (N or 1, groups).
template <class T>
struct NormArgs {
  T* out;  // the result; backward: the gradient of x, or null
  const T* x;
  const T* dy;      // backward
  const T* weight;  // a channel, or null: 1
  const T* bias;    // a channel, or null: 0; backward: with relu only
  T* mean;          // forward: written unless null; backward: read
  T* invstd;        // the same
  T* running_mean;  // forward: a channel; may be null if from_batch
  T* running_var;   // the same
  T* dweight;       // backward: or null
  T* dbias;         // the same
  int64_t extent[5], out_stride[5], x_stride[5], dy_stride[5];
  int64_t weight_stride, bias_stride, mean_stride[2], invstd_stride[2];
  int64_t running_mean_stride, running_var_stride, dweight_stride, dbias_stride;
  int64_t groups;
  bool per_sample;
  bool from_batch;        // the statistics are those of x, not constants
  bool relu;              // of the result
  Activation activation;  // activation_backward_bias: x is what its derivative is taken from
  double momentum, eps;
  size_t* workspace_size;
  Exec exec;
};

// Normalisation of rows: the dimensions from `axis` on, of 5, are one row. mean and invstd have
// strides 0 from there on, weight and bias before.
template <class T>
struct LayerNormArgs {
  T* out;  // as in NormArgs
  const T* x;
  const T* dy;
  const T* weight;
  const T* bias;
  T* mean;
  T* invstd;
  T* dweight;
  T* dbias;
  int64_t extent[5], out_stride[5], x_stride[5], dy_stride[5];
  int64_t weight_stride[5], bias_stride[5], mean_stride[5], invstd_stride[5];
  int64_t dweight_stride[5], dbias_stride[5];
  int axis;
  double eps;
  size_t* workspace_size;
  Exec exec;
};

// Local response normalisation across channels; backward: dy is not null.
template <class T>
struct LocalResponseArgs {
  T* out;
  const T* x;
  const T* dy;
  int64_t extent[5], out_stride[5], x_stride[5], dy_stride[5];
  int64_t size;
  double alpha, beta, k;
  size_t* workspace_size;
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
