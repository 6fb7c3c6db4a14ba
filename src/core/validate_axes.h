// The spatial axes of convolutions and windows: one set of checks for what both are given.
#pragma once

#include "core/status.h"
#include "core/validate.h"

namespace fastconv {

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

// The axes of x under a geometry, padded with axes of extent 1 to kSpatial.
fastconv_status make_axes(Argument x, const Geometry& geometry, bool ceil_mode, Axes* axes);

// Fails when the bytes of a tensor of this shape overflow 63 bits.
fastconv_status check_count(const char* name, const int64_t* shape, int ndim);

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

}  // namespace fastconv
