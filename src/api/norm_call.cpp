// What normalisations check of their operands, and the names that errors call them by.
#include "api/norm_call.h"

namespace fastconv {

fastconv_status NormOperands::check_likes(int min_ndim) const {
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

fastconv_status NormOperands::check_parameter(const Argument& argument, const int64_t* shape,
                                              int ndim, const char* why) const {
  if (argument.tensor == nullptr) return FASTCONV_OK;
  FASTCONV_TRY(check_tensor(argument, ndim, ndim));
  FASTCONV_TRY(check_same_dtype(argument, x));
  return check_shape(argument, shape, ndim, why);
}

fastconv_status check_norm_params(const fastconv_norm_params* params) {
  if (params == nullptr || params->struct_size < sizeof(fastconv_norm_params))
    return fail(FASTCONV_INVALID_ARGUMENT,
                "params: expected a fastconv_norm_params with its struct_size set");
  if (!(params->eps >= 0))
    return fail(FASTCONV_INVALID_ARGUMENT, "eps: expected a number that is not negative, got %g",
                params->eps);
  return FASTCONV_OK;
}

NormOperands forward_operands(const fastconv_tensor* output, const fastconv_tensor* mean,
                              const fastconv_tensor* invstd, const fastconv_tensor* input,
                              const fastconv_tensor* weight, const fastconv_tensor* bias) {
  NormOperands o = {};
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
                                  NormOperands* operands) {
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

}  // namespace fastconv
