// Direct convolution of bfloat16 with vectors along the output channels: direct_outputs.h with
// pairs of channels in place of channels.
//
//   out[n, m, q] = round(activation(sum over taps t, pairs c of in[n, c, q * step + offset(t)] .
//                                   weight[m, c, t] + bias[m] + residual[n, m, q]))
//
// The patch holds, for every position, its pairs of channels side by side, an odd last channel
// beside a zero; channels that are innermost and even in number are such pairs already, and a
// filter of one tap reads them where they are. All filters are packed first. A sum is made by one
// task from its first pair to its last, taps of padding rows left out, in the order of rows of
// taps, columns, channels: neither the instruction set nor any blocking changes a bit of it.
//
// Threads: a task owns a block of positions for its range of panels.
#pragma once

#include "kernels/pack_pair_patch.h"
#include "kernels/store_bfloat16.h"
#include "simd/parallel_for.h"

namespace fastconv {
namespace {

// Outputs [first, first + outputs) of a group, padded to `width`, with their packed filters.
struct PairPanel {
  int64_t first, width, outputs;
  const uint32_t* weight;
  const float* bias;
};

// `count` outputs of a row from `column` on, in memory.
template <class Data>
Strided<Data> strided_row(const PairOutputsPlan& plan, Data* data, const int64_t* stride,
                          const Phase& phase, const Block& block, const PairPanel& panel,
                          int64_t row, int64_t column) {
  const int64_t channel = block.g * plan.op.outputs + panel.first;
  const int64_t position = stride[4] * phase.axis[2].out_step;
  return {data + plan.row_offset(phase, block, channel, row, stride) + column * position,
          plan.op.outputs == 1 ? 1 : stride[1], position, plan.streams};
}

inline void store_row(const PairOutputsPlan& plan, const Exec& exec, const Phase& phase,
                      const Block& block, const PairPanel& panel, int64_t row, int64_t column,
                      int64_t count, const float* tile) {
  const Operands<BFloat16>& op = plan.data;
  Strided<const BFloat16> residual = {nullptr, 0, 0};
  if (op.residual != nullptr)
    residual = strided_row(plan, op.residual, op.residual_stride, phase, block, panel, row, column);
  store_bfloat16(exec, tile, panel.width, panel.outputs, count, panel.bias, residual,
                 strided_row(plan, op.out, op.out_stride, phase, block, panel, row, column),
                 op.activation);
}

// A task's block under the panels [begin, end). Either each tile of positions walks through the
// panels, whose filters L2 holds, or each panel through all positions.
template <class PanelAt>
void multiply_block(const PairOutputsPlan& plan, const Exec& exec, const Phase& phase,
                    const Block& block, const PairInput& input, const PanelAt& panel_at,
                    int64_t begin, int64_t end, float* tile, RowStep* steps) {
  const int64_t k = phase.taps() * plan.op.channels;
  const Tiling tiling(block.columns);
  const RowsLayout layout = plan.layout(phase, block);
  const auto make_steps = [&](int64_t row) {
    return make_row_steps(layout, phase.axis, plan.op.channels, block.od, block.oh + row, 0, k,
                          steps);
  };
  // The sums of a tile of a row, while what lies at `ahead` is fetched.
  const auto sum_tile = [&](const PairPanel& panel, int64_t row, int64_t column, int64_t size,
                            int64_t count, const char* ahead, float* to) {
    const PairKernel* kernels = pair_kernels<Rows::kApart>(exec, panel.width / kLanes<float>);
    kernels[size - 1](to, false, input.data + row * input.row + column * input.column, input.column,
                      panel.weight, steps, count, ahead);
  };
  if (plan.tiles_outermost) {
    for (int64_t row = 0; row < block.rows; ++row) {
      const int64_t count = make_steps(row);
      const char* a = input.data + row * input.row;
      tiling.for_each([&](int64_t column, int64_t size) {
        const int64_t next = column + size;
        const char* ahead = next < block.columns ? a + next * input.column : a + input.row;
        const int64_t share = size * input.column / plan.panels;
        for (int64_t index = begin; index < end; ++index) {
          const PairPanel panel = panel_at(index);
          sum_tile(panel, row, column, size, count, ahead + index * share, tile);
          store_row(plan, exec, phase, block, panel, row, column, size, tile);
        }
      });
    }
    return;
  }
  for (int64_t index = begin; index < end; ++index) {
    const PairPanel panel = panel_at(index);
    for (int64_t row = 0; row < block.rows; ++row) {
      const int64_t count = make_steps(row);
      const char* a = input.data + row * input.row;
      tiling.for_each([&](int64_t column, int64_t size) {
        float* to = tile + (plan.to_rows ? 0 : column * panel.width);
        sum_tile(panel, row, column, size, count, a + (column + size) * input.column, to);
        if (plan.to_rows) store_row(plan, exec, phase, block, panel, row, column, size, to);
      });
      if (!plan.to_rows) store_row(plan, exec, phase, block, panel, row, 0, block.columns, tile);
    }
  }
}

inline void pack_pair_filters(const PairOutputsPlan& plan, const Phase* phases, uint32_t* to,
                              int threads) {
  const int64_t groups = plan.op.groups;
  parallel_for(plan.all_phases * groups * plan.panels, threads, [&](int64_t task, int) {
    const Phase& phase = phases[task / plan.panels / groups];
    const int64_t g = task / plan.panels % groups, first = task % plan.panels * kPairPanel;
    pack_pair_weight(plan, phase, g, first, to + plan.filters_at(phase, g, first));
  });
}

inline Phase* make_phases(const PairOutputsPlan& plan, char* workspace) {
  Phase* phases = reinterpret_cast<Phase*>(workspace + plan.phase_at);
  plan.make_phases(phases, plan.op.groups * plan.padded_outputs * plan.op.channels);
  return phases;
}

inline void run_pairs(const ConvArgs<BFloat16>& args, bool backward) {
  const PairOutputsPlan plan(args, backward);
  const Operands<BFloat16>& op = plan.data;
  char* workspace = static_cast<char*>(args.exec.workspace);
  const Phase* phases = make_phases(plan, workspace);
  float* bias = reinterpret_cast<float*>(workspace + plan.bias_at);
  for (int64_t g = 0; g < op.groups; ++g)
    for (int64_t m = 0; m < plan.padded_outputs; ++m) {
      const bool given = op.bias != nullptr && m < op.outputs;
      const BFloat16* from = given ? op.bias + (g * op.outputs + m) * op.bias_stride : nullptr;
      bias[g * plan.padded_outputs + m] = given ? load_widened(from, 1, 1)[0] : 0;
    }
  const uint32_t* weights = reinterpret_cast<const uint32_t*>(args.packed_weight);
  if (weights == nullptr) {
    uint32_t* packed = reinterpret_cast<uint32_t*>(workspace + plan.weight_at);
    pack_pair_filters(plan, phases, packed, args.exec.threads);
    weights = packed;
  }
  parallel_for(plan.all_phases * plan.blocks * plan.panel_chunks, args.exec.threads,
               [&](int64_t task, int worker) {
                 const int64_t chunk = task % plan.panel_chunks;
                 const int64_t index = task / plan.panel_chunks;
                 const Phase& phase = phases[index / plan.blocks];
                 const Block block = plan.block(phase, index % plan.blocks);
                 if (block.rows < 1) return;
                 char* scratch =
                     workspace + plan.worker_at + static_cast<size_t>(worker) * plan.worker_bytes;
                 uint32_t* patch = reinterpret_cast<uint32_t*>(scratch);
                 float* tile = reinterpret_cast<float*>(scratch) + plan.patch_size;
                 const PairInput input = pack_input(plan, phase, block, patch);
                 const auto panel_at = [&](int64_t i) -> PairPanel {
                   const int64_t first = i * kPairPanel;
                   const int64_t width = panel_width(op.outputs, first, kLanes<float>);
                   return {first, width, min(width, op.outputs - first),
                           weights + plan.filters_at(phase, block.g, first),
                           bias + block.g * plan.padded_outputs + first};
                 };
                 multiply_block(plan, args.exec, phase, block, input, panel_at,
                                plan.panels * chunk / plan.panel_chunks,
                                plan.panels * (chunk + 1) / plan.panel_chunks, tile,
                                reinterpret_cast<RowStep*>(tile + plan.tile_size));
                 if (plan.streams) end_stream();
               });
}

inline void pack_pairs_beforehand(const ConvArgs<BFloat16>& args, bool backward) {
  const PairOutputsPlan plan(args, backward);
  const Phase* phases = make_phases(plan, static_cast<char*>(args.exec.workspace));
  pack_pair_filters(plan, phases, reinterpret_cast<uint32_t*>(args.packed_weight),
                    args.exec.threads);
}

}  // namespace
}  // namespace fastconv
