// Forward and backward_input by Winograd: which side stays in memory, and a worker's scratch.
//
// Many tiles: all filters are transformed once, and a task takes a block of tiles. Few tiles, many
// filters (14x14 and less): all data is transformed once, and a task takes a panel, whose filters
// it transforms for itself, a piece of the channels at a time.
//
// Filters packed beforehand are transformed, or where a call has few tiles to multiply them with
// they are taps, a fourth to a seventh of the memory, transformed in every call. A call reads
// either.
#pragma once

#include "kernels/winograd_filter.h"
#include "kernels/winograd_taps_kernel.h"

namespace fastconv {
namespace {

// The most tiles of a call that prefers packed filters that are taps. Two threads of Cascade Lake,
// filters in memory that gives 15 GB/s, ms transformed and as taps: 4 tiles (512 filters of 512
// channels) 2.5, 1.2; 9 tiles (256, 256) 0.92, 0.78; where it gives 30 GB/s 1.3, 1.3 and 0.78,
// 0.79. 25 tiles (512, 512) 7.7, 7.6; 32 tiles (512, 512) 4.7, 5.1; 72 tiles (256, 256) 3.4, 4.0.
constexpr int64_t kTapsTiles = 25;

// Channels whose taps are read for every row of their transform. 32, 64 and 128 took as long; of
// 128 the taps leave room for little else in L2.
constexpr int64_t kRegisterLanes = 64;

// Channels whose filters a task transforms at a time, where there are more tiles. The sums are read
// and written once for each such part, the taps once for each row of the transform. Two threads of
// Cascade Lake, ms with 16, 32, 64, 128, 256 channels: 16 tiles (512 filters of 512 channels) 3.2,
// 3.1, 2.9, 2.8, 2.9; 64 tiles (512, 512) 7.3, 7.0, 6.8, 6.4, 6.6; 256 tiles (384 of 256) 11.8, 9.8,
// 8.6, 8.2, 8.5.
constexpr int64_t kRowsChannels = 128;

template <class T>
struct ConvWinogradPlan : WinogradPlan<T> {
  using WinogradPlan<T>::op;
  using WinogradPlan<T>::row_axis;
  using WinogradPlan<T>::column_axis;
  using WinogradPlan<T>::by_family;
  bool data_resident;
  bool prefers_taps;  // of packed filters
  bool transforms_filters;
  bool* wants_weight;  // as in ConvArgs
  bool in_registers;   // filters are transformed there
  // Channels whose filters are transformed before they are multiplied; elements of their taps and
  // of a row of their filters.
  int64_t own_channels, own_taps, row_filters;
  int64_t kept;  // panels (of all depths) whose outputs wait for another family's sums
  int64_t out_size, row_size, sums_pitch, group_sums, sums_size, steps;
  size_t filter_at, data_at, worker_at, worker_bytes, total_bytes;

  ConvWinogradPlan(const ConvArgs<T>& args, const ConvParams& params, bool is_backward,
                   const WinogradCover& cover)
      : WinogradPlan<T>(args, params, is_backward, cover) {
    constexpr int64_t item = sizeof(T);
    const int64_t all_tiles = this->group_tiles();
    constexpr int kResidentGroups = 4;  // whose sums are kept
    data_resident = this->panels > 1 && !this->merged_phases &&
                    this->group_count <= kResidentGroups && this->depth.taps == 1 &&
                    all_tiles <= min(kResidentTiles, this->outputs) &&
                    all_tiles * op.groups * this->most_values() * row_axis.window_count *
                            column_axis.window_count * this->channel_blocks * kLaneBlock * item <=
                        kResidentDataBytes;
    by_family = !data_resident && this->families() > 1 && this->tiles_in_cache() < kLeastBlockTiles;
    if (data_resident)
      this->take_images();
    else
      this->cut_blocks(3 * args.exec.threads);
    prefers_taps = data_resident && all_tiles <= kTapsTiles;
    transforms_filters = args.packed_weight == nullptr || args.packed_taps;
    wants_weight = args.wants_weight;
    in_registers = data_resident && makes_values_in_registers();
    own_channels = in_registers ? kRegisterLanes : kRowsChannels;
    own_taps =
        round_up(min(own_channels, op.channels), kChannelBlock) * this->all_taps() * kPanel<T>;
    row_filters = 0;
    for (int i = 0; i < this->group_count && !in_registers; ++i) {
      const WinogradGroup& group = this->groups[i];
      const int64_t own_lanes = own_channels < op.channels ? own_channels : this->lanes;
      row_filters = max(row_filters,
                        this->column_transform(group).n *
                            odd_lines<T>(this->depth.taps * group.terms * own_lanes * kPanel<T>));
    }
    sums_pitch = odd_lines<T>(this->tiles * kPanel<T>);
    group_sums = this->most_values() * sums_pitch;
    sums_size = group_sums * (data_resident ? this->group_count : 1);
    const TileBlock largest = {0, 0, 0, this->depths, 0, 0, this->rows, this->columns};
    out_size = round_up(out_rows_of(largest) * out_columns_of(largest) * position_width(0), 16);
    kept = by_family ? this->panels * this->depths : 1;
    row_size = this->merged_phases
                   ? round_up(out_columns_of(largest) * column_axis.phases * op.outputs, 16) +
                         2 * kPanel<T>
                   : 0;
    steps = 0;
    for (int i = 0; i < this->group_count; ++i)
      steps = max(steps, this->depth.taps * this->groups[i].terms * this->channel_blocks);
    // A tile summed directly takes one step a tap.
    steps = max(steps, this->all_taps());
    if (in_registers)
      steps = ceil_div(steps * int64_t{sizeof(TapsStep)}, int64_t{sizeof(BatchStep)});

    Regions regions;
    filter_at = regions.reserve(data_resident || !transforms_filters ? 0 : filters_size() * item);
    data_at = regions.reserve(data_resident ? op.groups * this->data_size * item : 0);
    worker_at = regions.end;
    worker_bytes = static_cast<size_t>(
        round_up(scratch_size() * item, 64) +
        round_up(steps * static_cast<int64_t>(sizeof(BatchStep)) + kept * this->tiles, 64));
    const int64_t tasks = op.groups * max(this->panels, this->blocks);
    total_bytes = worker_at + worker_bytes * static_cast<size_t>(min(args.exec.threads, tasks));
  }
  // All filters transformed.
  int64_t filters_size() const { return op.groups * this->panels * this->filters.size; }
  // Those of a panel as taps, and all; lanes that are phases are gathered from the weight.
  int64_t panel_taps() const { return op.channels * this->all_taps() * kPanel<T>; }
  int64_t packed_taps() const {
    return this->merged_phases ? 0 : op.groups * this->panels * panel_taps();
  }
  // Whether products of few tiles, of taps that lie evenly, can be made so
  // (winograd_taps_kernel.h). More passes over the tiles would transform the filters too often.
  bool makes_values_in_registers() const {
    constexpr int64_t kPasses = 2;
    for (int i = 0; i < this->group_count; ++i) {
      const WinogradGroup& group = this->groups[i];
      const Transform<T>& of_rows = this->row_transform(group);
      const Transform<T>& of_columns = this->column_transform(group);
      const TapsKernels<T>* kernels = find_taps_kernels(of_rows, of_columns);
      if (kernels == nullptr || this->tiles > kPasses * kernels->most) return false;
      bool evenly = !this->merged_columns;
      this->for_each_term(group, [&](const Piece& row, const Piece& column, int64_t) {
        evenly &= TapsPlace(*this, row, column, of_rows.r, of_columns.r).evenly;
      });
      if (!evenly) return false;
    }
    return true;
  }
  // The data of a block; or some of a panel's filters: taps, or half transformed and of a row of
  // those.
  int64_t own_size() const {
    if (!data_resident) return this->data_size;
    if (!transforms_filters) return 0;
    return own_taps + row_filters;
  }
  int64_t scratch_size() const {
    return round_up(this->patch_size, 16) + this->strip_size() + own_size() + sums_size +
           kept * out_size + taps_scratch(*this) + row_size + 3 * kPanel<T> +
           kMostValues * kMostValues * kLanes<T>;
  }

  // Outputs in scratch, [row][column][width]: those of a panel, or of all panels where phases
  // are lanes, which leave it together.
  int64_t position_width(int64_t first) const {
    return this->merged_phases ? round_up(this->outputs, kLanes<T>)
                               : panel_width(this->outputs, first, kLanes<T>);
  }
  int64_t out_rows_of(const TileBlock& block) const {
    if (this->folded) return 1;
    return block.rows * (this->merged_phases ? row_axis.m : row_axis.unit_out());
  }
  int64_t out_columns_of(const TileBlock& block) const {
    if (this->folded) return block.rows * row_axis.unit_out();
    return block.columns * (this->merged_phases ? column_axis.m : column_axis.unit_out());
  }
};

// A worker's scratch.
template <class T>
struct WinogradScratch {
  T *patch, *strip, *own, *sums, *out, *packed, *row, *bias, *direct, *half;
  BatchStep* steps;
  bool* broken;  // tiles that are not finite
  WinogradScratch(const ConvWinogradPlan<T>& plan, char* workspace, int worker) {
    char* begin = workspace + plan.worker_at + static_cast<size_t>(worker) * plan.worker_bytes;
    patch = reinterpret_cast<T*>(begin);
    strip = patch + round_up(plan.patch_size, 16);
    own = strip + plan.strip_size();
    sums = own + plan.own_size();
    out = sums + plan.sums_size;
    packed = out + plan.kept * plan.out_size;
    row = packed + taps_scratch(plan);
    bias = row + plan.row_size;
    direct = bias + kPanel<T>;
    half = direct + 2 * kPanel<T>;
    steps = reinterpret_cast<BatchStep*>(
        begin + round_up(plan.scratch_size() * static_cast<int64_t>(sizeof(T)), 64));
    broken = reinterpret_cast<bool*>(steps + plan.steps);
  }
  // With the outputs of one of the panels that are kept.
  WinogradScratch of_panel(const ConvWinogradPlan<T>& plan, int64_t panel) const {
    WinogradScratch scratch = *this;
    scratch.out += panel * plan.out_size;
    scratch.broken += panel * plan.tiles;
    return scratch;
  }
};

}  // namespace
}  // namespace fastconv
