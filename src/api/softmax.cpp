// Softmax and its logarithm, along one dimension, and their gradients.
#include "api/elementwise.h"

namespace fastconv {
namespace {

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

}  // namespace
}  // namespace fastconv

using namespace fastconv;

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
