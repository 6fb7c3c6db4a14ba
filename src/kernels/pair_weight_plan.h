// How the gradient of the filters of bfloat16 is divided, for pair_weight.h: direct_weight_plan.h,
// with room for pairs of pixels.
//
// Each column of x begins a pair of its own, except where a filter is one column wide and needs
// every other of them only. Of an odd last output the pairs lie behind the patch, its tail.
#pragma once

#include "kernels/direct_weight.h"
#include "kernels/pair_kernel.h"

namespace fastconv {
namespace {

// The same problem in float32, for the plans that look at shapes and strides alone.
inline ConvArgs<float> without_data(const ConvArgs<BFloat16>& args) {
  ConvArgs<float> view = {};
  view.params = args.params;
  view.exec = args.exec;
  return view;
}

struct PairWeightPlan : DirectWeightPlan<float> {
  bool narrow;                            // a filter one column wide
  int64_t pairs;                          // of a row of a block
  int64_t tail_row, tail_slice, tail_at;  // pairs of the odd last outputs
  int64_t weight_stride[5], weight_size;  // of the float32 sums of all filters
  size_t weight_at;

  explicit PairWeightPlan(const ConvArgs<BFloat16>& args)
      : DirectWeightPlan<float>(without_data(args)) {
    constexpr int64_t item = sizeof(float);
    narrow = p.kernel[2] == 1;
    pairs = ceil_div(columns, 2);
    if (narrow) {
      row_pitch = pairs * channel_block;
      slice_pitch = reach(1, rows).extent * row_pitch;
    }
    tail_at = p.kernel[0] * slice_pitch;
    tail_row = narrow ? 0 : p.kernel[2] * channel_block;
    tail_slice = reach(1, rows).extent * tail_row;
    patch_size = round_up(tail_at + p.kernel[0] * tail_slice, 64);
    panel_size = round_up(rows * pairs * kPanel<float>, 64);
    const int64_t extent[5] = {p.out_channels, channels, p.kernel[0], p.kernel[1], p.kernel[2]};
    weight_size = dense_strides(weight_stride, extent, p.w_stride);
    Regions regions;
    weight_at = regions.reserve(weight_size * item);
    sums_at = regions.reserve(pieces > 1 ? pieces * tasks * sum_size * item : 0);
    worker_at = regions.end;
    worker_bytes = static_cast<size_t>(
        round_up((patch_size + panel_size + (pieces > 1 ? 0 : sum_size)) * item, 64) +
        round_up(2 * rows * static_cast<int64_t>(sizeof(RowStep)), 64));
    total_bytes = worker_at + worker_bytes * static_cast<size_t>(args.exec.threads);
  }

  int64_t row_pairs(const PositionBlock& block) const { return ceil_div(block.columns, 2); }
};

}  // namespace
}  // namespace fastconv
