// The gradient of filters by Winograd's algorithm, float32.
//
//   dweight[m, c] = G^T [ sum over tiles of (B^T x[c] B) * (A y[m] A^T) ] G
//   x (N, G * C, spatial)   y (N, G * M, out)   dweight, per group (M, C, taps)
//
// The transpose of the forward algorithm (conv_winograd.h) in the filter, with the same covers:
// x is transformed as there, y by A, and the products sum over the tiles, the micro-kernel's k.
//
//   data  [xi][slice][window][c/16][tile][16]   broadcast operand, rows are channels
//   grads [xi][panel][depth][tile][width]       vector operand
//   sums  [xi][depth tap][term][c][width]       of a task: one panel by a few channel blocks
//
// Tiles are taken in chunks whose transformed operands stay in L3: all threads transform a
// chunk, then each task adds its products to its sums, and after the last chunk turns them
// into filters without having left L2. Chunks and tasks follow from the problem alone, and so
// do the bits. If any sum is not finite the caller sums directly instead.
#pragma once

#include "kernels/winograd_data.h"
#include "kernels/winograd_filter.h"
#include "kernels/winograd_grads.h"
#include "simd/parallel_for.h"

namespace fastconv {
namespace {

// Adds the products of one chunk's tiles to the sums of a task.
template <class T>
void multiply_grads(const WinogradWeightPlan<T>& plan, int64_t panel, int64_t first_block,
                    int64_t tiles, bool accumulate, const T* data, const T* grads, BatchStep* steps,
                    T* sums) {
  const int64_t width = panel_width(plan.op.outputs, panel * kPanel<T>, kLanes<T>);
  const MicroKernel<T>* kernels = kMicroKernels<T>.at[width / kLanes<T> - 1];
  const int64_t last_block = min(plan.channel_blocks, first_block + plan.task_blocks);
  const Tiling whole(kLaneBlock), last(plan.lanes - (plan.channel_blocks - 1) * kLaneBlock);
  for (int index = 0; index < plan.group_count; ++index) {
    const WinogradGroup& group = plan.groups[index];
    const int64_t windows = plan.windows(group.row_kind, group.column_kind);
    const int64_t data_pitch = plan.data_pitch[group.row_kind][group.column_kind];
    const T* family = data + plan.family_at[group.row_kind][group.column_kind];
    for (int64_t xi = 0; xi < plan.values(group); ++xi) {
      const T* b = grads + plan.grads_at[index] + xi * plan.grads_pitch[index] +
                   panel * plan.depths * plan.tiles * kPanel<T>;
      T* to = sums + plan.sums_at[index] + xi * plan.sums_pitch(group);
      for (int64_t kd = 0; kd < plan.depth.taps; ++kd) {
        plan.for_each_term(group, [&](const Piece&, const Piece&, int64_t window) {
          for (int64_t block = first_block; block < last_block; ++block) {
            for (int64_t depth = 0; depth < plan.depths; ++depth)
              steps[depth] = {depth * windows * plan.channel_blocks * plan.tiles * kLaneBlock,
                              tiles};
            const T* a =
                family + xi * data_pitch +
                ((kd * windows + window) * plan.channel_blocks + block) * plan.tiles * kLaneBlock;
            const int64_t channels = min(kLaneBlock, plan.lanes - block * kLaneBlock);
            (channels < kLaneBlock ? last : whole).for_each([&](int64_t begin, int64_t size) {
              kernels[size - 1](to + begin * width, accumulate, a + begin, kLaneBlock, b, steps,
                                plan.depths);
            });
            to += channels * width;
          }
        });
      }
    }
  }
}

// packed[tap][c][width] = G^T sums G of a task's channels; whether all is finite.
template <class T>
bool transform_weight(const WinogradWeightPlan<T>& plan, int64_t panel, int64_t first_block,
                      const T* sums, T* half, T* packed) {
  const int64_t width = panel_width(plan.op.outputs, panel * kPanel<T>, kLanes<T>);
  const int64_t first = first_block * kLaneBlock;
  const int64_t lanes = min(plan.lanes - first, plan.task_blocks * kLaneBlock);
  const int64_t channels = min(lanes, plan.op.channels);
  T* taps = half + kMostValues * kMostValues * kLanes<T>;
  Vec<T> probe = {};  // becomes NaN with the first that is not finite
  for (int index = 0; index < plan.group_count; ++index) {
    const WinogradGroup& group = plan.groups[index];
    const Transform<T>& rows = plan.row_transform(group.row_kind);
    const Transform<T>& columns = plan.column_transform(group.column_kind);
    const int64_t pitch = plan.sums_pitch(group);
    const T* from = sums + plan.sums_at[index];
    for (int64_t kd = 0; kd < plan.depth.taps; ++kd) {
      plan.for_each_term(group, [&](const Piece& row, const Piece& column, int64_t) {
        for (int64_t i = 0; i < lanes * width; i += kLanes<T>) {
          const int64_t lane = i / width, v = i % width;
          rows.weight(from + i, columns.n * pitch, pitch, half, columns.n * kLanes<T>, kLanes<T>,
                      columns.n);
          columns.weight(half, kLanes<T>, columns.n * kLanes<T>, taps, kLanes<T>,
                         columns.r * kLanes<T>, rows.r);
          const Piece own = plan.lane_piece(column, first + lane);
          for (int64_t kh = 0; kh < rows.r; ++kh) {
            for (int64_t kw = 0; kw < columns.r; ++kw) {
              const int64_t tap = plan.kernel_tap(row, own, kh, kw);
              if (tap < 0) continue;
              const Vec<T> w = load(taps + (kh * columns.r + kw) * kLanes<T>);
              const int64_t at = kd * plan.p.kernel[1] * plan.p.kernel[2] + tap;
              store(packed + (at * channels + lane % channels) * width + v, w);
              probe += w * T(0);
            }
          }
        }
        from += lanes * width;
      });
    }
  }
  return !any<T>(probe != probe);
}

// Whether the gradient was computed; not if the tensors are so far from finite that it has to
// be summed directly.
template <class T>
bool run_winograd_weight(const ConvArgs<T>& args, const WinogradCover& cover) {
  const WinogradWeightPlan<T> plan(args, canonical(*args.params), cover);
  const Operands<T>& op = plan.op;
  const int threads = args.exec.threads;
  char* workspace = static_cast<char*>(args.exec.workspace);
  T* data = reinterpret_cast<T*>(workspace + plan.data_start);
  T* grads = reinterpret_cast<T*>(workspace + plan.grads_start);
  bool finite = true;
  for (int64_t g = 0; g < op.groups; ++g) {
    for (int64_t chunk = 0; chunk < plan.chunks; ++chunk) {
      const int64_t first = chunk * plan.chunk_blocks;
      const int64_t last = min(plan.blocks, first + plan.chunk_blocks);
      const auto tiles_before = [&](int64_t block) {
        int64_t count = 0;
        for (int64_t i = first; i < block; ++i) count += plan.tile_count(plan.block(g, i));
        return count;
      };
      const int64_t tiles = tiles_before(last);
      parallel_for(2 * (last - first), threads, [&](int64_t task, int worker) {
        const WinogradWeightScratch<T> scratch(plan, workspace, worker);
        const int64_t index = first + task / 2, before = tiles_before(index);
        const TileBlock block = plan.block(g, index);
        if (task % 2 == 1) {
          transform_grads(plan, block, before, tiles, scratch, grads);
        } else {
          pack_tiles(plan, block, plan.all_planes(), scratch.patch);
          transform_data(plan, block, plan.all_planes(), scratch.patch, before, scratch.strip,
                         data);
        }
      });
      parallel_for(plan.tasks, threads, [&](int64_t task, int worker) {
        const WinogradWeightScratch<T> scratch(plan, workspace, worker);
        const int64_t panel = task / plan.channel_tasks;
        const int64_t first_block = task % plan.channel_tasks * plan.task_blocks;
        T* sums = plan.chunks == 1
                      ? scratch.sums
                      : reinterpret_cast<T*>(workspace + plan.sums_start) + task * plan.sums_size;
        multiply_grads(plan, panel, first_block, tiles, chunk > 0, data, grads, scratch.steps,
                       sums);
        if (chunk + 1 < plan.chunks) return;
        if (!transform_weight(plan, panel, first_block, sums, scratch.half, scratch.packed)) {
          __atomic_store_n(&finite, false, __ATOMIC_RELAXED);
          return;
        }
        const int64_t output = panel * kPanel<T>,
                      width = panel_width(op.outputs, output, kLanes<T>);
        const int64_t channel = plan.merged_columns ? 0 : first_block * kLaneBlock;
        const int64_t channels = min(op.channels - channel, plan.task_blocks * kLaneBlock);
        store_weight(plan.p, scratch.packed, width, min(width, op.outputs - output), channels,
                     args.weight + (g * op.outputs + output) * plan.p.w_stride[0] +
                         channel * plan.p.w_stride[1]);
      });
    }
  }
  return finite;
}

}  // namespace
}  // namespace fastconv
