// Direct convolution with vectors along the output channels.
//
// An implicit matrix product, positions x (taps, C) by (taps, C) x M: a block of output
// positions takes its input as the micro-kernel wants it, planar (outputs_planar.h) or with the
// channels innermost (outputs_rows.h, where a 1x1 convolution needs no copy), and the filters
// packed in panels of outputs, and the micro-kernel sums over a list of steps. Ragged image
// widths cost nothing: 7, 13 and 27 columns are tiles of 7, 13, 14 + 13 rows.
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

#include "kernels/outputs_planar.h"
#include "kernels/outputs_rows.h"
#include "simd/parallel_for.h"

namespace fastconv {
namespace {

// The filters of all phases and groups.
template <class From, class T>
void pack_panels(const OutputsPlan<T>& plan, const Phase* phases, T* weights, int threads) {
  const int64_t groups = plan.op.groups;
  parallel_for(plan.all_phases * groups * plan.panels, threads, [&](int64_t task, int) {
    const Division of_panel = divide(task, plan.panels),
                   of_phase = divide(of_panel.quotient, groups);
    const Phase& phase = phases[of_phase.quotient];
    const int64_t g = of_phase.remainder, first = of_panel.remainder * kPanel<T>;
    From::pack_weights(plan, phase, g, first, 0, From::units(plan, phase),
                       weights + plan.filters_at(phase, g, first));
  });
}

// Filters packed beforehand; a task makes the patch of one block and applies its share of the
// panels to it.
template <class From, class T>
void run_blocks(const OutputsPlan<T>& plan, const Phase* phases, const T* bias_lanes,
                const T* weights, char* workers, int threads) {
  parallel_for(
      plan.all_phases * plan.blocks * plan.panel_chunks, threads, [&](int64_t task, int worker) {
        const Division of_chunk = divide(task, plan.panel_chunks);
        const Division of_phase = divide(of_chunk.quotient, plan.blocks);
        const Phase& phase = phases[of_phase.quotient];
        const Block block = plan.block(phase, of_phase.remainder);
        if (block.rows < 1) return;
        T* patch = reinterpret_cast<T*>(workers + static_cast<size_t>(worker) * plan.worker_bytes);
        T* tile = patch + plan.patch_size;
        void* steps = tile + plan.tile_size;
        const BlockInput<T> input = From::pack_input(plan, phase, block, patch);
        const auto chunk_at = [&](int64_t chunk) {
          return divide(plan.panels * chunk, plan.panel_chunks).quotient;
        };
        const int64_t begin = chunk_at(of_chunk.remainder);
        const int64_t end = chunk_at(of_chunk.remainder + 1);
        const int64_t units = From::units(plan, phase);
        if (plan.tiles_outermost) {
          FromRows<T>::run_tiles(plan, phase, block, input,
                                 weights + plan.filters_at(phase, block.g, 0), bias_lanes, begin,
                                 end, steps);
        } else {
          for (int64_t i = begin; i < end; ++i) {
            Panel<T> panel = panel_at(plan, block.g, i, bias_lanes);
            panel.weight = weights + plan.filters_at(phase, block.g, panel.first);
            int64_t unit = 0;
            do {  // at least once: an empty sum is 0
              int64_t k;
              const int64_t next = From::group_end(plan, phase, unit, panel.width, &k);
              // With the first panel the block's own rows come, for all panels.
              if (i > begin) panel.next = panel.weight + k * panel.width;
              From::multiply(plan, phase, block, input, panel, unit, next, steps, tile);
              panel.weight += k * panel.width;
              unit = next;
            } while (unit < units);
            if (!plan.to_rows) store_block(plan, phase, block, panel, tile);
          }
        }
        if (plan.streams) end_stream();
      });
}

// Patches made beforehand; a task packs one panel of filters, group by group, and applies it to
// every block of its group. `weights` has all panels packed already, or is null.
template <class From, class T>
void run_panels(const OutputsPlan<T>& plan, const Phase* phases, const T* bias_lanes, T* patches,
                const T* weights, char* workers, int threads) {
  const Operands<T>& op = plan.op;
  const auto patch_of = [&](int64_t phase, int64_t block) {
    return patches + (phase * plan.blocks + block) * plan.patch_size;
  };
  if (!plan.in_place)
    parallel_for(plan.all_phases * plan.blocks, threads, [&](int64_t task, int) {
      const Phase& phase = phases[task / plan.blocks];
      const Block block = plan.block(phase, task % plan.blocks);
      if (block.rows < 1) return;
      From::pack_input(plan, phase, block, patch_of(task / plan.blocks, task % plan.blocks));
    });
  parallel_for(plan.all_phases * op.groups * plan.panels, threads, [&](int64_t task, int worker) {
    const int64_t phase_index = task / plan.panels / op.groups;
    const Phase& phase = phases[phase_index];
    const int64_t g = task / plan.panels % op.groups;
    T* tiles = reinterpret_cast<T*>(workers + static_cast<size_t>(worker) * plan.worker_bytes);
    T* own = tiles + plan.blocks / op.groups * plan.tile_size;
    void* steps = own + plan.group_weight;
    Panel<T> panel = panel_at(plan, g, task % plan.panels, bias_lanes);
    panel.weight = weights != nullptr ? weights + plan.filters_at(phase, g, panel.first) : own;
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
    const int64_t units = From::units(plan, phase);
    int64_t unit = 0;
    do {
      int64_t k;
      const int64_t next = From::group_end(plan, phase, unit, panel.width, &k);
      if (weights == nullptr)
        From::pack_weights(plan, phase, g, panel.first, unit, next, own);
      else
        panel.next = panel.weight + k * panel.width;
      for_each_block([&](const Block& block, const T* patch, T* tile) {
        From::multiply(plan, phase, block, From::packed_input(plan, phase, block, patch), panel,
                       unit, next, steps, tile);
        panel.next = nullptr;  // the first block has fetched them
      });
      if (weights != nullptr) panel.weight += k * panel.width;
      unit = next;
    } while (unit < units);
    if (!plan.to_rows)
      for_each_block([&](const Block& block, const T*, T* tile) {
        store_block(plan, phase, block, panel, tile);
      });
    if (plan.streams) end_stream();
  });
}

template <class From, class T>
void run_outputs_from(const OutputsPlan<T>& plan, const T* filters, char* workspace, int threads) {
  const Operands<T>& op = plan.op;
  Phase* phases = reinterpret_cast<Phase*>(workspace + plan.phase_at);
  T* bias_lanes = reinterpret_cast<T*>(workspace + plan.bias_at);
  plan.make_phases(phases, op.groups * plan.padded_outputs * op.channels);
  for (int64_t g = 0; g < op.groups; ++g)
    op.copy_bias(bias_lanes + g * plan.padded_outputs, plan.padded_outputs, g * op.outputs,
                 op.outputs);
  char* workers = workspace + plan.worker_at;
  if (plan.patches_resident)
    return run_panels<From>(plan, phases, bias_lanes,
                            reinterpret_cast<T*>(workspace + plan.patch_at), filters, workers,
                            threads);
  if (filters == nullptr) {
    T* packed = reinterpret_cast<T*>(workspace + plan.weight_at);
    pack_panels<From>(plan, phases, packed, threads);
    filters = packed;
  }
  run_blocks<From>(plan, phases, bias_lanes, filters, workers, threads);
}

template <class T>
void run_outputs(const ConvArgs<T>& args, bool backward) {
  const OutputsPlan<T> plan(args, backward);
  char* workspace = static_cast<char*>(args.exec.workspace);
  if (plan.from_rows)
    run_outputs_from<FromRows<T>>(plan, args.packed_weight, workspace, args.exec.threads);
  else
    run_outputs_from<FromPlanar<T>>(plan, args.packed_weight, workspace, args.exec.threads);
}

template <class T>
void pack_outputs(const ConvArgs<T>& args, bool backward) {
  const OutputsPlan<T> plan(args, backward);
  Phase* phases = reinterpret_cast<Phase*>(static_cast<char*>(args.exec.workspace) + plan.phase_at);
  plan.make_phases(phases, plan.op.groups * plan.padded_outputs * plan.op.channels);
  if (plan.from_rows)
    pack_panels<FromRows<T>>(plan, phases, args.packed_weight, args.exec.threads);
  else
    pack_panels<FromPlanar<T>>(plan, phases, args.packed_weight, args.exec.threads);
}

}  // namespace
}  // namespace fastconv
