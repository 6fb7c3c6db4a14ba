// The dense layer: a 1-D convolution with a filter of one tap whose positions are the rows.
// (N, in) becomes (1, in, N) by a change of strides, so that forward and both gradients run
// on the convolution's kernels.
#include <algorithm>
#include <cstring>
#include <initializer_list>

#include "api/call.h"

namespace fastconv {
namespace {

// Rows of a (N, channels) matrix as the positions of a (1, channels, N) signal. No rows
// become an empty batch, which is the one extent that may be 0.
fastconv_tensor as_signal(const fastconv_tensor& matrix) {
  fastconv_tensor view = matrix;
  const int64_t rows = matrix.shape[0];
  view.ndim = 3;
  view.shape[0] = rows > 0 ? 1 : 0;
  view.shape[2] = rows > 0 ? rows : 1;
  view.strides[0] = 0;
  view.strides[2] = matrix.strides[0];
  return view;
}

fastconv_tensor as_filter(const fastconv_tensor& matrix) {
  fastconv_tensor view = matrix;
  view.ndim = 3;
  view.shape[2] = 1;
  view.strides[2] = 1;
  return view;
}

fastconv_conv_params one_tap() {
  fastconv_conv_params params = {};
  params.struct_size = sizeof(params);
  params.spatial_ndim = 1;
  params.groups = params.stride[0] = params.dilation[0] = 1;
  return params;
}

fastconv_status check(Argument input, Argument weight, Argument output) {
  for (const Argument argument : {input, weight, output})
    FASTCONV_TRY(check_tensor(argument, 2, 2));
  FASTCONV_TRY(check_float(input));
  FASTCONV_TRY(check_same_dtype(weight, input));
  FASTCONV_TRY(check_same_dtype(output, input));
  if (weight->shape[1] != input->shape[1])
    return fail(FASTCONV_INVALID_ARGUMENT,
                "%s: expected as many columns as %s, shape %s, got shape %s", weight.name,
                input.name, Tuple(input->shape, 2).text(), Tuple(weight->shape, 2).text());
  if (weight->shape[0] < 1 || weight->shape[1] < 1)
    return fail(FASTCONV_INVALID_ARGUMENT, "%s: expected no empty dimension, got shape %s",
                weight.name, Tuple(weight->shape, 2).text());
  const int64_t shape[2] = {input->shape[0], weight->shape[0]};
  return check_shape(output, shape, 2, "(rows, out_features)");
}

}  // namespace
}  // namespace fastconv

using namespace fastconv;

fastconv_status fastconv_linear_forward(const fastconv_tensor* output, const fastconv_tensor* input,
                                        const fastconv_tensor* weight,
                                        const fastconv_epilogue* epilogue,
                                        const fastconv_exec* exec) {
  FASTCONV_TRY(check({input, "input"}, {weight, "weight"}, {output, "out"}));
  const fastconv_tensor y = as_signal(*output), x = as_signal(*input), w = as_filter(*weight);
  const fastconv_conv_params params = one_tap();
  if (epilogue == nullptr || epilogue->residual == nullptr)
    return fastconv_conv_forward(&y, &x, &w, epilogue, &params, exec);
  FASTCONV_TRY(check_tensor({epilogue->residual, "residual"}, 2, 2));
  const fastconv_tensor residual = as_signal(*epilogue->residual);
  fastconv_epilogue view = {};  // the caller's may be shorter
  std::memcpy(&view, epilogue, std::min(epilogue->struct_size, sizeof(view)));
  view.residual = &residual;
  return fastconv_conv_forward(&y, &x, &w, &view, &params, exec);
}

fastconv_status fastconv_linear_backward_input(const fastconv_tensor* grad_input,
                                               const fastconv_tensor* grad_output,
                                               const fastconv_tensor* weight,
                                               const fastconv_exec* exec) {
  FASTCONV_TRY(check({grad_input, "grad_input"}, {weight, "weight"}, {grad_output, "grad_output"}));
  const fastconv_tensor x = as_signal(*grad_input), y = as_signal(*grad_output),
                        w = as_filter(*weight);
  const fastconv_conv_params params = one_tap();
  return fastconv_conv_backward_input(&x, &y, &w, &params, exec);
}

fastconv_status fastconv_linear_backward_weight(const fastconv_tensor* grad_weight,
                                                const fastconv_tensor* grad_output,
                                                const fastconv_tensor* input,
                                                const fastconv_exec* exec) {
  FASTCONV_TRY(check({input, "input"}, {grad_weight, "grad_weight"}, {grad_output, "grad_output"}));
  const fastconv_tensor x = as_signal(*input), y = as_signal(*grad_output),
                        w = as_filter(*grad_weight);
  const fastconv_conv_params params = one_tap();
  return fastconv_conv_backward_weight(&w, &y, &x, &params, exec);
}
