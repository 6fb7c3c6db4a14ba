// The transposed convolution: the input gradient of the convolution that maps its output to its
// input.
#include <cinttypes>

#include "api/conv_call.h"

namespace fastconv {
namespace {

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

fastconv_status make_transpose(const fastconv_tensor* output, const fastconv_tensor* input,
                               const fastconv_tensor* weight, const fastconv_conv_params* params,
                               ConvProblem* problem) {
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
  *problem = {{}, FASTCONV_BACKWARD_INPUT, output, weight, input, nullptr};
  ConvParams& p = problem->p;
  FASTCONV_TRY(make_conv(x, w, {nullptr, ""}, params, &p));
  // An output padding of the stride and more leaves room for positions beyond the input: they
  // count as zeros, like everything outside.
  for (int i = 0; i < params->spatial_ndim; ++i)
    p.out[i + kSpatial - params->spatial_ndim] = input->shape[i + 2];
  spread_strides(*input, p.y_stride);
  return FASTCONV_OK;
}

}  // namespace fastconv

using namespace fastconv;

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
  ConvProblem problem;
  FASTCONV_TRY(make_transpose(output, input, weight, params, &problem));
  const Argument x = {output, "out"};
  FASTCONV_TRY(check_output(x));
  FASTCONV_TRY(check_disjoint(x, {input, "input"}));
  FASTCONV_TRY(check_disjoint(x, {weight, "weight"}));
  FASTCONV_TRY(set_epilogue(epilogue, x, &problem.p));
  problem.epilogue = epilogue;
  return compute(problem, exec);
}
