// Convolution and its gradients.
#include "api/conv_call.h"
#include "core/canonical.h"

using namespace fastconv;

fastconv_status fastconv_conv_output_shape(int64_t output_shape[FASTCONV_MAX_NDIM],
                                           const fastconv_tensor* input,
                                           const fastconv_tensor* weight,
                                           const fastconv_conv_params* params) {
  ConvParams p;
  FASTCONV_TRY(make_conv({input, "input"}, {weight, "weight"}, {nullptr, ""}, params, &p));
  output_shape[0] = p.n;
  output_shape[1] = p.out_channels;
  for (int i = 0; i < params->spatial_ndim; ++i)
    output_shape[i + 2] = p.out[i + kSpatial - params->spatial_ndim];
  return FASTCONV_OK;
}

fastconv_status fastconv_conv_forward(const fastconv_tensor* output, const fastconv_tensor* input,
                                      const fastconv_tensor* weight,
                                      const fastconv_epilogue* epilogue,
                                      const fastconv_conv_params* params,
                                      const fastconv_exec* exec) {
  const Argument x = {input, "input"}, w = {weight, "weight"}, y = {output, "out"};
  ConvProblem problem = {{}, FASTCONV_FORWARD, input, weight, output, epilogue};
  FASTCONV_TRY(check_tensor(y, 0, FASTCONV_MAX_NDIM));
  FASTCONV_TRY(make_conv(x, w, y, params, &problem.p));
  FASTCONV_TRY(check_output(y));
  FASTCONV_TRY(check_disjoint(y, x));
  FASTCONV_TRY(check_disjoint(y, w));
  FASTCONV_TRY(set_epilogue(epilogue, y, &problem.p));
  fold_window(&problem.p);
  return compute(problem, exec);
}

fastconv_status fastconv_conv_backward_input(const fastconv_tensor* grad_input,
                                             const fastconv_tensor* grad_output,
                                             const fastconv_tensor* weight,
                                             const fastconv_conv_params* params,
                                             const fastconv_exec* exec) {
  const Argument x = {grad_input, "grad_input"}, w = {weight, "weight"};
  const Argument y = {grad_output, "grad_output"};
  ConvProblem problem = {{}, FASTCONV_BACKWARD_INPUT, grad_input, weight, grad_output, nullptr};
  FASTCONV_TRY(check_tensor(y, 0, FASTCONV_MAX_NDIM));
  FASTCONV_TRY(make_conv(x, w, y, params, &problem.p));
  FASTCONV_TRY(check_output(x));
  FASTCONV_TRY(check_disjoint(x, y));
  FASTCONV_TRY(check_disjoint(x, w));
  FASTCONV_TRY(set_epilogue(nullptr, x, &problem.p));
  fold_window(&problem.p);
  return compute(problem, exec);
}

fastconv_status fastconv_conv_backward_weight(const fastconv_tensor* grad_weight,
                                              const fastconv_tensor* grad_output,
                                              const fastconv_tensor* input,
                                              const fastconv_conv_params* params,
                                              const fastconv_exec* exec) {
  const Argument x = {input, "input"}, w = {grad_weight, "grad_weight"};
  const Argument y = {grad_output, "grad_output"};
  ConvProblem problem = {{}, FASTCONV_BACKWARD_WEIGHT, input, grad_weight, grad_output, nullptr};
  FASTCONV_TRY(check_tensor(y, 0, FASTCONV_MAX_NDIM));
  FASTCONV_TRY(make_conv(x, w, y, params, &problem.p));
  FASTCONV_TRY(check_output(w));
  FASTCONV_TRY(check_disjoint(w, x));
  FASTCONV_TRY(check_disjoint(w, y));
  FASTCONV_TRY(set_epilogue(nullptr, w, &problem.p));
  fold_window(&problem.p);
  return compute(problem, exec);
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

fastconv_status fastconv_conv_workspace_size(
    size_t* workspace_size, fastconv_conv_computation computation, const fastconv_tensor* output,
    const fastconv_tensor* input, const fastconv_tensor* weight, const fastconv_conv_params* params,
    const fastconv_exec* exec) {
  if (workspace_size == nullptr)
    return fail(FASTCONV_INVALID_ARGUMENT, "workspace_size: expected a pointer, got NULL");
  ConvProblem problem;
  ConvPlan plan;
  FASTCONV_TRY(make_problem(computation, output, input, weight, params, &problem));
  FASTCONV_TRY(explain(problem, exec, &plan));
  *workspace_size = plan.workspace;
  return FASTCONV_OK;
}
