// Direct convolution with vectors along the output positions: of groups of few outputs, as the input
// gradient of a first layer (3) or LeNet's 6, where vectors along the outputs would be mostly empty
// (many groups on channels-last data have direct_groups.h); and of few products a sum on planar
// data, as a first layer, where transposing vectors of outputs would take as long as making them.
//
//   out[n, m, q] = activation(sum over c, taps t of in[n, c, q * step + offset(t)] *
//                             weight[m, c, t] + bias[m] + residual[n, m, q])
//
// Threads: a task owns a block of positions for all outputs of its group; the order of a sum
// is channels, then taps, whatever the blocking.
#pragma once

#include "kernels/positions_plan.h"
#include "simd/parallel_for.h"
#include "simd/partial.h"

namespace fastconv {
namespace {

// Filters of outputs [first, first + count) as [c][tap][output].
template <class T>
void pack_filters(const PositionsPlan<T>& plan, const Phase& phase, int64_t g, int64_t first,
                  int64_t count, T* to) {
  const Operands<T>& op = plan.op;
  const int64_t* stride = op.weight_stride;
  const auto kernel = [&](int i, int64_t tap) {
    return (phase.axis[i].first_kernel + tap * phase.axis[i].kernel_step) * stride[i + 2];
  };
  const T* from = op.weight + g * op.weight_group_stride + first * stride[0];
  for (int64_t c = 0; c < op.channels; ++c)
    for (int64_t kd = 0; kd < phase.axis[0].taps; ++kd)
      for (int64_t kh = 0; kh < phase.axis[1].taps; ++kh)
        for (int64_t kw = 0; kw < phase.axis[2].taps; ++kw)
          for (int64_t m = 0; m < count; ++m)
            *to++ =
                from[m * stride[0] + c * stride[1] + kernel(0, kd) + kernel(1, kh) + kernel(2, kw)];
}

template <class T>
void make_offsets(const PositionsPlan<T>& plan, const Phase& phase, const Axis* packed,
                  const PatchLayout& layout, int64_t* offsets) {
  for (int64_t c = 0; c < plan.op.channels; ++c)
    for (int64_t kd = 0; kd < phase.axis[0].taps; ++kd)
      for (int64_t kh = 0; kh < phase.axis[1].taps; ++kh)
        for (int64_t kw = 0; kw < phase.axis[2].taps; ++kw)
          *offsets++ = c * layout.plane + layout.tap_offset(packed, plan.whole_tap(phase, 0, kd),
                                                            plan.whole_tap(phase, 1, kh),
                                                            plan.whole_tap(phase, 2, kw));
}

// out[m, i] = activation(tile[m][i] + residual[m, i])
template <class T>
void store_positions(const T* tile, int64_t pitch, int64_t outputs, int64_t positions,
                     Strided<const T> residual, Strided<T> out, const Activation& activation) {
  for (int64_t m = 0; m < outputs; ++m) {
    const T* from = tile + m * pitch;
    const T* add = residual.data != nullptr ? residual.data + m * residual.channel : nullptr;
    T* to = out.data + m * out.channel;
    for (int64_t i = 0; i < positions; i += kLanes<T>) {
      const int64_t count = min(kLanes<T>, positions - i);
      Vec<T> x = load(from + i);
      if (add != nullptr)
        x += residual.position == 1
                 ? load_lanes(add + i, 0, count, T(0))
                 : load_spaced_lanes<Step::kAny, T>(add + i * residual.position, residual.position,
                                                    0, count, T(0));
      put_spaced(out, to + i * out.position, activate<T>(x, activation), count);
    }
  }
}

// One phase of a block, whose patch was packed for the axes `packed`.
template <class T>
void run_block(const PositionsPlan<T>& plan, const Phase& phase, const Axis* packed,
               const PatchLayout& layout, const Block& block, const T* weights, const T* patch,
               int64_t* offsets) {
  const Operands<T>& op = plan.op;
  make_offsets(plan, phase, packed, layout, offsets);
  const int64_t count = op.channels * phase.taps();
  const int64_t vecs = ceil_div(block.columns, kLanes<T>);
  const Strided<T> out = plan.out_row(phase, block, block.g * op.outputs, 0);
  const int64_t row_step = layout.row_offset(packed, 1);
  const int64_t out_row = op.out_stride[3] * phase.axis[1].out_step;
  const bool finishes =
      out.position == 1 && op.residual == nullptr && finishes_in_registers(op.activation.kind);
  const bool streams = out.streams && streams_tiles();
  // The sizes of chunks differ by one at most, and fewer outputs have all the tiles of more.
  const Tiling chunks(op.outputs, kMaxOutputs);
  const PositionsTable<T>& kernels = kPositionsKernels<T>;
  const Tiling columns(vecs, kernels.vecs[chunks.most() - 1]);
  const Tiling tall(block.rows, kernels.rows[chunks.most() - 1][columns.most() - 1]);
  alignas(64) T tile[kMaxOutputs * 8 * kLanes<T>];
  chunks.for_each([&](int64_t first, int64_t outputs) {
    const int64_t channel = block.g * op.outputs + first;
    const T* a = weights + phase.weight_offset + (block.g * op.outputs + first) * count;
    T bias[kMaxOutputs];
    op.copy_bias(bias, kMaxOutputs, channel, outputs);
    tall.for_each([&](int64_t row, int64_t rows) {
      const T* b = patch + row * row_step;
      columns.for_each([&](int64_t begin, int64_t width) {
        const int64_t at = begin * kLanes<T>;
        const int64_t positions = min(at + width * kLanes<T>, block.columns) - at;
        T* to = out.data + first * out.channel + row * out_row + at * out.position;
        const bool row_goes_on = begin + width < vecs;
        const T* next = row_goes_on ? to + width * kLanes<T> : to - at + rows * out_row;
        const PositionsFinish<T> finish = {finishes ? to : nullptr,
                                           out.channel,
                                           out_row,
                                           positions - (width - 1) * kLanes<T>,
                                           op.activation.kind == FASTCONV_RELU,
                                           streams,
                                           finishes && !streams ? next : nullptr};
        kernels.at[outputs - 1][width - 1][rows - 1](tile, finish, bias, a, b + at, row_step,
                                                     offsets, count);
        if (finishes) return;
        for (int64_t r = 0; r < rows; ++r) {
          Strided<const T> residual = plan.residual_row(phase, block, channel, row + r);
          if (residual.data != nullptr) residual.data += at * residual.position;
          store_positions(
              tile + r * width * kLanes<T>, rows * width * kLanes<T>, outputs, positions, residual,
              {to + r * out_row, out.channel, out.position, out.streams}, op.activation);
        }
      });
    });
  });
}

template <class T>
void run_positions(const ConvArgs<T>& args, bool backward) {
  if (across_groups(args, backward)) return run_groups(args, backward);
  const PositionsPlan<T> plan(args, backward);
  const Operands<T>& op = plan.op;
  char* workspace = static_cast<char*>(args.exec.workspace);
  Phase* phases = reinterpret_cast<Phase*>(workspace + plan.phase_at);
  T* weights = reinterpret_cast<T*>(workspace + plan.weight_at);
  plan.make_phases(phases, op.groups * op.outputs * op.channels);
  for (int64_t i = 0; i < plan.all_phases; ++i) {
    const int64_t count = op.channels * phases[i].taps();
    for (int64_t g = 0; g < op.groups; ++g) {
      Tiling(op.outputs, kMaxOutputs).for_each([&](int64_t first, int64_t outputs) {
        pack_filters(plan, phases[i], g, first, outputs,
                     weights + phases[i].weight_offset + (g * op.outputs + first) * count);
      });
    }
  }
  const int64_t patches = plan.shares_patch ? 1 : plan.all_phases;
  parallel_for(patches * plan.blocks, args.exec.threads, [&](int64_t task, int worker) {
    T* patch = reinterpret_cast<T*>(workspace + plan.worker_at +
                                    static_cast<size_t>(worker) * plan.worker_bytes);
    int64_t* offsets = reinterpret_cast<int64_t*>(patch + plan.patch_size);
    const Division of_patch = divide(task, plan.blocks);
    const Phase* own = phases + of_patch.quotient;
    const Phase& packed = plan.shares_patch ? plan.whole : *own;
    const Block all = plan.block(packed, of_patch.remainder);
    if (all.rows < 1) return;
    const PatchLayout layout(packed.axis, all.rows, all.columns, sizeof(T));
    plan.pack_block(packed, layout, all, patch);
    for (const Phase* end = own + plan.all_phases / patches; own != end; ++own) {
      const Block block = plan.block(*own, of_patch.remainder);
      if (block.rows > 0)
        run_block(plan, *own, packed.axis, layout, block, weights, patch, offsets);
    }
    if (plan.streams) end_stream();
  });
}

}  // namespace
}  // namespace fastconv
