// Spatial axes: kernel, stride, dilation and padding against the extents of a tensor, and the only
// output-size formula.
#include "core/validate_axes.h"

#include <cinttypes>

namespace fastconv {
namespace {

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

fastconv_status check_count(const char* name, const int64_t* shape, int ndim) {
  int64_t bytes = sizeof(double);
  for (int i = 0; i < ndim; ++i)
    if (__builtin_mul_overflow(bytes, shape[i], &bytes))
      return fail(FASTCONV_INVALID_ARGUMENT,
                  "%s: shape %s has more bytes than a signed 64-bit offset reaches", name,
                  Tuple(shape, ndim).text());
  return FASTCONV_OK;
}

}  // namespace fastconv
