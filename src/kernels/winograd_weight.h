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
// Tiles are taken in chunks whose transformed operands stay in L3: all threads transform a chunk,
// then add its products to the sums, and after the last chunk turn those into filters. A single
// chunk is multiplied task by task, whose sums do not leave L2. Several are multiplied entry by
// entry: the operands and the sums of one are what L2 holds, those of a task came from L3 for each
// of the others ((4, 64, 224, 64) 3x3, two threads of Cascade Lake: 58 -> 47 ms; 256 channels of
// 56x56: 53 -> 47). Chunks and tasks follow from the problem alone, and so do the bits. If any sum
// is not finite the caller sums directly instead.
#pragma once

#include "kernels/winograd_data.h"
#include "kernels/winograd_filter.h"
#include "kernels/winograd_grads.h"
#include "simd/parallel_for.h"

namespace fastconv {
namespace {

// A chunk's operands.
template <class T>
struct WeightChunk {
  const T *data, *grads;
  int64_t tiles;
  bool first;
};

// Adds the products of a chunk to the sums of a task, those of entry xi of a group.
template <class T>
void multiply_grads(const WinogradWeightPlan<T>& plan, const WeightChunk<T>& chunk, int index,
                    int64_t xi, int64_t task, BatchStep* steps, T* sums) {
  const int64_t panel = plan.panel_of(task), first_block = plan.first_block_of(task);
  const int64_t last_block = min(plan.channel_blocks, first_block + plan.task_blocks);
  const int64_t width = panel_width(plan.op.outputs, panel * kPanel<T>, kLanes<T>);
  const MicroKernel<T>* kernels = kMicroKernels<T>.at[width / kLanes<T> - 1];
  const Tiling whole(kLaneBlock), last(plan.lanes - (plan.channel_blocks - 1) * kLaneBlock);
  const WinogradGroup& group = plan.groups[index];
  const int64_t windows = plan.windows(group.row_kind, group.column_kind);
  const T* family = chunk.data + plan.family_at[group.row_kind][group.column_kind] +
                    xi * plan.data_pitch[group.row_kind][group.column_kind];
  const T* b = chunk.grads + plan.grads_at[index] + xi * plan.grads_pitch[index] +
               panel * plan.depths * plan.tiles * kPanel<T>;
  T* to = sums + plan.sums_at[index] + xi * plan.sums_pitch(group);
  for (int64_t depth = 0; depth < plan.depths; ++depth)
    steps[depth] = {depth * windows * plan.channel_blocks * plan.tiles * kLaneBlock, chunk.tiles};
  for (int64_t kd = 0; kd < plan.depth.taps; ++kd) {
    plan.for_each_term(group, [&](const Piece&, const Piece&, int64_t window) {
      const int64_t at = (kd * windows + window) * plan.channel_blocks + first_block;
      const T* a = family + at * plan.tiles * kLaneBlock;
      for (int64_t block = first_block; block < last_block; ++block) {
        const int64_t channels = min(kLaneBlock, plan.lanes - block * kLaneBlock);
        const T *next_a = a + plan.tiles * kLaneBlock, *next_sums = to + channels * width;
        (channels < kLaneBlock ? last : whole).for_each([&](int64_t begin, int64_t size) {
          kernels[size - 1](to + begin * width, !chunk.first, a + begin, kLaneBlock, b, steps,
                            plan.depths, begin == 0 ? next_a : next_sums);
        });
        a = next_a;
        to += channels * width;
      }
    });
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
      T* const of_depth = packed + kd * plan.p.kernel[1] * plan.p.kernel[2] * channels * width;
      plan.for_each_term(group, [&](const Piece& row, const Piece& column, int64_t) {
        // Where a lane's taps go, or -1: found for all channels at once where they have the same,
        // because of its divisions (an eighth of the gradient of 512 filters of 512 channels).
        int64_t place[kMostTaps * kMostTaps];
        for (int64_t lane = 0; lane < lanes; ++lane) {
          if (lane == 0 || plan.merged_columns) {
            const Piece own = plan.lane_piece(column, first + lane);
            int64_t* to = place;
            for (int64_t kh = 0; kh < rows.r; ++kh) {
              for (int64_t kw = 0; kw < columns.r; ++kw) {
                const int64_t tap = plan.kernel_tap(row, own, kh, kw);
                *to++ = tap < 0 ? -1 : tap * channels * width;
              }
            }
          }
          T* to = of_depth + (plan.merged_columns ? lane % channels : lane) * width;
          for (int64_t v = 0; v < width; v += kLanes<T>) {
            const T* sum = from + lane * width + v;
            rows.weight(sum, columns.n * pitch, pitch, half, columns.n * kLanes<T>, kLanes<T>,
                        columns.n);
            columns.weight(half, kLanes<T>, columns.n * kLanes<T>, taps, kLanes<T>,
                           columns.r * kLanes<T>, rows.r);
            for (int64_t i = 0; i < rows.r * columns.r; ++i) {
              if (place[i] < 0) continue;
              const Vec<T> w = load(taps + i * kLanes<T>);
              store(to + place[i] + v, w);
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

// All operands of blocks [first, last).
template <class T>
WeightChunk<T> transform_chunk(const WinogradWeightPlan<T>& plan, int64_t g, int64_t first,
                               int64_t last, char* workspace, int threads) {
  T* data = reinterpret_cast<T*>(workspace + plan.data_start);
  T* grads = reinterpret_cast<T*>(workspace + plan.grads_start);
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
      transform_data(plan, block, plan.all_planes(), scratch.patch, before, scratch.strip, data);
    }
  });
  return {data, grads, tiles, first == 0};
}

// Adds a chunk to the sums of all tasks, entry by entry.
template <class T>
void multiply_chunk(const WinogradWeightPlan<T>& plan, const WeightChunk<T>& chunk, char* workspace,
                    int threads, T* sums) {
  parallel_for(plan.entries * plan.parts, threads, [&](int64_t piece, int worker) {
    const WinogradWeightScratch<T> scratch(plan, workspace, worker);
    const int64_t part = piece % plan.parts;
    int64_t xi = piece / plan.parts;
    int index = 0;
    while (xi >= plan.values(plan.groups[index])) xi -= plan.values(plan.groups[index++]);
    const int64_t end = plan.tasks * (part + 1) / plan.parts;
    for (int64_t task = plan.tasks * part / plan.parts; task < end; ++task)
      multiply_grads(plan, chunk, index, xi, task, scratch.steps, sums + task * plan.sums_size);
  });
}

// The filters of a task; false if they are not finite.
template <class T>
bool store_task(const WinogradWeightPlan<T>& plan, const ConvArgs<T>& args, int64_t g, int64_t task,
                const WinogradWeightScratch<T>& scratch, const T* sums) {
  const int64_t panel = plan.panel_of(task), first_block = plan.first_block_of(task);
  if (!transform_weight(plan, panel, first_block, sums, scratch.half, scratch.packed)) return false;
  const int64_t output = panel * kPanel<T>, outputs = plan.op.outputs;
  const int64_t width = panel_width(outputs, output, kLanes<T>);
  const int64_t channel = plan.merged_columns ? 0 : first_block * kLaneBlock;
  const int64_t channels = min(plan.op.channels - channel, plan.task_blocks * kLaneBlock);
  store_weight(
      plan.p, scratch.packed, width, min(width, outputs - output), channels,
      args.weight + (g * outputs + output) * plan.p.w_stride[0] + channel * plan.p.w_stride[1]);
  return true;
}

// Whether the gradient was computed; not if the tensors are so far from finite that it has to
// be summed directly.
template <class T>
bool run_winograd_weight(const ConvArgs<T>& args, const WinogradCover& cover) {
  const WinogradWeightPlan<T> plan(args, canonical(*args.params), cover);
  const int threads = args.exec.threads;
  char* workspace = static_cast<char*>(args.exec.workspace);
  T* const all_sums = reinterpret_cast<T*>(workspace + plan.sums_start);
  const bool by_entry = plan.chunks > 1;
  bool finite = true;
  for (int64_t g = 0; g < plan.op.groups; ++g) {
    WeightChunk<T> chunk = {};
    for (int64_t first = 0; first < plan.blocks; first += plan.chunk_blocks) {
      const int64_t last = min(plan.blocks, first + plan.chunk_blocks);
      chunk = transform_chunk(plan, g, first, last, workspace, threads);
      if (by_entry) multiply_chunk(plan, chunk, workspace, threads, all_sums);
    }
    parallel_for(plan.tasks, threads, [&](int64_t task, int worker) {
      const WinogradWeightScratch<T> scratch(plan, workspace, worker);
      T* sums = by_entry ? all_sums + task * plan.sums_size : scratch.sums;
      for (int index = 0; !by_entry && index < plan.group_count; ++index)
        for (int64_t xi = 0; xi < plan.values(plan.groups[index]); ++xi)
          multiply_grads(plan, chunk, index, xi, task, scratch.steps, sums);
      if (!store_task(plan, args, g, task, scratch, sums))
        __atomic_store_n(&finite, false, __ATOMIC_RELAXED);
    });
  }
  return finite;
}

}  // namespace
}  // namespace fastconv
