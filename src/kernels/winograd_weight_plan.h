// How the gradient of filters by Winograd is cut up: chunks of tiles, tasks of a panel by channels.
#pragma once

#include "kernels/winograd_plan.h"

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
  // Pieces of the products of a chunk, at least: entries of the transforms are 16 to 81.
  static constexpr int64_t kPieces = 48;

  int64_t chunk_blocks, chunks;               // blocks of a chunk, of one group
  int64_t task_blocks, channel_tasks, tasks;  // blocks of channels of a task; tasks of a group
  int64_t grads_pitch[kMostGroups], grads_at[kMostGroups], grads_size;
  int64_t sums_at[kMostGroups], sums_size;  // of a task
  int64_t entries, parts;  // of all groups; pieces that an entry's products are cut into
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
    grads_size = sums_size = entries = 0;
    for (int i = 0; i < this->group_count; ++i) {
      const WinogradGroup& group = this->groups[i];
      grads_at[i] = grads_size;
      grads_pitch[i] = odd_lines<T>(this->panels * this->depths * this->tiles * kPanel<T>);
      grads_size += this->values(group) * grads_pitch[i];
      entries += this->values(group);
      sums_at[i] = sums_size;
      sums_size += this->values(group) * sums_pitch(group);
    }
    y_patch_size = block_rows() * block_columns() * min(kPackedPanels, this->panels) * kPanel<T>;
    parts = min(tasks, ceil_div(kPieces, entries));

    Regions regions;
    data_start = regions.reserve(this->data_size * item);
    grads_start = regions.reserve(grads_size * item);
    sums_start = regions.reserve(chunks > 1 ? tasks * sums_size * item : 0);
    worker_at = regions.end;
    worker_bytes = static_cast<size_t>(
        round_up((patch_room() + strip_room() + sums_room() + packed_room()) * item, 64) +
        round_up(this->depths * static_cast<int64_t>(sizeof(BatchStep)), 64));
    const int64_t most_tasks = max(max(tasks, chunks > 1 ? entries * parts : 0), 2 * chunk_blocks);
    total_bytes =
        worker_at + worker_bytes * static_cast<size_t>(min(args.exec.threads, most_tasks));
  }
  int64_t panel_of(int64_t task) const { return task / channel_tasks; }
  int64_t first_block_of(int64_t task) const { return task % channel_tasks * task_blocks; }
  int64_t all_sums_bytes() const {
    int64_t size = 0;
    for (int i = 0; i < this->group_count; ++i)
      size += this->values(this->groups[i]) * this->k(this->groups[i]) * op.outputs;
    return size * static_cast<int64_t>(sizeof(T));
  }
  // Of y under a block.
  int64_t block_rows() const { return this->folded ? 1 : this->rows * row_axis.unit_out(); }
  int64_t block_columns() const {
    return this->folded ? this->rows * row_axis.unit_out() : this->columns * column_axis.unit_out();
  }
  int64_t sums_pitch(const WinogradGroup& group) const {
    return odd_lines<T>(this->depth.taps * group.terms * task_blocks * kLaneBlock * kPanel<T>);
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

}  // namespace
}  // namespace fastconv
