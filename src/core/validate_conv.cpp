// Convolution problems: how channels, groups, filters and output have to fit together.
#include <cinttypes>

#include "core/validate_axes.h"

namespace fastconv {
namespace {

// make_conv for the dtypes that check_dtypes() and, unless y is null, check_output_dtype() allow.
template <class CheckDtypes, class CheckOutputDtype>
fastconv_status make_conv_of(Argument x, Argument weight, Argument y,
                             const fastconv_conv_params* params, ConvParams* p,
                             const CheckDtypes& check_dtypes,
                             const CheckOutputDtype& check_output_dtype) {
  FASTCONV_TRY(check_params(params, "fastconv_conv_params"));
  const int ndim = params->spatial_ndim + 2;
  FASTCONV_TRY(check_tensor(x, ndim, ndim));
  FASTCONV_TRY(check_tensor(weight, ndim, ndim));
  FASTCONV_TRY(check_dtypes());
  const int64_t groups = params->groups;
  const int64_t in_channels = x->shape[1], out_channels = weight->shape[0];
  if (in_channels < 1)
    return fail(FASTCONV_INVALID_ARGUMENT, "%s: only the batch may be empty, got shape %s", x.name,
                Tuple(x->shape, ndim).text());
  if (groups < 1 || in_channels % groups != 0)
    return fail(FASTCONV_INVALID_ARGUMENT,
                "groups: expected a positive divisor of the %" PRId64
                " channels of %s, got %" PRId64,
                in_channels, x.name, groups);
  if (out_channels < 1 || out_channels % groups != 0)
    return fail(FASTCONV_INVALID_ARGUMENT,
                "groups: expected a divisor of the %" PRId64
                " output channels of %s (its first dimension), got %" PRId64,
                out_channels, weight.name, groups);
  if (weight->shape[1] != in_channels / groups)
    return fail(FASTCONV_INVALID_ARGUMENT,
                "%s: expected %" PRId64 " in its second dimension (%" PRId64
                " channels of %s in %" PRId64 " groups), got shape %s",
                weight.name, in_channels / groups, in_channels, x.name, groups,
                Tuple(weight->shape, ndim).text());
  const Geometry geometry = {params->spatial_ndim, params->padding_mode, weight->shape + 2,
                             params->stride,       params->dilation,     params->pad_before,
                             params->pad_after};
  Axes axes;
  FASTCONV_TRY(make_axes(x, geometry, false, &axes));
  *p = {};
  store_axes(axes, p);
  p->n = x->shape[0];
  p->groups = groups;
  p->in_channels = in_channels;
  p->out_channels = out_channels;
  spread_strides(*x.tensor, p->x_stride);
  spread_strides(*weight.tensor, p->w_stride);
  int64_t shape[FASTCONV_MAX_NDIM] = {p->n, out_channels};
  for (int i = 2; i < ndim; ++i) shape[i] = axes.out[i - 2 + kSpatial - params->spatial_ndim];
  FASTCONV_TRY(check_count("output", shape, ndim));
  if (y.tensor == nullptr) return FASTCONV_OK;
  FASTCONV_TRY(check_tensor(y, ndim, ndim));
  FASTCONV_TRY(check_output_dtype());
  FASTCONV_TRY(check_shape(y, shape, ndim, "from the other arguments"));
  spread_strides(*y.tensor, p->y_stride);
  return FASTCONV_OK;
}

}  // namespace

fastconv_status make_conv(Argument x, Argument weight, Argument y,
                          const fastconv_conv_params* params, ConvParams* p) {
  const auto check_dtypes = [&] {
    FASTCONV_TRY(check_conv_dtype(x));
    return check_same_dtype(weight, x);
  };
  return make_conv_of(x, weight, y, params, p, check_dtypes,
                      [&] { return check_same_dtype(y, x); });
}

fastconv_status make_quantized_conv(Argument x, Argument weight, Argument y,
                                    const fastconv_conv_params* params, ConvParams* p) {
  const auto check_dtypes = [&] {
    FASTCONV_TRY(check_quantized(x));
    return check_quantized(weight);
  };
  return make_conv_of(x, weight, y, params, p, check_dtypes, [&] { return check_quantized(y); });
}

}  // namespace fastconv
