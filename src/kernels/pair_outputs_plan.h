// How the direct convolution of bfloat16 is cut up: direct_outputs.h's blocks, over pairs of channels.
#pragma once

#include "core/fingerprint.h"
#include "kernels/conv_blocks.h"
#include "kernels/pair_kernel.h"

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

}  // namespace
}  // namespace fastconv
