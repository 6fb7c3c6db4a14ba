// Convolution and window problems: parameters, the output-size formula, and how the tensors
// have to fit together.
#include "core/validate.h"

#include <cinttypes>
#include <initializer_list>

#include "core/status.h"

namespace fastconv {
namespace {

// What conv and window parameters have in common, read through pointers so that there is one
// set of checks.
struct Geometry {
  int32_t spatial_ndim, padding_mode;
  const int64_t *kernel, *stride, *dilation, *pad_before, *pad_after;
};

struct Axes {
  int64_t in[kSpatial], kernel[kSpatial], out[kSpatial];
  int64_t stride[kSpatial], dilation[kSpatial], pad_before[kSpatial], pad_after[kSpatial];
};

fastconv_status check_positive(const char* name, const int64_t* values, int count) {
  for (int i = 0; i < count; ++i)
    if (values[i] < 1)
      return fail(FASTCONV_INVALID_ARGUMENT, "%s: expected positive integers, got %s", name,
                  Tuple(values, count).text());
  return FASTCONV_OK;
}

// Total padding that makes out = ceil(in / stride), the smaller half before: TensorFlow's
// rule for any stride, and PyTorch's 'same' where that is defined (stride 1).
bool same_padding(WindowAxis* axis) {
  const int64_t out = (axis->in - 1) / axis->stride + 1;
  int64_t extent, begin;
  if (__builtin_mul_overflow(axis->kernel - 1, axis->dilation, &extent) ||
      __builtin_mul_overflow(out - 1, axis->stride, &begin) ||
      __builtin_add_overflow(begin, extent, &begin))
    return false;
  const int64_t total = begin + 1 > axis->in ? begin + 1 - axis->in : 0;
  axis->pad_before = total / 2;
  axis->pad_after = total - total / 2;
  return true;
}

fastconv_status make_axes(Argument x, const Geometry& geometry, bool ceil_mode, Axes* axes) {
  const int ndim = geometry.spatial_ndim, skipped = kSpatial - ndim;
  FASTCONV_TRY(check_positive("kernel_size", geometry.kernel, ndim));
  FASTCONV_TRY(check_positive("stride", geometry.stride, ndim));
  FASTCONV_TRY(check_positive("dilation", geometry.dilation, ndim));
  if (geometry.padding_mode < FASTCONV_PADDING_EXPLICIT ||
      geometry.padding_mode > FASTCONV_PADDING_SAME)
    return fail(FASTCONV_INVALID_ARGUMENT, "padding: unknown padding_mode %d",
                geometry.padding_mode);
  for (int i = 0; i < skipped; ++i) {
    axes->in[i] = axes->kernel[i] = axes->out[i] = axes->stride[i] = axes->dilation[i] = 1;
    axes->pad_before[i] = axes->pad_after[i] = 0;
  }
  for (int i = 0; i < ndim; ++i) {
    WindowAxis axis = {
        x->shape[i + 2], geometry.kernel[i], geometry.stride[i], geometry.dilation[i], 0, 0};
    if (axis.in < 1)
      return fail(FASTCONV_INVALID_ARGUMENT, "%s: only the batch may be empty, got shape %s",
                  x.name, Tuple(x->shape, x->ndim).text());
    if (geometry.padding_mode == FASTCONV_PADDING_EXPLICIT) {
      axis.pad_before = geometry.pad_before[i];
      axis.pad_after = geometry.pad_after[i];
      if (axis.pad_before < 0 || axis.pad_after < 0)
        return fail(FASTCONV_INVALID_ARGUMENT,
                    "padding: expected non-negative integers, got (%" PRId64 ", %" PRId64
                    ") in spatial dimension %d",
                    axis.pad_before, axis.pad_after, i);
    } else if (geometry.padding_mode == FASTCONV_PADDING_SAME && !same_padding(&axis)) {
      return fail(FASTCONV_INVALID_ARGUMENT,
                  "kernel_size: %" PRId64 " with dilation %" PRId64
                  " overflows a signed 64-bit integer",
                  axis.kernel, axis.dilation);
    }
    int64_t out;
    if (__builtin_add_overflow(axis.in, axis.pad_before, &out) ||
        __builtin_add_overflow(out, axis.pad_after, &out))
      return fail(FASTCONV_INVALID_ARGUMENT,
                  "padding: (%" PRId64 ", %" PRId64
                  ") around %s overflows a signed 64-bit integer in spatial dimension %d",
                  axis.pad_before, axis.pad_after, x.name, i);
    if (!window_output(axis, ceil_mode, &out))
      return fail(FASTCONV_INVALID_ARGUMENT,
                  "kernel_size: a window of %" PRId64 " with dilation %" PRId64
                  " is larger than the padded %s, %" PRId64 " + %" PRId64 " + %" PRId64
                  ", in spatial dimension %d",
                  axis.kernel, axis.dilation, x.name, axis.in, axis.pad_before, axis.pad_after, i);
    const int at = i + skipped;
    axes->in[at] = axis.in;
    axes->kernel[at] = axis.kernel;
    axes->out[at] = out;
    axes->stride[at] = axis.stride;
    axes->dilation[at] = axis.dilation;
    axes->pad_before[at] = axis.pad_before;
    axes->pad_after[at] = axis.pad_after;
  }
  return FASTCONV_OK;
}

template <class Params>
void store_axes(const Axes& axes, Params* p) {
  for (int i = 0; i < kSpatial; ++i) {
    p->in[i] = axes.in[i];
    p->kernel[i] = axes.kernel[i];
    p->out[i] = axes.out[i];
    p->stride[i] = axes.stride[i];
    p->dilation[i] = axes.dilation[i];
    p->pad_before[i] = axes.pad_before[i];
  }
}

template <class Params>
fastconv_status check_params(const Params* params, const char* name) {
  if (params == nullptr || params->struct_size < sizeof(Params))
    return fail(FASTCONV_INVALID_ARGUMENT, "params: expected a %s with its struct_size set", name);
  if (params->spatial_ndim < 1 || params->spatial_ndim > kSpatial)
    return fail(FASTCONV_INVALID_ARGUMENT, "spatial_ndim: expected 1, 2 or 3, got %d",
                params->spatial_ndim);
  return FASTCONV_OK;
}

// Elements of a tensor of this shape; fails when its bytes overflow 63 bits.
fastconv_status check_count(const char* name, const int64_t* shape, int ndim) {
  int64_t bytes = sizeof(double);
  for (int i = 0; i < ndim; ++i)
    if (__builtin_mul_overflow(bytes, shape[i], &bytes))
      return fail(FASTCONV_INVALID_ARGUMENT,
                  "%s: shape %s has more bytes than a signed 64-bit offset reaches", name,
                  Tuple(shape, ndim).text());
  return FASTCONV_OK;
}

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

bool window_output(const WindowAxis& axis, bool ceil_mode, int64_t* out) {
  int64_t padded, extent;
  if (__builtin_add_overflow(axis.in, axis.pad_before, &padded) ||
      __builtin_add_overflow(padded, axis.pad_after, &padded) ||
      __builtin_mul_overflow(axis.kernel - 1, axis.dilation, &extent) || extent >= padded)
    return false;
  const int64_t last = padded - extent - 1;  // where a window may begin, at most
  *out = last / axis.stride + 1;
  if (ceil_mode && last % axis.stride != 0 && *out <= (axis.in + axis.pad_before - 1) / axis.stride)
    ++*out;
  return true;
}

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

fastconv_status make_window(Argument x, const fastconv_window_params* params, bool is_pool,
                            WindowParams* p) {
  FASTCONV_TRY(check_params(params, "fastconv_window_params"));
  const int spatial_ndim = params->spatial_ndim, ndim = spatial_ndim + 2;
  FASTCONV_TRY(check_tensor(x, ndim, ndim));
  FASTCONV_TRY(check_float(x));
  if (x->shape[1] < 1)
    return fail(FASTCONV_INVALID_ARGUMENT, "%s: only the batch may be empty, got shape %s", x.name,
                Tuple(x->shape, ndim).text());
  const Geometry geometry = {spatial_ndim,     params->padding_mode, params->kernel_size,
                             params->stride,   params->dilation,     params->pad_before,
                             params->pad_after};
  Axes axes;
  FASTCONV_TRY(make_axes(x, geometry, is_pool && params->ceil_mode != 0, &axes));
  for (int i = kSpatial - spatial_ndim; i < kSpatial && is_pool; ++i) {
    const int64_t half = ((axes.kernel[i] - 1) * axes.dilation[i] + 1) / 2;
    if (axes.pad_before[i] > half || axes.pad_after[i] > half)
      return fail(FASTCONV_INVALID_ARGUMENT,
                  "padding: expected at most half of the dilated window, %" PRId64 ", got (%" PRId64
                  ", %" PRId64 ") in spatial dimension %d",
                  half, axes.pad_before[i], axes.pad_after[i], i - kSpatial + spatial_ndim);
  }
  store_axes(axes, p);
  for (int i = 0; i < kSpatial; ++i) p->pad_after[i] = axes.pad_after[i];
  p->adaptive = false;
  p->n = x->shape[0];
  p->channels = x->shape[1];
  spread_strides(*x.tensor, p->x_stride);
  const int64_t shape[] = {p->n,           p->channels, axes.kernel[0], axes.kernel[1],
                           axes.kernel[2], axes.out[0], axes.out[1],    axes.out[2]};
  if (is_pool) return FASTCONV_OK;
  int64_t cols[3] = {p->n, p->channels, 1};
  for (int i = 1; i < 8; ++i) {
    int64_t& extent = cols[i < 5 ? 1 : 2];
    if (i > 1 && __builtin_mul_overflow(extent, shape[i], &extent))
      return fail(FASTCONV_INVALID_ARGUMENT, "kernel_size: channels times window overflow 63 bits");
  }
  return check_count("columns", cols, 3);
}

fastconv_status make_adaptive(Argument x, Argument y, WindowParams* p) {
  FASTCONV_TRY(check_tensor(x, 3, FASTCONV_MAX_NDIM));
  FASTCONV_TRY(check_tensor(y, x->ndim, x->ndim));
  FASTCONV_TRY(check_float(x));
  FASTCONV_TRY(check_same_dtype(y, x));
  if (y->shape[0] != x->shape[0] || y->shape[1] != x->shape[1])
    return fail(FASTCONV_INVALID_ARGUMENT,
                "%s: expected batch and channels (%" PRId64 ", %" PRId64 "), got shape %s", y.name,
                x->shape[0], x->shape[1], Tuple(y->shape, y->ndim).text());
  for (int i = 1; i < x->ndim; ++i)
    for (const Argument& argument : {x, y})
      if (argument->shape[i] < 1)
        return fail(FASTCONV_INVALID_ARGUMENT, "%s: only the batch may be empty, got shape %s",
                    argument.name, Tuple(argument->shape, argument->ndim).text());
  *p = {};
  int64_t in[5], out[5];
  spread_shape(*x.tensor, in);
  spread_shape(*y.tensor, out);
  p->n = in[0];
  p->channels = in[1];
  for (int i = 0; i < kSpatial; ++i) {
    p->in[i] = in[i + 2];
    p->out[i] = out[i + 2];
    p->dilation[i] = 1;
    const bool divides = p->in[i] % p->out[i] == 0;
    p->adaptive |= !divides;
    p->stride[i] = p->in[i] < p->out[i] ? 1 : p->in[i] / p->out[i];
    p->kernel[i] = divides ? p->stride[i] : p->in[i] / p->out[i] + 2;
    if (p->kernel[i] > p->in[i]) p->kernel[i] = p->in[i];
  }
  spread_strides(*x.tensor, p->x_stride);
  spread_strides(*y.tensor, p->y_stride);
  return FASTCONV_OK;
}

}  // namespace fastconv
