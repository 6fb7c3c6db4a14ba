// The input of Winograd's products: a dense patch of the image, and its transformed windows.
//
//   patch [lane block][slice][row][column][16]    zeros for padding
//   data  [xi][slice][window][lane block][tile][16]   B^T d B: the broadcast operand
//
// The patch is what lies under a block of tiles, whatever stride or dilation: a transform reads
// it at its own pitch, so that sub-sampling is part of the transform and no pass of its own.
// With channels in blocks of 16 a transform is vertical arithmetic on whole vectors, and what
// it leaves is the operand as the micro-kernel wants it. Rows are transformed once for all
// tiles beside each other, whose windows overlap, into a strip that stays in L1.
//
// Few channels are not padded to 16: columns follow each other at their number, and a vector
// holds the channels of one column and those of the next ones, which a stride makes channels.
#pragma once

#include "kernels/pack_positions.h"
#include "kernels/winograd_plan.h"

namespace fastconv {
namespace {

template <class T>
void pack_winograd_row(const WinogradPlan<T>& plan, const T* in, int64_t first, int64_t length,
                       int64_t channels, T* to) {
  const int64_t in_columns = plan.in_extent(2);
  const int64_t* stride = plan.op.in_stride;
  const int64_t begin = min(max(0, -first), length);
  const int64_t end = max(begin, min(in_columns - first, length));
  if (channels < plan.unit) zero(to, length * plan.unit);
  zero(to, begin * plan.unit);
  pack_positions(to + begin * plan.unit, plan.unit, in + (first + begin) * stride[4], channels,
                 stride[1], end - begin, stride[4]);
  zero(to + end * plan.unit, (length - end) * plan.unit);
}

// The planes of the block's patch that `range` names.
template <class T>
void pack_tiles(const WinogradPlan<T>& plan, const TileBlock& block, PlaneRange range, T* patch) {
  const Operands<T>& op = plan.op;
  const TiledAxis<T>&r = plan.row_axis, &c = plan.column_axis;
  const int64_t first_row = plan.folded ? 0 : r.lowest + block.row * r.unit_in();
  const int64_t first_column =
      plan.folded ? r.lowest + block.row * r.unit_in() : c.lowest + block.column * c.unit_in();
  const int64_t rows = plan.folded ? 1 : r.extent(block.rows);
  const int64_t length = plan.folded ? r.extent(block.rows) + c.reach
                                     : c.extent(block.columns) + plan.column_runs() - 1;
  const int64_t slices = plan.depth.taps + block.depths - 1;
  const int64_t in_rows = plan.in_extent(1);
  const int64_t first_channel = range.begin * plan.unit;
  const int64_t channels = min(range.end * plan.unit, op.channels) - first_channel;
  // All channels of a row before the next row: as they lie in channels-last memory.
  for (int64_t slice = 0; slice < slices; ++slice) {
    const int64_t id = block.od * plan.depth.step + plan.depth.lowest() +
                       slice * (block.depths > 1 ? 1 : plan.depth.dilation());
    for (int64_t row = 0; row < rows; ++row) {
      const int64_t ih = first_row + row;
      const bool inside = id >= 0 && id < plan.depth.in && ih >= 0 && ih < in_rows;
      const T* in = op.in + block.n * op.in_stride[0] +
                    (block.g * op.channels + first_channel) * op.in_stride[1] +
                    id * op.in_stride[2] + ih * op.in_stride[3];
      T* to = patch + range.begin * plan.plane + slice * plan.slice_pitch + row * plan.row_pitch;
      if (inside && op.in_stride[1] == 1 && plan.unit == kLaneBlock) {
        const int64_t begin = min(max(0, -first_column), length);
        const int64_t end = max(begin, min(plan.in_extent(2) - first_column, length));
        for (int64_t b = 0; b < range.end - range.begin; ++b) {
          zero(to + b * plan.plane, begin * kLaneBlock);
          zero(to + b * plan.plane + end * kLaneBlock, (length - end) * kLaneBlock);
        }
        pack_channel_blocks(to + begin * kLaneBlock, kLaneBlock, plan.plane,
                            in + (first_column + begin) * op.in_stride[4], channels, end - begin,
                            op.in_stride[4]);
        continue;
      }
      for (int64_t channel = 0; channel < channels; channel += plan.unit, to += plan.plane) {
        if (inside)
          pack_winograd_row(plan, in + channel * op.in_stride[1], first_column, length,
                            min(plan.unit, channels - channel), to);
        else
          zero(to, length * plan.unit);
      }
    }
  }
}

// data = B^T d B for the block's tiles, from tile `first` of those side by side on, and the planes
// of `range`: of family `only`, or of all if that is negative. `strip` has room for the values of one
// row of tiles.
template <class T>
void transform_data(const WinogradPlan<T>& plan, const TileBlock& block, PlaneRange range,
                    const T* patch, int64_t first, T* strip, T* data, int only = -1) {
  const TiledAxis<T>&r = plan.row_axis, &c = plan.column_axis;
  const int64_t slices = plan.depth.taps + block.depths - 1;
  const int64_t length = plan.folded ? (c.reach + 1) * plan.unit : plan.row_pitch;
  for (int64_t slice = 0; slice < slices; ++slice) {
    for (int64_t plane = range.begin; plane < range.end; ++plane) {
      for (int wr = 0; wr < r.window_count; ++wr) {
        const Window<T>& row_window = r.windows[wr];
        if (only >= 0 && row_window.kind != only / c.kinds) continue;
        const int64_t n = row_window.transform->n;
        const T* rows = patch + plane * plan.plane + slice * plan.slice_pitch +
                        (row_window.offset - r.lowest) * plan.row_input();
        for (int64_t tile_row = 0; tile_row < plan.tile_rows(block); ++tile_row) {
          const int64_t at = tile_row / r.interleave * r.unit_in() + tile_row % r.interleave;
          const T* from = rows + at * plan.row_input();
          int64_t pitch = r.in_step * plan.row_input();
          if (row_window.transform->r > 1) {
            row_window.transform->data(from, pitch, kLanes<T>, strip, plan.strip_pitch(), kLanes<T>,
                                       ceil_div(length, kLanes<T>));
            from = strip;
            pitch = plan.strip_pitch();
          }
          for (int wc = 0; wc < c.window_count; ++wc) {
            const Window<T>& window = c.windows[wc];
            if (only >= 0 && window.kind != only % c.kinds) continue;
            const int kinds[2] = {row_window.kind, window.kind};
            const int64_t xi_pitch = plan.data_pitch[kinds[0]][kinds[1]];
            const int64_t source = row_window.rank * c.windows_of[window.kind] + window.rank;
            for (int64_t b = 0; b < (plan.merged_columns ? plan.channel_blocks : 1); ++b) {
              const int64_t channel_block = plane + b;
              T* to = data + plan.family_at[kinds[0]][kinds[1]] +
                      (((slice * plan.windows(kinds[0], kinds[1]) + source) * plan.channel_blocks +
                        channel_block) *
                           plan.tiles +
                       first + tile_row * plan.tile_columns(block)) *
                          kLaneBlock;
              for (int64_t e = 0; e < c.interleave; ++e) {
                const T* column =
                    from + (window.offset - c.lowest + e) * plan.unit + b * kLaneBlock;
                for (int64_t i = 0; i < n; ++i)
                  for (int v = 0; v < kLaneBlock; v += kLanes<T>)
                    window.transform->data(
                        column + i * pitch + v, c.in_step * plan.unit, c.unit_in() * plan.unit,
                        to + i * window.transform->n * xi_pitch + e * kLaneBlock + v, xi_pitch,
                        c.interleave * kLaneBlock, block.columns);
              }
            }
          }
        }
      }
    }
  }
}

}  // namespace
}  // namespace fastconv
