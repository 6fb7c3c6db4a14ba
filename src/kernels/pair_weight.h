// The gradient of the filters of bfloat16: direct_weight.h with pairs of pixels for pixels.
//
//   dweight[m, c, k] = round(sum over n, o of y[n, m, o] * x[n, c, o * stride - pad + k * dilation])
//   x (N, IC, spatial)   y (N, OC, out)   dweight (OC, IC / G, kernel), per group below
//
// The sums are stored as float32's are (store_weight.h), in a copy of all filters that a last pass
// rounds.
//
// Threads: as in direct_weight.h, a task owns a block of panels x channels for all taps, and
// positions are cut into pieces by the problem alone, whose sums are added in order.
#pragma once

#include "kernels/convert.h"
#include "kernels/pack_pixel_pairs.h"

namespace fastconv {
namespace {

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
  const int64_t channels = owned.channels;
  const Tiling tiling(channels);
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
    const int64_t calls = plan.taps * tiling.tiles * ceil_div(owned.outputs, kPanel<float>);
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
        tiling.for_each([&](int64_t begin, int64_t size) {
          kernels[size - 1](sum + begin * width, true, reinterpret_cast<const char*>(patch + begin),
                            distance, panel, steps, count, nullptr);
          next_x.fetch(x_share);
          next_y.fetch(y_share);
        });
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
