// Depthwise quantized convolution: one filter a channel, lanes along the channels.
//
//   y[n, c, o] = saturate(round(factor[c] * (start[c] + sum over taps of x * w - ...)) + y_zero)
//   x (N, C, spatial)   weight (C, 1, taps)   y (N, C, out)
//
// Rows of taps are taken by four: the bytes of four input rows in one column are interleaved
// to a quad for every channel, once for all columns of the filter that see it, and the products
// are those of i8_product.h with a vector of x where the dense kernel has a broadcast. A 3x3 filter
// is three quads of which a fourth is 0.
//
//   quads[row of quads][input column][j][lane]   channel of (j, lane): quad_byte
#pragma once

#include "kernels/i8_depthwise_pack.h"

namespace fastconv {
namespace {

// sum[i][j] += over rows of quads and columns of the filter, for kCount output columns
// `distance` packed columns apart; `weight_step` is 0 for filters of ones.
template <class Product, int kCount>
FASTCONV_INLINE void sum_columns(Int32s (&sum)[kCount][4], const int32_t* quads,
                                 const int32_t* weight, int64_t weight_step, int64_t quad_rows,
                                 const Reach& reach, int64_t taps, int64_t distance) {
  constexpr int64_t kWeight = kIntLanes * Product::kParts, kColumn = 4 * kIntLanes;
  const int64_t row_step = weight_step == 0 ? 4 * kWeight : taps * weight_step;
  for (int64_t q = 0; q < quad_rows; ++q, weight += row_step, quads += reach.extent * kColumn)
    for (int64_t kw = 0; kw < taps; ++kw) {
      const int32_t* w = weight + kw * weight_step;
      const int32_t* x = quads + kw * reach.tap_step * kColumn;
      FASTCONV_UNROLL
      for (int j = 0; j < 4; ++j) {
        const typename Product::Weight w_j = Product::load(w + j * kWeight);
        FASTCONV_UNROLL
        for (int i = 0; i < kCount; ++i)
          sum[i][j] = Product::add(
              sum[i][j],
              Product::spread(load_as<Int32s>(x + i * distance * kColumn + j * kIntLanes)), w_j);
      }
    }
}

// Output columns [column, column + kCount) of a block of channels, packed quads at `quads`.
template <class Product, int kCount>
void depthwise_tile(const QuantizedDepthwisePlan<Product>& plan, const Reach& reach,
                    const int32_t* quads, int64_t block, char* workspace, uint8_t* out,
                    int64_t out_position, int64_t count) {
  constexpr int64_t kWeight = kIntLanes * Product::kParts;
  const ChannelTables tables = plan.tables(workspace);
  const int64_t at = block * kByteLanes, taps = plan.axis[2].taps, distance = plan.axis[2].step;
  Int32s sum[kCount][4];
  FASTCONV_UNROLL
  for (int j = 0; j < 4; ++j) {
    const Int32s start = load_as<Int32s>(tables.start + at + j * kIntLanes);
    FASTCONV_UNROLL
    for (int i = 0; i < kCount; ++i) sum[i][j] = start;
  }
  sum_columns<Product, kCount>(
      sum, quads,
      reinterpret_cast<const int32_t*>(workspace + plan.weight_at) + block * plan.weight_size(),
      4 * kWeight, plan.quad_rows, reach, taps, distance);
  if (plan.op.asymmetric) {
    Int32s x_sum[kCount][4] = {};
    sum_columns<Product, kCount>(x_sum, quads,
                                 reinterpret_cast<const int32_t*>(workspace + plan.ones_at), 0,
                                 plan.quad_rows, reach, taps, distance);
    FASTCONV_UNROLL
    for (int j = 0; j < 4; ++j) {
      const Int32s zero = load_as<Int32s>(tables.w_zero + at + j * kIntLanes);
      FASTCONV_UNROLL
      for (int i = 0; i < kCount; ++i) sum[i][j] = minus_product(sum[i][j], zero, x_sum[i][j]);
    }
  }
  const Requantize requantize(plan.args.y_zero, plan.args.y_signed);
  FASTCONV_UNROLL
  for (int i = 0; i < kCount; ++i) {
    FASTCONV_UNROLL
    for (int j = 0; j < 4; ++j)
      sum[i][j] = requantize(sum[i][j], load(tables.factor + at + j * kIntLanes));
    store_bytes(out + i * out_position, narrow(sum[i]) ^ requantize.flip, count);
  }
}

// A row of outputs of one block of channels, columns [ow, ow + count).
struct DepthwiseRow {
  int64_t n, od, oh, ow, count, block;
};

// The quads under a row. Rows whose channels do not lie side by side are copied first; `copied`
// says which row of the input is in each place, so that the next row of outputs finds it there.
template <class Product>
void pack_depthwise_quads(const QuantizedDepthwisePlan<Product>& plan, const DepthwiseRow& at,
                          const Reach& reach, char* worker) {
  constexpr int64_t kChannels = QuantizedDepthwisePlan<Product>::kChannels;
  const Axis* axis = plan.axis;
  const int64_t* xs = plan.p.x_stride;
  const int64_t c = plan.first_channel(at.block), channels = min(kChannels, plan.p.groups);
  const int64_t first = at.ow * axis[2].step + axis[2].lowest();
  int64_t* copied = reinterpret_cast<int64_t*>(worker + plan.copied_at);
  for (int64_t q = 0; q < plan.quad_rows; ++q) {
    ByteRow rows[4];
    for (int64_t i = 0; i < 4; ++i) {
      const int64_t row = 4 * q + i, kd = row / axis[1].taps, kh = row % axis[1].taps;
      const int64_t id = at.od * axis[0].step + axis[0].offset(kd);
      const int64_t ih = at.oh * axis[1].step + axis[1].offset(kh);
      rows[i] = {nullptr, plan.args.x, plan.side_by_side ? xs[4] : channels};
      if (row >= plan.tap_rows || id < 0 || id >= axis[0].in || ih < 0 || ih >= axis[1].in)
        continue;
      const uint8_t* from = plan.args.x + at.n * xs[0] + c * xs[1] + id * xs[2] + ih * xs[3];
      if (plan.side_by_side) {
        const bool is_new =
            ih + axis[1].step > at.oh * axis[1].step + axis[1].offset(axis[1].taps - 1);
        rows[i].data = from;
        rows[i].ahead = from + (is_new ? axis[1].step * xs[3] : 0);
        continue;
      }
      const int64_t place = axis[1].offset_step == 1 ? kd * axis[1].taps + ih % axis[1].taps : row;
      uint8_t* copy = reinterpret_cast<uint8_t*>(worker + plan.rows_at) + place * plan.row_bytes;
      rows[i].data = rows[i].ahead = copy;
      if (copied[place] == id * axis[1].in + ih) continue;
      copied[place] = id * axis[1].in + ih;
      pack_byte_row(copy, reach, axis[2], from, xs, channels, first, plan.op.x_flip,
                    plan.op.x_zero);
    }
    int32_t* to = reinterpret_cast<int32_t*>(worker) + q * reach.extent * 4 * kIntLanes;
    if (plan.side_by_side)
      interleave_rows(to, rows, reach, first, axis[2].in, channels, plan.op.x_flip, plan.op.x_zero);
    else  // packed columns take the place of columns
      interleave_rows(to, rows, Reach(reach.extent, 1, 1, 1), 0, reach.extent, channels, 0,
                      plan.op.x_zero);
  }
}

template <class Product>
void run_depthwise_row(const QuantizedDepthwisePlan<Product>& plan, const DepthwiseRow& at,
                       char* workspace, char* worker) {
  typedef QuantizedDepthwisePlan<Product> Plan;
  const int64_t* ys = plan.p.y_stride;
  const int64_t c = plan.first_channel(at.block);
  const int64_t channels = min(Plan::kChannels, plan.p.groups);
  const Reach reach(plan.axis[2], at.count);
  pack_depthwise_quads(plan, at, reach, worker);
  uint8_t* y =
      plan.args.y + at.n * ys[0] + c * ys[1] + at.od * ys[2] + at.oh * ys[3] + at.ow * ys[4];
  const bool direct = ys[1] == 1;
  uint8_t* out = direct ? y : reinterpret_cast<uint8_t*>(worker + plan.tile_at);
  const int64_t out_position = direct ? ys[4] : channels;
  int64_t i = 0;
  const auto tile = [&](auto width) {
    depthwise_tile<Product, decltype(width)::value>(
        plan, reach,
        reinterpret_cast<const int32_t*>(worker) + i * plan.axis[2].step * 4 * kIntLanes, at.block,
        workspace, out + i * out_position, out_position, channels);
    i += decltype(width)::value;
  };
  while (i + Plan::kColumns <= at.count) tile(Constant<Plan::kColumns>{});
  while (i < at.count) tile(Constant<1>{});
  if (direct) return;
  if (ys[4] == 1 || at.count == 1) {
    transpose_bytes(y, ys[1], out, channels, at.count, channels, 0);
  } else {
    for (int64_t k = 0; k < at.count; ++k)
      for (int64_t j = 0; j < channels; ++j) y[k * ys[4] + j * ys[1]] = out[k * channels + j];
  }
}

template <class Product>
void run_byte_depthwise(const QuantizedConvArgs& args) {
  const QuantizedDepthwisePlan<Product> plan(args);
  char* workspace = static_cast<char*>(args.exec.workspace);
  for (int64_t block = 0; block < plan.channel_blocks; ++block)
    pack_depthwise(plan, block, workspace);
  pack_depthwise_ones(plan, workspace);
  parallel_for(plan.tasks, args.exec.threads, [&](int64_t task, int worker) {
    char* own = workspace + plan.worker_at + static_cast<size_t>(worker) * plan.worker_bytes;
    const int64_t begin = task % plan.row_tasks * plan.task_rows;
    task /= plan.row_tasks;
    const int64_t od = task % plan.axis[0].out, n = task / plan.axis[0].out;
    const int64_t end = min(begin + plan.task_rows, plan.axis[1].out);
    const auto run = [&](int64_t oh, int64_t block, int64_t ow) {
      const DepthwiseRow row = {n, od, oh, ow, min(plan.columns, plan.axis[2].out - ow), block};
      run_depthwise_row(plan, row, workspace, own);
    };
    // The lines of channels-last data hold several blocks of channels; other rows are copied, and
    // the rows after them find the copies.
    if (plan.side_by_side) {
      for (int64_t oh = begin; oh < end; ++oh)
        for (int64_t block = 0; block < plan.channel_blocks; ++block)
          for (int64_t ow = 0; ow < plan.axis[2].out; ow += plan.columns) run(oh, block, ow);
      return;
    }
    int64_t* copied = reinterpret_cast<int64_t*>(own + plan.copied_at);
    for (int64_t block = 0; block < plan.channel_blocks; ++block)
      for (int64_t ow = 0; ow < plan.axis[2].out; ow += plan.columns) {
        for (int64_t i = 0; i < plan.tap_rows; ++i) copied[i] = -1;
        for (int64_t oh = begin; oh < end; ++oh) run(oh, block, ow);
      }
  });
}

}  // namespace
}  // namespace fastconv
