// Elementwise functions and their gradients, alone or with that of the bias before them.
#include <initializer_list>

#include "api/elementwise.h"

namespace fastconv {
namespace {

// The activation or, with b, its gradient.
fastconv_status activation(Argument output, Argument a, Argument b, const Activation& function,
                           const fastconv_exec* exec) {
  FASTCONV_TRY(check_elementwise(output, a, b));
  int threads;
  FASTCONV_TRY(choose_threads(exec, count(*a.tensor), kElementsPerThread, &threads));
  return with_kernels(a->dtype, [&](const auto& table, auto zero) {
    using T = decltype(zero);
    ElementwiseArgs<T> args = {};
    args.out = static_cast<T*>(output->data);
    args.a = static_cast<const T*>(a->data);
    align_right(*a.tensor, args.extent, args.a_stride);
    align_right(*output.tensor, args.extent, args.out_stride);
    if (b.tensor != nullptr) {
      args.b = static_cast<const T*>(b->data);
      align_right(*b.tensor, args.extent, args.b_stride);
    }
    args.activation = function;
    args.exec = {threads, nullptr};
    (b.tensor != nullptr ? table.activation_backward : table.activation)(args);
    return FASTCONV_OK;
  });
}

fastconv_status check_gradient(int32_t kind, double alpha, double beta, Activation* function) {
  FASTCONV_TRY(check_activation(kind, alpha, beta, function));
  if ((kind == FASTCONV_LEAKY_RELU || kind == FASTCONV_ELU) && alpha < 0)
    return fail(FASTCONV_INVALID_ARGUMENT,
                "%s: expected a number that is not negative, or the output does not tell the "
                "input's sign, got %g",
                kind == FASTCONV_ELU ? "alpha" : "negative_slope", alpha);
  return FASTCONV_OK;
}

// Whether the derivative follows from the result; else the backward call needs the input.
bool has_slope_from_output(int32_t kind) {
  switch (kind) {
    case FASTCONV_SILU:
    case FASTCONV_GELU:
    case FASTCONV_GELU_TANH:
    case FASTCONV_SOFTPLUS:
    case FASTCONV_HARD_SWISH:
    case FASTCONV_MISH:
      return false;
    default:
      return true;
  }
}

}  // namespace
}  // namespace fastconv

using namespace fastconv;

fastconv_status fastconv_relu(const fastconv_tensor* output, const fastconv_tensor* input,
                              const fastconv_exec* exec) {
  return fastconv_activate(output, input, FASTCONV_RELU, 0, 0, exec);
}

fastconv_status fastconv_relu_backward(const fastconv_tensor* grad_input,
                                       const fastconv_tensor* grad_output,
                                       const fastconv_tensor* output, const fastconv_exec* exec) {
  return fastconv_activate_backward(grad_input, grad_output, output, FASTCONV_RELU, 0, 0, exec);
}

fastconv_status fastconv_activate(const fastconv_tensor* output, const fastconv_tensor* input,
                                  fastconv_activation activation, double alpha, double beta,
                                  const fastconv_exec* exec) {
  Activation function;
  FASTCONV_TRY(check_activation(activation, alpha, beta, &function));
  return fastconv::activation({output, "out"}, {input, "input"}, {nullptr, ""}, function, exec);
}

fastconv_status fastconv_activate_backward(const fastconv_tensor* grad_input,
                                           const fastconv_tensor* grad_output,
                                           const fastconv_tensor* saved,
                                           fastconv_activation activation, double alpha,
                                           double beta, const fastconv_exec* exec) {
  Activation function;
  FASTCONV_TRY(check_gradient(activation, alpha, beta, &function));
  const Argument b = {saved, has_slope_from_output(activation) ? "output" : "input"};
  FASTCONV_TRY(check_tensor(b, 0, FASTCONV_MAX_NDIM));
  return fastconv::activation({grad_input, "grad_input"}, {grad_output, "grad_output"}, b, function,
                              exec);
}

fastconv_status fastconv_activate_backward_bias(const fastconv_tensor* grad_input,
                                                const fastconv_tensor* grad_bias,
                                                const fastconv_tensor* grad_output,
                                                const fastconv_tensor* saved,
                                                fastconv_activation activation, double alpha,
                                                double beta, const fastconv_exec* exec) {
  Activation function;
  FASTCONV_TRY(check_gradient(activation, alpha, beta, &function));
  const Argument x = {saved, has_slope_from_output(activation) ? "output" : "input"};
  const Argument dy = {grad_output, "grad_output"}, dx = {grad_input, "grad_input"};
  const Argument dbias = {grad_bias, "grad_bias"};
  FASTCONV_TRY(check_tensor(dy, 2, FASTCONV_MAX_NDIM));
  FASTCONV_TRY(check_tensor(x, 2, FASTCONV_MAX_NDIM));
  FASTCONV_TRY(check_elementwise(dx, dy, x));
  FASTCONV_TRY(check_tensor(dbias, 1, 1));
  FASTCONV_TRY(check_same_dtype(dbias, dy));
  FASTCONV_TRY(check_shape(dbias, dy->shape + 1, 1, "(one value a channel)"));
  FASTCONV_TRY(check_output(dbias));
  for (const Argument& other : {dx, dy, x}) FASTCONV_TRY(check_disjoint(dbias, other));
  int threads;
  FASTCONV_TRY(choose_threads(exec, count(*dy.tensor), kElementsPerThread, &threads));
  return with_kernels(dy->dtype, [&](const auto& table, auto zero) {
    using T = decltype(zero);
    NormArgs<T> args = {};
    args.out = static_cast<T*>(dx->data);
    args.x = static_cast<const T*>(x->data);
    args.dy = static_cast<const T*>(dy->data);
    args.dbias = static_cast<T*>(dbias->data);
    spread_shape(*dy.tensor, args.extent);
    spread_strides(*dx.tensor, args.out_stride);
    spread_strides(*x.tensor, args.x_stride);
    spread_strides(*dy.tensor, args.dy_stride);
    args.dbias_stride = dbias->strides[0];
    args.groups = dy->shape[1];
    args.activation = function;
    args.exec = {threads, nullptr};
    return run_with_scratch(table.activation_backward_bias_workspace,
                            table.activation_backward_bias, args);
  });
}
