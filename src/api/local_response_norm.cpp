// Local response normalisation across channels.
#include <cinttypes>

#include "api/norm_call.h"

namespace fastconv {
namespace {

fastconv_status local_response(Argument out, Argument x, Argument dy,
                               const fastconv_local_response_params* params,
                               const fastconv_exec* exec) {
  if (params == nullptr || params->struct_size < sizeof(fastconv_local_response_params))
    return fail(FASTCONV_INVALID_ARGUMENT,
                "params: expected a fastconv_local_response_params with its struct_size set");
  if (params->size < 1)
    return fail(FASTCONV_INVALID_ARGUMENT, "size: expected a positive integer, got %" PRId64,
                params->size);
  NormOperands o = {};
  o.out = out;
  o.x = x;
  o.dy = dy;
  FASTCONV_TRY(o.check_likes(2));
  FASTCONV_TRY(check_output(out));
  FASTCONV_TRY(check_disjoint(out, x));
  if (dy.tensor != nullptr) FASTCONV_TRY(check_disjoint(out, dy));
  int threads;
  FASTCONV_TRY(choose_threads(exec, count(*x.tensor), kElementsPerThread / 4, &threads));
  return with_kernels(x->dtype, [&](const auto& table, auto zero) {
    using T = decltype(zero);
    LocalResponseArgs<T> args = {};
    args.out = data_of<T>(out);
    args.x = data_of<T>(x);
    args.dy = data_of<T>(dy);
    spread_shape(*x.tensor, args.extent);
    spread_strides(*x.tensor, args.x_stride);
    spread_strides(*out.tensor, args.out_stride);
    if (dy.tensor != nullptr) spread_strides(*dy.tensor, args.dy_stride);
    args.size = params->size;
    args.alpha = params->alpha;
    args.beta = params->beta;
    args.k = params->k;
    args.exec = {threads, nullptr};
    if (count(*x.tensor) == 0) return FASTCONV_OK;
    return run_with_scratch(table.local_response_norm_workspace, table.local_response_norm, args);
  });
}

}  // namespace
}  // namespace fastconv

using namespace fastconv;

fastconv_status fastconv_local_response_norm(const fastconv_tensor* output,
                                             const fastconv_tensor* input,
                                             const fastconv_local_response_params* params,
                                             const fastconv_exec* exec) {
  return local_response({output, "out"}, {input, "input"}, {nullptr, ""}, params, exec);
}

fastconv_status fastconv_local_response_norm_backward(const fastconv_tensor* grad_input,
                                                      const fastconv_tensor* grad_output,
                                                      const fastconv_tensor* input,
                                                      const fastconv_local_response_params* params,
                                                      const fastconv_exec* exec) {
  const Argument dy = {grad_output, "grad_output"};
  FASTCONV_TRY(check_tensor(dy, 2, FASTCONV_MAX_NDIM));
  return local_response({grad_input, "grad_input"}, {input, "input"}, dy, params, exec);
}
