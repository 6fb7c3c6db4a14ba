// Activations, and what else a convolution does to its sums: bias and residual.
#include <cstddef>

#include "core/status.h"
#include "core/validate.h"

namespace fastconv {

fastconv_status check_activation(int32_t kind, double alpha, double beta, Activation* activation) {
  if (kind < FASTCONV_IDENTITY || kind > FASTCONV_MISH)
    return fail(FASTCONV_INVALID_ARGUMENT, "activation: unknown value %d", kind);
  if (alpha != alpha || beta != beta)
    return fail(FASTCONV_INVALID_ARGUMENT, "activation: expected numbers as parameters, got NaN");
  if (kind == FASTCONV_CLIPPED_RELU && alpha > beta)
    return fail(FASTCONV_INVALID_ARGUMENT,
                "activation: expected a lower bound not above the upper one, got %g and %g", alpha,
                beta);
  if (kind == FASTCONV_SOFTPLUS && !(alpha > 0))
    return fail(FASTCONV_INVALID_ARGUMENT, "activation: expected a positive beta, got %g", alpha);
  *activation = {kind, alpha, beta};
  return FASTCONV_OK;
}

fastconv_status set_epilogue(const fastconv_epilogue* epilogue, Argument output, ConvParams* p) {
  p->activation = {};
  p->bias_stride = 0;
  if (epilogue == nullptr) return FASTCONV_OK;
  constexpr size_t kFirstVersion = offsetof(fastconv_epilogue, alpha);
  if (epilogue->struct_size < kFirstVersion)
    return fail(FASTCONV_INVALID_ARGUMENT,
                "epilogue: struct_size is %zu, expected sizeof(fastconv_epilogue) = %zu",
                epilogue->struct_size, sizeof(fastconv_epilogue));
  const bool has_parameters = epilogue->struct_size >= sizeof(fastconv_epilogue);
  FASTCONV_TRY(check_activation(epilogue->activation, has_parameters ? epilogue->alpha : 0,
                                has_parameters ? epilogue->beta : 0, &p->activation));
  const Argument bias = {epilogue->bias, "bias"}, residual = {epilogue->residual, "residual"};
  if (bias.tensor != nullptr) {
    FASTCONV_TRY(check_tensor(bias, 1, 1));
    FASTCONV_TRY(check_same_dtype(bias, output));
    FASTCONV_TRY(check_shape(bias, output->shape + 1, 1, "(one value a channel)"));
    FASTCONV_TRY(check_disjoint(output, bias));
    p->bias_stride = bias->strides[0];
  }
  if (residual.tensor != nullptr) {
    FASTCONV_TRY(check_tensor(residual, output->ndim, output->ndim));
    FASTCONV_TRY(check_same_dtype(residual, output));
    FASTCONV_TRY(check_shape(residual, output->shape, output->ndim, "of the output"));
    FASTCONV_TRY(check_disjoint_or_same(output, residual));
    spread_strides(*residual.tensor, p->residual_stride);
  }
  return FASTCONV_OK;
}

}  // namespace fastconv
