// What both ways of feeding direct_outputs.h have in common: how a problem is divided, and where
// finished sums go.
#pragma once

#include "core/fingerprint.h"
#include "kernels/conv_blocks.h"
#include "kernels/input_rows.h"
#include "kernels/rows_kernel.h"

namespace fastconv {
namespace {

// b of one group of steps. Planar patches: with the lines of the patch under it, in 32 KiB of
// L1. Rows leave L1 to their own lines, and a stream of filters from L2 costs them nothing.
constexpr int64_t kGroupBytes = 24 << 10, kRowsGroupBytes = 128 << 10;
// All filters of a group that every tile of positions walks through, in L2.
constexpr int64_t kTileOuterBytes = 384 << 10;
// Limits of the mode with resident patches, per worker and in all.
constexpr int64_t kResidentTileBytes = 256 << 10;
constexpr int64_t kResidentPatchBytes = 8 << 20;
// Below this many positions packing every filter for one use each would dominate.
constexpr int64_t kResidentPositions = 1024;

template <class T>
struct OutputsPlan : Blocking<T> {
  using Blocking<T>::op;
  using Blocking<T>::p;
  using Blocking<T>::rows;
  using Blocking<T>::columns;
  using Blocking<T>::blocks;
  using Blocking<T>::all_phases;
  using Blocking<T>::patch_size;
  bool from_rows, in_place;  // the input: channels innermost; read where it is
  bool to_rows;              // sums leave the registers as finished outputs
  bool tiles_outermost, patches_resident;
  int64_t panels, padded_outputs, panel_chunks;
  int64_t tile_size, group_size, group_weight;  // elements
  size_t phase_at, bias_at, weight_at, patch_at, worker_at, worker_bytes, total_bytes;

  OutputsPlan(const ConvArgs<T>& args, bool is_backward)
      : Blocking<T>(args, is_backward, kPanel<T> * int64_t{sizeof(T)}) {
    constexpr int64_t item = sizeof(T);
    const int64_t threads = args.exec.threads;
    panels = ceil_div(op.outputs, kPanel<T>);
    padded_outputs =
        (panels - 1) * kPanel<T> + panel_width(op.outputs, (panels - 1) * kPanel<T>, kLanes<T>);
    from_rows = op.channels == 1 || op.in_stride[1] == 1;
    in_place = from_rows;
    for (int i = 0; i < kSpatial; ++i)
      for (int64_t f = 0; f < this->phases[i]; ++f) in_place &= reads_in_place(this->axis(i, f));
    if (in_place) patch_size = 0;
    const bool single = op.outputs == 1;
    to_rows = from_rows && (single || op.out_stride[1] == 1) &&
              (op.residual == nullptr || single || op.residual_stride[1] == 1) &&
              finishes_in_registers(op.activation.kind);
    const int64_t most_k = this->max_taps * op.channels;
    group_size = (from_rows ? kRowsGroupBytes : kGroupBytes) / item;
    // A group may end a step late.
    group_weight = round_up(group_size + kChannelBlock * kPanel<T>, 64);
    const bool one_group = most_k * kPanel<T> <= group_size;
    tile_size = to_rows && one_group ? 0 : round_up(rows * columns * kPanel<T>, 64);
    tiles_outermost = to_rows && one_group && most_k * padded_outputs * item <= kTileOuterBytes;
    const int64_t own_blocks = blocks / op.groups;  // one task's, patches resident
    patches_resident = panels > 1 && own_blocks * rows * columns <= kResidentPositions &&
                       panels * op.groups * all_phases >= min(threads, 2) &&
                       own_blocks * tile_size * item <= kResidentTileBytes &&
                       all_phases * blocks * patch_size * item <= kResidentPatchBytes;
    panel_chunks = 1;
    if (!patches_resident && all_phases * blocks < 3 * threads)
      panel_chunks = min(panels, ceil_div(3 * threads, all_phases * blocks));

    const int64_t steps = this->max_taps * ceil_div(op.channels, kChannelBlock) + 1;
    Regions regions;
    phase_at = regions.reserve(all_phases * static_cast<int64_t>(sizeof(Phase)));
    bias_at = regions.reserve(op.groups * padded_outputs * item);
    weight_at = regions.reserve(
        patches_resident || args.packed_weight != nullptr ? 0 : filters_size() * item);
    patch_at = regions.reserve(patches_resident ? all_phases * blocks * patch_size * item : 0);
    worker_at = regions.end;
    const int64_t operands =
        patches_resident ? own_blocks * tile_size + group_weight : patch_size + tile_size;
    worker_bytes = static_cast<size_t>(round_up(operands * item, 64) +
                                       round_up(steps * static_cast<int64_t>(sizeof(RowStep)), 64));
    total_bytes = worker_at + worker_bytes * static_cast<size_t>(threads);
  }
  // All filters packed.
  int64_t filters_size() const {
    return op.groups * padded_outputs * op.channels * p.kernel[0] * p.kernel[1] * p.kernel[2];
  }
  // Where those of the panel that begins at output `first` lie among them.
  int64_t filters_at(const Phase& phase, int64_t g, int64_t first) const {
    return phase.weight_offset + (g * padded_outputs + first) * phase.taps() * op.channels;
  }
  // Identifies how packed filters lie.
  uint64_t filter_form() const {
    Fingerprint form;
    form.add_all({kDirect, sizeof(T), kPanel<T>, kLanes<T>, op.groups, op.channels, op.outputs,
                  this->backward, from_rows});
    for (int i = 0; i < kSpatial; ++i) {
      // Of an axis of one tap and one phase there is nothing to tell.
      if (p.kernel[i] == 1 && this->phases[i] == 1) continue;
      for (int64_t f = 0; f < this->phases[i]; ++f) {
        const Axis axis = this->axis(i, f);
        form.add_all({axis.taps, axis.first_kernel, axis.kernel_step});
      }
    }
    return form.value;
  }
};

// One panel of outputs of a group, with its filters from the first of a group of steps on. `next`
// are the filters packed after these, to be fetched meanwhile, or null.
template <class T>
struct Panel {
  int64_t first, width, outputs;
  const T *weight, *bias, *next;
};

// The panel's biases begin where bias_lanes do; its filters are the caller's to say.
template <class T>
Panel<T> panel_at(const OutputsPlan<T>& plan, int64_t g, int64_t index, const T* bias_lanes) {
  const int64_t first = index * kPanel<T>;
  const int64_t width = panel_width(plan.op.outputs, first, kLanes<T>);
  return {first,
          width,
          min(width, plan.op.outputs - first),
          nullptr,
          bias_lanes + g * plan.padded_outputs + first,
          nullptr};
}

// What a block reads: output (row, tile of columns) begins at data + row * row + column *
// column; `k` is the distance of channels in a planar patch.
template <class T>
struct BlockInput {
  const T* data;
  int64_t row, column, k;
};

template <class T>
void store_block(const OutputsPlan<T>& plan, const Phase& phase, const Block& block,
                 const Panel<T>& panel, const T* tile) {
  static constexpr T bias[kPanel<T>] = {};  // the sums started from it
  const int64_t channel = block.g * plan.op.outputs + panel.first;
  const Strided<T> out = plan.out_row(phase, block, channel, 0);
  const Strided<const T> residual = plan.residual_row(phase, block, channel, 0);
  // Rows of outputs that continue each other are one: whole vectors, and lines that begin with
  // the plane's.
  const auto joins = [&](const auto& first, const auto& second) {
    return second.data - first.data == block.columns * first.position;
  };
  if (block.rows > 1 && joins(out, plan.out_row(phase, block, channel, 1)) &&
      (residual.data == nullptr || joins(residual, plan.residual_row(phase, block, channel, 1))))
    return store_tile(tile, panel.width, panel.outputs, block.rows * block.columns, bias, residual,
                      out, plan.op.activation);
  for (int64_t row = 0; row < block.rows; ++row)
    store_tile(tile + row * block.columns * panel.width, panel.width, panel.outputs, block.columns,
               bias, plan.residual_row(phase, block, channel, row),
               plan.out_row(phase, block, channel, row), plan.op.activation);
}

}  // namespace
}  // namespace fastconv
