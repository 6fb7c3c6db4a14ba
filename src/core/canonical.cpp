#include "core/canonical.h"

#include <initializer_list>
#include <utility>

namespace fastconv {
namespace {

bool is_pointwise(const ConvParams& p, int axis) {
  return p.kernel[axis] == 1 && p.stride[axis] == 1 && p.pad_before[axis] == 0 &&
         p.in[axis] == p.out[axis];
}

// Whether stepping `outer` once is stepping `inner` `extent` times, in all three tensors.
// Strides of extents of 1 are 0 and say nothing.
bool strides_merge(const ConvParams& p, int outer, int inner, int64_t extent) {
  return p.x_stride[outer] == p.x_stride[inner] * extent &&
         p.y_stride[outer] == p.y_stride[inner] * extent &&
         p.residual_stride[outer] == p.residual_stride[inner] * extent;
}

void swap_axes(ConvParams& p, int a, int b) {
  for (int64_t* values : {p.in, p.kernel, p.out, p.stride, p.dilation, p.pad_before})
    std::swap(values[a], values[b]);
  for (int64_t* strides : {p.x_stride, p.w_stride, p.y_stride, p.residual_stride})
    std::swap(strides[a + 2], strides[b + 2]);
}

// Makes the innermost axis the one with all the positions of `axis` as well.
void merge_into_width(ConvParams& p, int axis) {
  constexpr int kWidth = kSpatial - 1;
  if (!is_pointwise(p, axis)) return;
  if (p.out[kWidth] == 1 && is_pointwise(p, kWidth)) {
    swap_axes(p, axis, kWidth);
  } else if (p.out[axis] > 1 && is_pointwise(p, kWidth) &&
             strides_merge(p, axis + 2, kWidth + 2, p.out[kWidth])) {
    p.in[kWidth] = p.out[kWidth] = p.out[axis] * p.out[kWidth];
    p.in[axis] = p.out[axis] = 1;
  }
}

}  // namespace

ConvParams canonical(const ConvParams& params) {
  ConvParams p = params;
  merge_into_width(p, 1);
  if (p.out[1] == 1 && p.in[1] == 1) merge_into_width(p, 0);
  if (p.n > 1 && p.in[0] == 1 && p.in[1] == 1 && p.out[0] == 1 && p.out[1] == 1 &&
      p.kernel[0] == 1 && p.kernel[1] == 1 && is_pointwise(p, 2) &&
      (p.out[2] == 1 || strides_merge(p, 0, 4, p.out[2]))) {
    if (p.out[2] == 1)
      for (int64_t* strides : {p.x_stride, p.y_stride, p.residual_stride}) strides[4] = strides[0];
    p.in[2] = p.out[2] = p.n * p.out[2];
    p.n = 1;
  }
  // A filter along the height of a signal one element wide.
  if (p.in[2] == 1 && p.out[2] == 1 && p.kernel[2] == 1 && p.in[1] > 1) swap_axes(p, 1, 2);
  return p;
}

void fold_window(ConvParams* p) {
  if (p->groups != 1) return;
  ConvParams folded = *p;
  for (int i = 0; i < kSpatial; ++i) {
    const int64_t extent = p->in[i];
    if (p->out[i] != 1 || p->kernel[i] != extent || p->pad_before[i] != 0 ||
        (p->dilation[i] != 1 && extent > 1))
      return;
    folded.in[i] = folded.kernel[i] = folded.stride[i] = folded.dilation[i] = 1;
    if (extent == 1) continue;
    // Channels so far, times this axis: its stride, if they are that many of it apart.
    for (const auto& [strides, out] :
         {std::pair{p->x_stride, folded.x_stride}, std::pair{p->w_stride, folded.w_stride}}) {
      if (folded.in_channels > 1 && out[1] != strides[i + 2] * extent) return;
      out[1] = strides[i + 2];
      out[i + 2] = 0;
    }
    folded.in_channels *= extent;
  }
  *p = folded;
}

}  // namespace fastconv
