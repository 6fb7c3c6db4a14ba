// The cross-entropy loss of class scores, and its gradient.
#include <cinttypes>

#include "api/elementwise.h"

namespace fastconv {
namespace {

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
