// Filters and rows of a depthwise quantized convolution as its products take them.
//
//   quads[row of quads][input column][j][lane]   four input rows in a column; channel: quad_byte
#pragma once

#include "kernels/i8_depthwise_plan.h"

namespace fastconv {
namespace {

// The filters and constants of a block of channels, in the order of its lanes.
template <class Product>
void pack_depthwise(const QuantizedDepthwisePlan<Product>& plan, int64_t block, char* workspace) {
  constexpr int64_t kChannels = QuantizedDepthwisePlan<Product>::kChannels;
  const ConvParams& p = plan.p;
  const ChannelTables tables = plan.tables(workspace);
  int32_t* to = reinterpret_cast<int32_t*>(workspace + plan.weight_at) + block * plan.weight_size();
  uint32_t sums[kChannels] = {};
  for (int64_t q = 0; q < plan.quad_rows; ++q)
    for (int64_t kw = 0; kw < p.kernel[2]; ++kw)
      for (int64_t j = 0; j < 4; ++j, to += plan.kWeight) {
        uint8_t quads[kByteLanes];
        for (int64_t lane = 0; lane < kIntLanes; ++lane)
          for (int64_t i = 0; i < 4; ++i) {
            const int64_t c = quad_byte(j, lane), m = plan.first_channel(block) + c;
            const int64_t row = 4 * q + i;
            uint8_t w = 0;
            if (m < p.groups && row < plan.tap_rows)
              w = plan.args.weight[m * p.w_stride[0] + row / p.kernel[1] * p.w_stride[2] +
                                   row % p.kernel[1] * p.w_stride[3] + kw * p.w_stride[4]] ^
                  plan.op.w_flip;
            quads[4 * lane + i] = w;
            sums[c] += static_cast<uint32_t>(static_cast<int8_t>(w));
          }
        Product::store(to, load_as<Int32s>(quads));
      }
  for (int64_t j = 0; j < 4; ++j)
    for (int64_t lane = 0; lane < kIntLanes; ++lane) {
      const int64_t at = block * kChannels + j * kIntLanes + lane;
      const int64_t c = quad_byte(j, lane), m = plan.first_channel(block) + c;
      if (m < p.groups)
        tables.fill(plan.args, plan.op, at, m, sums[c], plan.tap_rows * p.kernel[2]);
      else
        tables.clear(at);
    }
}

// Filters of ones for one column, whose products are the sums of x.
template <class Product>
void pack_depthwise_ones(const QuantizedDepthwisePlan<Product>& plan, char* workspace) {
  int32_t* to = reinterpret_cast<int32_t*>(workspace + plan.ones_at);
  for (int64_t i = 0; i < plan.quad_rows * 4; ++i, to += plan.kWeight) {
    uint8_t quads[kByteLanes];
    for (int64_t lane = 0; lane < kByteLanes; ++lane)
      quads[lane] = i / 4 * 4 + lane % 4 < plan.tap_rows ? 1 : 0;
    Product::store(to, load_as<Int32s>(quads));
  }
}

// One row of taps under a row of outputs: columns are `step` bytes apart. Null: padding. `ahead`
// is fetched meanwhile: a row that the next outputs are the first to read, or data again.
struct ByteRow {
  const uint8_t *data, *ahead;
  int64_t step;
};

// to[column][j][lane] of the columns that `reach` packs.
inline void interleave_rows(int32_t* to, const ByteRow (&rows)[4], const Reach& reach,
                            int64_t first, int64_t width, int64_t count, uint8_t flip,
                            int32_t zero) {
  const Bytes padding = Bytes{} + static_cast<uint8_t>(zero);
  // Up to this column a whole vector ends within the row; other channels in it do no harm.
  const int64_t step = rows[0].step;
  const int64_t whole = step > 0 ? width - 1 - ceil_div(kByteLanes - count, step) : -1;
  for (int64_t i = 0; i < reach.extent; ++i, to += 4 * kIntLanes) {
    const int64_t column = first + reach.position(i);
    const bool inside = column >= 0 && column < width;
    Bytes bytes[4];
    FASTCONV_UNROLL
    for (int r = 0; r < 4; ++r) __builtin_prefetch(rows[r].ahead + column * step);
    FASTCONV_UNROLL
    for (int r = 0; r < 4; ++r)
      bytes[r] = inside && rows[r].data != nullptr
                     ? load_bytes<Bytes>(rows[r].data + column * step,
                                         column <= whole ? kByteLanes : count) ^
                           flip
                     : padding;
    Int32s quads[4];
    zip_quads(quads, bytes[0], bytes[1], bytes[2], bytes[3]);
    FASTCONV_UNROLL
    for (int j = 0; j < 4; ++j) store_as(to + j * kIntLanes, quads[j]);
  }
}

}  // namespace
}  // namespace fastconv
