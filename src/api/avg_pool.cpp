// Average pooling and its gradient.
#include <cinttypes>

#include "api/pool_call.h"

namespace fastconv {
namespace {

fastconv_status check_average(const fastconv_window_params* params, int64_t divisor_override) {
  for (int i = 0; i < params->spatial_ndim; ++i)
    if (params->dilation[i] != 1)
      return fail(FASTCONV_INVALID_ARGUMENT, "dilation: expected 1, got %" PRId64,
                  params->dilation[i]);
  if (divisor_override < 0)
    return fail(FASTCONV_INVALID_ARGUMENT,
                "divisor_override: expected a positive integer, or 0 for none, got %" PRId64,
                divisor_override);
  return FASTCONV_OK;
}

template <class Select>
fastconv_status run_average(const WindowParams& p, const fastconv_tensor& x,
                            const fastconv_tensor& y, bool count_include_pad, int64_t divisor,
                            const fastconv_exec* exec, const Select& select) {
  int threads;
  const double work = count(x) > count(y) ? count(x) : count(y);
  FASTCONV_TRY(choose_threads(exec, work, kElementsPerThread, &threads));
  return with_kernels(x.dtype, [&](const auto& table, auto zero) {
    using T = decltype(zero);
    select(table)(AveragePoolArgs<T>{&p,
                                     static_cast<T*>(x.data),
                                     static_cast<T*>(y.data),
                                     count_include_pad,
                                     divisor,
                                     {threads, nullptr}});
    return FASTCONV_OK;
  });
}

}  // namespace
}  // namespace fastconv

using namespace fastconv;

fastconv_status fastconv_avg_pool_forward(const fastconv_tensor* output,
                                          const fastconv_tensor* input,
                                          const fastconv_window_params* params,
                                          int count_include_pad, int64_t divisor_override,
                                          const fastconv_exec* exec) {
  const Argument x = {input, "input"}, y = {output, "out"};
  WindowParams p = {};
  FASTCONV_TRY(make_pool(x, y, params, &p));
  FASTCONV_TRY(check_average(params, divisor_override));
  FASTCONV_TRY(check_outputs(y, x));
  return run_average(p, *input, *output, count_include_pad != 0, divisor_override, exec,
                     [](const auto& table) { return table.avg_pool_forward; });
}

fastconv_status fastconv_avg_pool_backward(const fastconv_tensor* grad_input,
                                           const fastconv_tensor* grad_output,
                                           const fastconv_window_params* params,
                                           int count_include_pad, int64_t divisor_override,
                                           const fastconv_exec* exec) {
  const Argument x = {grad_input, "grad_input"}, y = {grad_output, "grad_output"};
  WindowParams p = {};
  FASTCONV_TRY(make_pool(x, y, params, &p));
  FASTCONV_TRY(check_average(params, divisor_override));
  FASTCONV_TRY(check_outputs(x, y));
  return run_average(p, *grad_input, *grad_output, count_include_pad != 0, divisor_override, exec,
                     [](const auto& table) { return table.avg_pool_backward; });
}

fastconv_status fastconv_adaptive_avg_pool_forward(const fastconv_tensor* output,
                                                   const fastconv_tensor* input,
                                                   const fastconv_exec* exec) {
  const Argument x = {input, "input"}, y = {output, "out"};
  WindowParams p = {};
  FASTCONV_TRY(make_adaptive(x, y, &p));
  FASTCONV_TRY(check_outputs(y, x));
  return run_average(p, *input, *output, false, 0, exec,
                     [](const auto& table) { return table.avg_pool_forward; });
}

fastconv_status fastconv_adaptive_avg_pool_backward(const fastconv_tensor* grad_input,
                                                    const fastconv_tensor* grad_output,
                                                    const fastconv_exec* exec) {
  const Argument x = {grad_input, "grad_input"}, y = {grad_output, "grad_output"};
  WindowParams p = {};
  FASTCONV_TRY(make_adaptive(x, y, &p));
  FASTCONV_TRY(check_outputs(x, y));
  return run_average(p, *grad_input, *grad_output, false, 0, exec,
                     [](const auto& table) { return table.avg_pool_backward; });
}
