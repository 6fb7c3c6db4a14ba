// The dense layer: a 1-D convolution with a filter of one tap whose positions are the rows.
// (N, in) becomes (1, in, N) by a change of strides, so that forward and both gradients run
// on the convolution's kernels. A few rows are a matrix times vectors, which has a kernel of its
// own: it sums in the same order, so that the choice, which looks at the batch, changes no bit.
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

constexpr int64_t kFewRows = 4;

int64_t stride(const fastconv_tensor& matrix, int dimension) {
  return matrix.shape[dimension] > 1 ? matrix.strides[dimension] : 0;
}

// y = act(x times the matrix + ...), whose rows are dimension `m` of weight and whose columns
// the other. False if this is no problem for the kernel.
bool is_matrix_vector(const fastconv_tensor& y, const fastconv_tensor& weight) {
  const auto dense = [&](int dimension) {
    return weight.shape[dimension] == 1 || weight.strides[dimension] == 1;
  };
  return y.shape[0] >= 1 && y.shape[0] <= kFewRows && (dense(0) || dense(1));
}

fastconv_status matrix_vector(Argument y, Argument x, Argument weight, int m,
                              const fastconv_epilogue* epilogue, const fastconv_exec* exec) {
  FASTCONV_TRY(check_output(y));
  FASTCONV_TRY(check_disjoint(y, x));
  FASTCONV_TRY(check_disjoint(y, weight));
  ConvParams p = {};
  FASTCONV_TRY(set_epilogue(epilogue, y, &p));
  const int k = 1 - m;
  int threads;
  FASTCONV_TRY(choose_threads(exec, count(*weight.tensor), kElementsPerThread, &threads));
  FASTCONV_TRY(check_precision(exec));
  return with_kernels(x->dtype, [&](const auto& table, auto zero) {
    using T = decltype(zero);
    MatrixVectorArgs<T> args = {};
    args.y = static_cast<T*>(y->data);
    args.a = static_cast<const T*>(weight->data);
    args.x = static_cast<const T*>(x->data);
    args.rows = y->shape[0];
    args.outputs = weight->shape[m];
    args.columns = weight->shape[k];
    args.a_stride[0] = stride(*weight.tensor, m);
    args.a_stride[1] = stride(*weight.tensor, k);
    if (args.columns == 1) args.a_stride[1] = 1;
    if (args.outputs == 1 && args.a_stride[1] != 1) args.a_stride[0] = 1;
    for (int i = 0; i < 2; ++i) {
      args.x_stride[i] = stride(*x.tensor, i);
      args.y_stride[i] = stride(*y.tensor, i);
    }
    if (epilogue != nullptr && epilogue->bias != nullptr) {
      args.bias = static_cast<const T*>(epilogue->bias->data);
      args.bias_stride = p.bias_stride;
    }
    if (epilogue != nullptr && epilogue->residual != nullptr) {
      args.residual = static_cast<const T*>(epilogue->residual->data);
      for (int i = 0; i < 2; ++i) args.residual_stride[i] = stride(*epilogue->residual, i);
    }
    args.activation = p.activation;
    args.exec = {threads, nullptr};
    table.matrix_vector(args);
    return FASTCONV_OK;
  });
}

}  // namespace
}  // namespace fastconv

using namespace fastconv;

fastconv_status fastconv_linear_forward(const fastconv_tensor* output, const fastconv_tensor* input,
                                        const fastconv_tensor* weight,
                                        const fastconv_epilogue* epilogue,
                                        const fastconv_exec* exec) {
  FASTCONV_TRY(check({input, "input"}, {weight, "weight"}, {output, "out"}));
  if (is_matrix_vector(*output, *weight))
    return matrix_vector({output, "out"}, {input, "input"}, {weight, "weight"}, 0, epilogue, exec);
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
  if (is_matrix_vector(*grad_input, *weight))
    return matrix_vector({grad_input, "grad_input"}, {grad_output, "grad_output"},
                         {weight, "weight"}, 1, nullptr, exec);
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
