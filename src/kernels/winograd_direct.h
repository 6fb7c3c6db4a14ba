// Tiles of Winograd's that are not finite, summed directly.
//
//   out[tile] = sum over c, k of weight[m, c, k] * in[c, position + k]
//
// The transforms mix the inputs of a tile, so that one infinity would make NaN of all its outputs.
// Direct summation puts infinities and NaN where they belong.
#pragma once

#include "kernels/winograd_tiles.h"

namespace fastconv {
namespace {

// The steps of one output of one phase in direct summation, of a block of channels.
template <class T>
int64_t direct_steps(const ConvWinogradPlan<T>& plan, const TileBlock& block, const Axis* axis,
                     int64_t depth, int64_t row, int64_t column, int64_t channel,
                     BatchStep* steps) {
  int64_t count = 0;
  // Of the patch's first element, from the first input of the block on.
  const int64_t first_row = plan.folded ? 0 : plan.row_axis.lowest;
  const int64_t first_column = plan.folded ? plan.row_axis.lowest : plan.column_axis.lowest;
  const auto slice_of = [&](int64_t kd) {
    return depth + (axis[0].offset(kd) - axis[0].lowest()) /
                       (block.depths > 1 ? 1 : max(1, axis[0].dilation()));
  };
  for (int64_t kd = 0; kd < axis[0].taps; ++kd)
    for (int64_t kh = 0; kh < axis[1].taps; ++kh)
      for (int64_t kw = 0; kw < axis[2].taps; ++kw)
        steps[count++] = {
            channel / kChannelBlock * plan.plane + slice_of(kd) * plan.slice_pitch +
                (row * axis[1].step + axis[1].offset(kh) - first_row) * plan.row_pitch +
                (column * axis[2].step + axis[2].offset(kw) - first_column) * plan.unit,
            min(kChannelBlock, plan.op.channels - channel)};
  return count;
}

// Sums again the tiles of a block that are not finite: for the panel that begins at `first`, or
// for all outputs where phases are lanes.
template <class T>
void repair_tiles(const ConvWinogradPlan<T>& plan, const TileBlock& block, int64_t depth,
                  int64_t first, const WinogradScratch<T>& scratch) {
  const Operands<T>& op = plan.op;
  const TiledAxis<T>&r = plan.row_axis, &c = plan.column_axis;
  const int64_t width = panel_width(op.outputs, first, kLanes<T>);
  const MicroKernel<T> kernel = kMicroKernels<T, 1>.at[width / kLanes<T> - 1][0];
  const auto position = [](const TiledAxis<T>& a, int64_t index, int64_t of_tile) {
    return (index / a.interleave * a.m + of_tile) * a.interleave + index % a.interleave;
  };
  pack_tiles(plan, block, plan.all_planes(), scratch.patch);
  for (int64_t phase = 0; phase < r.phases * c.phases; ++phase) {
    const int64_t of_axis[kSpatial] = {0, phase / c.phases, phase % c.phases};
    Axis axis[kSpatial];
    for (int i = 0; i < kSpatial; ++i)
      axis[i] = plan.backward ? backward_axis(plan.p, i, of_axis[i]) : forward_axis(plan.p, i);
    const int64_t taps = axis[0].taps * axis[1].taps * axis[2].taps;
    for (int64_t channel = 0; channel < op.channels; channel += kChannelBlock) {
      const int64_t first_step = channel / kChannelBlock * taps;
      pack_weight(scratch.packed, op.weight + block.g * op.weight_group_stride, op.weight_stride,
                  axis, op.channels, op.outputs, first, first_step, first_step + taps);
      const TileOutputs<T> outputs(plan, block, first);
      const int64_t row_phase = plan.merged_phases ? 0 : of_axis[1];
      const int64_t column_phase = plan.merged_phases ? 0 : of_axis[2];
      for_each_tile(plan, block, outputs, row_phase, column_phase, [&](int64_t tile, int64_t at) {
        if (!scratch.broken[tile]) return;
        const int64_t tile_row = tile / plan.tile_columns(block);
        const int64_t tile_column = tile % plan.tile_columns(block);
        for (int64_t i = 0; i < r.m; ++i) {
          for (int64_t j = 0; j < c.m; ++j) {
            const int64_t row = plan.folded ? 0 : position(r, tile_row, i);
            const int64_t column = plan.folded ? tile_row * r.unit_out() + i * r.out_step + j
                                               : position(c, tile_column, j);
            const int64_t count =
                direct_steps(plan, block, axis, depth, row, column, channel, scratch.steps);
            T* out = scratch.out + at + i * outputs.row_step + j * outputs.column_step +
                     (plan.merged_phases ? phase * op.outputs : 0);
            // (Phases that are lanes are narrower than a vector.)
            const int64_t lanes = plan.merged_phases ? op.outputs : width;
            for (int64_t m = 0; m < lanes; ++m) scratch.direct[m] = out[m];
            kernel(scratch.direct, channel > 0, scratch.patch, 1, scratch.packed, scratch.steps,
                   count, scratch.packed);
            for (int64_t m = 0; m < lanes; ++m) out[m] = scratch.direct[m];
          }
        }
      });
    }
  }
}

}  // namespace
}  // namespace fastconv
