// The gradient of the filters by direct summation.
//
//   dweight[m, c, k] = sum over n, o of y[n, m, o] * x[n, c, o * stride - pad + k * dilation]
//   x (N, IC, spatial)   y (N, OC, out)   dweight (OC, IC / G, kernel), per group below
//
// A matrix product whose long dimension, the output positions, is summed away: the
// micro-kernel's k runs along the positions of a row, a step is a row. Both operands are
// packed channel by channel within a position: y in panels (the vector operand), x in blocks
// of channels (the broadcast operand). With channels innermost, neighbouring columns of the
// filter are neighbouring runs of the same patch, so (kw, c) is one dimension of the tile,
// and a first layer with its 3 channels still has 9 or 33 rows. With one tap and no padding x is
// such a patch already. Many small groups go to group_weight.h.
//
// Threads: a task owns a block of panels x channels for all taps. Where that gives too few
// tasks the positions are cut into pieces whose sums are added in order; how many is decided
// by the problem alone, and so are the bits.
#pragma once

#include "kernels/direct_weight_plan.h"
#include "kernels/fetch_ahead.h"
#include "kernels/pack_positions.h"
#include "kernels/store_weight.h"
#include "kernels/weight_pieces.h"

namespace fastconv {
namespace {

// patch[kd][row][column][c] of channels [0, count) from `x` on, zeros for padding.
template <class T>
void pack_x(const DirectWeightPlan<T>& plan, const PositionBlock& block, const T* x, int64_t count,
            T* patch) {
  const ConvParams& p = plan.p;
  const int64_t first_row = block.oh * p.stride[1] - p.pad_before[1];
  const int64_t first_column = block.ow * p.stride[2] - p.pad_before[2];
  const Reach height = plan.reach(1, block.rows), width = plan.reach(2, block.columns);
  for (int64_t kd = 0; kd < p.kernel[0]; ++kd) {
    const int64_t id = block.od * p.stride[0] - p.pad_before[0] + kd * p.dilation[0];
    for (int64_t row = 0; row < height.extent; ++row) {
      const int64_t ih = first_row + height.position(row);
      T* to = patch + kd * plan.slice_pitch + row * plan.row_pitch;
      if (id < 0 || id >= p.in[0] || ih < 0 || ih >= p.in[1]) {
        zero(to, width.extent * count);
        continue;
      }
      for (int64_t segment = 0; segment < width.segments; ++segment) {
        // Input column first + i for i in [0, length); those inside the image are [begin, end).
        const int64_t first = first_column + segment * width.segment_step;
        const int64_t length = width.segment_extent;
        const int64_t begin = min(max(0, -first), length);
        const int64_t end = max(begin, min(p.in[2] - first, length));
        zero(to, begin * count);
        pack_positions(
            to + begin * count, count,
            x + id * p.x_stride[2] + ih * p.x_stride[3] + (first + begin) * p.x_stride[4], count,
            p.x_stride[1], end - begin, p.x_stride[4]);
        zero(to + end * count, (length - end) * count);
        to += length * count;
      }
    }
  }
}

// panel[row][column][width], zeros beyond the last output channel.
template <class T>
void pack_y(const DirectWeightPlan<T>& plan, const PositionBlock& block, const T* y, int64_t count,
            int64_t width, T* panel) {
  const int64_t* stride = plan.p.y_stride;
  if (count < width) zero(panel, block.rows * block.columns * width);
  for (int64_t row = 0; row < block.rows; ++row)
    pack_positions(panel + row * block.columns * width, width, y + row * stride[3], count,
                   stride[1], block.columns, stride[4]);
}

// What a task owns: outputs from `output` and channels from `channel` on, of group g.
struct Owned {
  int64_t g, output, outputs, channel, channels;
};

template <class T>
Owned owned_by(const DirectWeightPlan<T>& plan, int64_t task) {
  Owned o;
  o.channel = task % plan.channel_blocks * plan.channel_block;
  task /= plan.channel_blocks;
  o.output = task % plan.panel_blocks * plan.panel_block * kPanel<T>;
  o.g = task / plan.panel_blocks;
  o.channels = min(plan.channel_block, plan.channels - o.channel);
  o.outputs = min(plan.panel_block * kPanel<T>, plan.outputs - o.output);
  return o;
}

// A block of one tensor with the channels of a task, to be fetched: a run for each channel where
// rows are dense, for each row where the channels of a position are, or for each position.
template <class T>
FetchAhead fetch_block(const T* from, const int64_t* stride, int64_t channels, int64_t rows,
                       int64_t columns) {
  constexpr int64_t item = sizeof(T);
  if (stride[4] == 1 || stride[1] != 1)
    return {from, channels, stride[1] * item, ((rows - 1) * stride[3] + columns) * item};
  if (stride[4] == channels) return {from, rows, stride[3] * item, columns * channels * item};
  if (rows > 1 && stride[3] != columns * stride[4]) return {};
  return {from, rows * columns, stride[4] * item, channels * item};
}

// Adds blocks [first, last) of positions to sums[panel][kd, kh][kw, c][width].
template <class T>
void accumulate(const DirectWeightPlan<T>& plan, const ConvArgs<T>& args, const Owned& owned,
                int64_t first, int64_t last, char* scratch, T* sums) {
  const ConvParams& p = plan.p;
  T* patch = reinterpret_cast<T*>(scratch);
  T* panel = patch + plan.patch_size;
  BatchStep* steps = reinterpret_cast<BatchStep*>(scratch + plan.worker_bytes) - plan.rows;
  zero(sums, plan.sum_size);
  // Dense columns of the filter are one run of the patch; dilated ones are taken one by one.
  const bool dense = p.dilation[2] == 1;
  const int64_t runs = dense ? 1 : p.kernel[2];
  const int64_t run_rows = (dense ? p.kernel[2] : 1) * owned.channels;
  for (int64_t index = first; index < last; ++index) {
    const PositionBlock block = block_at(plan, index);
    if (block.rows < 1 || block.columns < 1) continue;
    // Taps may be packed closer together than they are in the image.
    const int64_t row_step = plan.reach(1, block.rows).tap_step * plan.row_pitch;
    const int64_t column_step = plan.reach(2, block.columns).tap_step * owned.channels;
    const T* x = args.x + block.n * p.x_stride[0] +
                 (owned.g * plan.channels + owned.channel) * p.x_stride[1];
    const T* from = patch;
    int64_t row_pitch = plan.row_pitch, column_pitch = owned.channels;
    if (plan.in_place) {
      from = x + block.od * p.stride[0] * p.x_stride[2] + block.oh * p.stride[1] * p.x_stride[3] +
             block.ow * p.stride[2] * p.x_stride[4];
      row_pitch = p.x_stride[3];
      column_pitch = p.x_stride[4];
    } else {
      pack_x(plan, block, x, owned.channels, patch);
    }
    for (int64_t row = 0; row < block.rows; ++row)
      steps[row] = {row * p.stride[1] * row_pitch, block.columns};
    FetchAhead next_x, next_y;
    if (index + 1 < last) {
      const PositionBlock next = block_at(plan, index + 1);
      // Rows and columns of padding are fetched for nothing; memory before the tensor is not.
      const int64_t id = min(next.od * p.stride[0], p.in[0] - 1);
      const int64_t ih = min(next.oh * p.stride[1], p.in[1] - 1);
      const int64_t iw = min(next.ow * p.stride[2], p.in[2] - 1);
      next_x = fetch_block(args.x + next.n * p.x_stride[0] +
                               (owned.g * plan.channels + owned.channel) * p.x_stride[1] +
                               id * p.x_stride[2] + ih * p.x_stride[3] + iw * p.x_stride[4],
                           p.x_stride, owned.channels, min(next.rows * p.stride[1], p.in[1] - ih),
                           min(next.columns * p.stride[2], p.in[2] - iw));
      next_y = fetch_block(args.y + next.n * p.y_stride[0] +
                               (owned.g * plan.outputs + owned.output) * p.y_stride[1] +
                               next.od * p.y_stride[2] + next.oh * p.y_stride[3] +
                               next.ow * p.y_stride[4],
                           p.y_stride, owned.outputs, next.rows, next.columns);
    }
    const Tiling tiling(run_rows);
    const int64_t calls =
        plan.taps / (dense ? p.kernel[2] : 1) * tiling.tiles * ceil_div(owned.outputs, kPanel<T>);
    const int64_t positions = block.rows * block.columns;
    const bool long_x = next_x.has_runs_of(positions), long_y = next_y.has_runs_of(positions);
    const int64_t x_share = long_x ? 0 : ceil_div(next_x.lines(), calls);
    const int64_t y_share = long_y ? 0 : ceil_div(next_y.lines(), calls);
    T* sum = sums;
    for (int64_t m = 0; m < owned.outputs; m += kPanel<T>) {
      const int64_t width = panel_width(owned.outputs, m, kLanes<T>);
      const int64_t channel = owned.g * plan.outputs + owned.output + m;
      pack_y(plan, block,
             args.y + block.n * p.y_stride[0] + channel * p.y_stride[1] + block.od * p.y_stride[2] +
                 block.oh * p.y_stride[3] + block.ow * p.y_stride[4],
             min(width, owned.outputs - m), width, panel);
      const MicroKernel<T>* kernels = kMicroKernels<T>.at[width / kLanes<T> - 1];
      for (int64_t kd = 0; kd < p.kernel[0]; ++kd) {
        for (int64_t kh = 0; kh < p.kernel[1]; ++kh) {
          for (int64_t run = 0; run < runs; ++run) {
            const T* a = from + kd * plan.slice_pitch + kh * row_step + run * column_step;
            tiling.for_each([&](int64_t begin, int64_t size) {
              const void* ahead = panel;
              if (long_x && next_x.lines() > 0)
                ahead = next_x.take(positions);
              else if (long_y && next_y.lines() > 0)
                ahead = next_y.take(positions);
              kernels[size - 1](sum + begin * width, true, a + begin, p.stride[2] * column_pitch,
                                panel, steps, block.rows, ahead);
              next_x.fetch(x_share);
              next_y.fetch(y_share);
            });
            sum += run_rows * width;
          }
        }
      }
    }
  }
}

template <class T>
void store_sums(const DirectWeightPlan<T>& plan, const Owned& owned, const T* sums, T* dweight) {
  const int64_t* stride = plan.p.w_stride;
  for (int64_t m = 0; m < owned.outputs; m += kPanel<T>) {
    const int64_t width = panel_width(owned.outputs, m, kLanes<T>);
    store_weight(plan.p, sums, width, min(width, owned.outputs - m), owned.channels,
                 dweight + (owned.g * plan.outputs + owned.output + m) * stride[0] +
                     owned.channel * stride[1]);
    sums += plan.taps * owned.channels * width;
  }
}

template <class T>
void run_direct_weight(const ConvArgs<T>& args) {
  if (across_groups_weight(args)) return run_group_weight(args);
  const DirectWeightPlan<T> plan(args);
  sum_pieces<T>(
      plan, static_cast<char*>(args.exec.workspace), args.exec.threads,
      [&](int64_t task, int64_t begin, int64_t end, char* scratch, T* sums) {
        accumulate(plan, args, owned_by(plan, task), begin, end, scratch, sums);
      },
      [&](int64_t task, const T* sums) {
        store_sums(plan, owned_by(plan, task), sums, args.weight);
      });
}

}  // namespace
}  // namespace fastconv
