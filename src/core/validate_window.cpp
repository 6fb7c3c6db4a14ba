// Window problems: pooling, columns and adaptive pooling.
#include <cinttypes>
#include <initializer_list>

#include "core/validate_axes.h"

namespace fastconv {

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
