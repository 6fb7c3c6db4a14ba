// Packing of bytes: patches of x as rows of channels, filters as quads of k for every output.
//
//   patch[tap of depth][input row][input column][c]   x_zero for padding
//   weight[run][quad][vector of outputs][part][lane]  zeros beyond a run's end
#pragma once

#include "kernels/i8_plan.h"

namespace fastconv {
namespace {

// to[i][c] = x[c * channel_stride + i * position_stride] ^ flip
inline void pack_byte_positions(uint8_t* to, const uint8_t* x, int64_t channels,
                                int64_t channel_stride, int64_t positions, int64_t position_stride,
                                uint8_t flip) {
  if (channels == 1 && position_stride == 1) {
    copy_bytes(to, x, positions, flip);
  } else if (channel_stride == 1 && position_stride == channels) {
    copy_bytes(to, x, positions * channels, flip);
  } else if (channel_stride == 1) {
    for (int64_t i = 0; i < positions; ++i)
      copy_bytes(to + i * channels, x + i * position_stride, channels, flip);
  } else if (position_stride == 1) {
    transpose_bytes(to, channels, x, channel_stride, channels, positions, flip);
  } else {
    for (int64_t i = 0; i < positions; ++i)
      for (int64_t c = 0; c < channels; ++c)
        to[i * channels + c] =
            static_cast<uint8_t>(x[c * channel_stride + i * position_stride] ^ flip);
  }
}

// One packed row of an image: input columns from `first` on, of which axis.in exist. `from` is
// column 0 of the input row, or null for a row of padding.
inline void pack_byte_row(uint8_t* to, const Reach& width, const Axis& axis, const uint8_t* from,
                          const int64_t* stride, int64_t channels, int64_t first, uint8_t flip,
                          int32_t zero) {
  const auto fill = static_cast<uint8_t>(zero);
  if (from == nullptr) return fill_bytes(to, width.extent * channels, fill);
  for (int64_t segment = 0; segment < width.segments; ++segment) {
    // Input column at + i for i in [0, length); those inside the image are [begin, end).
    const int64_t at = first + segment * width.segment_step, length = width.segment_extent;
    const int64_t begin = min(max(0, -at), length);
    const int64_t end = max(begin, min(axis.in - at, length));
    fill_bytes(to, begin * channels, fill);
    if (end > begin)
      pack_byte_positions(to + begin * channels, from + (at + begin) * stride[4], channels,
                          stride[1], end - begin, stride[4], flip);
    fill_bytes(to + end * channels, (length - end) * channels, fill);
    to += length * channels;
  }
}

template <class Product>
void pack_byte_patch(uint8_t* patch, const QuantizedPlan<Product>& plan, const RowsLayout& layout,
                     const Block& b) {
  const Axis* axis = plan.axis;
  const int64_t* stride = plan.p.x_stride;
  const uint8_t* in = plan.args.x + b.n * stride[0] + b.g * plan.channels * stride[1];
  const int64_t first_row = b.oh * axis[1].step + axis[1].lowest();
  const int64_t first_column = b.ow * axis[2].step + axis[2].lowest();
  for (int64_t kd = 0; kd < axis[0].taps; ++kd) {
    const int64_t id = b.od * axis[0].step + axis[0].offset(kd);
    for (int64_t row = 0; row < layout.height.extent; ++row) {
      const int64_t ih = first_row + layout.height.position(row);
      const bool inside = id >= 0 && id < axis[0].in && ih >= 0 && ih < axis[1].in;
      pack_byte_row(patch + kd * layout.slice_pitch + row * layout.row_pitch, layout.width, axis[2],
                    inside ? in + id * stride[2] + ih * stride[3] : nullptr, stride, plan.channels,
                    first_column, plan.op.x_flip, plan.op.x_zero);
    }
  }
}

// to[tap][c]: the filter that begins at `weight`, as signed bytes.
inline void gather_filter(uint8_t* to, const uint8_t* weight, const int64_t* stride,
                          const int64_t* kernel, int64_t channels, uint8_t flip) {
  const int64_t taps = kernel[0] * kernel[1] * kernel[2];
  const bool contiguous = (kernel[2] == 1 || stride[4] == 1) &&
                          (kernel[1] == 1 || stride[3] == kernel[2]) &&
                          (kernel[0] == 1 || stride[2] == kernel[1] * kernel[2]);
  if (taps > 1 && contiguous)
    return transpose_bytes(to, channels, weight, stride[1], channels, taps, flip);
  for (int64_t kd = 0; kd < kernel[0]; ++kd)
    for (int64_t kh = 0; kh < kernel[1]; ++kh)
      for (int64_t kw = 0; kw < kernel[2]; ++kw, to += channels)
        pack_byte_positions(to, weight + kd * stride[2] + kh * stride[3] + kw * stride[4], channels,
                            stride[1], 1, 0, flip);
}

// Quads of `width` outputs, rows[lane][run][quads * 4], as the product wants them.
template <class Product>
void pack_quads(int32_t* to, const uint8_t* rows, int64_t width, int64_t all_quads) {
  constexpr int64_t kAtOnce = 16;
  float block[kAtOnce * kIntLanes];
  for (int64_t q = 0; q < all_quads; q += kAtOnce) {
    const int64_t count = min(kAtOnce, all_quads - q);
    for (int64_t v = 0; v < width; v += kIntLanes) {
      transpose_copy(block, kIntLanes, reinterpret_cast<const float*>(rows) + v * all_quads + q,
                     all_quads, kIntLanes, count);
      for (int64_t i = 0; i < count; ++i)
        Product::store(to + ((q + i) * width + v) * Product::kParts,
                       load_as<Int32s>(block + i * kIntLanes));
    }
  }
}

// The filters and constants of one panel of outputs.
template <class Product>
void pack_panel(const QuantizedPlan<Product>& plan, int64_t g, int64_t panel, char* workspace,
                uint8_t* scratch) {
  const int64_t first = panel * kI8Panel, all_quads = plan.runs * plan.quads;
  const int64_t width = panel_width(plan.outputs, first, kIntLanes);
  const ChannelTables tables = plan.tables(workspace);
  const int64_t* stride = plan.p.w_stride;
  uint8_t* filter = scratch + kI8Panel * all_quads * 4;
  for (int64_t lane = 0; lane < width; ++lane) {
    uint8_t* row = scratch + lane * all_quads * 4;
    const int64_t at = g * plan.padded_outputs + first + lane, m = g * plan.outputs + first + lane;
    if (first + lane >= plan.outputs) {
      fill_bytes(row, all_quads * 4, 0);
      tables.clear(at);
      continue;
    }
    const bool whole = plan.run % 4 == 0;
    gather_filter(whole ? row : filter, plan.args.weight + m * stride[0], stride, plan.p.kernel,
                  plan.channels, plan.op.w_flip);
    for (int64_t r = 0; !whole && r < plan.runs; ++r) {
      copy_bytes(row + r * plan.quads * 4, filter + r * plan.run, plan.run, 0);
      fill_bytes(row + r * plan.quads * 4 + plan.run, plan.quads * 4 - plan.run, 0);
    }
    int32_t sum = 0;  // of less than 2^24 terms, or modulo 2^32
    for (int64_t k = 0; k < all_quads * 4; ++k)
      sum = static_cast<int32_t>(static_cast<uint32_t>(sum) +
                                 static_cast<uint32_t>(static_cast<int8_t>(row[k])));
    tables.fill(plan.args, plan.op, at, m, static_cast<uint32_t>(sum), plan.terms());
  }
  int32_t* to = reinterpret_cast<int32_t*>(workspace + plan.weight_at) +
                plan.weight_size(g * plan.padded_outputs + first);
  pack_quads<Product>(to, scratch, width, all_quads);
}

// Filters of ones, whose products are the sums of x.
template <class Product>
void pack_ones(const QuantizedPlan<Product>& plan, char* workspace, uint8_t* scratch) {
  const int64_t all_quads = plan.runs * plan.quads;
  for (int64_t i = 0; i < kIntLanes * plan.runs; ++i) {
    uint8_t* row = scratch + i * plan.quads * 4;
    fill_bytes(row, plan.run, 1);
    fill_bytes(row + plan.run, plan.quads * 4 - plan.run, 0);
  }
  pack_quads<Product>(reinterpret_cast<int32_t*>(workspace + plan.ones_at), scratch, kIntLanes,
                      all_quads);
}

}  // namespace
}  // namespace fastconv
