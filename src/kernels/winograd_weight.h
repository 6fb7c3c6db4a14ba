// The gradient of 3x3 filters by Winograd's F(4x4, 3x3), float32.
//
//   dweight[m, c] = G^T [ sum over tiles of (B^T x[c] B) * (A y[m] A^T) ] G
//   x (N, G * C, spatial)   y (N, G * M, out)   dweight, per group (M, C, 3, 3)
//
// The transpose of the forward algorithm (conv_winograd.h) in the filter: x is transformed as
// there, y by A, and the 36 products sum over the tiles, the micro-kernel's k.
//
//   data [xi][c/16][tile][16]    broadcast operand, rows are channels
//   grads[xi][panel][tile][width]   vector operand
//   sums [xi][panel][c][width]
//
// Tiles are taken in chunks whose transformed operands stay in L3: all threads transform a
// chunk, then each (xi, panel) adds its product to the sums. Chunks follow from the problem
// alone, and so do the bits. If any sum is not finite the caller sums directly instead.
#pragma once

#include "kernels/conv_winograd.h"

namespace fastconv {
namespace {

template <class T>
struct WinogradWeightPlan {
  static constexpr int64_t kChunkBytes = 16 << 20;  // of both transformed operands
  static constexpr int64_t kMostTiles = 512;

  ConvParams p;
  Operands<T> op;  // of the forward direction
  Axis axis[kSpatial];
  int64_t channel_blocks, panels;
  int64_t rows, columns, row_blocks, column_blocks, blocks, chunk_blocks;  // of one group
  int64_t tiles;                                                           // of a chunk, at most
  int64_t data_pitch, grads_pitch, sums_pitch;                             // between two xi
  int64_t row_pitch, plane, patch_size, y_patch_size;
  size_t data_at, grads_at, sums_at, worker_at, worker_bytes, total_bytes;

  explicit WinogradWeightPlan(const ConvArgs<T>& args)
      : p(*args.params), op(forward_operands(args, p)) {
    constexpr int64_t item = sizeof(T);
    for (int i = 0; i < kSpatial; ++i) axis[i] = forward_axis(p, i);
    channel_blocks = ceil_div(op.channels, kChannelBlock);
    panels = ceil_div(op.outputs, kPanel<T>);
    const int64_t tile_rows = ceil_div(axis[1].out, kTile);
    const int64_t tile_columns = ceil_div(axis[2].out, kTile);
    columns = ceil_div(tile_columns, ceil_div(tile_columns, kBlockTiles));
    column_blocks = ceil_div(tile_columns, columns);
    rows = min(tile_rows, max(1, kBlockTiles / columns));
    row_blocks = ceil_div(tile_rows, rows);
    rows = ceil_div(tile_rows, row_blocks);
    row_blocks = ceil_div(tile_rows, rows);
    blocks = op.n * axis[0].out * row_blocks * column_blocks;

    const int64_t tile_bytes = kXi * (channel_blocks * kChannelBlock + panels * kPanel<T>)*item;
    const int64_t chunk_tiles = min(kMostTiles, kChunkBytes / tile_bytes);
    chunk_blocks = min(blocks, max(1, chunk_tiles / (rows * columns)));
    tiles = chunk_blocks * rows * columns;
    data_pitch = odd_lines<T>(channel_blocks * tiles * kChannelBlock);
    grads_pitch = odd_lines<T>(panels * tiles * kPanel<T>);
    sums_pitch = odd_lines<T>(panels * op.channels * kPanel<T>);
    row_pitch = (columns * kTile + 2) * kChannelBlock;
    plane = odd_lines<T>((rows * kTile + 2) * row_pitch);
    patch_size = channel_blocks * plane;
    y_patch_size = rows * kTile * columns * kTile * kPanel<T>;

    Regions regions;
    data_at = regions.reserve(kXi * data_pitch * item);
    grads_at = regions.reserve(kXi * grads_pitch * item);
    sums_at = regions.reserve(kXi * sums_pitch * item);
    worker_at = regions.end;
    worker_bytes = static_cast<size_t>(
        round_up(max(max(patch_size, y_patch_size), 9 * kPanel<T> * op.channels) * item, 64));
    total_bytes = worker_at + worker_bytes * static_cast<size_t>(args.exec.threads);
  }
  WinogradWeightPlan(const WinogradWeightPlan&) = delete;  // op points into p

  TileBlock block(int64_t g, int64_t index) const {
    TileBlock b;
    b.g = g;
    b.column = index % column_blocks * columns;
    index /= column_blocks;
    b.row = index % row_blocks * rows;
    index /= row_blocks;
    b.od = index % axis[0].out;
    b.n = index / axis[0].out;
    b.rows = min(rows, ceil_div(axis[1].out, kTile) - b.row);
    b.columns = min(columns, ceil_div(axis[2].out, kTile) - b.column);
    return b;
  }
  // Tiles of blocks [first, last) of one group.
  int64_t count_tiles(int64_t first, int64_t last) const {
    int64_t count = 0;
    for (int64_t i = first; i < last; ++i) count += block(0, i).tiles();
    return count;
  }
};

// grads[xi][panel][tile][width] = A y A^T, for the block's tiles from `first_tile` on.
template <class T>
void transform_grads(const WinogradWeightPlan<T>& plan, const TileBlock& block, int64_t first_tile,
                     T* patch, T* grads) {
  const Operands<T>& op = plan.op;
  const int64_t* stride = op.out_stride;
  const int64_t oh = block.row * kTile, ow = block.column * kTile;
  const int64_t columns = block.columns * kTile;
  const int64_t valid = min(columns, plan.axis[2].out - ow);
  for (int64_t m = 0; m < op.outputs; m += kPanel<T>) {
    const int64_t width = panel_width(op.outputs, m, kLanes<T>);
    const int64_t count = min(width, op.outputs - m);
    const T* y = op.out + block.n * stride[0] + (block.g * op.outputs + m) * stride[1] +
                 block.od * stride[2] + ow * stride[4];
    for (int64_t row = 0; row < block.rows * kTile; ++row) {
      T* to = patch + row * columns * width;
      const bool inside = oh + row < plan.axis[1].out;
      if (!inside || count < width) zero(to, columns * width);
      if (!inside) continue;
      pack_positions<T>(to, width, y + (oh + row) * stride[3], count, stride[1], valid, stride[4]);
      zero(to + valid * width, (columns - valid) * width);
    }
    for (int64_t tile = 0; tile < block.tiles(); ++tile) {
      const int64_t row = tile / block.columns, column = tile % block.columns;
      const T* from = patch + (row * kTile * columns + column * kTile) * width;
      T* to = grads + m / kPanel<T> * plan.tiles * kPanel<T> + (first_tile + tile) * width;
      for (int64_t v = 0; v < width; v += kLanes<T>) {
        Vec<T> half[kTile][kTileIn];  // A y, transposed
        FASTCONV_UNROLL
        for (int j = 0; j < kTile; ++j) {
          Vec<T> d[kTile];
          FASTCONV_UNROLL
          for (int i = 0; i < kTile; ++i) d[i] = load(from + (i * columns + j) * width + v);
          apply_by_pairs<T>(kWinograd43.a, d, half[j]);
        }
        FASTCONV_UNROLL
        for (int i = 0; i < kTileIn; ++i) {
          Vec<T> x[kTile], z[kTileIn];
          FASTCONV_UNROLL
          for (int j = 0; j < kTile; ++j) x[j] = half[j][i];
          apply_by_pairs<T>(kWinograd43.a, x, z);
          FASTCONV_UNROLL
          for (int j = 0; j < kTileIn; ++j)
            store(to + (i * kTileIn + j) * plan.grads_pitch + v, z[j]);
        }
      }
    }
  }
}

// sums[xi][panel][c][width] (+)= sum over tiles of data * grads.
template <class T>
void multiply_grads(const WinogradWeightPlan<T>& plan, int64_t xi, int64_t panel, int64_t tiles,
                    bool accumulate, const T* data, const T* grads, T* sums) {
  const int64_t width = panel_width(plan.op.outputs, panel * kPanel<T>, kLanes<T>);
  const MicroKernel<T>* kernels = kMicroKernels<T>.at[width / kLanes<T> - 1];
  const BatchStep step = {0, tiles};
  const T* b = grads + xi * plan.grads_pitch + panel * plan.tiles * kPanel<T>;
  T* to = sums + xi * plan.sums_pitch + panel * plan.op.channels * kPanel<T>;
  for (int64_t c = 0; c < plan.op.channels; c += kChannelBlock) {
    const int64_t channels = min(kChannelBlock, plan.op.channels - c);
    const int64_t count = tile_count(channels);
    const T* a = data + xi * plan.data_pitch + c * plan.tiles;
    for (int64_t i = 0; i < count; ++i) {
      const int64_t begin = tile_begin(channels, count, i);
      const int64_t size = tile_begin(channels, count, i + 1) - begin;
      kernels[size - 1](to + (c + begin) * width, accumulate, a + begin, kChannelBlock, b, &step,
                        1);
    }
  }
}

// packed[tap][c][width] = G^T sums G; whether all is finite.
template <class T>
bool transform_weight(const WinogradWeightPlan<T>& plan, int64_t panel, const T* sums, T* packed) {
  const int64_t channels = plan.op.channels;
  const int64_t width = panel_width(plan.op.outputs, panel * kPanel<T>, kLanes<T>);
  const T* from = sums + panel * channels * kPanel<T>;
  Vec<T> probe = {};  // becomes NaN with the first that is not finite
  for (int64_t i = 0; i < channels * width; i += kLanes<T>) {
    Vec<T> half[kTileIn][3];  // G^T s, transposed
    FASTCONV_UNROLL
    for (int j = 0; j < kTileIn; ++j) {
      Vec<T> s[kTileIn];
      FASTCONV_UNROLL
      for (int r = 0; r < kTileIn; ++r) s[r] = load(from + (r * kTileIn + j) * plan.sums_pitch + i);
      apply_transposed_pairs<T>(kWinograd43.gt, s, half[j]);
    }
    FASTCONV_UNROLL
    for (int r = 0; r < 3; ++r) {
      Vec<T> x[kTileIn], w[3];
      FASTCONV_UNROLL
      for (int j = 0; j < kTileIn; ++j) x[j] = half[j][r];
      apply_transposed_pairs<T>(kWinograd43.gt, x, w);
      FASTCONV_UNROLL
      for (int k = 0; k < 3; ++k) {
        store(packed + (r * 3 + k) * channels * width + i, w[k]);
        probe += w[k] * T(0);
      }
    }
  }
  return !any<T>(probe != probe);
}

// Whether the gradient was computed; not if the tensors are so far from finite that it has to
// be summed directly. store_panel(sums, panel, group): [tap][c][width] to the gradient.
template <class T, class Store>
bool run_winograd_weight(const ConvArgs<T>& args, const Store& store_panel) {
  const WinogradWeightPlan<T> plan(args);
  const int threads = args.exec.threads;
  char* workspace = static_cast<char*>(args.exec.workspace);
  T* data = reinterpret_cast<T*>(workspace + plan.data_at);
  T* grads = reinterpret_cast<T*>(workspace + plan.grads_at);
  T* sums = reinterpret_cast<T*>(workspace + plan.sums_at);
  const auto scratch_of = [&](int worker) {
    return reinterpret_cast<T*>(workspace + plan.worker_at +
                                static_cast<size_t>(worker) * plan.worker_bytes);
  };
  bool finite = true;
  for (int64_t g = 0; g < plan.op.groups; ++g) {
    for (int64_t first = 0; first < plan.blocks; first += plan.chunk_blocks) {
      const int64_t last = min(plan.blocks, first + plan.chunk_blocks);
      parallel_for(2 * (last - first), threads, [&](int64_t task, int worker) {
        const int64_t index = first + task / 2;
        const TileBlock block = plan.block(g, index);
        const int64_t first_tile = plan.count_tiles(first, index);
        T* patch = scratch_of(worker);
        if (task % 2 == 0) {
          pack_tiles(plan, block, patch);
          transform_data(plan, block, patch, first_tile, data);
        } else {
          transform_grads(plan, block, first_tile, patch, grads);
        }
      });
      const int64_t tiles = plan.count_tiles(first, last);
      parallel_for(kXi * plan.panels, threads, [&](int64_t task, int) {
        multiply_grads(plan, task / plan.panels, task % plan.panels, tiles, first > 0, data, grads,
                       sums);
      });
    }
    bool all_finite = true;
    parallel_for(plan.panels, threads, [&](int64_t panel, int worker) {
      T* packed = scratch_of(worker);
      if (transform_weight(plan, panel, sums, packed))
        store_panel(packed, panel, g);
      else
        __atomic_store_n(&all_finite, false, __ATOMIC_RELAXED);
    });
    finite &= all_finite;
  }
  return finite;
}

}  // namespace
}  // namespace fastconv
