// How a quantized convolution is cut up, as byte products want it.
//
// Operands are brought to one form: x to unsigned and w to signed bytes, by an offset of 128 where
// they are not, zero points along with them. Then
//
//   sum of (x - x_zero) * (w - w_zero) =
//       sum of x * w - x_zero * sum of w + terms * x_zero * w_zero - w_zero * sum of x
//
// where the middle terms are constants of an output channel, with which its sum begins, and the
// last one vanishes for symmetric filters. Padding is packed as x_zero, so that every sum has all
// its terms.
//
// k runs in quads along memory: the columns of a dense filter and their channels are one run,
// so that 3 channels under 3 columns are 9 bytes in 3 quads. Beyond the end of a run filters are 0,
// whatever the bytes of x there are.
#pragma once

#include "kernels/conv_blocks.h"
#include "kernels/i8_product.h"
#include "kernels/input_rows.h"
#include "simd/parallel_for.h"

namespace fastconv {
namespace {

constexpr int64_t kI8Panel = 2 * kIntLanes;  // outputs of a full register tile

// A patch, beside the stream of filters, in the 256 KiB of an older L2.
constexpr int64_t kI8PatchBytes = 192 << 10;

// Operands in the common form.
struct QuantizedOperands {
  uint8_t x_flip, w_flip;  // what makes x unsigned and w signed
  int32_t x_zero;          // of unsigned x
  bool asymmetric;         // some filters have a zero point, as signed bytes

  explicit QuantizedOperands(const QuantizedConvArgs& args)
      : x_flip(args.x_signed ? 0x80 : 0),
        w_flip(args.w_signed ? 0 : 0x80),
        x_zero(args.x_zero + (args.x_signed ? 128 : 0)),
        asymmetric(false) {
    const int64_t zeros = args.w_zero_stride == 0 ? 1 : args.params->out_channels;
    for (int64_t m = 0; m < zeros; ++m) asymmetric |= w_zero(args, m) != 0;
  }
  // Of the filters of output channel m as signed bytes.
  int32_t w_zero(const QuantizedConvArgs& args, int64_t m) const {
    const uint8_t zero = args.w_zero != nullptr ? args.w_zero[m * args.w_zero_stride] : 0;
    return static_cast<int8_t>(zero ^ w_flip);
  }
};

// The constants of output channels.
struct ChannelTables {
  int32_t* start;  // what a sum begins with
  float* factor;   // x_scale * w_scale / y_scale, rounded in this order
  int32_t* w_zero;

  // Entry `at` for output channel m, whose filter sums up to w_sum over `terms` terms.
  void fill(const QuantizedConvArgs& args, const QuantizedOperands& op, int64_t at, int64_t m,
            uint32_t w_sum, int64_t terms) const {
    const int32_t zero = op.w_zero(args, m);
    const uint32_t bias =
        args.bias != nullptr ? static_cast<uint32_t>(args.bias[m * args.params->bias_stride]) : 0;
    const uint32_t all = static_cast<uint32_t>(terms) * static_cast<uint32_t>(zero);
    start[at] = static_cast<int32_t>(bias + static_cast<uint32_t>(op.x_zero) * (all - w_sum));
    factor[at] = args.x_scale * args.w_scale[m * args.w_scale_stride] / args.y_scale;
    w_zero[at] = zero;
  }
  // Lanes without an output.
  void clear(int64_t at) const {
    start[at] = w_zero[at] = 0;
    factor[at] = 0;
  }
};

template <class Product>
struct QuantizedPlan {
  const QuantizedConvArgs& args;
  ConvParams p;
  QuantizedOperands op;
  Axis axis[kSpatial];
  int64_t channels, outputs;       // of a group
  bool dense;                      // the columns of a filter are one run
  int64_t run, quads, runs;        // bytes and quads of a run; runs of a filter
  int64_t panels, padded_outputs;  // of a group
  bool in_place;                   // x is read where it is
  bool to_rows;                    // outputs of a position are neighbours
  int64_t rows, columns;           // of a block
  int64_t row_blocks, column_blocks, blocks, panel_chunks;
  int64_t patch_size;
  size_t start_at, factor_at, zero_at, weight_at, ones_at, worker_at, worker_bytes, total_bytes;
  size_t sums_at, tile_at, offsets_at;  // within a worker's region

  explicit QuantizedPlan(const QuantizedConvArgs& arguments)
      : args(arguments), p(canonical(*arguments.params)), op(arguments) {
    const int64_t threads = args.exec.threads;
    channels = p.in_channels / p.groups;
    outputs = p.out_channels / p.groups;
    for (int i = 0; i < kSpatial; ++i) axis[i] = forward_axis(p, i);
    panels = ceil_div(outputs, kI8Panel);
    padded_outputs =
        (panels - 1) * kI8Panel + panel_width(outputs, (panels - 1) * kI8Panel, kIntLanes);
    in_place = op.x_flip == 0 && channels % 4 == 0 && p.x_stride[1] == 1;
    for (int i = 0; i < kSpatial; ++i) in_place &= reads_in_place(axis[i]);
    to_rows = outputs == 1 || p.y_stride[1] == 1;

    const auto bytes = [&](int64_t r, int64_t c) {
      return RowsLayout(axis, r, c, channels).slice_pitch * axis[0].taps;
    };
    columns = axis[2].out;
    for (int64_t parts = 2; bytes(1, columns) > kI8PatchBytes && columns > Product::kRows; ++parts)
      columns = round_up(ceil_div(axis[2].out, parts), Product::kRows);
    columns = min(columns, axis[2].out);
    column_blocks = ceil_div(axis[2].out, columns);
    rows = 1;
    while (rows < axis[1].out && bytes(min(2 * rows, axis[1].out), columns) <= kI8PatchBytes)
      rows = min(2 * rows, axis[1].out);
    const int64_t outer = p.n * p.groups * axis[0].out * column_blocks;
    // Three tasks a thread even out what other load does to the cores.
    while (rows > 1 && outer * ceil_div(axis[1].out, rows) < 3 * threads) rows = ceil_div(rows, 2);
    row_blocks = ceil_div(axis[1].out, rows);
    rows = ceil_div(axis[1].out, row_blocks);
    blocks = outer * row_blocks;
    panel_chunks = blocks < 3 * threads ? min(panels, ceil_div(3 * threads, max(blocks, 1))) : 1;

    // Taps of a single position or next to each other lie side by side in a patch.
    dense = axis[2].taps == 1 || RowsLayout(axis, rows, columns, channels).width.tap_step == 1;
    run = (dense ? axis[2].taps : 1) * channels;
    quads = ceil_div(run, 4);
    runs = axis[0].taps * axis[1].taps * (dense ? 1 : axis[2].taps);
    patch_size = in_place ? 0 : round_up(bytes(rows, columns) + 4, 64);

    Regions regions;
    const int64_t all_outputs = p.groups * padded_outputs;
    start_at = regions.reserve(all_outputs * 4);
    factor_at = regions.reserve(all_outputs * 4);
    zero_at = regions.reserve(all_outputs * 4);
    weight_at = regions.reserve(p.groups * weight_size(padded_outputs) * 4);
    ones_at = regions.reserve(op.asymmetric ? weight_size(kIntLanes) * 4 : 0);
    worker_at = regions.end;
    Regions worker;
    worker.reserve(patch_size);
    sums_at = worker.reserve(op.asymmetric ? rows * columns * 4 : 0);
    tile_at = worker.reserve(to_rows ? 0 : columns * kI8Panel);
    offsets_at = worker.reserve(runs * static_cast<int64_t>(sizeof(int64_t)));
    worker_bytes = worker.end > packing_bytes() ? worker.end : packing_bytes();
    total_bytes = worker_at + worker_bytes * static_cast<size_t>(threads);
  }
  QuantizedPlan(const QuantizedPlan&) = delete;  // refers to the call's arguments

  // Of the filters of `width` outputs, in 32-bit integers.
  int64_t weight_size(int64_t width) const { return runs * quads * width * Product::kParts; }
  int64_t terms() const { return axis[0].taps * axis[1].taps * axis[2].taps * channels; }
  // Scratch of packing a panel: its filters as runs, and one of them on its way there.
  size_t packing_bytes() const {
    return static_cast<size_t>(
        round_up(kI8Panel * runs * quads * 4 + round_up(terms(), 64) + 64, 64));
  }
  ChannelTables tables(char* workspace) const {
    return {reinterpret_cast<int32_t*>(workspace + start_at),
            reinterpret_cast<float*>(workspace + factor_at),
            reinterpret_cast<int32_t*>(workspace + zero_at)};
  }

  Block block(int64_t index) const {
    Block b;
    b.ow = index % column_blocks * columns;
    index /= column_blocks;
    b.oh = index % row_blocks * rows;
    index /= row_blocks;
    b.od = index % axis[0].out;
    index /= axis[0].out;
    b.g = index % p.groups;
    b.n = index / p.groups;
    b.rows = min(rows, axis[1].out - b.oh);
    b.columns = min(columns, axis[2].out - b.ow);
    return b;
  }
};

}  // namespace
}  // namespace fastconv
