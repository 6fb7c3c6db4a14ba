// How a depthwise quantized convolution is cut up: blocks of channels, quads of rows, scratch.
#pragma once

#include "kernels/i8_pack.h"

namespace fastconv {
namespace {

// A number of columns known to the compiler.
template <int kValue>
struct Constant {
  static constexpr int value = kValue;
};

FASTCONV_INLINE bool is_depthwise(const ConvParams& p) {
  return p.groups > 1 && p.groups == p.in_channels && p.groups == p.out_channels;
}

// Quads of a row of columns, in L1 beside the filters.
constexpr int64_t kI8QuadBytes = 24 << 10;

template <class Product>
struct QuantizedDepthwisePlan {
#if FASTCONV_VEC_BYTES == 64 || defined(__aarch64__)
  static constexpr int kColumns = 4;  // a register tile: 16 sums
#else
  static constexpr int kColumns = 2;  // 8 of 16 registers
#endif
  static constexpr int64_t kChannels = kByteLanes;                 // of a block
  static constexpr int64_t kWeight = kIntLanes * Product::kParts;  // integers of a vector
  const QuantizedConvArgs& args;
  const ConvParams& p;
  QuantizedOperands op;
  Axis axis[kSpatial];
  int64_t tap_rows, quad_rows;  // of a filter; by four
  int64_t channel_blocks, columns, row_tasks, task_rows, tasks;
  bool side_by_side;  // the channels of a position, in x
  int64_t row_bytes;  // of the copy of a row
  size_t start_at, factor_at, zero_at, weight_at, ones_at, worker_at, worker_bytes, total_bytes;
  size_t copied_at, rows_at, tile_at;  // within a worker's region

  explicit QuantizedDepthwisePlan(const QuantizedConvArgs& arguments)
      : args(arguments), p(*arguments.params), op(arguments) {
    for (int i = 0; i < kSpatial; ++i) axis[i] = forward_axis(p, i);
    tap_rows = axis[0].taps * axis[1].taps;
    quad_rows = ceil_div(tap_rows, 4);
    channel_blocks = ceil_div(p.groups, kChannels);
    const auto quad_bytes = [&](int64_t count) {
      return quad_rows * Reach(axis[2], count).extent * 4 * kChannels;
    };
    columns = axis[2].out;
    for (int64_t parts = 2; quad_bytes(columns) > kI8QuadBytes && columns > kColumns; ++parts)
      columns = min(columns, round_up(ceil_div(axis[2].out, parts), kColumns));
    const int64_t outer = p.n * axis[0].out;
    row_tasks = clamp(ceil_div(4 * args.exec.threads, max(outer, 1)), 1, axis[1].out);
    task_rows = ceil_div(axis[1].out, row_tasks);
    row_tasks = ceil_div(axis[1].out, task_rows);
    tasks = outer * row_tasks;

    Regions regions;
    start_at = regions.reserve(channel_blocks * kChannels * 4);
    factor_at = regions.reserve(channel_blocks * kChannels * 4);
    zero_at = regions.reserve(channel_blocks * kChannels * 4);
    weight_at = regions.reserve(channel_blocks * weight_size() * 4);
    ones_at = regions.reserve(quad_rows * 4 * kWeight * 4);
    worker_at = regions.end;
    Regions worker;
    worker.reserve(quad_bytes(columns));
    side_by_side = p.x_stride[1] == 1;
    row_bytes = round_up(Reach(axis[2], columns).extent * kChannels, 64);
    copied_at = worker.reserve(tap_rows * static_cast<int64_t>(sizeof(int64_t)));
    rows_at = worker.reserve(side_by_side ? 0 : tap_rows * row_bytes);
    tile_at = worker.reserve(columns * kChannels);
    worker_bytes = worker.end;
    total_bytes = worker_at + worker_bytes * static_cast<size_t>(args.exec.threads);
  }
  QuantizedDepthwisePlan(const QuantizedDepthwisePlan&) = delete;

  // The last block ends with the last channel, and has some of the one before once more: partial
  // loads are slow.
  int64_t first_channel(int64_t block) const {
    return max(0, min(block * kChannels, p.groups - kChannels));
  }
  // Of a block of channels, in 32-bit integers: [row of quads][column of the filter][j].
  int64_t weight_size() const { return quad_rows * axis[2].taps * 4 * kWeight; }
  ChannelTables tables(char* workspace) const {
    return {reinterpret_cast<int32_t*>(workspace + start_at),
            reinterpret_cast<float*>(workspace + factor_at),
            reinterpret_cast<int32_t*>(workspace + zero_at)};
  }
};

}  // namespace
}  // namespace fastconv
