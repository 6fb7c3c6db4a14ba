// Normalisation with statistics of channels: batch and group normalisation.
#include <cinttypes>
#include <initializer_list>

#include "api/norm_call.h"

namespace fastconv {
namespace {

// What batch_norm and group_norm have in common.
struct ChannelProblem {
  int64_t groups;
  bool per_sample, from_batch, relu;
};

fastconv_status channel_norm(const NormOperands& o, const ChannelProblem& problem, bool backward,
                             const fastconv_norm_params& params, const fastconv_exec* exec) {
  FASTCONV_TRY(o.check_likes(2));
  const int64_t channels = o.x->shape[1];
  if (channels < 1)
    return fail(FASTCONV_INVALID_ARGUMENT, "%s: expected at least one channel, got shape %s",
                o.x.name, Tuple(o.x->shape, o.x->ndim).text());
  if (problem.groups < 1 || channels % problem.groups != 0)
    return fail(FASTCONV_INVALID_ARGUMENT,
                "num_groups: expected a positive divisor of the %" PRId64
                " channels of %s, got %" PRId64,
                channels, o.x.name, problem.groups);
  for (const Argument& argument :
       {o.weight, o.bias, o.running_mean, o.running_var, o.dweight, o.dbias})
    FASTCONV_TRY(o.check_parameter(argument, &channels, 1, "(one value a channel)"));
  const int64_t groups[2] = {o.x->shape[0], problem.groups};
  const int per_sample = problem.per_sample ? 1 : 0;
  for (const Argument& argument : {o.mean, o.invstd})
    FASTCONV_TRY(o.check_parameter(argument, groups + 1 - per_sample, 1 + per_sample,
                                   per_sample ? "(one value a group)" : "(one value a channel)"));
  if (backward) {
    FASTCONV_TRY(o.check_outputs<3>({o.out, o.dweight, o.dbias}));
  } else {
    FASTCONV_TRY(o.check_outputs<3>({o.out, o.mean, o.invstd}));
    if (problem.from_batch) FASTCONV_TRY(o.check_outputs<2>({o.running_mean, o.running_var}));
  }
  int threads;
  FASTCONV_TRY(choose_threads(exec, count(*o.x.tensor), kElementsPerThread, &threads));
  return with_kernels(o.x->dtype, [&](const auto& table, auto zero) {
    using T = decltype(zero);
    NormArgs<T> args = {};
    args.out = data_of<T>(o.out);
    args.x = data_of<T>(o.x);
    args.dy = data_of<T>(o.dy);
    args.weight = data_of<T>(o.weight);
    args.bias = data_of<T>(o.bias);
    args.mean = data_of<T>(o.mean);
    args.invstd = data_of<T>(o.invstd);
    args.running_mean = data_of<T>(o.running_mean);
    args.running_var = data_of<T>(o.running_var);
    args.dweight = data_of<T>(o.dweight);
    args.dbias = data_of<T>(o.dbias);
    spread_shape(*o.x.tensor, args.extent);
    spread_strides(*o.x.tensor, args.x_stride);
    if (o.out.tensor != nullptr) spread_strides(*o.out.tensor, args.out_stride);
    if (o.dy.tensor != nullptr) spread_strides(*o.dy.tensor, args.dy_stride);
    args.weight_stride = stride_of(o.weight, 0);
    args.bias_stride = stride_of(o.bias, 0);
    args.running_mean_stride = stride_of(o.running_mean, 0);
    args.running_var_stride = stride_of(o.running_var, 0);
    args.dweight_stride = stride_of(o.dweight, 0);
    args.dbias_stride = stride_of(o.dbias, 0);
    args.mean_stride[0] = per_sample ? stride_of(o.mean, 0) : 0;
    args.mean_stride[1] = stride_of(o.mean, per_sample);
    args.invstd_stride[0] = per_sample ? stride_of(o.invstd, 0) : 0;
    args.invstd_stride[1] = stride_of(o.invstd, per_sample);
    args.groups = problem.groups;
    args.per_sample = problem.per_sample;
    args.from_batch = problem.from_batch;
    args.relu = problem.relu;
    args.momentum = params.momentum;
    args.eps = params.eps;
    args.exec = {threads, nullptr};
    return backward ? run_with_scratch(table.channel_norm_backward_workspace,
                                       table.channel_norm_backward, args)
                    : run_with_scratch(table.channel_norm_forward_workspace,
                                       table.channel_norm_forward, args);
  });
}

fastconv_status batch_problem(const fastconv_norm_params& params, Argument x,
                              ChannelProblem* problem) {
  if (params.activation != FASTCONV_IDENTITY && params.activation != FASTCONV_RELU)
    return fail(FASTCONV_INVALID_ARGUMENT, "activation: expected identity or relu, got value %d",
                params.activation);
  FASTCONV_TRY(check_tensor(x, 2, FASTCONV_MAX_NDIM));
  *problem = {x->shape[1], false, params.training != 0, params.activation == FASTCONV_RELU};
  return FASTCONV_OK;
}

}  // namespace
}  // namespace fastconv

using namespace fastconv;

fastconv_status fastconv_batch_norm_forward(
    const fastconv_tensor* output, const fastconv_tensor* mean, const fastconv_tensor* invstd,
    const fastconv_tensor* running_mean, const fastconv_tensor* running_var,
    const fastconv_tensor* input, const fastconv_tensor* weight, const fastconv_tensor* bias,
    const fastconv_norm_params* params, const fastconv_exec* exec) {
  FASTCONV_TRY(check_norm_params(params));
  NormOperands o = forward_operands(output, mean, invstd, input, weight, bias);
  o.running_mean = {running_mean, "running_mean"};
  o.running_var = {running_var, "running_var"};
  ChannelProblem problem = {};
  FASTCONV_TRY(batch_problem(*params, o.x, &problem));
  if (!problem.from_batch && (running_mean == nullptr || running_var == nullptr))
    return fail(FASTCONV_INVALID_ARGUMENT, "%s: expected an array unless training, got none",
                running_mean == nullptr ? "running_mean" : "running_var");
  if (problem.from_batch && count(*input) == static_cast<double>(input->shape[1]))
    return fail(FASTCONV_INVALID_ARGUMENT,
                "input: expected more than one value a channel when training, got shape %s",
                Tuple(input->shape, input->ndim).text());
  return channel_norm(o, problem, false, *params, exec);
}

fastconv_status fastconv_batch_norm_backward(
    const fastconv_tensor* grad_input, const fastconv_tensor* grad_weight,
    const fastconv_tensor* grad_bias, const fastconv_tensor* grad_output,
    const fastconv_tensor* input, const fastconv_tensor* mean, const fastconv_tensor* invstd,
    const fastconv_tensor* weight, const fastconv_tensor* bias, const fastconv_norm_params* params,
    const fastconv_exec* exec) {
  FASTCONV_TRY(check_norm_params(params));
  NormOperands o;
  FASTCONV_TRY(backward_operands(grad_input, grad_weight, grad_bias, grad_output, input, mean,
                                 invstd, weight, bias, &o));
  ChannelProblem problem = {};
  FASTCONV_TRY(batch_problem(*params, o.x, &problem));
  return channel_norm(o, problem, true, *params, exec);
}

fastconv_status fastconv_group_norm_forward(
    const fastconv_tensor* output, const fastconv_tensor* mean, const fastconv_tensor* invstd,
    const fastconv_tensor* input, const fastconv_tensor* weight, const fastconv_tensor* bias,
    const fastconv_norm_params* params, const fastconv_exec* exec) {
  FASTCONV_TRY(check_norm_params(params));
  return channel_norm(forward_operands(output, mean, invstd, input, weight, bias),
                      {params->num_groups, true, true, false}, false, *params, exec);
}

fastconv_status fastconv_group_norm_backward(
    const fastconv_tensor* grad_input, const fastconv_tensor* grad_weight,
    const fastconv_tensor* grad_bias, const fastconv_tensor* grad_output,
    const fastconv_tensor* input, const fastconv_tensor* mean, const fastconv_tensor* invstd,
    const fastconv_tensor* weight, const fastconv_norm_params* params, const fastconv_exec* exec) {
  FASTCONV_TRY(check_norm_params(params));
  NormOperands o;
  FASTCONV_TRY(backward_operands(grad_input, grad_weight, grad_bias, grad_output, input, mean,
                                 invstd, weight, nullptr, &o));
  return channel_norm(o, {params->num_groups, true, true, false}, true, *params, exec);
}
