// Convolution, its gradients, and the transposed convolution.
#include <cinttypes>
#include <cstring>

#include "api/call.h"

namespace fastconv {
namespace {

double macs(const ConvParams& p) {
  double result = static_cast<double>(p.n) * p.out_channels * (p.in_channels / p.groups);
  for (int i = 0; i < kSpatial; ++i) result *= static_cast<double>(p.kernel[i]) * p.out[i];
  return result;
}

template <class T>
using ConvKernel = void (*KernelTable<T>::*)(const ConvArgs<T>&);

// The three computations as (workspace, run) pairs of table entries.
template <class T>
struct Computation {
  ConvKernel<T> workspace, run;
};
template <class T>
constexpr Computation<T> kComputations[] = {
    {&KernelTable<T>::conv_forward_workspace, &KernelTable<T>::conv_forward},
    {&KernelTable<T>::conv_backward_input_workspace, &KernelTable<T>::conv_backward_input},
    {&KernelTable<T>::conv_backward_weight_workspace, &KernelTable<T>::conv_backward_weight},
};

// Runs `computation`, or only answers its workspace size if that is asked for.
fastconv_status run(fastconv_conv_computation computation, const ConvParams& p,
                    const fastconv_tensor& x, const fastconv_tensor& weight,
                    const fastconv_tensor* y, const fastconv_epilogue* epilogue,
                    const fastconv_exec* exec, size_t* workspace_size) {
  int threads;
  FASTCONV_TRY(choose_threads(exec, macs(p), kMacsPerThread, &threads));
  FASTCONV_TRY(check_precision(exec));
  const bool highest = exec != nullptr && exec->precision == FASTCONV_PRECISION_HIGHEST;
  return with_kernels(x.dtype, [&](const auto& table, auto zero) {
    using T = decltype(zero);
    const auto data = [](const fastconv_tensor* tensor) {
      return tensor != nullptr ? static_cast<T*>(tensor->data) : nullptr;
    };
    size_t needed = 0;
    ConvArgs<T> args = {};
    args.params = &p;
    args.x = data(&x);
    args.weight = data(&weight);
    args.y = data(y);
    args.bias = data(epilogue != nullptr ? epilogue->bias : nullptr);
    args.residual = data(epilogue != nullptr ? epilogue->residual : nullptr);
    args.workspace_size = &needed;
    args.exec = {threads, nullptr, highest};
    const Computation<T>& kernels = kComputations<T>[computation];
    (table.*kernels.workspace)(args);
    if (workspace_size != nullptr) {
      *workspace_size = needed;
      return FASTCONV_OK;
    }
    if (exec != nullptr && exec->workspace != nullptr) {
      if (exec->workspace_size < needed)
        return fail(FASTCONV_INVALID_ARGUMENT,
                    "workspace: expected at least %zu bytes "
                    "(fastconv_conv_workspace_size), got %zu",
                    needed, exec->workspace_size);
      if (reinterpret_cast<uintptr_t>(exec->workspace) % kAlignment != 0)
        return fail(FASTCONV_INVALID_ARGUMENT, "workspace: expected 64-byte alignment, got %p",
                    exec->workspace);
      args.exec.workspace = exec->workspace;
      (table.*kernels.run)(args);
      return FASTCONV_OK;
    }
    const Scratch scratch(needed);
    if (!scratch.ok())
      return fail(FASTCONV_OUT_OF_MEMORY, "no memory for %zu bytes of scratch", needed);
    args.exec.workspace = scratch.get();
    (table.*kernels.run)(args);
    return FASTCONV_OK;
  });
}

// The transposed convolution's output for an output padding; for null, the shape that an output
// padding adds to, which may have extents below 1.
fastconv_status transpose_shape(int64_t shape[FASTCONV_MAX_NDIM], Argument input, Argument weight,
                                const fastconv_conv_params* params, const int64_t* output_padding) {
  if (params == nullptr || params->struct_size < sizeof(fastconv_conv_params) ||
      params->spatial_ndim < 1 || params->spatial_ndim > kSpatial)
    return fail(FASTCONV_INVALID_ARGUMENT,
                "params: expected a fastconv_conv_params with struct_size and spatial_ndim set");
  const int spatial_ndim = params->spatial_ndim, ndim = spatial_ndim + 2;
  FASTCONV_TRY(check_tensor(input, ndim, ndim));
  FASTCONV_TRY(check_tensor(weight, ndim, ndim));
  if (params->padding_mode == FASTCONV_PADDING_SAME)
    return fail(FASTCONV_INVALID_ARGUMENT,
                "padding: 'same' does not determine the output of a transposed convolution");
  if (params->groups < 1)
    return fail(FASTCONV_INVALID_ARGUMENT, "groups: expected a positive integer, got %" PRId64,
                params->groups);
  if (weight->shape[0] != input->shape[1])
    return fail(FASTCONV_INVALID_ARGUMENT,
                "weight: expected the %" PRId64
                " channels of input in its first dimension, got shape %s",
                input->shape[1], Tuple(weight->shape, ndim).text());
  shape[0] = input->shape[0];
  bool overflow = __builtin_mul_overflow(weight->shape[1], params->groups, &shape[1]);
  for (int i = 0; i < spatial_ndim; ++i) {
    const int64_t in = input->shape[i + 2], kernel = weight->shape[i + 2];
    const int64_t stride = params->stride[i], dilation = params->dilation[i];
    const int64_t extra = output_padding != nullptr ? output_padding[i] : 0;
    if (stride < 1 || dilation < 1)
      return fail(FASTCONV_INVALID_ARGUMENT, "%s: expected positive integers, got %s",
                  stride < 1 ? "stride" : "dilation",
                  Tuple(stride < 1 ? params->stride : params->dilation, spatial_ndim).text());
    if (in < 1 || kernel < 1)
      return fail(FASTCONV_INVALID_ARGUMENT, "%s: only the batch may be empty, got shape %s",
                  in < 1 ? "input" : "weight",
                  Tuple((in < 1 ? input : weight)->shape, ndim).text());
    if (extra < 0 || (extra >= stride && extra >= dilation))
      return fail(FASTCONV_INVALID_ARGUMENT,
                  "output_padding: expected less than the stride or the dilation and not negative, "
                  "got %" PRId64 " in spatial dimension %d",
                  extra, i);
    int64_t size, window, pads = 0;
    if (params->padding_mode == FASTCONV_PADDING_EXPLICIT)
      overflow |= __builtin_add_overflow(params->pad_before[i], params->pad_after[i], &pads);
    overflow |= __builtin_mul_overflow(in - 1, stride, &size);
    overflow |= __builtin_mul_overflow(kernel - 1, dilation, &window);
    overflow |= __builtin_add_overflow(size, window, &size);
    overflow |= __builtin_add_overflow(size, extra + 1, &size);
    overflow |= __builtin_sub_overflow(size, pads, &shape[i + 2]);
    if (overflow) break;
    if (shape[i + 2] < 1 && output_padding != nullptr)
      return fail(FASTCONV_INVALID_ARGUMENT,
                  "padding: leaves an output of %" PRId64 " in spatial dimension %d", shape[i + 2],
                  i);
  }
  int64_t bytes = sizeof(double);
  for (int i = 0; i < ndim && !overflow; ++i)
    if (shape[i] > 0) overflow = __builtin_mul_overflow(bytes, shape[i], &bytes);
  if (overflow)
    return fail(FASTCONV_INVALID_ARGUMENT,
                "input: shape %s gives an output with more bytes than a signed 64-bit offset "
                "reaches",
                Tuple(input->shape, ndim).text());
  return FASTCONV_OK;
}

}  // namespace
}  // namespace fastconv

using namespace fastconv;

fastconv_status fastconv_conv_output_shape(int64_t output_shape[FASTCONV_MAX_NDIM],
                                           const fastconv_tensor* input,
                                           const fastconv_tensor* weight,
                                           const fastconv_conv_params* params) {
  ConvParams p;
  FASTCONV_TRY(make_conv({input, "input"}, {weight, "weight"}, {nullptr, ""}, params, &p));
  output_shape[0] = p.n;
  output_shape[1] = p.out_channels;
  for (int i = 0; i < params->spatial_ndim; ++i)
    output_shape[i + 2] = p.out[i + kSpatial - params->spatial_ndim];
  return FASTCONV_OK;
}

fastconv_status fastconv_conv_forward(const fastconv_tensor* output, const fastconv_tensor* input,
                                      const fastconv_tensor* weight,
                                      const fastconv_epilogue* epilogue,
                                      const fastconv_conv_params* params,
                                      const fastconv_exec* exec) {
  const Argument x = {input, "input"}, w = {weight, "weight"}, y = {output, "out"};
  ConvParams p;
  FASTCONV_TRY(check_tensor(y, 0, FASTCONV_MAX_NDIM));
  FASTCONV_TRY(make_conv(x, w, y, params, &p));
  FASTCONV_TRY(check_output(y));
  FASTCONV_TRY(check_disjoint(y, x));
  FASTCONV_TRY(check_disjoint(y, w));
  FASTCONV_TRY(set_epilogue(epilogue, y, &p));
  return run(FASTCONV_FORWARD, p, *input, *weight, output, epilogue, exec, nullptr);
}

fastconv_status fastconv_conv_backward_input(const fastconv_tensor* grad_input,
                                             const fastconv_tensor* grad_output,
                                             const fastconv_tensor* weight,
                                             const fastconv_conv_params* params,
                                             const fastconv_exec* exec) {
  const Argument x = {grad_input, "grad_input"}, w = {weight, "weight"};
  const Argument y = {grad_output, "grad_output"};
  ConvParams p;
  FASTCONV_TRY(check_tensor(y, 0, FASTCONV_MAX_NDIM));
  FASTCONV_TRY(make_conv(x, w, y, params, &p));
  FASTCONV_TRY(check_output(x));
  FASTCONV_TRY(check_disjoint(x, y));
  FASTCONV_TRY(check_disjoint(x, w));
  FASTCONV_TRY(set_epilogue(nullptr, x, &p));
  return run(FASTCONV_BACKWARD_INPUT, p, *grad_input, *weight, grad_output, nullptr, exec, nullptr);
}

fastconv_status fastconv_conv_backward_weight(const fastconv_tensor* grad_weight,
                                              const fastconv_tensor* grad_output,
                                              const fastconv_tensor* input,
                                              const fastconv_conv_params* params,
                                              const fastconv_exec* exec) {
  const Argument x = {input, "input"}, w = {grad_weight, "grad_weight"};
  const Argument y = {grad_output, "grad_output"};
  ConvParams p;
  FASTCONV_TRY(check_tensor(y, 0, FASTCONV_MAX_NDIM));
  FASTCONV_TRY(make_conv(x, w, y, params, &p));
  FASTCONV_TRY(check_output(w));
  FASTCONV_TRY(check_disjoint(w, x));
  FASTCONV_TRY(check_disjoint(w, y));
  FASTCONV_TRY(set_epilogue(nullptr, w, &p));
  return run(FASTCONV_BACKWARD_WEIGHT, p, *input, *grad_weight, grad_output, nullptr, exec,
             nullptr);
}

fastconv_status fastconv_conv_transpose_output_shape(
    int64_t output_shape[FASTCONV_MAX_NDIM], const fastconv_tensor* input,
    const fastconv_tensor* weight, const fastconv_conv_params* params,
    const int64_t output_padding[FASTCONV_MAX_SPATIAL]) {
  return transpose_shape(output_shape, {input, "input"}, {weight, "weight"}, params,
                         output_padding);
}

fastconv_status fastconv_conv_transpose_forward(const fastconv_tensor* output,
                                                const fastconv_tensor* input,
                                                const fastconv_tensor* weight,
                                                const fastconv_epilogue* epilogue,
                                                const fastconv_conv_params* params,
                                                const fastconv_exec* exec) {
  // The convolution this is the input gradient of: it maps `output` to `input`.
  const Argument x = {output, "out"}, w = {weight, "weight"}, y = {input, "input"};
  int64_t shape[FASTCONV_MAX_NDIM];
  FASTCONV_TRY(transpose_shape(shape, y, w, params, nullptr));
  const int ndim = params->spatial_ndim + 2;
  FASTCONV_TRY(check_tensor(x, ndim, ndim));
  FASTCONV_TRY(check_same_dtype(y, x));
  // Its extents say which output padding is meant.
  for (int i = 2; i < ndim; ++i) {
    const int64_t extra = output->shape[i] - shape[i];
    if (extra > 0 && (extra < params->stride[i - 2] || extra < params->dilation[i - 2]))
      shape[i] = output->shape[i];
  }
  FASTCONV_TRY(check_shape(x, shape, ndim, "(plus an output_padding below stride or dilation)"));
  ConvParams p;
  FASTCONV_TRY(make_conv(x, w, {nullptr, ""}, params, &p));
  // An output padding of the stride and more leaves room for positions beyond the input: they
  // count as zeros, like everything outside.
  for (int i = 0; i < params->spatial_ndim; ++i)
    p.out[i + kSpatial - params->spatial_ndim] = input->shape[i + 2];
  spread_strides(*input, p.y_stride);
  FASTCONV_TRY(check_output(x));
  FASTCONV_TRY(check_disjoint(x, y));
  FASTCONV_TRY(check_disjoint(x, w));
  FASTCONV_TRY(set_epilogue(epilogue, x, &p));
  return run(FASTCONV_BACKWARD_INPUT, p, *output, *weight, input, epilogue, exec, nullptr);
}

fastconv_status fastconv_conv_workspace_size(
    size_t* workspace_size, fastconv_conv_computation computation, const fastconv_tensor* output,
    const fastconv_tensor* input, const fastconv_tensor* weight, const fastconv_conv_params* params,
    const fastconv_exec* exec) {
  ConvParams p;
  if (workspace_size == nullptr)
    return fail(FASTCONV_INVALID_ARGUMENT, "workspace_size: expected a pointer, got NULL");
  if (computation < FASTCONV_FORWARD || computation > FASTCONV_BACKWARD_WEIGHT)
    return fail(FASTCONV_INVALID_ARGUMENT, "computation: unknown value %d",
                static_cast<int>(computation));
  FASTCONV_TRY(check_tensor({output, "output"}, 0, FASTCONV_MAX_NDIM));
  FASTCONV_TRY(make_conv({input, "input"}, {weight, "weight"}, {output, "output"}, params, &p));
  return run(computation, p, *input, *weight, output, nullptr, exec, workspace_size);
}
