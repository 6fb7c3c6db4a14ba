// Where the outputs of a block's tiles are in scratch: out[row][column][width], the tiles of a
// dilated filter interleaved and those of a phase every so many outputs.
#pragma once

#include "kernels/winograd_conv_plan.h"

namespace fastconv {
namespace {

// The place of a tile's first output along an axis, of tile after tile of a block: interleaved ones
// begin beside each other. (A division for each of them would take as long as its transform.)
struct TilePlace {
  int64_t interleave, unit;  // tiles side by side; from those to the next
  int64_t at, rank = 0;

  // Phases that are lanes have an output each at the same place.
  template <class T>
  TilePlace(const TiledAxis<T>& axis, bool merged_phases, int64_t phase)
      : interleave(axis.interleave),
        unit(axis.m * (merged_phases ? 1 : axis.out_step)),
        at(phase) {}
  FASTCONV_INLINE void next() {
    ++at;
    if (++rank < interleave) return;
    rank = 0;
    at += unit - interleave;
  }
};

// Where the first output of a tile is in scratch.out, and how far its neighbours are.
template <class T>
struct TileOutputs {
  int64_t first, width, pitch, row_step, column_step;
  TileOutputs(const ConvWinogradPlan<T>& plan, const TileBlock& block, int64_t first_output)
      : first(plan.merged_phases ? first_output : 0),
        width(plan.position_width(first_output)),
        pitch(plan.folded ? width : plan.out_columns_of(block) * width),
        row_step(plan.merged_phases ? pitch : plan.row_axis.out_step * pitch),
        column_step(plan.merged_phases ? width : plan.column_axis.out_step * width) {}
  int64_t at(const TilePlace& row, const TilePlace& column) const {
    return row.at * pitch + column.at * width + first;
  }
};

// visit(tile, place of its first output) for the tiles of a block, of one phase.
template <class T, class Visit>
FASTCONV_INLINE void for_each_tile(const ConvWinogradPlan<T>& plan, const TileBlock& block,
                                   const TileOutputs<T>& outputs, int64_t row_phase,
                                   int64_t column_phase, const Visit& visit) {
  const int64_t tile_rows = plan.tile_rows(block), tile_columns = plan.tile_columns(block);
  const bool merged = plan.merged_phases;
  TilePlace row(plan.row_axis, merged, row_phase);
  int64_t tile = 0;
  for (int64_t i = 0; i < tile_rows; ++i, row.next()) {
    TilePlace column(plan.column_axis, merged, column_phase);
    for (int64_t j = 0; j < tile_columns; ++j, ++tile, column.next())
      visit(tile, outputs.at(row, column));
  }
}

}  // namespace
}  // namespace fastconv
