// Elementwise functions, the sum over channels, softmax and the cross-entropy loss.
#include <cinttypes>
#include <cstring>
#include <initializer_list>

#include "api/call.h"

namespace fastconv {
namespace {

// Elementwise and softmax views of any rank line their dimensions up at the end.
void align_right(const fastconv_tensor& tensor, int64_t shape[5], int64_t strides[5]) {
  const int skipped = FASTCONV_MAX_NDIM - tensor.ndim;
  for (int i = 0; i < FASTCONV_MAX_NDIM; ++i) {
    shape[i] = i < skipped ? 1 : tensor.shape[i - skipped];
    strides[i] = shape[i] > 1 ? tensor.strides[i - skipped] : 0;
  }
}

fastconv_status check_elementwise(Argument output, Argument a, Argument b) {
  FASTCONV_TRY(check_tensor(a, 0, FASTCONV_MAX_NDIM));
  FASTCONV_TRY(check_float(a));
  for (const Argument other : {b, output}) {
    if (other.tensor == nullptr && other.name == b.name) continue;
    FASTCONV_TRY(check_tensor(other, 0, FASTCONV_MAX_NDIM));
    FASTCONV_TRY(check_same_dtype(other, a));
    FASTCONV_TRY(check_shape(other, a->shape, a->ndim, ""));
  }
  FASTCONV_TRY(check_output(output));
  FASTCONV_TRY(check_disjoint_or_same(output, a));
  return b.tensor != nullptr ? check_disjoint_or_same(output, b) : FASTCONV_OK;
}

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

template <class Select>
fastconv_status softmax(Argument output, Argument a, Argument b, int axis, int log_softmax,
                        const fastconv_exec* exec, const Select& select) {
  FASTCONV_TRY(check_elementwise(output, a, b));
  if (a->ndim == 0 || axis < -a->ndim || axis >= a->ndim)
    return fail(FASTCONV_INVALID_ARGUMENT, "dim: expected one of the %d dimensions of %s, got %d",
                a->ndim, a.name, axis);
  if (axis < 0) axis += a->ndim;
  int threads;
  FASTCONV_TRY(choose_threads(exec, count(*a.tensor), kElementsPerThread / 4, &threads));
  return with_kernels(a->dtype, [&](const auto& table, auto zero) {
    using T = decltype(zero);
    SoftmaxArgs<T> args = {};
    args.out = static_cast<T*>(output->data);
    args.a = static_cast<const T*>(a->data);
    align_right(*a.tensor, args.extent, args.a_stride);
    align_right(*output.tensor, args.extent, args.out_stride);
    if (b.tensor != nullptr) {
      args.b = static_cast<const T*>(b->data);
      align_right(*b.tensor, args.extent, args.b_stride);
    }
    args.axis = axis + FASTCONV_MAX_NDIM - a->ndim;
    args.log_softmax = log_softmax != 0;
    args.exec = {threads, nullptr};
    select(table)(args);
    return FASTCONV_OK;
  });
}

// The strides of an (N, d...) tensor where its classes would be in (N, C, d...).
void spread_without_class(const fastconv_tensor& tensor, int64_t strides[5]) {
  fastconv_tensor with_class = tensor;
  with_class.ndim = tensor.ndim + 1;
  with_class.shape[1] = 1;
  with_class.strides[1] = 0;
  for (int i = 1; i < tensor.ndim; ++i) {
    with_class.shape[i + 1] = tensor.shape[i];
    with_class.strides[i + 1] = tensor.strides[i];
  }
  spread_strides(with_class, strides);
}

fastconv_status check_targets(const fastconv_tensor& target, int64_t classes, int64_t ignored) {
  int64_t shape[5] = {1, 1, 1, 1, 1}, stride[5];
  align_right(target, shape, stride);
  const auto* data = static_cast<const int64_t*>(target.data);
  for (int64_t a = 0; a < shape[0] * shape[1]; ++a)  // shape[0] is 1: at most 4 dimensions
    for (int64_t b = 0; b < shape[2]; ++b)
      for (int64_t c = 0; c < shape[3]; ++c)
        for (int64_t d = 0; d < shape[4]; ++d) {
          const int64_t value = data[a * stride[1] + b * stride[2] + c * stride[3] + d * stride[4]];
          if ((value < 0 || value >= classes) && value != ignored)
            return fail(FASTCONV_INVALID_ARGUMENT,
                        "target: expected classes in [0, %" PRId64 ") or ignore_index %" PRId64
                        ", got %" PRId64,
                        classes, ignored, value);
        }
  return FASTCONV_OK;
}

// Shared by the loss and its gradient; fills all but the loss, its gradient and the result.
template <class T>
void fill(const fastconv_tensor& input, const fastconv_tensor& target, const fastconv_tensor& loss,
          const fastconv_cross_entropy_params& params, int threads, CrossEntropyArgs<T>* args) {
  args->input = static_cast<const T*>(input.data);
  args->target = static_cast<const int64_t*>(target.data);
  spread_shape(input, args->extent);
  spread_strides(input, args->input_stride);
  spread_without_class(target, args->target_stride);
  spread_without_class(loss, args->loss_stride);
  args->ignore_index = params.ignore_index;
  args->label_smoothing = params.label_smoothing;
  args->exec = {threads, nullptr};
}

fastconv_status check_loss(Argument loss, Argument input, Argument target,
                           const fastconv_cross_entropy_params* params) {
  if (params == nullptr || params->struct_size < sizeof(fastconv_cross_entropy_params))
    return fail(FASTCONV_INVALID_ARGUMENT,
                "params: expected a fastconv_cross_entropy_params with its struct_size set");
  FASTCONV_TRY(check_tensor(input, 2, FASTCONV_MAX_NDIM));
  FASTCONV_TRY(check_float(input));
  FASTCONV_TRY(check_tensor(target, 1, FASTCONV_MAX_NDIM - 1));
  FASTCONV_TRY(check_int64(target));
  int64_t shape[FASTCONV_MAX_NDIM] = {input->shape[0]};
  for (int i = 2; i < input->ndim; ++i) shape[i - 1] = input->shape[i];
  FASTCONV_TRY(check_shape(target, shape, input->ndim - 1, "(input without its classes)"));
  FASTCONV_TRY(check_tensor(loss, 1, FASTCONV_MAX_NDIM - 1));
  FASTCONV_TRY(check_same_dtype(loss, input));
  FASTCONV_TRY(check_shape(loss, shape, input->ndim - 1, "(input without its classes)"));
  if (input->shape[1] < 1)
    return fail(FASTCONV_INVALID_ARGUMENT, "input: expected at least one class, got shape %s",
                Tuple(input->shape, input->ndim).text());
  if (!(params->label_smoothing >= 0 && params->label_smoothing <= 1))
    return fail(FASTCONV_INVALID_ARGUMENT, "label_smoothing: expected a number in [0, 1], got %g",
                params->label_smoothing);
  return check_targets(*target.tensor, input->shape[1], params->ignore_index);
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

fastconv_status fastconv_conv_backward_bias(const fastconv_tensor* grad_bias,
                                            const fastconv_tensor* grad_output,
                                            const fastconv_exec* exec) {
  const Argument out = {grad_bias, "grad_bias"}, x = {grad_output, "grad_output"};
  FASTCONV_TRY(check_tensor(x, 2, FASTCONV_MAX_NDIM));
  FASTCONV_TRY(check_conv_dtype(x));
  FASTCONV_TRY(check_tensor(out, 1, 1));
  FASTCONV_TRY(check_same_dtype(out, x));
  FASTCONV_TRY(check_shape(out, x->shape + 1, 1, "(one value a channel)"));
  FASTCONV_TRY(check_output(out));
  FASTCONV_TRY(check_disjoint(out, x));
  int threads;
  FASTCONV_TRY(choose_threads(exec, count(*x.tensor), kElementsPerThread, &threads));
  return with_conv_kernels(x->dtype, [&](const auto& table, auto zero) {
    using T = decltype(zero);
    ChannelSumArgs<T> args = {};
    args.out = static_cast<T*>(out->data);
    args.x = static_cast<const T*>(x->data);
    spread_shape(*x.tensor, args.extent);
    spread_strides(*x.tensor, args.x_stride);
    args.out_stride = out->strides[0];
    args.exec = {threads, nullptr};
    table.channel_sum(args);
    return FASTCONV_OK;
  });
}

fastconv_status fastconv_softmax(const fastconv_tensor* output, const fastconv_tensor* input,
                                 int axis, int log_softmax, const fastconv_exec* exec) {
  return softmax({output, "out"}, {input, "input"}, {nullptr, ""}, axis, log_softmax, exec,
                 [](const auto& table) { return table.softmax; });
}

fastconv_status fastconv_softmax_backward(const fastconv_tensor* grad_input,
                                          const fastconv_tensor* grad_output,
                                          const fastconv_tensor* output, int axis, int log_softmax,
                                          const fastconv_exec* exec) {
  const Argument y = {output, "output"};
  FASTCONV_TRY(check_tensor(y, 0, FASTCONV_MAX_NDIM));
  return softmax({grad_input, "grad_input"}, {grad_output, "grad_output"}, y, axis, log_softmax,
                 exec, [](const auto& table) { return table.softmax_backward; });
}

fastconv_status fastconv_cross_entropy(const fastconv_tensor* loss, const fastconv_tensor* input,
                                       const fastconv_tensor* target,
                                       const fastconv_cross_entropy_params* params,
                                       const fastconv_exec* exec) {
  const Argument out = {loss, "loss"}, x = {input, "input"}, t = {target, "target"};
  FASTCONV_TRY(check_loss(out, x, t, params));
  FASTCONV_TRY(check_output(out));
  FASTCONV_TRY(check_disjoint(out, x));
  FASTCONV_TRY(check_disjoint(out, t));
  int threads;
  FASTCONV_TRY(choose_threads(exec, count(*input), kElementsPerThread / 4, &threads));
  return with_kernels(x->dtype, [&](const auto& table, auto zero) {
    using T = decltype(zero);
    CrossEntropyArgs<T> args = {};
    fill(*input, *target, *loss, *params, threads, &args);
    args.loss = static_cast<T*>(loss->data);
    table.cross_entropy(args);
    return FASTCONV_OK;
  });
}

fastconv_status fastconv_cross_entropy_backward(const fastconv_tensor* grad_input,
                                                const fastconv_tensor* grad_loss,
                                                const fastconv_tensor* input,
                                                const fastconv_tensor* target,
                                                const fastconv_cross_entropy_params* params,
                                                const fastconv_exec* exec) {
  const Argument out = {grad_input, "grad_input"}, dloss = {grad_loss, "grad_loss"};
  const Argument x = {input, "input"}, t = {target, "target"};
  FASTCONV_TRY(check_loss(dloss, x, t, params));
  FASTCONV_TRY(check_tensor(out, x->ndim, x->ndim));
  FASTCONV_TRY(check_same_dtype(out, x));
  FASTCONV_TRY(check_shape(out, x->shape, x->ndim, "of input"));
  FASTCONV_TRY(check_output(out));
  FASTCONV_TRY(check_disjoint(out, x));
  FASTCONV_TRY(check_disjoint(out, t));
  FASTCONV_TRY(check_disjoint(out, dloss));
  int threads;
  FASTCONV_TRY(choose_threads(exec, count(*input), kElementsPerThread / 4, &threads));
  return with_kernels(x->dtype, [&](const auto& table, auto zero) {
    using T = decltype(zero);
    CrossEntropyArgs<T> args = {};
    fill(*input, *target, *grad_loss, *params, threads, &args);
    args.grad_input = static_cast<T*>(grad_input->data);
    args.grad_loss = static_cast<const T*>(grad_loss->data);
    spread_strides(*grad_input, args.grad_input_stride);
    table.cross_entropy_backward(args);
    return FASTCONV_OK;
  });
}
