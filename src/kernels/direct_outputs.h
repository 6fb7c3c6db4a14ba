// Direct convolution with vectors along the output channels.
//
// An implicit matrix product, positions x (taps, C) by (taps, C) x M: a block of output
// positions takes its input packed as a planar patch (pack_patch.h) and the filters packed
// in panels of outputs (pack_weight.h), and the micro-kernel (brgemm.h) sums over a list of
// steps, 16 channels under one tap each. Ragged image widths cost nothing: 7, 13 and 27
// columns are tiles of 7, 13, 14 + 13 rows.
//
// One operand is made resident and the other streamed. Many positions: all filters are
// packed once, and a task takes a block whose patch stays in L2. Few positions (7x7 images,
// a dense layer): all patches are packed once, and a task takes a panel of filters, packed
// piece by piece in L1, so that filters are read from memory once, never written back.
//
// Threads: a task owns its block of positions for its range of panels (resp. its panel for
// all positions). Every element is summed by one task in the order of the steps: the bits
// depend neither on the number of threads nor on the batch.
#pragma once

#include "kernels/conv_blocks.h"
#include "kernels/pack_weight.h"
#include "simd/parallel_for.h"

namespace fastconv {
namespace {

// b of one group of steps: with the lines of the patch under it, in 32 KiB of L1.
constexpr int64_t kGroupBytes = 24 << 10;
// Limits of the mode with resident patches, per worker and in all.
constexpr int64_t kResidentTileBytes = 256 << 10;
constexpr int64_t kResidentPatchBytes = 8 << 20;
// Below this many positions packing every filter for one use each would dominate.
constexpr int64_t kResidentPositions = 1024;

template <class T>
struct OutputsPlan : Blocking<T> {
  using Blocking<T>::op;
  using Blocking<T>::p;
  using Blocking<T>::rows;
  using Blocking<T>::columns;
  using Blocking<T>::blocks;
  using Blocking<T>::all_phases;
  using Blocking<T>::patch_size;
  bool patches_resident;
  int64_t panels, padded_outputs, panel_chunks;
  int64_t tile_size, group_size, group_weight;  // elements
  size_t phase_at, weight_at, patch_at, worker_at, worker_bytes, total_bytes;

  OutputsPlan(const ConvArgs<T>& args, bool is_backward) : Blocking<T>(args, is_backward) {
    constexpr int64_t item = sizeof(T);
    const int64_t threads = args.exec.threads;
    panels = ceil_div(op.outputs, kPanel<T>);
    padded_outputs =
        (panels - 1) * kPanel<T> + panel_width(op.outputs, (panels - 1) * kPanel<T>, kLanes<T>);
    group_size = kGroupBytes / item;
    // A group may end a step late.
    group_weight = round_up(group_size + kChannelBlock * kPanel<T>, 64);
    tile_size = round_up(rows * columns * kPanel<T>, 64);
    const int64_t own_blocks = blocks / op.groups;  // one task's, patches resident
    patches_resident = panels > 1 && own_blocks * rows * columns <= kResidentPositions &&
                       panels * op.groups * all_phases >= min(threads, 2) &&
                       own_blocks * tile_size * item <= kResidentTileBytes &&
                       all_phases * blocks * patch_size * item <= kResidentPatchBytes;
    panel_chunks = 1;
    if (!patches_resident && all_phases * blocks < 3 * threads)
      panel_chunks = min(panels, ceil_div(3 * threads, all_phases * blocks));

    const int64_t weight_size =
        op.groups * padded_outputs * op.channels * p.kernel[0] * p.kernel[1] * p.kernel[2];
    const int64_t steps = this->max_taps * ceil_div(op.channels, kChannelBlock);
    Regions regions;
    phase_at = regions.reserve(all_phases * static_cast<int64_t>(sizeof(Phase)));
    weight_at = regions.reserve(patches_resident ? 0 : weight_size * item);
    patch_at = regions.reserve(patches_resident ? all_phases * blocks * patch_size * item : 0);
    worker_at = regions.end;
    const int64_t operands =
        patches_resident ? own_blocks * tile_size + group_weight : patch_size + tile_size;
    worker_bytes =
        static_cast<size_t>(round_up((operands + kPanel<T>)*item, 64) +
                            round_up(steps * static_cast<int64_t>(sizeof(BatchStep)), 64));
    total_bytes = worker_at + worker_bytes * static_cast<size_t>(threads);
  }
};

// Steps [first, last) of the list: blocks of channels outermost, the taps of one after
// another within each.
template <class T>
void make_steps(const OutputsPlan<T>& plan, const Phase& phase, const PatchLayout& layout,
                int64_t first, int64_t last, BatchStep* steps) {
  const int64_t taps = phase.taps();
  for (int64_t i = first; i < last; ++i) {
    const int64_t c = i / taps * kChannelBlock, tap = i % taps;
    const int64_t kw = tap % phase.axis[2].taps, kh = tap / phase.axis[2].taps;
    *steps++ = {c * layout.plane + layout.tap_offset(phase.axis, kh / phase.axis[1].taps,
                                                     kh % phase.axis[1].taps, kw),
                min(kChannelBlock, plan.op.channels - c)};
  }
}

// The end of the group of steps that begins at `first`: as many as have their packed filters,
// *k channels and taps in all, fit the group's share of L1.
template <class T>
int64_t group_end(const OutputsPlan<T>& plan, const Phase& phase, int64_t first, int64_t width,
                  int64_t* k) {
  const int64_t taps = phase.taps(), count = taps * ceil_div(plan.op.channels, kChannelBlock);
  int64_t end = first;
  for (*k = 0; end < count && *k * width < plan.group_size; ++end)
    *k += min(kChannelBlock, plan.op.channels - end / taps * kChannelBlock);
  return end;
}

// tile[row][column][width] (+)= the sums over one group of steps.
template <class T>
void multiply(const Phase& phase, const PatchLayout& layout, const Block& block, const T* patch,
              const T* weight, int64_t width, const BatchStep* steps, int64_t count,
              bool accumulate, T* tile) {
  const MicroKernel<T>* kernels = kMicroKernels<T>.at[width / kLanes<T> - 1];
  const int64_t tiles = tile_count(block.columns);
  for (int64_t row = 0; row < block.rows; ++row) {
    const T* a = patch + layout.row_offset(phase.axis, row);
    for (int64_t i = 0; i < tiles; ++i) {
      const int64_t begin = tile_begin(block.columns, tiles, i);
      const int64_t size = tile_begin(block.columns, tiles, i + 1) - begin;
      kernels[size - 1](tile + (row * block.columns + begin) * width, accumulate, a + begin,
                        layout.plane, weight, steps, count);
    }
  }
}

template <class T>
void store_block(const OutputsPlan<T>& plan, const Phase& phase, const Block& block, int64_t first,
                 int64_t width, const T* tile, T* bias_lanes) {
  const int64_t outputs = min(width, plan.op.outputs - first);
  const int64_t channel = block.g * plan.op.outputs + first;
  plan.op.copy_bias(bias_lanes, width, channel, outputs);
  for (int64_t row = 0; row < block.rows; ++row)
    store_tile(tile + row * block.columns * width, width, outputs, block.columns, bias_lanes,
               plan.residual_row(phase, block, channel, row),
               plan.out_row(phase, block, channel, row), plan.op.activation);
  if (plan.streams) end_stream();
}

// Filters packed beforehand; a task packs the patch of one block and applies its share of
// the panels to it.
template <class T>
void run_blocks(const OutputsPlan<T>& plan, const Phase* phases, T* weights, char* workers,
                int threads) {
  const Operands<T>& op = plan.op;
  parallel_for(plan.all_phases * op.groups * plan.panels, threads, [&](int64_t task, int) {
    const Phase& phase = phases[task / plan.panels / op.groups];
    const int64_t g = task / plan.panels % op.groups, first = task % plan.panels * kPanel<T>;
    const int64_t k = phase.taps() * op.channels;
    T* to = weights + phase.weight_offset + (g * plan.padded_outputs + first) * k;
    pack_weight(to, op.weight + g * op.weight_group_stride, op.weight_stride, phase.axis,
                op.channels, op.outputs, first, 0,
                phase.taps() * ceil_div(op.channels, kChannelBlock));
  });
  parallel_for(
      plan.all_phases * plan.blocks * plan.panel_chunks, threads, [&](int64_t task, int worker) {
        const int64_t chunk = task % plan.panel_chunks;
        const int64_t index = task / plan.panel_chunks;
        const Phase& phase = phases[index / plan.blocks];
        const Block block = plan.block(phase, index % plan.blocks);
        if (block.rows < 1) return;
        const PatchLayout layout(phase.axis, block.rows, block.columns, sizeof(T));
        T* patch = reinterpret_cast<T*>(workers + static_cast<size_t>(worker) * plan.worker_bytes);
        T* tile = patch + plan.patch_size;
        T* bias_lanes = tile + plan.tile_size;
        BatchStep* steps = reinterpret_cast<BatchStep*>(bias_lanes + kPanel<T>);
        plan.pack_block(phase, layout, block, patch);
        const int64_t count = phase.taps() * ceil_div(op.channels, kChannelBlock);
        make_steps(plan, phase, layout, 0, count, steps);
        const int64_t k = phase.taps() * op.channels;
        const int64_t begin = plan.panels * chunk / plan.panel_chunks;
        const int64_t end = plan.panels * (chunk + 1) / plan.panel_chunks;
        for (int64_t panel = begin; panel < end; ++panel) {
          const int64_t first = panel * kPanel<T>;
          const int64_t width = panel_width(op.outputs, first, kLanes<T>);
          const T* weight =
              weights + phase.weight_offset + (block.g * plan.padded_outputs + first) * k;
          int64_t step = 0;
          do {  // at least once: an empty sum is 0
            int64_t group_k;
            const int64_t next = group_end(plan, phase, step, width, &group_k);
            multiply(phase, layout, block, patch, weight, width, steps + step, next - step,
                     step > 0, tile);
            weight += group_k * width;
            step = next;
          } while (step < count);
          store_block(plan, phase, block, first, width, tile, bias_lanes);
        }
      });
}

// Patches packed beforehand; a task packs one panel of filters, group by group, and applies
// it to every block of its group.
template <class T>
void run_panels(const OutputsPlan<T>& plan, const Phase* phases, T* patches, char* workers,
                int threads) {
  const Operands<T>& op = plan.op;
  const auto patch_of = [&](int64_t phase, int64_t block) {
    return patches + (phase * plan.blocks + block) * plan.patch_size;
  };
  parallel_for(plan.all_phases * plan.blocks, threads, [&](int64_t task, int) {
    const Phase& phase = phases[task / plan.blocks];
    const Block block = plan.block(phase, task % plan.blocks);
    if (block.rows < 1) return;
    const PatchLayout layout(phase.axis, block.rows, block.columns, sizeof(T));
    plan.pack_block(phase, layout, block, patch_of(task / plan.blocks, task % plan.blocks));
  });
  parallel_for(plan.all_phases * op.groups * plan.panels, threads, [&](int64_t task, int worker) {
    const int64_t phase_index = task / plan.panels / op.groups;
    const Phase& phase = phases[phase_index];
    const int64_t g = task / plan.panels % op.groups, first = task % plan.panels * kPanel<T>;
    const int64_t width = panel_width(op.outputs, first, kLanes<T>);
    T* tiles = reinterpret_cast<T*>(workers + static_cast<size_t>(worker) * plan.worker_bytes);
    T* weight = tiles + plan.blocks / op.groups * plan.tile_size;
    T* bias_lanes = weight + plan.group_weight;
    BatchStep* steps = reinterpret_cast<BatchStep*>(bias_lanes + kPanel<T>);
    // Visits the blocks of this group that have positions, each with its place in `tiles`.
    const auto for_each_block = [&](const auto& visit) {
      T* tile = tiles;
      for (int64_t n = 0; n < op.n; ++n) {
        for (int64_t i = 0; i < plan.blocks_per_image(); ++i) {
          const int64_t index = (n * op.groups + g) * plan.blocks_per_image() + i;
          const Block block = plan.block(phase, index);
          if (block.rows < 1) continue;
          visit(block, patch_of(phase_index, index), tile);
          tile += plan.tile_size;
        }
      }
    };
    int64_t step = 0;
    const int64_t count = phase.taps() * ceil_div(op.channels, kChannelBlock);
    do {
      int64_t k;
      const int64_t next = group_end(plan, phase, step, width, &k);
      pack_weight(weight, op.weight + g * op.weight_group_stride, op.weight_stride, phase.axis,
                  op.channels, op.outputs, first, step, next);
      int64_t rows = 0, columns = 0;  // of the block that the steps were made for
      for_each_block([&](const Block& block, const T* patch, T* tile) {
        const PatchLayout layout(phase.axis, block.rows, block.columns, sizeof(T));
        if (block.rows != rows || block.columns != columns)
          make_steps(plan, phase, layout, step, next, steps);
        rows = block.rows;
        columns = block.columns;
        multiply(phase, layout, block, patch, weight, width, steps, next - step, step > 0, tile);
      });
      step = next;
    } while (step < count);
    for_each_block([&](const Block& block, const T*, T* tile) {
      store_block(plan, phase, block, first, width, tile, bias_lanes);
    });
  });
}

template <class T>
void run_outputs(const ConvArgs<T>& args, bool backward) {
  const OutputsPlan<T> plan(args, backward);
  char* workspace = static_cast<char*>(args.exec.workspace);
  Phase* phases = reinterpret_cast<Phase*>(workspace + plan.phase_at);
  plan.make_phases(phases, plan.op.groups * plan.padded_outputs * plan.op.channels);
  char* workers = workspace + plan.worker_at;
  if (plan.patches_resident)
    run_panels(plan, phases, reinterpret_cast<T*>(workspace + plan.patch_at), workers,
               args.exec.threads);
  else
    run_blocks(plan, phases, reinterpret_cast<T*>(workspace + plan.weight_at), workers,
               args.exec.threads);
}

}  // namespace
}  // namespace fastconv
