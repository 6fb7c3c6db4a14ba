// Batch, group, layer and local response normalisation.
#include <cinttypes>
#include <utility>

#include "api/call.h"

namespace fastconv {
namespace {

template <class T>
T* data(Argument argument) {
  return argument.tensor != nullptr ? static_cast<T*>(argument->data) : nullptr;
}

int64_t stride(Argument argument, int dimension) {
  if (argument.tensor == nullptr || argument->shape[dimension] == 1) return 0;
  return argument->strides[dimension];
}

// The operands of either direction; the names are those of the forward call's arguments.
struct Operands {
  Argument out, x, dy, weight, bias, mean, invstd, running_mean, running_var, dweight, dbias;

  // Rank and shape of x and of what is like it, and of `parameters`, which x's dtype and no
  // memory with an output in common.
  fastconv_status check_likes(int min_ndim) const {
    FASTCONV_TRY(check_tensor(x, min_ndim, FASTCONV_MAX_NDIM));
    FASTCONV_TRY(check_float(x));
    for (const Argument& like : {dy, out}) {
      if (like.tensor == nullptr) continue;
      FASTCONV_TRY(check_tensor(like, x->ndim, x->ndim));
      FASTCONV_TRY(check_same_dtype(like, x));
      FASTCONV_TRY(check_shape(like, x->shape, x->ndim, "of input"));
    }
    return FASTCONV_OK;
  }

  fastconv_status check_parameter(const Argument& argument, const int64_t* shape, int ndim,
                                  const char* why) const {
    if (argument.tensor == nullptr) return FASTCONV_OK;
    FASTCONV_TRY(check_tensor(argument, ndim, ndim));
    FASTCONV_TRY(check_same_dtype(argument, x));
    return check_shape(argument, shape, ndim, why);
  }

  // `outputs` are written: they share no memory with each other or with anything that is read.
  template <int kCount>
  fastconv_status check_outputs(const Argument (&outputs)[kCount]) const {
    for (int i = 0; i < kCount; ++i) {
      if (outputs[i].tensor == nullptr) continue;
      FASTCONV_TRY(check_output(outputs[i]));
      for (int j = 0; j < i; ++j)
        if (outputs[j].tensor != nullptr) FASTCONV_TRY(check_disjoint(outputs[i], outputs[j]));
      const bool is_out = outputs[i].tensor == out.tensor;
      for (const Argument& input : {x, dy})
        if (input.tensor != nullptr)
          FASTCONV_TRY(is_out && (input.tensor == dy.tensor || dy.tensor == nullptr)
                           ? check_disjoint_or_same(outputs[i], input)
                           : check_disjoint(outputs[i], input));
      for (const Argument& input : {weight, bias})
        if (input.tensor != nullptr) FASTCONV_TRY(check_disjoint(outputs[i], input));
    }
    return FASTCONV_OK;
  }
};

fastconv_status check_params(const fastconv_norm_params* params) {
  if (params == nullptr || params->struct_size < sizeof(fastconv_norm_params))
    return fail(FASTCONV_INVALID_ARGUMENT,
                "params: expected a fastconv_norm_params with its struct_size set");
  if (!(params->eps >= 0))
    return fail(FASTCONV_INVALID_ARGUMENT, "eps: expected a number that is not negative, got %g",
                params->eps);
  return FASTCONV_OK;
}

// What batch_norm and group_norm have in common.
struct ChannelProblem {
  int64_t groups;
  bool per_sample, from_batch, relu;
};

fastconv_status channel_norm(const Operands& o, const ChannelProblem& problem, bool backward,
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
    args.out = data<T>(o.out);
    args.x = data<T>(o.x);
    args.dy = data<T>(o.dy);
    args.weight = data<T>(o.weight);
    args.bias = data<T>(o.bias);
    args.mean = data<T>(o.mean);
    args.invstd = data<T>(o.invstd);
    args.running_mean = data<T>(o.running_mean);
    args.running_var = data<T>(o.running_var);
    args.dweight = data<T>(o.dweight);
    args.dbias = data<T>(o.dbias);
    spread_shape(*o.x.tensor, args.extent);
    spread_strides(*o.x.tensor, args.x_stride);
    if (o.out.tensor != nullptr) spread_strides(*o.out.tensor, args.out_stride);
    if (o.dy.tensor != nullptr) spread_strides(*o.dy.tensor, args.dy_stride);
    args.weight_stride = stride(o.weight, 0);
    args.bias_stride = stride(o.bias, 0);
    args.running_mean_stride = stride(o.running_mean, 0);
    args.running_var_stride = stride(o.running_var, 0);
    args.dweight_stride = stride(o.dweight, 0);
    args.dbias_stride = stride(o.dbias, 0);
    args.mean_stride[0] = per_sample ? stride(o.mean, 0) : 0;
    args.mean_stride[1] = stride(o.mean, per_sample);
    args.invstd_stride[0] = per_sample ? stride(o.invstd, 0) : 0;
    args.invstd_stride[1] = stride(o.invstd, per_sample);
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

// Strides of a tensor whose dimensions end or begin with those of x, as 5 of which the last
// `columns` are a row.
void align(Argument argument, int64_t strides[5], int first) {
  for (int i = 0; i < 5; ++i) strides[i] = 0;
  for (int i = 0; argument.tensor != nullptr && i < argument->ndim; ++i)
    strides[first + i] = stride(argument, i);
}

fastconv_status layer_norm(const Operands& o, bool backward, const fastconv_norm_params& params,
                           const fastconv_exec* exec) {
  FASTCONV_TRY(o.check_likes(1));
  const int ndim = o.x->ndim, columns = params.normalized_ndim, rows = ndim - columns;
  if (columns < 1 || rows < 0)
    return fail(FASTCONV_INVALID_ARGUMENT,
                "normalized_shape: expected 1 to %d dimensions, those %s ends with, got %d", ndim,
                o.x.name, columns);
  for (int i = rows; i < ndim; ++i)
    if (o.x->shape[i] < 1)
      return fail(FASTCONV_INVALID_ARGUMENT, "%s: expected no empty row, got shape %s", o.x.name,
                  Tuple(o.x->shape, ndim).text());
  for (const Argument& argument : {o.weight, o.bias, o.dweight, o.dbias})
    FASTCONV_TRY(o.check_parameter(argument, o.x->shape + rows, columns, "(normalized_shape)"));
  for (const Argument& argument : {o.mean, o.invstd})
    FASTCONV_TRY(o.check_parameter(argument, o.x->shape, rows, "(one value a row)"));
  FASTCONV_TRY(backward ? o.check_outputs<3>({o.out, o.dweight, o.dbias})
                        : o.check_outputs<3>({o.out, o.mean, o.invstd}));
  int threads;
  FASTCONV_TRY(choose_threads(exec, count(*o.x.tensor), kElementsPerThread, &threads));
  return with_kernels(o.x->dtype, [&](const auto& table, auto zero) {
    using T = decltype(zero);
    const int skipped = FASTCONV_MAX_NDIM - ndim;
    LayerNormArgs<T> args = {};
    args.out = data<T>(o.out);
    args.x = data<T>(o.x);
    args.dy = data<T>(o.dy);
    args.weight = data<T>(o.weight);
    args.bias = data<T>(o.bias);
    args.mean = data<T>(o.mean);
    args.invstd = data<T>(o.invstd);
    args.dweight = data<T>(o.dweight);
    args.dbias = data<T>(o.dbias);
    for (int i = 0; i < 5; ++i) args.extent[i] = i < skipped ? 1 : o.x->shape[i - skipped];
    align(o.out, args.out_stride, skipped);
    align(o.x, args.x_stride, skipped);
    align(o.dy, args.dy_stride, skipped);
    align(o.mean, args.mean_stride, skipped);
    align(o.invstd, args.invstd_stride, skipped);
    for (const auto& [argument, strides] :
         {std::pair{o.weight, args.weight_stride}, std::pair{o.bias, args.bias_stride},
          std::pair{o.dweight, args.dweight_stride}, std::pair{o.dbias, args.dbias_stride}})
      align(argument, strides, skipped + rows);
    args.axis = skipped + rows;
    args.eps = params.eps;
    args.exec = {threads, nullptr};
    if (backward)
      return run_with_scratch(table.layer_norm_backward_workspace, table.layer_norm_backward, args);
    table.layer_norm_forward(args);
    return FASTCONV_OK;
  });
}

fastconv_status local_response(Argument out, Argument x, Argument dy,
                               const fastconv_local_response_params* params,
                               const fastconv_exec* exec) {
  if (params == nullptr || params->struct_size < sizeof(fastconv_local_response_params))
    return fail(FASTCONV_INVALID_ARGUMENT,
                "params: expected a fastconv_local_response_params with its struct_size set");
  if (params->size < 1)
    return fail(FASTCONV_INVALID_ARGUMENT, "size: expected a positive integer, got %" PRId64,
                params->size);
  Operands o = {};
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
    args.out = data<T>(out);
    args.x = data<T>(x);
    args.dy = data<T>(dy);
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

Operands forward_operands(const fastconv_tensor* output, const fastconv_tensor* mean,
                          const fastconv_tensor* invstd, const fastconv_tensor* input,
                          const fastconv_tensor* weight, const fastconv_tensor* bias) {
  Operands o = {};
  o.out = {output, "out"};
  o.mean = {mean, "mean"};
  o.invstd = {invstd, "invstd"};
  o.x = {input, "input"};
  o.weight = {weight, "weight"};
  o.bias = {bias, "bias"};
  return o;
}

fastconv_status backward_operands(const fastconv_tensor* grad_input,
                                  const fastconv_tensor* grad_weight,
                                  const fastconv_tensor* grad_bias,
                                  const fastconv_tensor* grad_output, const fastconv_tensor* input,
                                  const fastconv_tensor* mean, const fastconv_tensor* invstd,
                                  const fastconv_tensor* weight, const fastconv_tensor* bias,
                                  Operands* operands) {
  *operands = forward_operands(grad_input, mean, invstd, input, weight, bias);
  operands->out.name = "grad_input";
  operands->dy = {grad_output, "grad_output"};
  operands->dweight = {grad_weight, "grad_weight"};
  operands->dbias = {grad_bias, "grad_bias"};
  for (const Argument& needed : {operands->dy, operands->mean, operands->invstd})
    if (needed.tensor == nullptr)
      return fail(FASTCONV_INVALID_ARGUMENT, "%s: expected a tensor, got NULL", needed.name);
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
  FASTCONV_TRY(check_params(params));
  Operands o = forward_operands(output, mean, invstd, input, weight, bias);
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
  FASTCONV_TRY(check_params(params));
  Operands o;
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
  FASTCONV_TRY(check_params(params));
  return channel_norm(forward_operands(output, mean, invstd, input, weight, bias),
                      {params->num_groups, true, true, false}, false, *params, exec);
}

fastconv_status fastconv_group_norm_backward(
    const fastconv_tensor* grad_input, const fastconv_tensor* grad_weight,
    const fastconv_tensor* grad_bias, const fastconv_tensor* grad_output,
    const fastconv_tensor* input, const fastconv_tensor* mean, const fastconv_tensor* invstd,
    const fastconv_tensor* weight, const fastconv_norm_params* params, const fastconv_exec* exec) {
  FASTCONV_TRY(check_params(params));
  Operands o;
  FASTCONV_TRY(backward_operands(grad_input, grad_weight, grad_bias, grad_output, input, mean,
                                 invstd, weight, nullptr, &o));
  return channel_norm(o, {params->num_groups, true, true, false}, true, *params, exec);
}

fastconv_status fastconv_layer_norm_forward(
    const fastconv_tensor* output, const fastconv_tensor* mean, const fastconv_tensor* invstd,
    const fastconv_tensor* input, const fastconv_tensor* weight, const fastconv_tensor* bias,
    const fastconv_norm_params* params, const fastconv_exec* exec) {
  FASTCONV_TRY(check_params(params));
  return layer_norm(forward_operands(output, mean, invstd, input, weight, bias), false, *params,
                    exec);
}

fastconv_status fastconv_layer_norm_backward(
    const fastconv_tensor* grad_input, const fastconv_tensor* grad_weight,
    const fastconv_tensor* grad_bias, const fastconv_tensor* grad_output,
    const fastconv_tensor* input, const fastconv_tensor* mean, const fastconv_tensor* invstd,
    const fastconv_tensor* weight, const fastconv_norm_params* params, const fastconv_exec* exec) {
  FASTCONV_TRY(check_params(params));
  Operands o;
  FASTCONV_TRY(backward_operands(grad_input, grad_weight, grad_bias, grad_output, input, mean,
                                 invstd, weight, nullptr, &o));
  return layer_norm(o, true, *params, exec);
}

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
