// The gradient of the filters of bfloat16: direct_weight.h with pairs of pixels for pixels.
//
//   dweight[m, c, k] = round(sum over n, o of y[n, m, o] * x[n, c, o * stride - pad + k * dilation])
//   x (N, IC, spatial)   y (N, OC, out)   dweight (OC, IC / G, kernel), per group below
//
// A pair is two neighbouring outputs of a row, and the two inputs that they see under one tap. Of
// y there are pairs (0, 1), (2, 3), ... in panels. A column of x is the first of a pair for every
// other tap, so each column has a pair of its own, with the one a stride further; a filter one
// column wide needs every other of them only. An odd last output has zeros for its partner, in y
// and, since zero times infinity is no zero, in x: pairs of their own for its taps lie behind the
// patch.
//
// Threads: as in direct_weight.h, a task owns a block of panels x channels for all taps, and
// positions are cut into pieces by the problem alone, whose sums are added in order.
#pragma once

#include "kernels/convert.h"
#include "kernels/direct_weight.h"
#include "kernels/pack_pairs.h"
#include "kernels/pair_kernel.h"

namespace fastconv {
namespace {

// The same problem in float32, for the plans that look at shapes and strides alone.
inline ConvArgs<float> without_data(const ConvArgs<BFloat16>& args) {
  ConvArgs<float> view = {};
  view.params = args.params;
  view.exec = args.exec;
  return view;
}

struct PairWeightPlan : DirectWeightPlan<float> {
  bool narrow;                            // a filter one column wide
  int64_t pairs;                          // of a row of a block
  int64_t tail_row, tail_slice, tail_at;  // pairs of the odd last outputs
  int64_t weight_stride[5], weight_size;  // of the float32 sums of all filters
  size_t weight_at;

  explicit PairWeightPlan(const ConvArgs<BFloat16>& args)
      : DirectWeightPlan<float>(without_data(args)) {
    constexpr int64_t item = sizeof(float);
    narrow = p.kernel[2] == 1;
    pairs = ceil_div(columns, 2);
    if (narrow) {
      row_pitch = pairs * channel_block;
      slice_pitch = reach(1, rows).extent * row_pitch;
    }
    tail_at = p.kernel[0] * slice_pitch;
    tail_row = narrow ? 0 : p.kernel[2] * channel_block;
    tail_slice = reach(1, rows).extent * tail_row;
    patch_size = round_up(tail_at + p.kernel[0] * tail_slice, 64);
    panel_size = round_up(rows * pairs * kPanel<float>, 64);
    const int64_t extent[5] = {p.out_channels, channels, p.kernel[0], p.kernel[1], p.kernel[2]};
    weight_size = dense_strides(weight_stride, extent, p.w_stride);
    Regions regions;
    weight_at = regions.reserve(weight_size * item);
    sums_at = regions.reserve(pieces > 1 ? pieces * tasks * sum_size * item : 0);
    worker_at = regions.end;
    worker_bytes = static_cast<size_t>(
        round_up((patch_size + panel_size + (pieces > 1 ? 0 : sum_size)) * item, 64) +
        round_up(2 * rows * static_cast<int64_t>(sizeof(RowStep)), 64));
    total_bytes = worker_at + worker_bytes * static_cast<size_t>(args.exec.threads);
  }

  int64_t row_pairs(const PositionBlock& block) const { return ceil_div(block.columns, 2); }
};

// to[i][c], i < count: columns `column` + i * step and + apart of a row of `extent` columns at
// `from`; zeros outside it.
inline void pack_pixel_pairs(uint32_t* to, const BFloat16* from, const int64_t* stride,
                             int64_t channels, int64_t extent, int64_t column, int64_t step,
                             int64_t apart, int64_t count) {
  // Pairs [first_begin, first_end) have their first pixel inside, and likewise the second.
  const auto begin_of = [&](int64_t at) { return at < 0 ? min(ceil_div(-at, step), count) : 0; };
  const auto end_of = [&](int64_t at) {
    return at < extent ? min(ceil_div(extent - at, step), count) : 0;
  };
  const int64_t first_begin = begin_of(column), first_end = end_of(column);
  const int64_t second_begin = begin_of(column + apart), second_end = end_of(column + apart);
  const int64_t both_begin = max(first_begin, second_begin);
  const int64_t both_end = max(min(first_end, second_end), both_begin);
  const auto edge = [&](int64_t i) {
    const BFloat16* first = from + (column + i * step) * stride[4];
    for (int64_t c = 0; c < channels; ++c) {
      uint32_t pair = 0;
      if (i >= first_begin && i < first_end) pair = first[c * stride[1]].bits;
      if (i >= second_begin && i < second_end)
        pair |= uint32_t{first[apart * stride[4] + c * stride[1]].bits} << 16;
      to[i * channels + c] = pair;
    }
  };
  for (int64_t i = 0; i < min(both_begin, count); ++i) edge(i);
  if (both_end > both_begin)
    pack_pairs<true>(
        to + both_begin * channels, channels, from + (column + both_begin * step) * stride[4],
        {step * stride[4], stride[1], apart * stride[4]}, both_end - both_begin, channels);
  for (int64_t i = both_end; i < count; ++i) edge(i);
}

// The patch of a block: patch[kd][row][column][c], and behind it the tail [kd][row][kw][c].
inline void pack_x(const PairWeightPlan& plan, const PositionBlock& block, const BFloat16* x,
                   int64_t channels, uint32_t* patch) {
  const ConvParams& p = plan.p;
  const int64_t step = p.stride[2];
  const int64_t first_row = block.oh * p.stride[1] - p.pad_before[1];
  const int64_t first_column = block.ow * step - p.pad_before[2];
  const int64_t last_column = first_column + (block.columns - 1) * step;
  const bool odd = block.columns % 2 == 1;
  const Reach height = plan.reach(1, block.rows), width = plan.reach(2, block.columns);
  for (int64_t kd = 0; kd < p.kernel[0]; ++kd) {
    const int64_t id = block.od * p.stride[0] - p.pad_before[0] + kd * p.dilation[0];
    for (int64_t row = 0; row < height.extent; ++row) {
      const int64_t ih = first_row + height.position(row);
      uint32_t* to = patch + kd * plan.slice_pitch + row * plan.row_pitch;
      uint32_t* tail = patch + plan.tail_at + kd * plan.tail_slice + row * plan.tail_row;
      if (id < 0 || id >= p.in[0] || ih < 0 || ih >= p.in[1]) {
        zero_pairs(to, (plan.narrow ? plan.row_pairs(block) : width.extent) * channels);
        if (!plan.narrow && odd) zero_pairs(tail, p.kernel[2] * channels);
        continue;
      }
      const BFloat16* from = x + id * p.x_stride[2] + ih * p.x_stride[3];
      const auto pack = [&](uint32_t* at, int64_t column, int64_t by, int64_t count) {
        pack_pixel_pairs(at, from, p.x_stride, channels, p.in[2], column, by, step, count);
      };
      const auto pack_single = [&](uint32_t* at, int64_t column) {
        for (int64_t c = 0; c < channels; ++c)
          at[c] = column >= 0 && column < p.in[2]
                      ? from[column * p.x_stride[4] + c * p.x_stride[1]].bits
                      : 0;
      };
      if (plan.narrow) {
        pack(to, first_column, 2 * step, block.columns / 2);
        if (odd) pack_single(to + block.columns / 2 * channels, last_column);
        continue;
      }
      for (int64_t segment = 0; segment < width.segments; ++segment) {
        pack(to, first_column + segment * width.segment_step, 1, width.segment_extent);
        to += width.segment_extent * channels;
      }
      for (int64_t kw = 0; odd && kw < p.kernel[2]; ++kw)
        pack_single(tail + kw * channels, last_column + kw * p.dilation[2]);
    }
  }
}

// panel[row][pair][width] of `outputs` channels from `y` on.
inline void pack_y(const PairWeightPlan& plan, const PositionBlock& block, const BFloat16* y,
                   int64_t outputs, int64_t width, uint32_t* panel) {
  const int64_t* stride = plan.p.y_stride;
  const int64_t pairs = plan.row_pairs(block), whole = block.columns / 2;
  if (outputs < width) zero_pairs(panel, block.rows * pairs * width);
  for (int64_t row = 0; row < block.rows; ++row) {
    const BFloat16* from = y + row * stride[3];
    pack_pairs<true>(panel, width, from, {2 * stride[4], stride[1], stride[4]}, whole, outputs);
    if (whole < pairs)
      pack_pairs<false>(panel + whole * width, width, from + 2 * whole * stride[4],
                        {2 * stride[4], stride[1], 0}, 1, outputs);
    panel += pairs * width;
  }
}

// The rows of a block as steps from the tap of column kw on, *distance bytes from pair to pair.
inline int64_t make_weight_steps(const PairWeightPlan& plan, const PositionBlock& block, int64_t kw,
                                 int64_t channels, RowStep* steps) {
  const ConvParams& p = plan.p;
  const int64_t pairs = plan.row_pairs(block), whole = plan.narrow ? pairs : block.columns / 2;
  const int64_t column = kw * plan.reach(2, block.columns).tap_step * channels;
  const RowStep* begin = steps;
  for (int64_t row = 0; row < block.rows; ++row) {
    const int64_t patch_row = row * p.stride[1];
    *steps++ = {patch_row * plan.row_pitch + column, row * pairs, whole};
    if (whole < pairs)
      *steps++ = {plan.tail_at + patch_row * plan.tail_row + kw * channels, row * pairs + whole, 1};
  }
  return steps - begin;
}

// What a block reads, to be fetched during the one before: see accumulate() of direct_weight.h.
inline void fetch_next(const PairWeightPlan& plan, const ConvArgs<BFloat16>& args,
                       const Owned& owned, const PositionBlock& next, FetchAhead* x,
                       FetchAhead* y) {
  const ConvParams& p = plan.p;
  const int64_t id = min(next.od * p.stride[0], p.in[0] - 1);
  const int64_t ih = min(next.oh * p.stride[1], p.in[1] - 1);
  const int64_t iw = min(next.ow * p.stride[2], p.in[2] - 1);
  *x = fetch_block(args.x + next.n * p.x_stride[0] +
                       (owned.g * plan.channels + owned.channel) * p.x_stride[1] +
                       id * p.x_stride[2] + ih * p.x_stride[3] + iw * p.x_stride[4],
                   p.x_stride, owned.channels, min(next.rows * p.stride[1], p.in[1] - ih),
                   min(next.columns * p.stride[2], p.in[2] - iw));
  *y = fetch_block(args.y + next.n * p.y_stride[0] +
                       (owned.g * plan.outputs + owned.output) * p.y_stride[1] +
                       next.od * p.y_stride[2] + next.oh * p.y_stride[3] + next.ow * p.y_stride[4],
                   p.y_stride, owned.outputs, next.rows, next.columns);
}

// Adds blocks [first, last) of positions to sums[panel][tap][c][width].
inline void accumulate(const PairWeightPlan& plan, const ConvArgs<BFloat16>& args,
                       const Owned& owned, int64_t first, int64_t last, char* scratch,
                       float* sums) {
  const ConvParams& p = plan.p;
  uint32_t* patch = reinterpret_cast<uint32_t*>(scratch);
  uint32_t* panel = patch + plan.patch_size;
  RowStep* steps = reinterpret_cast<RowStep*>(scratch + plan.worker_bytes) - 2 * plan.rows;
  for (int64_t i = 0; i < plan.sum_size; ++i) sums[i] = 0;
  const int64_t channels = owned.channels, tiles = tile_count(channels);
  const int64_t distance =
      (plan.narrow ? 1 : 2 * p.stride[2]) * channels * int64_t{sizeof(uint32_t)};
  for (int64_t index = first; index < last; ++index) {
    const PositionBlock block = block_at(plan, index);
    if (block.rows < 1 || block.columns < 1) continue;
    pack_x(plan, block,
           args.x + block.n * p.x_stride[0] +
               (owned.g * plan.channels + owned.channel) * p.x_stride[1],
           channels, patch);
    const int64_t row_step = plan.reach(1, block.rows).tap_step;
    FetchAhead next_x, next_y;
    if (index + 1 < last)
      fetch_next(plan, args, owned, block_at(plan, index + 1), &next_x, &next_y);
    const int64_t calls = plan.taps * tiles * ceil_div(owned.outputs, kPanel<float>);
    const int64_t x_share = ceil_div(next_x.lines(), calls);
    const int64_t y_share = ceil_div(next_y.lines(), calls);
    float* sum = sums;
    for (int64_t m = 0; m < owned.outputs; m += kPanel<float>) {
      const int64_t width = panel_width(owned.outputs, m, kLanes<float>);
      const int64_t channel = owned.g * plan.outputs + owned.output + m;
      pack_y(plan, block,
             args.y + block.n * p.y_stride[0] + channel * p.y_stride[1] + block.od * p.y_stride[2] +
                 block.oh * p.y_stride[3] + block.ow * p.y_stride[4],
             min(width, owned.outputs - m), width, panel);
      const PairKernel* kernels = pair_kernels<Rows::kNeighbours>(args.exec, width / kLanes<float>);
      for (int64_t tap = 0; tap < plan.taps; ++tap) {
        const int64_t kw = tap % p.kernel[2], kh = tap / p.kernel[2] % p.kernel[1];
        const int64_t kd = tap / p.kernel[2] / p.kernel[1];
        const int64_t row = kh * row_step;
        const int64_t count = make_weight_steps(plan, block, kw, channels, steps);
        // From the tail's rows to the patch's the way is another one: both begin at this tap's.
        for (int64_t i = 0; i < count; ++i)
          steps[i].a += steps[i].a >= plan.tail_at ? kd * plan.tail_slice + row * plan.tail_row
                                                   : kd * plan.slice_pitch + row * plan.row_pitch;
        for (int64_t i = 0; i < tiles; ++i) {
          const int64_t begin = tile_begin(channels, tiles, i);
          const int64_t size = tile_begin(channels, tiles, i + 1) - begin;
          kernels[size - 1](sum + begin * width, true, reinterpret_cast<const char*>(patch + begin),
                            distance, panel, steps, count, nullptr);
          next_x.fetch(x_share);
          next_y.fetch(y_share);
        }
        sum += channels * width;
      }
    }
  }
}

inline void store_sums(const PairWeightPlan& plan, const Owned& owned, const float* sums,
                       float* dweight) {
  ConvParams dense = plan.p;
  for (int i = 0; i < 5; ++i) dense.w_stride[i] = plan.weight_stride[i];
  for (int64_t m = 0; m < owned.outputs; m += kPanel<float>) {
    const int64_t width = panel_width(owned.outputs, m, kLanes<float>);
    store_weight(dense, sums, width, min(width, owned.outputs - m), owned.channels,
                 dweight + (owned.g * plan.outputs + owned.output + m) * plan.weight_stride[0] +
                     owned.channel * plan.weight_stride[1]);
    sums += plan.taps * owned.channels * width;
  }
}

inline void run_pair_weight(const ConvArgs<BFloat16>& args) {
  const PairWeightPlan plan(args);
  char* workspace = static_cast<char*>(args.exec.workspace);
  float* dweight = reinterpret_cast<float*>(workspace + plan.weight_at);
  sum_pieces<float>(
      plan, workspace, args.exec.threads,
      [&](int64_t task, int64_t begin, int64_t end, char* scratch, float* sums) {
        accumulate(plan, args, owned_by(plan, task), begin, end, scratch, sums);
      },
      [&](int64_t task, const float* sums) {
        store_sums(plan, owned_by(plan, task), sums, dweight);
      });
  const int64_t extent[5] = {plan.p.out_channels, plan.channels, plan.p.kernel[0], plan.p.kernel[1],
                             plan.p.kernel[2]};
  convert(args.weight, plan.p.w_stride, dweight, plan.weight_stride, extent, args.exec.threads);
}

}  // namespace
}  // namespace fastconv
