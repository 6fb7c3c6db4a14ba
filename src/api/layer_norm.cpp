// Layer normalisation.
#include <initializer_list>
#include <utility>

#include "api/norm_call.h"

namespace fastconv {
namespace {

// Strides of a tensor whose dimensions end or begin with those of x, as 5 of which the last
// `columns` are a row.
void align(Argument argument, int64_t strides[5], int first) {
  for (int i = 0; i < 5; ++i) strides[i] = 0;
  for (int i = 0; argument.tensor != nullptr && i < argument->ndim; ++i)
    strides[first + i] = stride_of(argument, i);
}

fastconv_status layer_norm(const NormOperands& o, bool backward, const fastconv_norm_params& params,
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
    args.out = data_of<T>(o.out);
    args.x = data_of<T>(o.x);
    args.dy = data_of<T>(o.dy);
    args.weight = data_of<T>(o.weight);
    args.bias = data_of<T>(o.bias);
    args.mean = data_of<T>(o.mean);
    args.invstd = data_of<T>(o.invstd);
    args.dweight = data_of<T>(o.dweight);
    args.dbias = data_of<T>(o.dbias);
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

}  // namespace
}  // namespace fastconv

using namespace fastconv;

fastconv_status fastconv_layer_norm_forward(
    const fastconv_tensor* output, const fastconv_tensor* mean, const fastconv_tensor* invstd,
    const fastconv_tensor* input, const fastconv_tensor* weight, const fastconv_tensor* bias,
    const fastconv_norm_params* params, const fastconv_exec* exec) {
  FASTCONV_TRY(check_norm_params(params));
  return layer_norm(forward_operands(output, mean, invstd, input, weight, bias), false, *params,
                    exec);
}

fastconv_status fastconv_layer_norm_backward(
    const fastconv_tensor* grad_input, const fastconv_tensor* grad_weight,
    const fastconv_tensor* grad_bias, const fastconv_tensor* grad_output,
    const fastconv_tensor* input, const fastconv_tensor* mean, const fastconv_tensor* invstd,
    const fastconv_tensor* weight, const fastconv_norm_params* params, const fastconv_exec* exec) {
  FASTCONV_TRY(check_norm_params(params));
  NormOperands o;
  FASTCONV_TRY(backward_operands(grad_input, grad_weight, grad_bias, grad_output, input, mean,
                                 invstd, weight, nullptr, &o));
  return layer_norm(o, true, *params, exec);
}
