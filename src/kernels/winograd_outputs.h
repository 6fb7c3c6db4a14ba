// From the products of Winograd's tiles to outputs: the transform back, bias, activation, store.
//
//   sums [xi][tile][width]   ->   out[row][column][width] = A^T sums A   ->   any layout
//
// A tile with a result that is not finite is summed again directly: winograd_direct.h.
#pragma once

#include "kernels/winograd_direct.h"

namespace fastconv {
namespace {

// out = A^T sums A for one tile; whether it is finite.
template <class T>
FASTCONV_INLINE bool transform_sums(const ConvWinogradPlan<T>& plan, const WinogradGroup& group,
                                    const T* sums, const TileOutput<T>& to, int64_t width, bool add,
                                    T* half, T* out) {
  const Transform<T>& rows = plan.row_transform(group);
  const Transform<T>& columns = plan.column_transform(group);
  constexpr int64_t lanes = kLanes<T>;
  bool finite = true;
  for (int64_t v = 0; v < width; v += lanes) {
    const T* from = sums + v;
    int64_t pitch = plan.sums_pitch, step = columns.n * plan.sums_pitch;
    if (rows.r > 1) {
      rows.sums(from, step, pitch, half, columns.n * lanes, lanes, columns.n);
      from = half;
      pitch = lanes;
      step = columns.n * lanes;
    }
    finite &= (add ? columns.add : columns.outputs)(from, pitch, step, out + to.at + v,
                                                    to.column_step, to.row_step, rows.m);
  }
  return finite;
}

// Bias, residual, activation and store of one row of outputs: row[column][width].
template <class T>
void store_row(const ConvWinogradPlan<T>& plan, const TileBlock& block, int64_t od, int64_t first,
               int64_t outputs, int64_t oh, int64_t ow, int64_t columns, const T* row,
               int64_t width, const T* bias) {
  const Operands<T>& op = plan.op;
  const auto offset = [&](const int64_t* stride) {
    return block.n * stride[0] + (block.g * op.outputs + first) * stride[1] + od * stride[2] +
           oh * stride[3] + ow * stride[4];
  };
  const int64_t *rs = op.residual_stride, *os = op.out_stride;
  const T* residual = op.residual != nullptr ? op.residual + offset(rs) : nullptr;
  store_tile<T>(row, width, outputs, columns, bias, {residual, rs[1], rs[4]},
                {op.out + offset(os), os[1], os[4], plan.streams}, op.activation);
}

template <class T>
void store_outputs(const ConvWinogradPlan<T>& plan, const TileBlock& block, int64_t depth,
                   int64_t first, const WinogradScratch<T>& scratch) {
  const Operands<T>& op = plan.op;
  const TiledAxis<T>&r = plan.row_axis, &c = plan.column_axis;
  const int64_t width = plan.position_width(first), pitch = plan.out_columns_of(block) * width;
  const int64_t outputs = min(plan.merged_phases ? op.outputs : width, op.outputs - first);
  op.copy_bias(scratch.bias, kPanel<T>, block.g * op.outputs + first, outputs);
  const int64_t od = block.od + depth;
  const int64_t oh = plan.folded ? 0 : block.row * r.unit_out();
  const int64_t ow = plan.folded ? block.row * r.unit_out() : block.column * c.unit_out();
  const int64_t phases = plan.merged_phases ? r.phases : 1;
  const int64_t side = plan.merged_phases ? c.phases : 1;
  const int64_t columns = min(plan.out_columns_of(block) * side, plan.out_columns() - ow);
  const int64_t rows = min(plan.out_rows_of(block) * phases, plan.out_rows() - oh);
  for (int64_t row = 0; row < rows; ++row) {
    const T* from = scratch.out + row / phases * pitch;
    if (plan.merged_phases) {
      // The phases of neighbouring columns are neighbours in a row of outputs.
      const int64_t count = side * op.outputs;
      from += row % phases * count;
      T* to = scratch.row;
      for (int64_t i = 0; i < ceil_div(columns, side); ++i, from += width)
        for (int64_t m = 0; m < count; ++m) *to++ = from[m];
      from = scratch.row;
    }
    store_row(plan, block, od, first, outputs, oh + row, ow, columns, from,
              plan.merged_phases ? op.outputs : width, scratch.bias);
  }
  if (plan.streams) end_stream();
}

// Sums of group `index` to scratch.out, all tiles of a block.
template <class T>
void finish_group(const ConvWinogradPlan<T>& plan, const TileBlock& block, int index, int64_t first,
                  const T* sums, const WinogradScratch<T>& scratch) {
  const WinogradGroup& group = plan.groups[index];
  const int64_t width = panel_width(plan.outputs, first, kLanes<T>);
  const bool add = index > 0 && plan.groups[index - 1].row_phase == group.row_phase &&
                   plan.groups[index - 1].column_phase == group.column_phase;
  for (int64_t tile = 0; tile < plan.tile_count(block); ++tile) {
    const TileOutput<T> to(plan, block, tile, group.row_phase, group.column_phase, first);
    const bool finite =
        transform_sums(plan, group, sums + tile * width, to, width, add, scratch.half, scratch.out);
    scratch.broken[tile] |= !finite;
  }
}

template <class T>
void clear_broken(const ConvWinogradPlan<T>& plan, const TileBlock& block,
                  const WinogradScratch<T>& scratch) {
  for (int64_t tile = 0; tile < plan.tile_count(block); ++tile) scratch.broken[tile] = false;
}

template <class T>
void finish_outputs(const ConvWinogradPlan<T>& plan, const TileBlock& block, int64_t depth,
                    int64_t first, const WinogradScratch<T>& scratch) {
  bool any_broken = false;
  for (int64_t tile = 0; tile < plan.tile_count(block); ++tile) any_broken |= scratch.broken[tile];
  if (any_broken && plan.wants_weight != nullptr)
    __atomic_store_n(plan.wants_weight, true, __ATOMIC_RELAXED);
  else if (any_broken)
    repair_tiles(plan, block, depth, first, scratch);
  store_outputs(plan, block, depth, first, scratch);
}

}  // namespace
}  // namespace fastconv
