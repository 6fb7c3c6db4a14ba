// direct_outputs.h on input whose channels are innermost (input_rows.h, rows_kernel.h).
#pragma once

#include "kernels/outputs_plan.h"

namespace fastconv {
namespace {

template <class T>
struct FromRows {
  // Units in which groups are counted: single k.
  static int64_t units(const OutputsPlan<T>& plan, const Phase& phase) {
    return phase.taps() * plan.op.channels;
  }

  // The end of the group that begins at `first`; groups are about as long as each other.
  static int64_t group_end(const OutputsPlan<T>& plan, const Phase& phase, int64_t first,
                           int64_t width, int64_t* k) {
    const int64_t all = units(plan, phase);
    const int64_t size = ceil_div(all, max(1, ceil_div(all * width, plan.group_size)));
    *k = min(size, all - first);
    return first + *k;
  }

  static void pack_weights(const OutputsPlan<T>& plan, const Phase& phase, int64_t g,
                           int64_t output, int64_t first, int64_t last, T* to) {
    const Operands<T>& op = plan.op;
    pack_row_weight(to, op.weight + g * op.weight_group_stride, op.weight_stride, phase.axis,
                    op.channels, op.outputs, output, first, last);
  }

  static RowsLayout layout(const OutputsPlan<T>& plan, const Phase& phase, const Block& block) {
    return RowsLayout(phase.axis, block.rows, block.columns, plan.op.channels);
  }

  static BlockInput<T> packed_input(const OutputsPlan<T>& plan, const Phase& phase,
                                    const Block& block, const T* patch) {
    const Operands<T>& op = plan.op;
    const Axis* axis = phase.axis;
    if (plan.in_place) {
      const auto at = [&](int i, int64_t q) {
        return (axis[i].first_offset + q * axis[i].step) * op.in_stride[i + 2];
      };
      const T* in = op.in + block.n * op.in_stride[0] + block.g * op.channels * op.in_stride[1];
      return {in + at(0, block.od) + at(1, block.oh) + at(2, block.ow),
              axis[1].step * op.in_stride[3], axis[2].step * op.in_stride[4], 1};
    }
    return {patch, axis[1].step * layout(plan, phase, block).row_pitch, axis[2].step * op.channels,
            1};
  }

  static BlockInput<T> pack_input(const OutputsPlan<T>& plan, const Phase& phase,
                                  const Block& block, T* patch) {
    const Operands<T>& op = plan.op;
    if (!plan.in_place)
      pack_rows(patch, layout(plan, phase, block), phase.axis,
                op.in + block.n * op.in_stride[0] + block.g * op.channels * op.in_stride[1],
                op.in_stride, op.channels, block.od, block.oh, block.ow);
    return packed_input(plan, phase, block, patch);
  }

  static int64_t make_steps(const OutputsPlan<T>& plan, const Phase& phase, const Block& block,
                            int64_t row, int64_t first, int64_t last, RowStep* steps) {
    return make_row_steps(layout(plan, phase, block), phase.axis, plan.op.channels, block.od,
                          block.oh + row, first, last, steps);
  }

  // A row of outputs from its first position on; those of other positions follow from it.
  static Finish<T> finish_row(const OutputsPlan<T>& plan, const Phase& phase, const Block& block,
                              int64_t first, int64_t row) {
    const int64_t channel = block.g * plan.op.outputs + first;
    const Strided<T> out = plan.out_row(phase, block, channel, row);
    const Strided<const T> residual = plan.residual_row(phase, block, channel, row);
    return {residual.data,
            out.data,
            residual.position,
            out.position,
            0,
            plan.op.activation.kind,
            out.streams && streams_tiles(),
            out.streams};
  }
  // `position` and `channel` further on.
  static Finish<T> finish_at(Finish<T> row, int64_t position, int64_t channel, int64_t outputs) {
    if (row.residual != nullptr) row.residual += position * row.residual_position + channel;
    row.out += position * row.out_position + channel;
    row.outputs = outputs;
    return row;
  }

  // tile[row][column][width] (+)= the sums over k in [first, last); or, after the last of them
  // where that is possible, finished outputs.
  static void multiply(const OutputsPlan<T>& plan, const Phase& phase, const Block& block,
                       const BlockInput<T>& input, const Panel<T>& panel, int64_t first,
                       int64_t last, void* scratch, T* tile) {
    RowStep* steps = static_cast<RowStep*>(scratch);
    const bool finishes = plan.to_rows && last == units(plan, phase);
    const RowsKernel<T>* kernels = kRowsKernels<T>.at[panel.width / kLanes<T> - 1];
    const Tiling tiling(block.columns);
    // A tile fetches a line for every k: of the filters to come, which take a line or two for every
    // k, then of the next tile's rows. 7x7 images, filters not in L2 (two threads of Cascade Lake):
    // 832 to 384 channels 0.180 -> 0.162 ms, 2048 to 512 0.65 -> 0.62 ms.
    const char* filters = reinterpret_cast<const char*>(panel.next);
    const int64_t bytes =
        filters == nullptr ? 0 : (last - first) * panel.width * int64_t{sizeof(T)};
    const char* const filters_end = filters + bytes;
    for (int64_t row = 0; row < block.rows; ++row) {
      const T* a = input.data + row * input.row;
      const int64_t count = make_steps(plan, phase, block, row, first, last, steps);
      const Finish<T> out = finish_row(plan, phase, block, panel.first, row);
      tiling.for_each([&](int64_t begin, int64_t size) {
        const Finish<T> finish = finish_at(out, begin, 0, panel.outputs);
        T* sums = tile + (row * block.columns + begin) * panel.width;
        const char* ahead = reinterpret_cast<const char*>(a + (begin + size) * input.column);
        const bool of_filters = filters < filters_end;
        if (of_filters) ahead = filters;
        ahead = kernels[size - 1](sums, first > 0 ? sums : panel.bias, first > 0 ? panel.width : 0,
                                  finishes ? &finish : nullptr, a + begin * input.column,
                                  input.column, panel.weight, steps, count, ahead);
        if (of_filters) filters = ahead;
      });
    }
  }

  // A block, tile by tile: each walks through the panels [begin, end), whose filters lie one
  // after the other from `weights` on, while the rows of the next tile are fetched.
  static void run_tiles(const OutputsPlan<T>& plan, const Phase& phase, const Block& block,
                        const BlockInput<T>& input, const T* weights, const T* bias_lanes,
                        int64_t begin_panel, int64_t end_panel, void* scratch) {
    RowStep* steps = static_cast<RowStep*>(scratch);
    const int64_t k = units(plan, phase);
    const Tiling tiling(block.columns);
    // Of a whole tile, for each panel.
    const int64_t share =
        divide(tiling.most() * input.column * int64_t{sizeof(T)}, plan.panels).quotient;
    for (int64_t row = 0; row < block.rows; ++row) {
      const T* a = input.data + row * input.row;
      const int64_t count = make_steps(plan, phase, block, row, 0, k, steps);
      const Finish<T> out = finish_row(plan, phase, block, 0, row);
      tiling.for_each([&](int64_t begin, int64_t size) {
        const int64_t next = begin + size;
        // Where the next tile begins, and an equal share of it for each panel.
        const char* ahead = reinterpret_cast<const char*>(
            next < block.columns ? a + next * input.column : a + input.row);
        for (int64_t index = begin_panel; index < end_panel; ++index) {
          const Panel<T> panel = panel_at(plan, block.g, index, bias_lanes);
          const Finish<T> finish = finish_at(out, begin, panel.first, panel.outputs);
          kRowsKernels<T>.at[panel.width / kLanes<T> - 1][size - 1](
              nullptr, panel.bias, 0, &finish, a + begin * input.column, input.column,
              weights + panel.first * k, steps, count, ahead + index * share);
        }
      });
    }
  }
};

}  // namespace
}  // namespace fastconv
