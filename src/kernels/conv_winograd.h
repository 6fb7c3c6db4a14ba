// Winograd convolution, forward and backward_input, float32.
//
//   Y = A^T [ sum over c of (G w[m, c] G^T) * (B^T d[c] B) ] A      on tiles of outputs
//   in (N, G * C, spatial)   weight, per group (M, C, taps)   out (N, G * M, spatial)
//
// F(4x4, 3x3) does the work of 144 multiplications with 36. They are 36 matrix products, one an
// entry of the transformed tile ("xi"), tiles x C by C x M, on the micro-kernel of the direct
// convolution. winograd_cover.h says which transforms a problem takes, winograd_axis.h how larger,
// strided, dilated and one-dimensional filters are made of them.
//
//   data   [xi][k/16][tile][16]   winograd_data.h: rows of the broadcast operand are 16 apart
//   filter [xi][k][width]         winograd_filter.h: the vector operand
//   sums   [xi][tile][width]      then A^T . A, and store_tile to any layout
//
// Many tiles: all filters are transformed once, and a task takes a block of tiles (whose data, if a
// cover has several families of transforms, may be those of one at a time). Few tiles, many filters
// (14x14 and less): all data is transformed once, and a task takes a panel, whose filters it
// transforms on the way (winograd_product.h).
//
// Non-finite numbers: the transforms mix the inputs of a tile, so that one infinity would make
// NaN of all its outputs. A tile with any result that is not finite is computed again by
// direct summation, which puts infinities and NaN where they belong.
//
// Threads: a task owns its tiles resp. its panel; every element is summed in the order of
// the channels: the bits depend neither on the number of threads nor on the batch.
//
// Filters that were packed before the call are the same numbers, taken from elsewhere.
#pragma once

#include "kernels/winograd_data.h"
#include "kernels/winograd_outputs.h"
#include "kernels/winograd_product.h"
#include "simd/parallel_for.h"

namespace fastconv {
namespace {

// Those of panel `task` of all groups, packed among `taps` or, if that is null, in the weight.
template <class T>
PanelTaps<T> panel_taps(const ConvWinogradPlan<T>& plan, int64_t task, const T* taps,
                        const WinogradScratch<T>& scratch) {
  return {plan, task / plan.panels, task % plan.panels * kPanel<T>,
          taps != nullptr ? taps + task * plan.panel_taps() : nullptr, scratch.packed};
}

// filters[g][panel] of the whole convolution, of `taps` or, if that is null, of the weight.
template <class T>
void transform_filters(const ConvWinogradPlan<T>& plan, char* workspace, int threads, const T* taps,
                       T* filters) {
  parallel_for(plan.op.groups * plan.panels, threads, [&](int64_t task, int worker) {
    const WinogradScratch<T> scratch(plan, workspace, worker);
    transform_filter(panel_taps(plan, task, taps, scratch), filters + task * plan.filters.size);
  });
}

// A panel's outputs of a block at one depth, as far as family `only` sums them, or whole if that is
// negative.
template <class T>
void multiply_panel(const ConvWinogradPlan<T>& plan, const TileBlock& block, int64_t depth,
                    int64_t panel, int only, const T* filters, const WinogradScratch<T>& scratch) {
  const int64_t first = panel * kPanel<T>;
  const int64_t width = panel_width(plan.outputs, first, kLanes<T>);
  const T* filter = filters + (block.g * plan.panels + panel) * plan.filters.size;
  for (int i = 0; i < plan.group_count; ++i) {
    if (only >= 0 && plan.family(plan.groups[i]) != only) continue;
    multiply_tiles(plan, i, depth, plan.tile_count(block), width, scratch.own, filter,
                   scratch.steps, scratch.sums);
    finish_group(plan, block, depth, i, first, scratch.sums, scratch);
  }
}

// Filters transformed beforehand: a task transforms the data of a block for all panels.
template <class T>
void run_tile_blocks(const ConvWinogradPlan<T>& plan, char* workspace, int threads,
                     const T* filters) {
  parallel_for(plan.op.groups * plan.blocks, threads, [&](int64_t task, int worker) {
    const WinogradScratch<T> scratch(plan, workspace, worker);
    const TileBlock block = plan.block(task / plan.blocks, task % plan.blocks);
    pack_tiles(plan, block, plan.all_planes(), scratch.patch);
    transform_data(plan, block, plan.all_planes(), scratch.patch, 0, scratch.strip, scratch.own);
    for (int64_t depth = 0; depth < block.depths; ++depth) {
      clear_broken(plan, block, scratch);
      for (int64_t panel = 0; panel < plan.panels; ++panel) {
        multiply_panel(plan, block, depth, panel, -1, filters, scratch);
        if (plan.merged_phases && panel + 1 < plan.panels) continue;
        finish_outputs(plan, block, depth, plan.merged_phases ? 0 : panel * kPanel<T>, scratch);
        clear_broken(plan, block, scratch);
      }
    }
  });
}

// The same where the data of all families are more than L2 holds: those of one are transformed and
// multiplied with all panels before the next, whose sums are added to outputs in scratch. (8, 128,
// 56, 128) 3x3 stride 2, two threads of Cascade Lake, forward and backward_input: 7.7 -> 7.3 and
// 8.8 -> 7.7 ms.
template <class T>
void run_families(const ConvWinogradPlan<T>& plan, char* workspace, int threads, const T* filters) {
  parallel_for(plan.op.groups * plan.blocks, threads, [&](int64_t task, int worker) {
    const WinogradScratch<T> scratch(plan, workspace, worker);
    const TileBlock block = plan.block(task / plan.blocks, task % plan.blocks);
    const int64_t kept = block.depths * plan.panels;
    for (int64_t i = 0; i < kept; ++i) clear_broken(plan, block, scratch.of_panel(plan, i));
    pack_tiles(plan, block, plan.all_planes(), scratch.patch);
    for (int family = 0; family < plan.families(); ++family) {
      transform_data(plan, block, plan.all_planes(), scratch.patch, 0, scratch.strip, scratch.own,
                     family);
      for (int64_t i = 0; i < kept; ++i) {
        const WinogradScratch<T> outputs = scratch.of_panel(plan, i);
        const int64_t depth = i / plan.panels, panel = i % plan.panels;
        multiply_panel(plan, block, depth, panel, family, filters, outputs);
        if (family + 1 == plan.families())
          finish_outputs(plan, block, depth, panel * kPanel<T>, outputs);
      }
    }
  });
}

// Data transformed beforehand, blocks are images: a task transforms the filters of a panel, piece
// by piece, unless `filters` has them already. `taps` has what is to be transformed, or is null.
template <class T>
void run_filter_panels(const ConvWinogradPlan<T>& plan, char* workspace, int threads, const T* taps,
                       const T* filters) {
  const int64_t groups = plan.op.groups;
  T* all_data = reinterpret_cast<T*>(workspace + plan.data_at);
  // Images are few here: a task takes a part of one's channels. A single image's transform was
  // serial, 0.14 of 0.48 ms for 128 channels of 56x56 at stride 2. No more tasks than there are
  // panels or images: the plan has scratch for that many workers.
  const int64_t planes = plan.all_planes().end;
  const int64_t parts = min(planes, max(1, plan.panels / plan.blocks));
  parallel_for(groups * plan.blocks * parts, threads, [&](int64_t task, int worker) {
    const WinogradScratch<T> scratch(plan, workspace, worker);
    const int64_t part = task % parts, image = task / parts % plan.blocks;
    const TileBlock block = plan.block(task / parts / plan.blocks, image);
    const PlaneRange range = {planes * part / parts, planes * (part + 1) / parts};
    pack_tiles(plan, block, range, scratch.patch);
    transform_data(plan, block, range, scratch.patch, image * plan.image_tiles(), scratch.strip,
                   all_data + block.g * plan.data_size);
  });
  parallel_for(groups * plan.panels, threads, [&](int64_t task, int worker) {
    const WinogradScratch<T> scratch(plan, workspace, worker);
    const int64_t g = task / plan.panels, first = task % plan.panels * kPanel<T>;
    const int64_t width = panel_width(plan.outputs, first, kLanes<T>);
    const T* data = all_data + g * plan.data_size;
    if (filters == nullptr)
      multiply_with_taps(plan, panel_taps(plan, task, taps, scratch), data, scratch);
    else
      for (int i = 0; i < plan.group_count; ++i)
        multiply_tiles(plan, i, 0, plan.tiles, width, data, filters + task * plan.filters.size,
                       scratch.steps, scratch.sums + i * plan.group_sums);
    for (int64_t index = 0; index < plan.blocks; ++index) {
      const TileBlock block = plan.block(g, index);
      const T* sums = scratch.sums + index * plan.image_tiles() * width;
      clear_broken(plan, block, scratch);
      for (int i = 0; i < plan.group_count; ++i)
        finish_group(plan, block, 0, i, first, sums + i * plan.group_sums, scratch);
      finish_outputs(plan, block, 0, first, scratch);
    }
  });
}

template <class T>
void run_winograd(const ConvArgs<T>& args, bool backward, const WinogradCover& cover) {
  const ConvWinogradPlan<T> plan(args, canonical(*args.params), backward, cover);
  char* workspace = static_cast<char*>(args.exec.workspace);
  const int threads = args.exec.threads;
  const T* taps = args.packed_taps ? args.packed_weight : nullptr;
  const T* filters = args.packed_taps ? nullptr : args.packed_weight;
  if (plan.data_resident) return run_filter_panels(plan, workspace, threads, taps, filters);
  if (filters == nullptr) {
    T* transformed = reinterpret_cast<T*>(workspace + plan.filter_at);
    transform_filters(plan, workspace, threads, taps, transformed);
    filters = transformed;
  }
  if (plan.by_family)
    run_families(plan, workspace, threads, filters);
  else
    run_tile_blocks(plan, workspace, threads, filters);
}

template <class T>
void pack_winograd(const ConvArgs<T>& args, bool backward, const WinogradCover& cover) {
  const ConvWinogradPlan<T> plan(args, canonical(*args.params), backward, cover);
  const int threads = args.exec.threads;
  T* packed = args.packed_weight;
  if (!args.packed_taps)
    return transform_filters<T>(plan, static_cast<char*>(args.exec.workspace), threads, nullptr,
                                packed);
  parallel_for(plan.op.groups * plan.panels, threads, [&](int64_t task, int) {
    pack_taps(plan, task / plan.panels, task % plan.panels * kPanel<T>, 0, plan.op.channels,
              packed + task * plan.panel_taps());
  });
}

}  // namespace
}  // namespace fastconv
