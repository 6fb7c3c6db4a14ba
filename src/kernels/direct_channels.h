// Direct convolution with vectors along the groups: depthwise (one input and one output
// channel a group) on channels-last data.
//
//   out[n, g, q] = activation(sum over taps t of in[n, g, q * step + offset(t)] * weight[g, t]
//                             + bias[g] + residual[n, g, q])
//
// Nothing is packed but the filters, as [tap][g]: neighbouring channels are neighbours in
// memory. depthwise_tile.h sums one tile of neighbouring positions in registers. This file walks
// the tiles so that an input is read from memory once, in order: row after row, and through
// all phases of a strided gradient before the next row. Taps outside the image are left out of
// the sum.
//
// Threads: a task owns a block of output rows of one image, in all phases. An element is summed
// in the order of its taps, wherever the blocks end.
#pragma once

#include "kernels/conv_blocks.h"
#include "kernels/depthwise_tile.h"
#include "simd/parallel_for.h"

namespace fastconv {
namespace {

// Input and output together from which on the output is streamed: with ordinary stores they
// would drive each other out of a cache of 32 MiB, of which a task finds half to be its own
// (8 x 56 x 56 x 192: 2.0 -> 1.1 ms; its input gradient with stride 2: 0.50 -> 0.34 ms).
constexpr int64_t kBothStreamBytes = int64_t{16} << 20;

template <class T>
bool along_channels(const Operands<T>& op) {
  return op.channels == 1 && op.outputs == 1 && op.in_stride[1] == 1 && op.out_stride[1] == 1 &&
         (op.residual == nullptr || op.residual_stride[1] == 1);
}

template <class T>
struct ChannelsPlan : Blocking<T> {
  using Blocking<T>::op;
  using Blocking<T>::phases;
  int64_t pitch;         // of a tap's filters
  int64_t run;           // taps of a segment
  int64_t positions;     // of a tile: 7 or 8
  int64_t block_groups;  // of a walk down the rows
  int64_t block_rows, row_tasks, depth_tasks, tasks;
  bool asks;  // for rows of the input ahead
  size_t phase_at, weight_at, bias_at, segment_at, total_bytes;

  ChannelsPlan(const ConvArgs<T>& args, bool is_backward) : Blocking<T>(args, is_backward) {
    constexpr int64_t item = sizeof(T), lanes = kLanes<T>;
    const int64_t* kernel = this->p.kernel;
    const Phase first = this->phase(0);
    const int64_t width = first.axis[2].out, height = first.axis[1].out;
    pitch = round_up(op.groups, lanes);
    run = segment_taps(kernel[2], is_backward, this->p.stride[2], this->p.dilation[2]);
    positions = ceil_div(width, 7) * 7 <= ceil_div(width, 8) * 8 ? 7 : 8;

    const int64_t taps = kernel[0] * kernel[1];
    // Few taps: whole rows, read as they lie in memory. Many, and the loads from L2 of every row
    // under a filter would take longer than the sums: channels whose rows stay in L1 (7x7 filters
    // on 8 x 56 x 56 x 96: 1.38 -> 1.23 ms; 3x3 in such blocks: 2.0 -> 2.6 ms).
    constexpr int64_t kManyTaps = 25, kBlockVecs = 4;
    block_groups = kernel[1] * kernel[2] >= kManyTaps ? kBlockVecs * lanes : pitch;
    const int64_t positions_in = first.axis[0].in * first.axis[1].in * first.axis[2].in;
    const int64_t positions_out = this->all_phases * first.axis[0].out * height * width;
    const int64_t bytes = op.n * op.groups * (positions_in + positions_out) * item;
    this->streams |= bytes >= kBothStreamBytes;
    asks = bytes >= kAskedBytes;

    depth_tasks = first.axis[0].out * phases[0];
    const int64_t outer = op.n * depth_tasks;
    // Four tasks a thread even out what other load does to the cores.
    row_tasks = clamp(ceil_div(4 * args.exec.threads, outer), 1, height);
    block_rows = ceil_div(height, row_tasks);
    row_tasks = ceil_div(height, block_rows);
    tasks = outer * row_tasks;

    Regions regions;
    phase_at = regions.reserve(this->all_phases * static_cast<int64_t>(sizeof(Phase)));
    weight_at = regions.reserve(pitch * taps * kernel[2] * item);
    bias_at = regions.reserve(pitch * item);
    segment_at = regions.end;
    total_bytes = segment_at + segment_bytes() * static_cast<size_t>(args.exec.threads);
  }
  // Of one worker's list of segments.
  size_t segment_bytes() const {
    return static_cast<size_t>(
        round_up(this->max_taps * static_cast<int64_t>(sizeof(Segment)), 64));
  }
};

// The taps of an axis from the lowest offset to the highest.
inline void ascend(Axis& axis) {
  if (axis.offset_step >= 0 || axis.taps == 0) return;
  axis.first_offset = axis.offset(axis.taps - 1);
  axis.first_kernel += (axis.taps - 1) * axis.kernel_step;
  axis.offset_step = -axis.offset_step;
  axis.kernel_step = -axis.kernel_step;
}

// The segments that a row of outputs reads inside the image, as offsets from its column 0.
template <class T>
int64_t list_segments(const ChannelsPlan<T>& plan, const Phase& phase, int64_t od, int64_t oh,
                      Segment* list) {
  const Axis* axis = phase.axis;
  const int64_t* stride = plan.op.in_stride;
  const int64_t run = segment_of(axis[2], plan.run);
  int64_t count = 0;
  for (int64_t kd = 0; kd < axis[0].taps; ++kd) {
    const int64_t id = od * axis[0].step + axis[0].offset(kd);
    if (id < 0 || id >= axis[0].in) continue;
    for (int64_t kh = 0; kh < axis[1].taps; ++kh) {
      const int64_t ih = oh * axis[1].step + axis[1].offset(kh);
      if (ih < 0 || ih >= axis[1].in) continue;
      for (int64_t kw = 0; kw < axis[2].taps; kw += run) {
        const int64_t tap = (kd * axis[1].taps + kh) * axis[2].taps + kw;
        const int64_t column = axis[2].offset(kw);
        list[count++] = {id * stride[2] + ih * stride[3] + column * stride[4], tap * plan.pitch,
                         column};
      }
    }
  }
  return count;
}

// One row of one phase, which asks for what the next row reads if `asks`.
template <class T>
void run_row(const ChannelsPlan<T>& plan, const Phase& phase, const Block& row, bool asks,
             Groups groups, const T* weights, const T* bias, Segment* list) {
  const Operands<T>& op = plan.op;
  const Axis& axis = phase.axis[2];
  if (row.od >= phase.axis[0].out || row.oh >= phase.axis[1].out) return;
  Tile<T> tile(op.activation);
  tile.segments = list;
  tile.count = list_segments(plan, phase, row.od, row.oh, list);
  tile.column = op.in_stride[4];
  tile.step = axis.step;
  tile.pitch = plan.pitch;
  tile.width = axis.in;
  tile.weight = weights + phase.weight_offset;
  tile.bias = bias;
  tile.groups = groups;
  tile.residual = plan.residual_row(phase, row, 0, 0);
  tile.out = plan.out_row(phase, row, 0, 0);
  // All vectors of a tile are aligned, or the tile is not streamed.
  tile.out.streams &= is_aligned(tile.out.data) && tile.out.position % kLanes<T> == 0;
  const T* in = op.in + row.n * op.in_stride[0];
  // Beyond the image: its successor, in all likelihood.
  const Axis& height = phase.axis[1];
  const int64_t below = row.oh * height.step + height.offset(height.taps - 1) + 1;
  if (asks)
    tile.ahead = {height.step, op.in_stride[3], op.in_stride[4], plan.positions * axis.step,
                  groups};
  for (int64_t ow = 0; ow < axis.out; ow += plan.positions) {
    tile.first = ow * axis.step;
    tile.in = in + tile.first * tile.column;
    tile.positions = min(plan.positions, axis.out - ow);
    tile.ahead.first = tile.in + below * op.in_stride[3];
    run_tile(tile, segment_of(axis, plan.run), plan.positions);
    tile.out.data += plan.positions * tile.out.position;
    if (tile.residual.data != nullptr)
      tile.residual.data += plan.positions * tile.residual.position;
  }
}

template <class T>
void run_channels_task(const ChannelsPlan<T>& plan, const Phase* list, int64_t task,
                       const T* weights, const T* bias, Segment* segments) {
  const Operands<T>& op = plan.op;
  const int64_t oh = task % plan.row_tasks * plan.block_rows;
  task /= plan.row_tasks;
  const int64_t depth = task % plan.depth_tasks, n = task / plan.depth_tasks;
  const int64_t of_depth = plan.phases[1] * plan.phases[2];
  const Phase* phases = list + depth % plan.phases[0] * of_depth;
  const int64_t od = depth / plan.phases[0];
  const int64_t end_row = min(oh + plan.block_rows, list[0].axis[1].out);
  for (int64_t g = 0; g < op.groups; g += plan.block_groups) {
    const Groups groups = {g, min(g + plan.block_groups, op.groups)};
    for (int64_t row = oh; row < end_row; ++row)
      for (int64_t i = 0; i < of_depth; ++i)
        run_row(plan, phases[i], {n, 0, od, row, 0, 1, 0}, plan.asks && i == 0, groups, weights,
                bias, segments);
  }
  if (plan.streams) end_stream();
}

// The filters of all phases as [tap][g].
template <class T, class Plan>
void pack_channels(const Plan& plan, Phase* phases, T* weights) {
  const Operands<T>& op = plan.op;
  plan.make_phases(phases, plan.pitch);
  for (int64_t i = 0; i < plan.all_phases; ++i) {
    Axis* axis = phases[i].axis;
    for (int j = 0; j < kSpatial; ++j) ascend(axis[j]);
    for (int64_t tap = 0; tap < phases[i].taps(); ++tap) {
      const int64_t index[kSpatial] = {tap / axis[2].taps / axis[1].taps,
                                       tap / axis[2].taps % axis[1].taps, tap % axis[2].taps};
      const T* from = op.weight;
      for (int j = 0; j < kSpatial; ++j)
        from += (axis[j].first_kernel + index[j] * axis[j].kernel_step) * op.weight_stride[j + 2];
      T* to = weights + phases[i].weight_offset + tap * plan.pitch;
      for (int64_t g = 0; g < plan.pitch; ++g)
        to[g] = g < op.groups ? from[g * op.weight_group_stride] : T(0);
    }
  }
}

template <class T>
void run_channels(const ConvArgs<T>& args, bool backward) {
  const ChannelsPlan<T> plan(args, backward);
  char* workspace = static_cast<char*>(args.exec.workspace);
  Phase* phases = reinterpret_cast<Phase*>(workspace + plan.phase_at);
  T* weights = reinterpret_cast<T*>(workspace + plan.weight_at);
  T* bias = reinterpret_cast<T*>(workspace + plan.bias_at);
  pack_channels(plan, phases, weights);
  plan.op.copy_bias(bias, plan.pitch, 0, plan.op.groups);
  parallel_for(plan.tasks, args.exec.threads, [&](int64_t task, int worker) {
    run_channels_task(
        plan, phases, task, weights, bias,
        reinterpret_cast<Segment*>(workspace + plan.segment_at +
                                   static_cast<size_t>(worker) * plan.segment_bytes()));
  });
}

}  // namespace
}  // namespace fastconv
