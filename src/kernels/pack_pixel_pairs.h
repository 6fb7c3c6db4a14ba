// Pairs of pixels of x and y in bfloat16, for pair_weight.h.
//
//   x (N, IC, spatial)  ->  patch[kd][row][column][c] and, behind it, tail[kd][row][kw][c]
//   y (N, OC, out)      ->  panel[row][pair][width]
//
// A pair is two neighbouring outputs of a row, and the two inputs that they see under one tap. Of
// y there are pairs (0, 1), (2, 3), ...; a column of x is the first of a pair for every other tap,
// with the one a stride further as its second. An odd last output has zeros for its partner, in y
// and, since zero times infinity is no zero, in x: the tail.
#pragma once

#include "kernels/pack_pairs.h"
#include "kernels/pair_weight_plan.h"

namespace fastconv {
namespace {

// to[i][c], i < count: columns `column` + i * step and + apart of a row of `extent` columns at
// `from`; zeros outside it.
inline void pack_pixel_pairs(uint32_t* to, const BFloat16* from, const int64_t* stride,
                             int64_t channels, int64_t extent, int64_t column, int64_t step,
                             int64_t apart, int64_t count) {
  // Pairs [first_begin, first_end) have their first pixel inside, and likewise the second.
  const auto begin_of = [&](int64_t at) { return at < 0 ? min(ceil_div(-at, step), count) : 0; };
  const auto end_of = [&](int64_t at) {
    return at < extent ? min(ceil_div(extent - at, step), count) : 0;
  };
  const int64_t first_begin = begin_of(column), first_end = end_of(column);
  const int64_t second_begin = begin_of(column + apart), second_end = end_of(column + apart);
  const int64_t both_begin = max(first_begin, second_begin);
  const int64_t both_end = max(min(first_end, second_end), both_begin);
  const auto edge = [&](int64_t i) {
    const BFloat16* first = from + (column + i * step) * stride[4];
    for (int64_t c = 0; c < channels; ++c) {
      uint32_t pair = 0;
      if (i >= first_begin && i < first_end) pair = first[c * stride[1]].bits;
      if (i >= second_begin && i < second_end)
        pair |= uint32_t{first[apart * stride[4] + c * stride[1]].bits} << 16;
      to[i * channels + c] = pair;
    }
  };
  for (int64_t i = 0; i < min(both_begin, count); ++i) edge(i);
  if (both_end > both_begin)
    pack_pairs<true>(
        to + both_begin * channels, channels, from + (column + both_begin * step) * stride[4],
        {step * stride[4], stride[1], apart * stride[4]}, both_end - both_begin, channels);
  for (int64_t i = both_end; i < count; ++i) edge(i);
}

// The patch of a block: patch[kd][row][column][c], and behind it the tail [kd][row][kw][c].
inline void pack_x(const PairWeightPlan& plan, const PositionBlock& block, const BFloat16* x,
                   int64_t channels, uint32_t* patch) {
  const ConvParams& p = plan.p;
  const int64_t step = p.stride[2];
  const int64_t first_row = block.oh * p.stride[1] - p.pad_before[1];
  const int64_t first_column = block.ow * step - p.pad_before[2];
  const int64_t last_column = first_column + (block.columns - 1) * step;
  const bool odd = block.columns % 2 == 1;
  const Reach height = plan.reach(1, block.rows), width = plan.reach(2, block.columns);
  for (int64_t kd = 0; kd < p.kernel[0]; ++kd) {
    const int64_t id = block.od * p.stride[0] - p.pad_before[0] + kd * p.dilation[0];
    for (int64_t row = 0; row < height.extent; ++row) {
      const int64_t ih = first_row + height.position(row);
      uint32_t* to = patch + kd * plan.slice_pitch + row * plan.row_pitch;
      uint32_t* tail = patch + plan.tail_at + kd * plan.tail_slice + row * plan.tail_row;
      if (id < 0 || id >= p.in[0] || ih < 0 || ih >= p.in[1]) {
        zero_pairs(to, (plan.narrow ? plan.row_pairs(block) : width.extent) * channels);
        if (!plan.narrow && odd) zero_pairs(tail, p.kernel[2] * channels);
        continue;
      }
      const BFloat16* from = x + id * p.x_stride[2] + ih * p.x_stride[3];
      const auto pack = [&](uint32_t* at, int64_t column, int64_t by, int64_t count) {
        pack_pixel_pairs(at, from, p.x_stride, channels, p.in[2], column, by, step, count);
      };
      const auto pack_single = [&](uint32_t* at, int64_t column) {
        for (int64_t c = 0; c < channels; ++c)
          at[c] = column >= 0 && column < p.in[2]
                      ? from[column * p.x_stride[4] + c * p.x_stride[1]].bits
                      : 0;
      };
      if (plan.narrow) {
        pack(to, first_column, 2 * step, block.columns / 2);
        if (odd) pack_single(to + block.columns / 2 * channels, last_column);
        continue;
      }
      for (int64_t segment = 0; segment < width.segments; ++segment) {
        pack(to, first_column + segment * width.segment_step, 1, width.segment_extent);
        to += width.segment_extent * channels;
      }
      for (int64_t kw = 0; odd && kw < p.kernel[2]; ++kw)
        pack_single(tail + kw * channels, last_column + kw * p.dilation[2]);
    }
  }
}

// panel[row][pair][width] of `outputs` channels from `y` on.
inline void pack_y(const PairWeightPlan& plan, const PositionBlock& block, const BFloat16* y,
                   int64_t outputs, int64_t width, uint32_t* panel) {
  const int64_t* stride = plan.p.y_stride;
  const int64_t pairs = plan.row_pairs(block), whole = block.columns / 2;
  if (outputs < width) zero_pairs(panel, block.rows * pairs * width);
  for (int64_t row = 0; row < block.rows; ++row) {
    const BFloat16* from = y + row * stride[3];
    pack_pairs<true>(panel, width, from, {2 * stride[4], stride[1], stride[4]}, whole, outputs);
    if (whole < pairs)
      pack_pairs<false>(panel + whole * width, width, from + 2 * whole * stride[4],
                        {2 * stride[4], stride[1], 0}, 1, outputs);
    panel += pairs * width;
  }
}

}  // namespace
}  // namespace fastconv
