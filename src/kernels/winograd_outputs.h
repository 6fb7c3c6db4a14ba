// From the products of Winograd's tiles to outputs: the transform back, bias, activation, store.
//
//   sums [xi][tile][width]   ->   out[row][column][width] = A^T sums A   ->   any layout
//
// A tile with a result that is not finite is summed again directly: winograd_direct.h.
#pragma once

#include "kernels/winograd_direct.h"
#include "kernels/winograd_tiles.h"

namespace fastconv {
namespace {

// out = A^T sums A for one tile; whether it is finite.
template <class T>
FASTCONV_INLINE bool transform_sums(const ConvWinogradPlan<T>& plan, const WinogradGroup& group,
                                    const T* sums, int64_t width, bool add, T* half, T* out,
                                    int64_t row_step, int64_t column_step) {
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
    finite &= (add ? columns.add : columns.outputs)(from, pitch, step, out + v, column_step,
                                                    row_step, rows.m);
  }
  return finite;
}

// The outputs of a block at one depth from channel `first` of its group on.
template <class T>
struct BlockOutputs {
  const Operands<T>& op;
  bool streams;
  int64_t phases, side;  // of rows and columns that are channels of a panel: those of its positions
  int64_t rows, columns;
  T* out;
  const T* residual;

  BlockOutputs(const ConvWinogradPlan<T>& plan, const TileBlock& block, int64_t depth,
               int64_t first)
      : op(plan.op),
        streams(plan.streams),
        phases(plan.merged_phases ? plan.row_axis.phases : 1),
        side(plan.merged_phases ? plan.column_axis.phases : 1) {
    const TiledAxis<T>&r = plan.row_axis, &c = plan.column_axis;
    const int64_t oh = plan.folded ? 0 : block.row * r.unit_out();
    const int64_t ow = plan.folded ? block.row * r.unit_out() : block.column * c.unit_out();
    rows = min(plan.out_rows_of(block) * phases, plan.out_rows() - oh);
    columns = min(plan.out_columns_of(block) * side, plan.out_columns() - ow);
    const auto offset = [&](const int64_t* stride) {
      return block.n * stride[0] + (block.g * op.outputs + first) * stride[1] +
             (block.od + depth) * stride[2] + oh * stride[3] + ow * stride[4];
    };
    out = op.out + offset(op.out_stride);
    residual = op.residual != nullptr ? op.residual + offset(op.residual_stride) : nullptr;
  }

  Strided<T> out_row(int64_t row) const {
    return {out + row * op.out_stride[3], op.out_stride[1], op.out_stride[4], streams};
  }
  Strided<const T> residual_row(int64_t row) const {
    if (residual == nullptr) return {nullptr, 0, 0};
    return {residual + row * op.residual_stride[3], op.residual_stride[1], op.residual_stride[4]};
  }
};

// Asks for the lines of the residual and of channels-last outputs of a block while its tiles are
// transformed back, some with each tile: in a network they are in L3 at best (ResNet-18 alone on
// two cores of Cascade Lake 15.4 -> 15.0 ms, VGG-16 98 -> 94.5).
template <class T>
class OutputsAhead {
 public:
  OutputsAhead(const BlockOutputs<T>& outputs, int64_t tiles)
      : outputs_(outputs), share_(ceil_div(outputs.rows * outputs.columns, tiles)) {}

  FASTCONV_INLINE void fetch() {
    for (int64_t i = 0; i < share_ && row_ < outputs_.rows; ++i) {
      fetch_panel(outputs_.out_row(row_));
      if (outputs_.residual != nullptr) fetch_panel(outputs_.residual_row(row_));
      if (++column_ < outputs_.columns) continue;
      column_ = 0;
      ++row_;
    }
  }

 private:
  template <class Element>
  FASTCONV_INLINE void fetch_panel(const Strided<Element>& row) const {
    for (int v = 0; v < kMaxVecs; ++v)
      __builtin_prefetch(row.data + column_ * row.position + v * kLanes<T>);
  }

  const BlockOutputs<T>& outputs_;
  int64_t share_, row_ = 0, column_ = 0;
};

template <class T>
void store_outputs(const ConvWinogradPlan<T>& plan, const TileBlock& block, int64_t depth,
                   int64_t first, const WinogradScratch<T>& scratch) {
  const Operands<T>& op = plan.op;
  const int64_t width = plan.position_width(first), pitch = plan.out_columns_of(block) * width;
  const int64_t outputs = min(plan.merged_phases ? op.outputs : width, op.outputs - first);
  op.copy_bias(scratch.bias, kPanel<T>, block.g * op.outputs + first, outputs);
  const BlockOutputs<T> to(plan, block, depth, first);
  for (int64_t row = 0; row < to.rows; ++row) {
    const T* from = scratch.out + row / to.phases * pitch;
    if (plan.merged_phases) {
      // The phases of neighbouring columns are neighbours in a row of outputs.
      const int64_t count = to.side * op.outputs;
      from += row % to.phases * count;
      T* merged = scratch.row;
      for (int64_t i = 0; i < ceil_div(to.columns, to.side); ++i, from += width)
        for (int64_t m = 0; m < count; ++m) *merged++ = from[m];
      from = scratch.row;
    }
    store_tile(from, plan.merged_phases ? op.outputs : width, outputs, to.columns, scratch.bias,
               to.residual_row(row), to.out_row(row), op.activation);
  }
  if (plan.streams) end_stream();
}

// Sums of group `index` to scratch.out, all tiles of a block.
template <class T>
void finish_group(const ConvWinogradPlan<T>& plan, const TileBlock& block, int64_t depth, int index,
                  int64_t first, const T* sums, const WinogradScratch<T>& scratch) {
  const WinogradGroup& group = plan.groups[index];
  const int64_t width = panel_width(plan.outputs, first, kLanes<T>);
  const bool add = plan.adds(index);
  const BlockOutputs<T> outputs(plan, block, depth, plan.merged_phases ? 0 : first);
  const bool fetches = index + 1 == plan.group_count && !plan.streams && !plan.merged_phases &&
                       plan.op.out_stride[1] == 1;
  OutputsAhead<T> ahead(outputs, plan.tile_count(block));
  const TileOutputs<T> to(plan, block, first);
  for_each_tile(plan, block, to, group.row_phase, group.column_phase,
                [&](int64_t tile, int64_t at) {
                  if (fetches) ahead.fetch();
                  const bool finite =
                      transform_sums(plan, group, sums + tile * width, width, add, scratch.half,
                                     scratch.out + at, to.row_step, to.column_step);
                  scratch.broken[tile] |= !finite;
                });
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
