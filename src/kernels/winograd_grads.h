// The gradient of the output in Winograd's domain, for winograd_weight.h.
//
//   grads [xi][panel][depth][tile][width] = A y A^T
#pragma once

#include "kernels/pack_positions.h"
#include "kernels/winograd_weight_plan.h"

namespace fastconv {
namespace {

// patch[panel][row][column][width] of `count` channels of y from `m` on, zeros beyond the image
// and the channels.
template <class T>
void pack_grads(const WinogradWeightPlan<T>& plan, const TileBlock& block, int64_t od, int64_t m,
                int64_t count, T* patch) {
  const Operands<T>& op = plan.op;
  const int64_t* stride = op.out_stride;
  const int64_t oh = plan.folded ? 0 : block.row * plan.row_axis.unit_out();
  const int64_t ow = plan.folded ? block.row * plan.row_axis.unit_out()
                                 : block.column * plan.column_axis.unit_out();
  const int64_t columns = plan.block_columns(), rows = plan.block_rows();
  const int64_t valid = min(columns, plan.out_columns() - ow);
  const T* y = op.out + block.n * stride[0] + (block.g * op.outputs + m) * stride[1] +
               od * stride[2] + ow * stride[4];
  const int64_t panel_pitch = rows * columns * kPanel<T>;
  for (int64_t row = 0; row < rows; ++row) {
    const bool inside = oh + row < plan.out_rows();
    const T* from = y + (oh + row) * stride[3];
    // The last panel may be narrower than the others.
    const int64_t narrow = count % kPanel<T> > kLanes<T> ? 0 : count % kPanel<T>;
    const int64_t wide = inside && stride[1] == 1 ? count - narrow : 0;
    if (wide > 0)
      pack_channel_blocks(patch + row * columns * kPanel<T>, kPanel<T>, panel_pitch, from, wide,
                          valid, stride[4]);
    for (int64_t c = 0; c < count; c += kPanel<T>) {
      const int64_t width = panel_width(count, c, kLanes<T>), channels = min(width, count - c);
      T* to = patch + c / kPanel<T> * panel_pitch + row * columns * width;
      const int64_t packed = inside ? valid : 0;
      if (c >= wide && channels < width) zero(to, packed * width);
      if (c >= wide)
        pack_positions(to, width, from + c * stride[1], channels, stride[1], packed, stride[4]);
      zero(to + packed * width, (columns - packed) * width);
    }
  }
}

// grads = A y A^T of one panel for the block's tiles, from its patch: at `to` those of tile 0.
template <class T>
void transform_panel(const WinogradWeightPlan<T>& plan, const TileBlock& block, int index,
                     int64_t width, const T* patch, T* strip, T* to) {
  const TiledAxis<T>&r = plan.row_axis, &c = plan.column_axis;
  const WinogradGroup& group = plan.groups[index];
  const Transform<T>& rows = plan.row_transform(group.row_kind);
  const Transform<T>& line = plan.column_transform(group.column_kind);
  const int64_t columns = plan.block_columns(), xi_pitch = plan.grads_pitch[index];
  const int64_t row_output = (plan.folded ? 1 : columns) * width;
  const int64_t length = (plan.folded ? kFoldedColumns : columns) * width;
  const int64_t strip_pitch = odd_lines<T>(columns * width);
  for (int64_t tile_row = 0; tile_row < plan.tile_rows(block); ++tile_row) {
    const T* from =
        patch + (tile_row / r.interleave * r.unit_out() + tile_row % r.interleave) * row_output;
    int64_t pitch = r.out_step * row_output;
    if (rows.r > 1) {
      rows.grads(from, pitch, kLanes<T>, strip, strip_pitch, kLanes<T>, length / kLanes<T>);
      from = strip;
      pitch = strip_pitch;
    }
    for (int64_t e = 0; e < c.interleave; ++e)
      for (int64_t i = 0; i < rows.n; ++i)
        for (int64_t v = 0; v < width; v += kLanes<T>)
          line.grads(from + i * pitch + e * width + v, c.out_step * width, c.unit_out() * width,
                     to + i * line.n * xi_pitch + e * width + v, xi_pitch, c.interleave * width,
                     block.columns);
    to += plan.tile_columns(block) * width;
  }
}

// grads = A y A^T for the block's tiles from `first_tile` on, of `count` in the chunk.
template <class T>
void transform_grads(const WinogradWeightPlan<T>& plan, const TileBlock& block, int64_t first_tile,
                     int64_t count, const WinogradWeightScratch<T>& scratch, T* grads) {
  const int64_t outputs = plan.op.outputs, at_once = plan.kPackedPanels * kPanel<T>;
  for (int64_t depth = 0; depth < plan.depths; ++depth) {
    for (int64_t m = 0; m < outputs; m += at_once) {
      const int64_t last = min(outputs, m + at_once);
      pack_grads(plan, block, block.od + depth, m, last - m, scratch.patch);
      for (int64_t c = m; c < last; c += kPanel<T>) {
        const int64_t width = panel_width(outputs, c, kLanes<T>);
        const T* patch = scratch.patch + (c - m) * plan.block_rows() * plan.block_columns();
        for (int index = 0; index < plan.group_count; ++index)
          transform_panel(plan, block, index, width, patch, scratch.strip,
                          grads + plan.grads_at[index] + c * plan.depths * plan.tiles +
                              (depth * count + first_tile) * width);
      }
    }
  }
}

}  // namespace
}  // namespace fastconv
