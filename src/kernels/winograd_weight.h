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
#include "simd/parallel_for.h"

namespace fastconv {
namespace {

template <class T>
struct WinogradWeightPlan : WinogradPlan<T> {
  using WinogradPlan<T>::op;
  using WinogradPlan<T>::row_axis;
  using WinogradPlan<T>::column_axis;
  // Of both transformed operands. Twice as much is up to 3 % faster, and 4 MiB more.
  static constexpr int64_t kChunkBytes = 4 << 20, kLeastBlocks = 4;
  static constexpr int64_t kMostTiles = 256;
  static constexpr int64_t kPackedPanels = 4;  // of y at once: patch and grads in L2
  // Enough to keep a machine busy, of at most so many blocks of channels: sums in L2.
  static constexpr int64_t kTasks = 12, kTaskBlocks = 4;

  int64_t chunk_blocks, chunks;               // blocks of a chunk, of one group
  int64_t task_blocks, channel_tasks, tasks;  // blocks of channels of a task; tasks of a group
  int64_t grads_pitch[kMostGroups], grads_at[kMostGroups], grads_size;
  int64_t sums_at[kMostGroups], sums_size;  // of a task
  int64_t y_patch_size;
  size_t data_start, grads_start, sums_start, worker_at, worker_bytes, total_bytes;

  WinogradWeightPlan(const ConvArgs<T>& args, const ConvParams& params, const WinogradCover& cover)
      : WinogradPlan<T>(args, params, false, cover) {
    constexpr int64_t item = sizeof(T);
    constexpr int64_t kEnough = 1;  // chunks are cut below
    this->cut_blocks(kEnough);
    // Blocks of equally many depths, so that a chunk's tiles are the same at each of them.
    while (this->depth.out % this->depths != 0) --this->depths;
    this->count_blocks();
    int64_t tile_bytes = 0;
    for (int i = 0; i < this->group_count; ++i) {
      const WinogradGroup& group = this->groups[i];
      tile_bytes += this->values(group) * item *
                    (this->windows(group.row_kind, group.column_kind) * this->channel_blocks *
                         kLaneBlock * (this->depth.taps + this->depths - 1) +
                     this->panels * kPanel<T> * this->depths);
    }
    // Larger sums would be written and read again for every chunk.
    const int64_t chunk_bytes = max(kChunkBytes, all_sums_bytes() / 2);
    const int64_t chunk_tiles = chunk_bytes > kChunkBytes
                                    ? chunk_bytes / tile_bytes
                                    : min(kMostTiles, kChunkBytes / tile_bytes);
    const auto tiles_of_block = [&] {
      return this->rows * this->columns * row_axis.interleave * column_axis.interleave;
    };
    // Several blocks, to share the transforms of a chunk out.
    while (this->rows > 1 && chunk_tiles < kLeastBlocks * tiles_of_block())
      this->rows = ceil_div(this->rows, 2);
    this->count_blocks();
    const int64_t block_tiles = tiles_of_block();
    chunk_blocks = min(this->blocks, max(1, chunk_tiles / block_tiles));
    chunks = ceil_div(this->blocks, chunk_blocks);
    this->lay_out(chunk_blocks * block_tiles);

    task_blocks = min(this->channel_blocks, kTaskBlocks);
    // (Where column runs are channels, a task has them all.)
    if (this->merged_columns) task_blocks = this->channel_blocks;
    while (task_blocks > 1 && !this->merged_columns &&
           op.groups * this->panels * ceil_div(this->channel_blocks, task_blocks) < kTasks)
      --task_blocks;
    channel_tasks = ceil_div(this->channel_blocks, task_blocks);
    tasks = this->panels * channel_tasks;
    grads_size = sums_size = 0;
    for (int i = 0; i < this->group_count; ++i) {
      const WinogradGroup& group = this->groups[i];
      grads_at[i] = grads_size;
      grads_pitch[i] = odd_lines<T>(this->panels * this->depths * this->tiles * kPanel<T>);
      grads_size += this->values(group) * grads_pitch[i];
      sums_at[i] = sums_size;
      sums_size += this->values(group) * sums_pitch(group);
    }
    y_patch_size = block_rows() * block_columns() * min(kPackedPanels, this->panels) * kPanel<T>;

    Regions regions;
    data_start = regions.reserve(this->data_size * item);
    grads_start = regions.reserve(grads_size * item);
    sums_start = regions.reserve(chunks > 1 ? tasks * sums_size * item : 0);
    worker_at = regions.end;
    worker_bytes = static_cast<size_t>(
        round_up((patch_room() + strip_room() + sums_room() + packed_room()) * item, 64) +
        round_up(this->depths * static_cast<int64_t>(sizeof(BatchStep)), 64));
    const int64_t most_tasks = max(tasks, 2 * chunk_blocks);
    total_bytes =
        worker_at + worker_bytes * static_cast<size_t>(min(args.exec.threads, most_tasks));
  }
  int64_t all_sums_bytes() const {
    int64_t size = 0;
    for (int i = 0; i < this->group_count; ++i)
      size += this->values(this->groups[i]) * this->groups[i].k * op.outputs;
    return size * static_cast<int64_t>(sizeof(T));
  }
  // Of y under a block.
  int64_t block_rows() const { return this->folded ? 1 : this->rows * row_axis.unit_out(); }
  int64_t block_columns() const {
    return this->folded ? this->rows * row_axis.unit_out() : this->columns * column_axis.unit_out();
  }
  int64_t terms(const WinogradGroup& group) const {
    return group.k / this->depth.taps / this->lanes;
  }
  int64_t sums_pitch(const WinogradGroup& group) const {
    return odd_lines<T>(this->depth.taps * terms(group) * task_blocks * kLaneBlock * kPanel<T>);
  }
  // A worker's scratch, in elements: patches, one row of tiles, sums, filters, two small tiles.
  int64_t patch_room() const { return round_up(max(this->patch_size, y_patch_size), 16); }
  int64_t strip_room() const {
    return max(this->strip_size(), kMostValues * odd_lines<T>(block_columns() * kPanel<T>));
  }
  int64_t sums_room() const { return chunks > 1 ? 0 : sums_size; }
  int64_t packed_room() const {
    const int64_t* kernel = this->p.kernel;
    return kernel[0] * kernel[1] * kernel[2] * min(op.channels, task_blocks * kLaneBlock) *
               kPanel<T> +
           2 * kMostValues * kMostValues * kLanes<T>;
  }
};

template <class T>
struct WinogradWeightScratch {
  T *patch, *strip, *sums, *packed, *half;
  BatchStep* steps;
  WinogradWeightScratch(const WinogradWeightPlan<T>& plan, char* workspace, int worker) {
    char* begin = workspace + plan.worker_at + static_cast<size_t>(worker) * plan.worker_bytes;
    patch = reinterpret_cast<T*>(begin);
    strip = patch + plan.patch_room();
    sums = strip + plan.strip_room();
    half = sums + plan.sums_room();
    packed = half + 2 * kMostValues * kMostValues * kLanes<T>;
    steps = reinterpret_cast<BatchStep*>(begin + plan.worker_bytes) - plan.depths;
  }
};

// patch[panel][row][column][width] of `count` channels of y from `m` on, zeros beyond the image
// and the channels.
template <class T>
void pack_grads(const WinogradWeightPlan<T>& plan, const TileBlock& block, int64_t od, int64_t m,
                int64_t count, T* patch) {
  const Operands<T>& op = plan.op;
  const int64_t* stride = op.out_stride;
  const int64_t oh = plan.folded ? 0 : block.row * plan.row_axis.unit_out();
  const int64_t ow = plan.folded ? block.row * plan.row_axis.unit_out()
                                 : block.column * plan.column_axis.unit_out();
  const int64_t columns = plan.block_columns(), rows = plan.block_rows();
  const int64_t valid = min(columns, plan.out_columns() - ow);
  const T* y = op.out + block.n * stride[0] + (block.g * op.outputs + m) * stride[1] +
               od * stride[2] + ow * stride[4];
  const int64_t panel_pitch = rows * columns * kPanel<T>;
  for (int64_t row = 0; row < rows; ++row) {
    const bool inside = oh + row < plan.out_rows();
    const T* from = y + (oh + row) * stride[3];
    // The last panel may be narrower than the others.
    const int64_t narrow = count % kPanel<T> > kLanes<T> ? 0 : count % kPanel<T>;
    const int64_t wide = inside && stride[1] == 1 ? count - narrow : 0;
    if (wide > 0)
      pack_channel_blocks(patch + row * columns * kPanel<T>, kPanel<T>, panel_pitch, from, wide,
                          valid, stride[4]);
    for (int64_t c = 0; c < count; c += kPanel<T>) {
      const int64_t width = panel_width(count, c, kLanes<T>), channels = min(width, count - c);
      T* to = patch + c / kPanel<T> * panel_pitch + row * columns * width;
      const int64_t packed = inside ? valid : 0;
      if (c >= wide && channels < width) zero(to, packed * width);
      if (c >= wide)
        pack_positions(to, width, from + c * stride[1], channels, stride[1], packed, stride[4]);
      zero(to + packed * width, (columns - packed) * width);
    }
  }
}

// grads = A y A^T of one panel for the block's tiles, from its patch: at `to` those of tile 0.
template <class T>
void transform_panel(const WinogradWeightPlan<T>& plan, const TileBlock& block, int index,
                     int64_t width, const T* patch, T* strip, T* to) {
  const TiledAxis<T>&r = plan.row_axis, &c = plan.column_axis;
  const WinogradGroup& group = plan.groups[index];
  const Transform<T>& rows = plan.row_transform(group.row_kind);
  const Transform<T>& line = plan.column_transform(group.column_kind);
  const int64_t columns = plan.block_columns(), xi_pitch = plan.grads_pitch[index];
  const int64_t row_output = (plan.folded ? 1 : columns) * width;
  const int64_t length = (plan.folded ? kFoldedColumns : columns) * width;
  const int64_t strip_pitch = odd_lines<T>(columns * width);
  for (int64_t tile_row = 0; tile_row < plan.tile_rows(block); ++tile_row) {
    const T* from =
        patch + (tile_row / r.interleave * r.unit_out() + tile_row % r.interleave) * row_output;
    int64_t pitch = r.out_step * row_output;
    if (rows.r > 1) {
      rows.grads(from, pitch, kLanes<T>, strip, strip_pitch, kLanes<T>, length / kLanes<T>);
      from = strip;
      pitch = strip_pitch;
    }
    for (int64_t e = 0; e < c.interleave; ++e)
      for (int64_t i = 0; i < rows.n; ++i)
        for (int64_t v = 0; v < width; v += kLanes<T>)
          line.grads(from + i * pitch + e * width + v, c.out_step * width, c.unit_out() * width,
                     to + i * line.n * xi_pitch + e * width + v, xi_pitch, c.interleave * width,
                     block.columns);
    to += plan.tile_columns(block) * width;
  }
}

// grads = A y A^T for the block's tiles from `first_tile` on, of `count` in the chunk.
template <class T>
void transform_grads(const WinogradWeightPlan<T>& plan, const TileBlock& block, int64_t first_tile,
                     int64_t count, const WinogradWeightScratch<T>& scratch, T* grads) {
  const int64_t outputs = plan.op.outputs, at_once = plan.kPackedPanels * kPanel<T>;
  for (int64_t depth = 0; depth < plan.depths; ++depth) {
    for (int64_t m = 0; m < outputs; m += at_once) {
      const int64_t last = min(outputs, m + at_once);
      pack_grads(plan, block, block.od + depth, m, last - m, scratch.patch);
      for (int64_t c = m; c < last; c += kPanel<T>) {
        const int64_t width = panel_width(outputs, c, kLanes<T>);
        const T* patch = scratch.patch + (c - m) * plan.block_rows() * plan.block_columns();
        for (int index = 0; index < plan.group_count; ++index)
          transform_panel(plan, block, index, width, patch, scratch.strip,
                          grads + plan.grads_at[index] + c * plan.depths * plan.tiles +
                              (depth * count + first_tile) * width);
      }
    }
  }
}

// Adds the products of one chunk's tiles to the sums of a task.
template <class T>
void multiply_grads(const WinogradWeightPlan<T>& plan, int64_t panel, int64_t first_block,
                    int64_t tiles, bool accumulate, const T* data, const T* grads, BatchStep* steps,
                    T* sums) {
  const int64_t width = panel_width(plan.op.outputs, panel * kPanel<T>, kLanes<T>);
  const MicroKernel<T>* kernels = kMicroKernels<T>.at[width / kLanes<T> - 1];
  const int64_t last_block = min(plan.channel_blocks, first_block + plan.task_blocks);
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
            const int64_t parts = tile_count(channels);
            for (int64_t i = 0; i < parts; ++i) {
              const int64_t begin = tile_begin(channels, parts, i);
              const int64_t size = tile_begin(channels, parts, i + 1) - begin;
              kernels[size - 1](to + begin * width, accumulate, a + begin, kLaneBlock, b, steps,
                                plan.depths);
            }
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
