// Convolution of bfloat16 by the float32 kernels: operands are widened, the result is rounded.
//
// Where that is faster than multiplying pairs (Winograd's transforms, on a processor without such
// products) or pairs have no use (a channel a group). Bias, residual and activation are the float32
// kernel's own, so that there is one rounding. Images are taken a few at a time, as many as have
// their float32 copies in kWidenedBytes, or one: what a call needs does not grow with the batch.
// For the gradient of the filters these portions are pieces of the sum, added in order.
#pragma once

#include "kernels/conv_blocks.h"
#include "kernels/convert.h"

namespace fastconv {

// The kernels of conv.kernel.cpp and conv_backward_weight.kernel.cpp.
#define FASTCONV_FLOAT32_KERNEL(name) \
  void FASTCONV_CAT(name, f32, FASTCONV_ISA)(const ConvArgs<float>& args);
FASTCONV_FLOAT32_KERNEL(conv_forward)
FASTCONV_FLOAT32_KERNEL(conv_forward_plan)
FASTCONV_FLOAT32_KERNEL(conv_forward_pack_weight)
FASTCONV_FLOAT32_KERNEL(conv_backward_input)
FASTCONV_FLOAT32_KERNEL(conv_backward_input_plan)
FASTCONV_FLOAT32_KERNEL(conv_backward_input_pack_weight)
FASTCONV_FLOAT32_KERNEL(conv_backward_weight)
FASTCONV_FLOAT32_KERNEL(conv_backward_weight_plan)
#undef FASTCONV_FLOAT32_KERNEL

namespace {

enum class Computation { kForward, kBackwardInput, kBackwardWeight };

using Float32Kernel = void (*)(const ConvArgs<float>&);

struct Float32Kernels {
  Float32Kernel plan, run, pack_weight;
};

inline Float32Kernels float32_kernels(Computation computation) {
#define FASTCONV_FLOAT32_KERNEL(name) &FASTCONV_CAT(name, f32, FASTCONV_ISA)
  if (computation == Computation::kForward)
    return {FASTCONV_FLOAT32_KERNEL(conv_forward_plan), FASTCONV_FLOAT32_KERNEL(conv_forward),
            FASTCONV_FLOAT32_KERNEL(conv_forward_pack_weight)};
  if (computation == Computation::kBackwardInput)
    return {FASTCONV_FLOAT32_KERNEL(conv_backward_input_plan),
            FASTCONV_FLOAT32_KERNEL(conv_backward_input),
            FASTCONV_FLOAT32_KERNEL(conv_backward_input_pack_weight)};
  return {FASTCONV_FLOAT32_KERNEL(conv_backward_weight_plan),
          FASTCONV_FLOAT32_KERNEL(conv_backward_weight), nullptr};
#undef FASTCONV_FLOAT32_KERNEL
}

// Copies of a portion of the images (3x3, 256 channels at 56, an image in AVX-512: with 4 MiB
// 5.9 ms, 8 MiB 5.6, 16 MiB 8).
constexpr int64_t kWidenedBytes = 8 << 20;

// A tensor in bfloat16 and its dense copy in float32.
struct WidenedTensor {
  int64_t extent[5], stride[5], size;

  void set(int64_t n, int64_t channels, const int64_t* spatial, const int64_t* like) {
    extent[0] = n;
    extent[1] = channels;
    for (int i = 0; i < kSpatial; ++i) extent[i + 2] = spatial[i];
    size = dense_strides(stride, extent, like);
  }
};

struct WidenedPlan {
  Computation computation;
  ConvParams p;  // of a portion, in float32
  WidenedTensor x, weight, y;
  int64_t images;  // of a portion
  int64_t portions;
  bool sums;         // of several portions
  bool packs;        // filters for several portions
  bool packed_taps;  // as in ConvArgs
  size_t x_at, weight_at, y_at, bias_at, residual_at, more_at, packed_at, inner_at, total_bytes;
  ConvPlan inner;  // of the float32 kernel

  // What the float32 kernel is to compute; `from` for those that need no data.
  ConvArgs<float> args_for(const ConvArgs<BFloat16>& args, char* workspace) const {
    // Of a plan, which has no workspace, only which of them are null is looked at.
    const auto at = [&](size_t offset) {
      return reinterpret_cast<float*>(reinterpret_cast<uintptr_t>(workspace) + offset);
    };
    ConvArgs<float> wide = {};
    wide.params = &p;
    wide.x = at(x_at);
    wide.weight = at(weight_at);
    wide.y = at(y_at);
    wide.bias = args.bias != nullptr ? at(bias_at) : nullptr;
    wide.residual = args.residual != nullptr ? at(residual_at) : nullptr;
    wide.packed_weight = packs ? at(packed_at) : reinterpret_cast<float*>(args.packed_weight);
    wide.packed_taps = packed_taps;
    wide.exec = args.exec;
    wide.exec.workspace = workspace != nullptr ? workspace + inner_at : nullptr;
    return wide;
  }

  WidenedPlan(const ConvArgs<BFloat16>& args, Computation which, int32_t algorithm)
      : computation(which), p(*args.params) {
    constexpr int64_t item = sizeof(float);
    const int64_t n = max(p.n, 1);  // an empty batch is planned like any other
    const bool gradient = which == Computation::kBackwardWeight;
    const bool forward = which == Computation::kForward;
    x.set(1, p.in_channels, p.in, p.x_stride);
    y.set(1, p.out_channels, p.out, p.y_stride);
    const int64_t result = gradient ? 0 : forward ? y.size : x.size;
    const int64_t bytes = (x.size + y.size + (args.residual != nullptr ? result : 0)) * item;
    images = max(1, min(n, kWidenedBytes / bytes));
    portions = ceil_div(n, images);
    images = ceil_div(n, portions);
    x.set(images, p.in_channels, p.in, p.x_stride);
    y.set(images, p.out_channels, p.out, p.y_stride);
    weight.set(p.out_channels, p.in_channels / p.groups, p.kernel, p.w_stride);
    sums = gradient && portions > 1;
    for (int i = 0; i < 5; ++i) {
      p.x_stride[i] = x.extent[i] > 1 ? x.stride[i] : 0;
      p.y_stride[i] = y.extent[i] > 1 ? y.stride[i] : 0;
      p.w_stride[i] = weight.extent[i] > 1 ? weight.stride[i] : 0;
      p.residual_stride[i] = args.residual == nullptr ? 0 : forward ? p.y_stride[i] : p.x_stride[i];
    }
    p.bias_stride = 1;
    p.n = images;
    Regions regions;
    x_at = regions.reserve(x.size * item);
    y_at = regions.reserve(y.size * item);
    residual_at = regions.reserve(args.residual != nullptr ? (forward ? y : x).size * item : 0);
    bias_at = regions.reserve((forward ? p.out_channels : p.in_channels) * item);
    weight_at = regions.reserve(weight.size * item);
    more_at = regions.reserve(sums ? weight.size * item : 0);
    packs = false;
    packed_taps = args.packed_taps;
    ask(args, algorithm);
    size_t scratch = inner.workspace;
    if (portions > 1 && inner.packed > 0 && args.packed_weight == nullptr) {
      packs = true;
      packed_taps = (inner.packed_form & kTapsForm) != 0;
      packed_at = regions.reserve(static_cast<int64_t>(inner.packed));
      ask(args, inner.algorithm);
      scratch = max_size(scratch, inner.workspace);
    }
    inner_at = regions.end;
    // The last portion may be smaller, which does not always mean less scratch.
    if (const int64_t rest = n - (portions - 1) * images; rest != images) {
      const ConvPlan whole = inner;
      p.n = rest;
      ask(args, inner.algorithm);
      scratch = max_size(scratch, inner.workspace);
      inner = whole;
      p.n = images;
    }
    total_bytes = inner_at + scratch;
  }

 private:
  static size_t max_size(size_t a, size_t b) { return a > b ? a : b; }

  void ask(const ConvArgs<BFloat16>& args, int32_t algorithm) {
    inner = {};
    inner.full = true;
    ConvArgs<float> wide = args_for(args, nullptr);
    wide.algorithm = algorithm;
    wide.plan = &inner;
    float32_kernels(computation).plan(wide);
  }
};

inline void widen_weight(const WidenedPlan& plan, const ConvArgs<BFloat16>& args, char* workspace) {
  convert(reinterpret_cast<float*>(workspace + plan.weight_at), plan.weight.stride, args.weight,
          args.params->w_stride, plan.weight.extent, args.exec.threads);
}

inline void run_widened(const ConvArgs<BFloat16>& args, Computation computation,
                        int32_t algorithm) {
  WidenedPlan plan(args, computation, algorithm);
  const ConvParams& given = *args.params;
  char* workspace = static_cast<char*>(args.exec.workspace);
  const int threads = args.exec.threads;
  const bool forward = computation == Computation::kForward;
  const bool gradient = computation == Computation::kBackwardWeight;
  ConvArgs<float> wide = plan.args_for(args, workspace);
  wide.algorithm = algorithm;
  wide.plan = &plan.inner;
  // Packed filters do without the weight, unless a tile is not finite.
  bool wanted = false;
  if (!gradient && args.packed_weight != nullptr)
    wide.wants_weight = &wanted;
  else if (!gradient)
    widen_weight(plan, args, workspace);
  if (args.bias != nullptr) {
    const int64_t extent[5] = {1, forward ? given.out_channels : given.in_channels, 1, 1, 1};
    const int64_t to[5] = {0, 1, 0, 0, 0}, from[5] = {0, given.bias_stride, 0, 0, 0};
    convert(reinterpret_cast<float*>(workspace + plan.bias_at), to, args.bias, from, extent,
            threads);
  }
  if (plan.packs) float32_kernels(computation).pack_weight(wide);
  float* sums = wide.weight;
  const Float32Kernel run = float32_kernels(computation).run;
  if (given.n == 0)  // of the gradient of the filters: an empty sum
    for (int64_t i = 0; i < plan.weight.size; ++i) sums[i] = 0;
  for (int64_t portion = 0; portion < plan.portions && given.n > 0; ++portion) {
    const int64_t first = portion * plan.images;
    plan.p.n = min(plan.images, given.n - first);
    plan.x.extent[0] = plan.y.extent[0] = plan.p.n;
    BFloat16* x = args.x + first * given.x_stride[0];
    BFloat16* y = args.y + first * given.y_stride[0];
    if (forward || gradient)
      convert(wide.x, plan.x.stride, x, given.x_stride, plan.x.extent, threads);
    if (!forward) convert(wide.y, plan.y.stride, y, given.y_stride, plan.y.extent, threads);
    if (args.residual != nullptr) {
      const WidenedTensor& out = forward ? plan.y : plan.x;
      convert(const_cast<float*>(wide.residual), out.stride,
              args.residual + first * given.residual_stride[0], given.residual_stride, out.extent,
              threads);
    }
    if (portion > 0 && gradient) wide.weight = reinterpret_cast<float*>(workspace + plan.more_at);
    run(wide);
    if (wanted) {
      widen_weight(plan, args, workspace);
      wide.wants_weight = nullptr;
      wanted = false;
      run(wide);
    }
    if (forward) convert(y, given.y_stride, wide.y, plan.y.stride, plan.y.extent, threads);
    if (computation == Computation::kBackwardInput)
      convert(x, given.x_stride, wide.x, plan.x.stride, plan.x.extent, threads);
    if (portion > 0 && gradient)
      for (int64_t i = 0; i < plan.weight.size; ++i) sums[i] += wide.weight[i];
  }
  if (gradient)
    convert(args.weight, given.w_stride, sums, plan.weight.stride, plan.weight.extent, threads);
}

inline void pack_widened(const ConvArgs<BFloat16>& args, Computation computation,
                         int32_t algorithm) {
  // Where the filters go is not yet where they are read from.
  ConvArgs<BFloat16> unpacked = args;
  unpacked.packed_weight = nullptr;
  const WidenedPlan plan(unpacked, computation, algorithm);
  char* workspace = static_cast<char*>(args.exec.workspace);
  widen_weight(plan, args, workspace);
  ConvArgs<float> wide = plan.args_for(args, workspace);
  wide.packed_weight = reinterpret_cast<float*>(args.packed_weight);
  wide.packed_taps = args.packed_taps;
  wide.algorithm = algorithm;
  float32_kernels(computation).pack_weight(wide);
}

}  // namespace
}  // namespace fastconv
