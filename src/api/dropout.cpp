// Dropout: of elements or of whole channels, and in the form that keeps mean and variance.
#include "api/call.h"

namespace fastconv {
namespace {

// Where SELU tends to for large negative numbers, and what alpha dropout puts in their place.
constexpr double kSeluLimit = -1.7580993408473766;

fastconv_status run(Argument out, Argument a, const fastconv_dropout_params* params, bool backward,
                    const fastconv_exec* exec) {
  if (params == nullptr || params->struct_size < sizeof(fastconv_dropout_params))
    return fail(FASTCONV_INVALID_ARGUMENT,
                "params: expected a fastconv_dropout_params with its struct_size set");
  if (!(params->p >= 0 && params->p <= 1))
    return fail(FASTCONV_INVALID_ARGUMENT, "p: expected a probability in [0, 1], got %g",
                params->p);
  FASTCONV_TRY(check_tensor(a, 0, FASTCONV_MAX_NDIM));
  FASTCONV_TRY(check_float(a));
  FASTCONV_TRY(check_tensor(out, 0, FASTCONV_MAX_NDIM));
  FASTCONV_TRY(check_same_dtype(out, a));
  FASTCONV_TRY(check_shape(out, a->shape, a->ndim, ""));
  FASTCONV_TRY(check_output(out));
  FASTCONV_TRY(check_disjoint_or_same(out, a));
  if (params->shared_ndim < 0 || params->shared_ndim > a->ndim)
    return fail(FASTCONV_INVALID_ARGUMENT,
                "shared_ndim: expected 0 to the %d dimensions of %s, got %d", a->ndim, a.name,
                params->shared_ndim);
  int threads;
  FASTCONV_TRY(choose_threads(exec, count(*a.tensor), kElementsPerThread / 4, &threads));
  return with_kernels(a->dtype, [&](const auto& table, auto zero) {
    using T = decltype(zero);
    const double p = params->p;
    DropoutArgs<T> args = {};
    args.out = static_cast<T*>(out->data);
    args.a = static_cast<const T*>(a->data);
    const int skipped = FASTCONV_MAX_NDIM - a->ndim;
    int64_t number = 1;
    for (int i = FASTCONV_MAX_NDIM - 1; i >= 0; --i) {
      const int dimension = i - skipped;
      const int64_t extent = dimension >= 0 ? a->shape[dimension] : 1;
      args.extent[i] = extent;
      if (extent == 1) continue;
      args.out_stride[i] = out->strides[dimension];
      args.a_stride[i] = a->strides[dimension];
      if (dimension >= a->ndim - params->shared_ndim) continue;
      args.number_stride[i] = number;
      number *= extent;
    }
    args.seed = params->seed;
    args.threshold = static_cast<uint64_t>(p * 4294967295.0 + 0.5);
    args.scale = p < 1 ? 1 / (1 - p) : 0;
    if (params->alpha != 0) {
      args.scale = p < 1 ? 1 / __builtin_sqrt((1 - p) * (1 + p * kSeluLimit * kSeluLimit)) : 0;
      if (!backward) {
        args.shift = -args.scale * p * kSeluLimit;
        args.dropped = args.scale * kSeluLimit + args.shift;
      }
    }
    args.exec = {threads, nullptr};
    table.dropout(args);
    return FASTCONV_OK;
  });
}

}  // namespace
}  // namespace fastconv

using namespace fastconv;

fastconv_status fastconv_dropout(const fastconv_tensor* output, const fastconv_tensor* input,
                                 const fastconv_dropout_params* params, const fastconv_exec* exec) {
  return run({output, "out"}, {input, "input"}, params, false, exec);
}

fastconv_status fastconv_dropout_backward(const fastconv_tensor* grad_input,
                                          const fastconv_tensor* grad_output,
                                          const fastconv_dropout_params* params,
                                          const fastconv_exec* exec) {
  return run({grad_input, "grad_input"}, {grad_output, "grad_output"}, params, true, exec);
}
