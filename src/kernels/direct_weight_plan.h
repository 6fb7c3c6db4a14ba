// How the gradient of the filters is divided: direct_weight.h.
#pragma once

#include "core/canonical.h"
#include "kernels/conv_taps.h"
#include "kernels/group_weight.h"

namespace fastconv {
namespace {

// Positions of a block, through the bytes of one packed panel of y: long enough that loading
// and storing the tile (56 vectors against 28 multiply-adds a position) does not count much, and
// short enough that L1 holds it beside the lines of x that a tile reads (1x1, two threads of Cascade
// Lake, with 64 and 16 KiB: 128 channels to 512 at 28 6.8 -> 5.9 ms, 1024 to 256 at 14 11.4 -> 8.2).
// Few channels are few tiles, and a first layer packs the rows under a block for each block.
constexpr int64_t kPanelBytes = 16 << 10, kFewChannelsPanelBytes = 64 << 10;
constexpr int64_t kFewChannels = 16;
// Of what a block reads, where the whole comes from memory: L2 holds one block and the next, which
// is fetched meanwhile (1x1, 256 channels to 64 at 56: 4.5 -> 3.9 ms, one thread). From L3 it may as
// well be larger, and the sums are loaded and stored less often (1x1, 480 to 192 at 14: 1.26 -> 1.11).
constexpr int64_t kBlockBytes = 256 << 10, kFromMemoryBytes = 16 << 20;
// Rows of the sums, taps x channels: what the packing of a panel of y is shared by.
constexpr int64_t kSumRows = 1024;
// Sums of all panels of a task.
constexpr int64_t kSumBytes = 256 << 10;
// Tasks that keep a machine busy and its cores evenly loaded; and fewer, where positions are cut
// into pieces that are then not worth their sums, which are written, read and added (1024 channels
// to 256 at 14, 1 MB of sums: 24 tasks 8.2 ms, 12 6.9, 8 6.5; 512 to 128 at 28: 6.2, 5.1, 5.0).
constexpr int64_t kTasks = 24, kFewestTasks = 8, kPiecePositions = 2048;

template <class T>
struct DirectWeightPlan {
  ConvParams p;
  int64_t channels, outputs;  // of one group
  int64_t channel_block, channel_blocks, panel_block, panel_blocks;
  int64_t rows, columns, row_blocks, column_blocks, blocks;  // of output positions
  int64_t pieces, tasks;
  int64_t row_pitch, slice_pitch;  // of a patch of x
  int64_t taps, patch_size, panel_size, sum_size;
  bool in_place;  // x: one tap, no padding, channels innermost
  size_t sums_at, worker_at, worker_bytes, total_bytes;

  explicit DirectWeightPlan(const ConvArgs<T>& args) : p(canonical(*args.params)) {
    constexpr int64_t item = sizeof(T);
    channels = p.in_channels / p.groups;
    outputs = p.out_channels / p.groups;
    taps = p.kernel[0] * p.kernel[1] * p.kernel[2];
    channel_blocks = ceil_div(channels, max(16, kSumRows / taps / 16 * 16));
    channel_block = min(channels, round_up(ceil_div(channels, channel_blocks), 16));
    channel_blocks = ceil_div(channels, channel_block);
    const int64_t panel_sums = taps * channel_block * kPanel<T>;
    const int64_t panels = ceil_div(outputs, kPanel<T>);
    panel_blocks = ceil_div(panels, max(1, kSumBytes / item / panel_sums));
    panel_block = ceil_div(panels, panel_blocks);
    panel_blocks = ceil_div(panels, panel_block);
    sum_size = panel_block * panel_sums;

    int64_t positions =
        (channels < kFewChannels ? kFewChannelsPanelBytes : kPanelBytes) / item / kPanel<T>;
    const int64_t in_size = p.in[0] * p.in[1] * p.in[2], out_size = p.out[0] * p.out[1] * p.out[2];
    if (p.n * (in_size * p.in_channels + out_size * p.out_channels) * item >= kFromMemoryBytes) {
      const int64_t position_bytes =
          (in_size * channel_block / out_size + min(outputs, panel_block * kPanel<T>)) * item;
      positions = max(64, min(positions, kBlockBytes / position_bytes));
    }
    column_blocks = ceil_div(p.out[2], positions);
    columns = ceil_div(p.out[2], column_blocks);
    row_blocks = ceil_div(p.out[1], max(1, positions / columns));
    rows = ceil_div(p.out[1], row_blocks);
    row_blocks = ceil_div(p.out[1], rows);
    blocks = p.n * p.out[0] * row_blocks * column_blocks;

    tasks = p.groups * panel_blocks * channel_blocks;
    const int64_t worthwhile = max(ceil_div(kFewestTasks, tasks), p.n * out_size / kPiecePositions);
    pieces = max(1, min(blocks, min(ceil_div(kTasks, tasks), worthwhile)));

    row_pitch = reach(2, columns).extent * channel_block;
    slice_pitch = reach(1, rows).extent * row_pitch;
    in_place = taps == 1 && (p.x_stride[1] == 1 || channels == 1);
    for (int i = 0; i < kSpatial; ++i)
      in_place &= p.pad_before[i] == 0 && (p.out[i] - 1) * p.stride[i] < p.in[i];
    patch_size = in_place ? 0 : round_up(p.kernel[0] * slice_pitch, 64);
    panel_size = round_up(rows * columns * kPanel<T>, 64);

    sums_at = 0;
    worker_at =
        pieces > 1 ? static_cast<size_t>(round_up(pieces * tasks * sum_size * item, 64)) : 0;
    worker_bytes = static_cast<size_t>(
        round_up((patch_size + panel_size + (pieces > 1 ? 0 : sum_size)) * item, 64) +
        round_up(rows * static_cast<int64_t>(sizeof(BatchStep)), 64));
    total_bytes = worker_at + worker_bytes * static_cast<size_t>(args.exec.threads);
    if (across_groups_weight(args)) total_bytes = GroupWeightPlan<T>(*args.params).total_bytes;
  }

  // What `positions` neighbouring outputs read of x along one axis.
  Reach reach(int axis, int64_t positions) const {
    return {positions, p.stride[axis], p.kernel[axis], p.dilation[axis]};
  }
};

// A block of output positions.
struct PositionBlock {
  int64_t n, od, oh, ow, rows, columns;
};

template <class T>
PositionBlock block_at(const DirectWeightPlan<T>& plan, int64_t index) {
  PositionBlock b;
  b.ow = index % plan.column_blocks * plan.columns;
  index /= plan.column_blocks;
  b.oh = index % plan.row_blocks * plan.rows;
  index /= plan.row_blocks;
  b.od = index % plan.p.out[0];
  b.n = index / plan.p.out[0];
  b.rows = min(plan.rows, plan.p.out[1] - b.oh);
  b.columns = max(0, min(plan.columns, plan.p.out[2] - b.ow));
  return b;
}

}  // namespace
}  // namespace fastconv
