// direct_outputs.h on planar patches: neighbouring positions are neighbours in memory for every
// tap, so rows of the broadcast operand are 1 apart. A step is 16 channels under one tap; taps
// change fastest, so that the lines of the patch which neighbouring taps share stay in L1.
#pragma once

#include "kernels/outputs_plan.h"

namespace fastconv {
namespace {

template <class T>
struct FromPlanar {
  // Units in which groups are counted: steps.
  static int64_t units(const OutputsPlan<T>& plan, const Phase& phase) {
    return phase.taps() * ceil_div(plan.op.channels, kChannelBlock);
  }

  // The end of the group that begins at `first`: as many steps as have their packed filters, *k
  // channels and taps in all, fit the group's share of a cache.
  static int64_t group_end(const OutputsPlan<T>& plan, const Phase& phase, int64_t first,
                           int64_t width, int64_t* k) {
    const int64_t count = units(plan, phase), blocks = plan.op.channels / kChannelBlock;
    const int64_t whole = phase.taps() * blocks, rest = plan.op.channels - blocks * kChannelBlock;
    int64_t end = first;
    for (*k = 0; end < count && *k * width < plan.group_size; ++end)
      *k += end < whole ? kChannelBlock : rest;
    return end;
  }

  static void pack_weights(const OutputsPlan<T>& plan, const Phase& phase, int64_t g,
                           int64_t output, int64_t first, int64_t last, T* to) {
    const Operands<T>& op = plan.op;
    pack_weight(to, op.weight + g * op.weight_group_stride, op.weight_stride, phase.axis,
                op.channels, op.outputs, output, first, last);
  }

  static BlockInput<T> view(const Phase& phase, const Block& block, const T* patch) {
    const PatchLayout layout(phase.axis, block.rows, block.columns, sizeof(T));
    return {patch, layout.row_offset(phase.axis, 1), 1, layout.plane};
  }

  static BlockInput<T> pack_input(const OutputsPlan<T>& plan, const Phase& phase,
                                  const Block& block, T* patch) {
    plan.pack_block(phase, PatchLayout(phase.axis, block.rows, block.columns, sizeof(T)), block,
                    patch);
    return view(phase, block, patch);
  }

  static BlockInput<T> packed_input(const OutputsPlan<T>&, const Phase& phase, const Block& block,
                                    const T* patch) {
    return view(phase, block, patch);
  }

  static void make_steps(const OutputsPlan<T>& plan, const Phase& phase, const Block& block,
                         int64_t first, int64_t last, BatchStep* steps) {
    const PatchLayout layout(phase.axis, block.rows, block.columns, sizeof(T));
    if (first == last) return;  // a phase may have no taps
    const Axis* axis = phase.axis;
    const Division of_block = divide(first, phase.taps());
    const Division of_row = divide(of_block.remainder, axis[2].taps);
    const Division of_slice = divide(of_row.quotient, axis[1].taps);
    int64_t kd = of_slice.quotient, kh = of_slice.remainder, kw = of_row.remainder;
    int64_t c = of_block.quotient * kChannelBlock;
    for (int64_t i = first; i < last; ++i) {
      *steps++ = {c * layout.plane + layout.tap_offset(axis, kd, kh, kw),
                  min(kChannelBlock, plan.op.channels - c)};
      if (++kw < axis[2].taps) continue;
      kw = 0;
      if (++kh < axis[1].taps) continue;
      kh = 0;
      if (++kd < axis[0].taps) continue;
      kd = 0;
      c += kChannelBlock;
    }
  }

  // tile[row][column][width] (+)= the sums over one group of steps; the first begin with the
  // biases, as those of FromRows do.
  static void multiply(const OutputsPlan<T>& plan, const Phase& phase, const Block& block,
                       const BlockInput<T>& input, const Panel<T>& panel, int64_t first,
                       int64_t last, void* scratch, T* tile) {
    BatchStep* steps = static_cast<BatchStep*>(scratch);
    make_steps(plan, phase, block, first, last, steps);
    const MicroKernel<T>* kernels = kMicroKernels<T>.at[panel.width / kLanes<T> - 1];
    const Tiling tiling(block.columns);
    for (int64_t row = 0; row < block.rows; ++row) {
      const T* a = input.data + row * input.row;
      tiling.for_each([&](int64_t begin, int64_t size) {
        T* sums = tile + (row * block.columns + begin) * panel.width;
        if (first == 0)
          for (int64_t i = 0; i < size * panel.width; i += panel.width)
            for (int64_t m = 0; m < panel.width; m += kLanes<T>)
              store(sums + i + m, load(panel.bias + m));
        kernels[size - 1](sums, true, a + begin, input.k, panel.weight, steps, last - first,
                          panel.weight);
      });
    }
  }
};

}  // namespace
}  // namespace fastconv
