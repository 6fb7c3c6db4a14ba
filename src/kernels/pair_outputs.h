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

#include "core/fingerprint.h"
#include "kernels/conv_blocks.h"
#include "kernels/input_rows.h"
#include "kernels/pack_pairs.h"
#include "kernels/pair_kernel.h"
#include "kernels/store_bfloat16.h"
#include "simd/parallel_for.h"

namespace fastconv {
namespace {

// All filters of a group that every tile of positions walks through, in L2.
constexpr int64_t kPairTileOuterBytes = 384 << 10;

constexpr int64_t kPairPanel = kPanel<float>;

// The problem over pairs of channels: what Blocking divides. Its pointers are not looked at.
struct PairView {
  ConvParams p;
  ConvArgs<float> args = {};
  PairView(const ConvArgs<BFloat16>& of, bool backward) : p(*of.params) {
    int64_t& channels = backward ? p.out_channels : p.in_channels;
    channels = p.groups * ceil_div(channels / p.groups, 2);
    args.params = &p;
    args.exec = of.exec;
  }
};

struct PairOutputsPlan : Blocking<float> {
  Operands<BFloat16> data;  // what `op` describes, with its channels unpaired
  int64_t panels, padded_outputs, panel_chunks;
  bool in_place, tiles_outermost;
  bool to_rows;       // the channels of an output position are adjacent
  int64_t tile_size;  // elements
  size_t phase_at, bias_at, weight_at, worker_at, worker_bytes, total_bytes;

  PairOutputsPlan(const ConvArgs<BFloat16>& args, bool is_backward)
      : PairOutputsPlan(args, is_backward, PairView(args, is_backward)) {}

  // Bytes of all filters packed.
  int64_t filters_size() const {
    return op.groups * padded_outputs * op.channels * p.kernel[0] * p.kernel[1] * p.kernel[2] *
           int64_t{sizeof(uint32_t)};
  }
  int64_t filters_at(const Phase& phase, int64_t g, int64_t first) const {
    return phase.weight_offset + (g * padded_outputs + first) * phase.taps() * op.channels;
  }
  uint64_t filter_form() const {
    Fingerprint form;
    form.add_all(
        {kPairs, kPairPanel, kLanes<float>, op.groups, data.channels, op.outputs, backward});
    for (int i = 0; i < kSpatial; ++i) {
      if (p.kernel[i] == 1 && phases[i] == 1) continue;
      for (int64_t f = 0; f < phases[i]; ++f) {
        const Axis at = axis(i, f);
        form.add_all({at.taps, at.first_kernel, at.kernel_step, at.offset_step < 0});
      }
    }
    return form.value;
  }
  RowsLayout layout(const Phase& phase, const Block& block) const {
    return RowsLayout(phase.axis, block.rows, block.columns, op.channels);
  }

 private:
  PairOutputsPlan(const ConvArgs<BFloat16>& args, bool is_backward, const PairView& view)
      : Blocking<float>(view.args, is_backward, kPairPanel * int64_t{sizeof(float)}),
        data(is_backward ? backward_operands(args, p) : forward_operands(args, p)) {
    const int64_t channels =
        (is_backward ? args.params->out_channels : args.params->in_channels) / p.groups;
    data.channels = channels;
    data.weight_group_stride = (is_backward ? channels : data.outputs) * p.w_stride[0];
    panels = ceil_div(op.outputs, kPairPanel);
    padded_outputs = (panels - 1) * kPairPanel +
                     panel_width(op.outputs, (panels - 1) * kPairPanel, kLanes<float>);
    in_place = channels % 2 == 0 && data.in_stride[1] == 1;
    for (int i = 0; i < kSpatial; ++i)
      for (int64_t f = 0; f < phases[i]; ++f) in_place &= reads_in_place(axis(i, f));
    if (in_place) patch_size = 0;
    const int64_t most_pairs = max_taps * op.channels;
    to_rows = data.out_stride[1] == 1 || op.outputs == 1;
    tiles_outermost =
        to_rows && most_pairs * padded_outputs * int64_t{sizeof(uint32_t)} <= kPairTileOuterBytes;
    // Other outputs are transposed, whose blocks want more positions than a tile has.
    tile_size = round_up((to_rows ? kMaxRows : columns) * kPairPanel, 64);
    panel_chunks = 1;
    const int64_t threads = args.exec.threads;
    if (all_phases * blocks < 3 * threads)
      panel_chunks = min(panels, ceil_div(3 * threads, all_phases * blocks));
    Regions regions;
    phase_at = regions.reserve(all_phases * static_cast<int64_t>(sizeof(Phase)));
    bias_at = regions.reserve(op.groups * padded_outputs * int64_t{sizeof(float)});
    weight_at = regions.reserve(args.packed_weight != nullptr ? 0 : filters_size());
    worker_at = regions.end;
    worker_bytes =
        static_cast<size_t>(round_up((patch_size + tile_size) * int64_t{sizeof(float)}, 64) +
                            round_up((max_taps + 1) * static_cast<int64_t>(sizeof(RowStep)), 64));
    total_bytes = worker_at + worker_bytes * static_cast<size_t>(threads);
  }
};

// Filters in the order of k: to[pair][width] of all taps, for the panel that begins at `output`.
inline void pack_pair_weight(const PairOutputsPlan& plan, const Phase& phase, int64_t g,
                             int64_t output, uint32_t* to) {
  const Operands<BFloat16>& op = plan.data;
  const Axis* axis = phase.axis;
  const int64_t* stride = op.weight_stride;
  const int64_t width = panel_width(op.outputs, output, kLanes<float>);
  const int64_t count = min(width, op.outputs - output);
  if (count < width) zero_pairs(to, phase.taps() * plan.op.channels * width);
  const auto kernel = [&](int i, int64_t rank) {
    const int64_t tap = i > 0 && axis[i].offset_step < 0 ? axis[i].taps - 1 - rank : rank;
    return (axis[i].first_kernel + tap * axis[i].kernel_step) * stride[i + 2];
  };
  const PairStrides pairs = {2 * stride[1], stride[0], stride[1]};
  const BFloat16* weight = op.weight + g * op.weight_group_stride + output * stride[0];
  for (int64_t kd = 0; kd < axis[0].taps; ++kd)
    for (int64_t kh = 0; kh < axis[1].taps; ++kh)
      for (int64_t kw = 0; kw < axis[2].taps; ++kw) {
        const BFloat16* from = weight + kernel(0, kd) + kernel(1, kh) + kernel(2, kw);
        const int64_t whole = op.channels / 2;
        pack_pairs<true>(to, width, from, pairs, whole, count);
        if (op.channels % 2 == 1)
          pack_pairs<false>(to + whole * width, width, from + whole * pairs.row, pairs, 1, count);
        to += plan.op.channels * width;
      }
}

// Positions [0, count) of a row, `step` apart in memory: to[position][pair].
inline void pack_channel_pairs(uint32_t* to, const BFloat16* from, int64_t channels,
                               int64_t channel_stride, int64_t count, int64_t step) {
  const int64_t pairs = ceil_div(channels, 2), whole = channels / 2;
  const PairStrides stride = {step, 2 * channel_stride, channel_stride};
  pack_pairs<true>(to, pairs, from, stride, count, whole);
  if (channels % 2 == 1)
    pack_pairs<false>(to + whole, pairs, from + whole * stride.column, stride, count, 1);
}

// pack_rows() of input_rows.h, in pairs.
inline void pack_pair_rows(uint32_t* patch, const RowsLayout& layout, const Axis* axis,
                           const BFloat16* in, const int64_t* in_stride, int64_t channels,
                           const Block& block) {
  const int64_t first_row = block.oh * axis[1].step + axis[1].lowest();
  const int64_t first_column = block.ow * axis[2].step + axis[2].lowest();
  const int64_t pairs = ceil_div(channels, 2);
  const Reach& width = layout.width;
  for (int64_t kd = 0; kd < axis[0].taps; ++kd) {
    const int64_t id = block.od * axis[0].step + axis[0].offset(kd);
    for (int64_t row = 0; row < layout.height.extent; ++row) {
      const int64_t ih = first_row + layout.height.position(row);
      uint32_t* to = patch + kd * layout.slice_pitch + row * layout.row_pitch;
      if (id < 0 || id >= axis[0].in || ih < 0 || ih >= axis[1].in) continue;  // nobody reads it
      const BFloat16* from = in + id * in_stride[2] + ih * in_stride[3];
      for (int64_t segment = 0; segment < width.segments; ++segment) {
        // Input column first + i for i in [0, length); those inside the image are [begin, end).
        const int64_t first = first_column + segment * width.segment_step;
        const int64_t length = width.segment_extent;
        const int64_t begin = min(max(0, -first), length);
        const int64_t end = max(begin, min(axis[2].in - first, length));
        zero_pairs(to, begin * pairs);
        pack_channel_pairs(to + begin * pairs, from + (first + begin) * in_stride[4], channels,
                           in_stride[1], end - begin, in_stride[4]);
        zero_pairs(to + end * pairs, (length - end) * pairs);
        to += length * pairs;
      }
    }
  }
}

// What a block reads: output (row, column) begins at data + row * row + column * column, bytes.
struct PairInput {
  const char* data;
  int64_t row, column;
};

inline PairInput pack_input(const PairOutputsPlan& plan, const Phase& phase, const Block& block,
                            uint32_t* patch) {
  const Operands<BFloat16>& op = plan.data;
  const Axis* axis = phase.axis;
  const BFloat16* in = op.in + block.n * op.in_stride[0] + block.g * op.channels * op.in_stride[1];
  if (plan.in_place) {
    constexpr int64_t item = sizeof(BFloat16);
    const auto at = [&](int i, int64_t q) {
      return (axis[i].first_offset + q * axis[i].step) * op.in_stride[i + 2];
    };
    return {reinterpret_cast<const char*>(in + at(0, block.od) + at(1, block.oh) + at(2, block.ow)),
            axis[1].step * op.in_stride[3] * item, axis[2].step * op.in_stride[4] * item};
  }
  constexpr int64_t item = sizeof(uint32_t);
  const RowsLayout layout = plan.layout(phase, block);
  pack_pair_rows(patch, layout, axis, in, op.in_stride, op.channels, block);
  return {reinterpret_cast<const char*>(patch), axis[1].step * layout.row_pitch * item,
          axis[2].step * plan.op.channels * item};
}

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
  const int64_t k = phase.taps() * plan.op.channels, tiles = tile_count(block.columns);
  const RowsLayout layout = plan.layout(phase, block);
  const auto make_steps = [&](int64_t row) {
    return make_row_steps(layout, phase.axis, plan.op.channels, block.od, block.oh + row, 0, k,
                          steps);
  };
  const auto first_of = [&](int64_t i) { return tile_begin(block.columns, tiles, i); };
  // The sums of tile i of a row, while what lies at `ahead` is fetched.
  const auto sum_tile = [&](const PairPanel& panel, int64_t row, int64_t i, int64_t count,
                            const char* ahead, float* to) {
    const PairKernel* kernels = pair_kernels<Rows::kApart>(exec, panel.width / kLanes<float>);
    kernels[first_of(i + 1) - first_of(i) - 1](
        to, false, input.data + row * input.row + first_of(i) * input.column, input.column,
        panel.weight, steps, count, ahead);
  };
  if (plan.tiles_outermost) {
    for (int64_t row = 0; row < block.rows; ++row) {
      const int64_t count = make_steps(row);
      const char* a = input.data + row * input.row;
      for (int64_t i = 0; i < tiles; ++i) {
        const int64_t column = first_of(i), next = first_of(i + 1);
        const char* ahead = i + 1 < tiles ? a + next * input.column : a + input.row;
        const int64_t share = (next - column) * input.column / plan.panels;
        for (int64_t index = begin; index < end; ++index) {
          const PairPanel panel = panel_at(index);
          sum_tile(panel, row, i, count, ahead + index * share, tile);
          store_row(plan, exec, phase, block, panel, row, column, next - column, tile);
        }
      }
    }
    return;
  }
  for (int64_t index = begin; index < end; ++index) {
    const PairPanel panel = panel_at(index);
    for (int64_t row = 0; row < block.rows; ++row) {
      const int64_t count = make_steps(row);
      const char* a = input.data + row * input.row;
      for (int64_t i = 0; i < tiles; ++i) {
        float* to = tile + (plan.to_rows ? 0 : first_of(i) * panel.width);
        sum_tile(panel, row, i, count, a + first_of(i + 1) * input.column, to);
        if (plan.to_rows)
          store_row(plan, exec, phase, block, panel, row, first_of(i),
                    first_of(i + 1) - first_of(i), to);
      }
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
