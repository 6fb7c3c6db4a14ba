// Filters and patches of bfloat16 in pairs of channels, for pair_outputs.h.
//
//   weight (M, C, taps)   ->  panels of [tap][pair][width]
//   in (N, C, spatial)    ->  patch[row][column][pair], or the input itself where it is that already
#pragma once

#include "kernels/input_rows.h"
#include "kernels/pack_pairs.h"
#include "kernels/pair_outputs_plan.h"

namespace fastconv {
namespace {

// Filters in the order of k: to[pair][width] of all taps, for the panel that begins at `output`.
inline void pack_pair_weight(const PairOutputsPlan& plan, const Phase& phase, int64_t g,
                             int64_t output, uint32_t* to) {
  const Operands<BFloat16>& op = plan.data;
  const Axis* axis = phase.axis;
  const int64_t* stride = op.weight_stride;
  const int64_t width = panel_width(op.outputs, output, kLanes<float>);
  const int64_t count = min(width, op.outputs - output);
  if (count < width) zero_pairs(to, phase.taps() * plan.op.channels * width);
  const auto kernel = [&](int i, int64_t rank) {
    const int64_t tap = i > 0 && axis[i].offset_step < 0 ? axis[i].taps - 1 - rank : rank;
    return (axis[i].first_kernel + tap * axis[i].kernel_step) * stride[i + 2];
  };
  const PairStrides pairs = {2 * stride[1], stride[0], stride[1]};
  const BFloat16* weight = op.weight + g * op.weight_group_stride + output * stride[0];
  for (int64_t kd = 0; kd < axis[0].taps; ++kd)
    for (int64_t kh = 0; kh < axis[1].taps; ++kh)
      for (int64_t kw = 0; kw < axis[2].taps; ++kw) {
        const BFloat16* from = weight + kernel(0, kd) + kernel(1, kh) + kernel(2, kw);
        const int64_t whole = op.channels / 2;
        pack_pairs<true>(to, width, from, pairs, whole, count);
        if (op.channels % 2 == 1)
          pack_pairs<false>(to + whole * width, width, from + whole * pairs.row, pairs, 1, count);
        to += plan.op.channels * width;
      }
}

// Positions [0, count) of a row, `step` apart in memory: to[position][pair].
inline void pack_channel_pairs(uint32_t* to, const BFloat16* from, int64_t channels,
                               int64_t channel_stride, int64_t count, int64_t step) {
  const int64_t pairs = ceil_div(channels, 2), whole = channels / 2;
  const PairStrides stride = {step, 2 * channel_stride, channel_stride};
  pack_pairs<true>(to, pairs, from, stride, count, whole);
  if (channels % 2 == 1)
    pack_pairs<false>(to + whole, pairs, from + whole * stride.column, stride, count, 1);
}

// pack_rows() of input_rows.h, in pairs.
inline void pack_pair_rows(uint32_t* patch, const RowsLayout& layout, const Axis* axis,
                           const BFloat16* in, const int64_t* in_stride, int64_t channels,
                           const Block& block) {
  const int64_t first_row = block.oh * axis[1].step + axis[1].lowest();
  const int64_t first_column = block.ow * axis[2].step + axis[2].lowest();
  const int64_t pairs = ceil_div(channels, 2);
  const Reach& width = layout.width;
  for (int64_t kd = 0; kd < axis[0].taps; ++kd) {
    const int64_t id = block.od * axis[0].step + axis[0].offset(kd);
    for (int64_t row = 0; row < layout.height.extent; ++row) {
      const int64_t ih = first_row + layout.height.position(row);
      uint32_t* to = patch + kd * layout.slice_pitch + row * layout.row_pitch;
      if (id < 0 || id >= axis[0].in || ih < 0 || ih >= axis[1].in) continue;  // nobody reads it
      const BFloat16* from = in + id * in_stride[2] + ih * in_stride[3];
      for (int64_t segment = 0; segment < width.segments; ++segment) {
        // Input column first + i for i in [0, length); those inside the image are [begin, end).
        const int64_t first = first_column + segment * width.segment_step;
        const int64_t length = width.segment_extent;
        const int64_t begin = min(max(0, -first), length);
        const int64_t end = max(begin, min(axis[2].in - first, length));
        zero_pairs(to, begin * pairs);
        pack_channel_pairs(to + begin * pairs, from + (first + begin) * in_stride[4], channels,
                           in_stride[1], end - begin, in_stride[4]);
        zero_pairs(to + end * pairs, (length - end) * pairs);
        to += length * pairs;
      }
    }
  }
}

// What a block reads: output (row, column) begins at data + row * row + column * column, bytes.
struct PairInput {
  const char* data;
  int64_t row, column;
};

inline PairInput pack_input(const PairOutputsPlan& plan, const Phase& phase, const Block& block,
                            uint32_t* patch) {
  const Operands<BFloat16>& op = plan.data;
  const Axis* axis = phase.axis;
  const BFloat16* in = op.in + block.n * op.in_stride[0] + block.g * op.channels * op.in_stride[1];
  if (plan.in_place) {
    constexpr int64_t item = sizeof(BFloat16);
    const auto at = [&](int i, int64_t q) {
      return (axis[i].first_offset + q * axis[i].step) * op.in_stride[i + 2];
    };
    return {reinterpret_cast<const char*>(in + at(0, block.od) + at(1, block.oh) + at(2, block.ow)),
            axis[1].step * op.in_stride[3] * item, axis[2].step * op.in_stride[4] * item};
  }
  constexpr int64_t item = sizeof(uint32_t);
  const RowsLayout layout = plan.layout(phase, block);
  pack_pair_rows(patch, layout, axis, in, op.in_stride, op.channels, block);
  return {reinterpret_cast<const char*>(patch), axis[1].step * layout.row_pitch * item,
          axis[2].step * plan.op.channels * item};
}

}  // namespace
}  // namespace fastconv
