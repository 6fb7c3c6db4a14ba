// Winograd convolution F(4x4, 3x3), forward and backward_input, float32.
//
//   Y = A^T [ sum over c of (G w[m, c] G^T) * (B^T d[c] B) ] A      on tiles of 4x4 outputs
//   in (N, G * C, spatial)   weight, per group (M, C, 3, 3)   out (N, G * M, spatial)
//
// 36 multiplications do the work of 144. They are 36 matrix products, one an entry of the
// transformed tile ("xi"), tiles x C by C x M, on the micro-kernel of the direct convolution.
//
//   patch [c/16][row][column][16]    input under a block of tiles, zeros for padding
//   data  [xi][c/16][tile][16]       B^T d B: rows of the broadcast operand are 16 apart
//   filter[panel][xi][c][width]      G w G^T: the vector operand
//   sums  [xi][tile][width]          then A^T . A, and store_tile to any layout
//
// With channels in blocks of 16 a transform is vertical arithmetic on whole vectors, and the
// operand it leaves needs no rearranging. Many tiles: all filters are transformed once, and a
// task takes a block of tiles. Few tiles, many filters (14x14 and less): all data is
// transformed once, and a task takes a panel, whose filters it transforms for itself.
//
// Non-finite numbers: the transforms mix the inputs of a tile, so that one infinity would make
// NaN of all 16 outputs. A tile with any result that is not finite is computed again by
// direct summation, which puts infinities and NaN where they belong.
//
// Threads: a task owns its tiles resp. its panel; every element is summed in the order of
// the channels: the bits depend neither on the number of threads nor on the batch.
#pragma once

#include "kernels/conv_blocks.h"
#include "kernels/pack_positions.h"
#include "kernels/pack_weight.h"
#include "kernels/winograd_transform.h"
#include "simd/parallel_for.h"

namespace fastconv {
namespace {

constexpr int kTile = 4, kTileIn = 6, kXi = kTileIn * kTileIn;
constexpr int64_t kBlockTiles = 64;  // of a task: enough to amortise reading the filters
constexpr int64_t kResidentTiles = 256;
constexpr int64_t kResidentDataBytes = 24 << 20;  // stays in L3

FASTCONV_INLINE bool is_unit(const Axis& axis) {
  return axis.taps == 3 && axis.step == 1 && axis.out_step == 1 && axis.dilation() == 1;
}

template <class T>
bool winograd_applies(const ConvArgs<T>& args, bool backward) {
  if constexpr (sizeof(T) != sizeof(float)) return false;
  const ConvParams& p = *args.params;
  // Fewer channels leave too little work between the transforms.
  constexpr int64_t kFewest = 16;
  if (args.exec.highest_precision || p.in_channels / p.groups < kFewest ||
      p.out_channels / p.groups < kFewest || p.kernel[0] != 1 || p.stride[0] != 1)
    return false;
  for (int i = 1; i < kSpatial; ++i) {
    const Axis axis = backward ? backward_axis(p, i, 0) : forward_axis(p, i);
    if (p.stride[i] != 1 || !is_unit(axis) || axis.out < kTile) return false;
  }
  return true;
}

// Rows of tiles of one image (at one depth) and group; with resident data, all of them.
struct TileBlock {
  int64_t n, g, od, row, column, rows, columns;  // in tiles
  int64_t tiles() const { return rows * columns; }
};

// An odd number of cache lines: 36 streams a multiple of 4 KiB apart would all fall into one
// set of L1.
template <class T>
FASTCONV_INLINE int64_t odd_lines(int64_t size) {
  constexpr int64_t line = 64 / sizeof(T);
  return (round_up(size, line) / line | 1) * line;
}

template <class T>
struct WinogradPlan {
  ConvParams p;
  Operands<T> op;
  Axis axis[kSpatial];
  int64_t channel_blocks, panels, panel_size;  // elements of a panel's transformed filters
  int64_t tile_rows, tile_columns, image_tiles;
  int64_t rows, columns, row_blocks, column_blocks, blocks, tiles;
  bool data_resident, streams;
  int64_t filter_pitch, data_pitch, sums_pitch;  // between two xi
  int64_t row_pitch, plane, patch_size, data_size, sums_size, out_size, packed_size, steps;
  size_t filter_at, data_at, worker_at, worker_bytes, total_bytes;

  WinogradPlan(const ConvArgs<T>& args, bool backward)
      : p(*args.params), op(backward ? backward_operands(args, p) : forward_operands(args, p)) {
    constexpr int64_t item = sizeof(T), line = 64 / sizeof(T);
    for (int i = 0; i < kSpatial; ++i)
      axis[i] = backward ? backward_axis(p, i, 0) : forward_axis(p, i);
    const int64_t threads = args.exec.threads;
    channel_blocks = ceil_div(op.channels, kChannelBlock);
    panels = ceil_div(op.outputs, kPanel<T>);
    filter_pitch = odd_lines<T>(op.channels * kPanel<T>);
    panel_size = kXi * filter_pitch;
    tile_rows = ceil_div(axis[1].out, kTile);
    tile_columns = ceil_div(axis[2].out, kTile);
    const int64_t images = op.n * op.groups * axis[0].out;

    image_tiles = tile_rows * tile_columns;
    streams = images * op.outputs * axis[1].out * axis[2].out * item >= kStreamBytes;
    const int64_t group_tiles = op.n * axis[0].out * image_tiles;
    data_resident =
        panels > 1 && group_tiles <= min(kResidentTiles, op.outputs) &&
        group_tiles * op.groups * channel_blocks * kChannelBlock * kXi * item <= kResidentDataBytes;
    rows = tile_rows;
    columns = tile_columns;
    if (!data_resident) {
      columns = ceil_div(tile_columns, ceil_div(tile_columns, kBlockTiles));
      column_blocks = ceil_div(tile_columns, columns);
      rows = min(tile_rows, max(1, kBlockTiles / columns));
      while (rows > 1 && images * column_blocks * ceil_div(tile_rows, rows) < 3 * threads)
        rows = ceil_div(rows, 2);
      rows = ceil_div(tile_rows, ceil_div(tile_rows, rows));
    }
    column_blocks = ceil_div(tile_columns, columns);
    row_blocks = ceil_div(tile_rows, rows);
    blocks = images * row_blocks * column_blocks;
    // Tiles multiplied at once: a block's, or with resident data those of all images.
    tiles = data_resident ? group_tiles : rows * columns;

    row_pitch = (columns * kTile + 2) * kChannelBlock;
    plane = odd_lines<T>((rows * kTile + 2) * row_pitch);
    patch_size = channel_blocks * plane;
    data_pitch = odd_lines<T>(channel_blocks * tiles * kChannelBlock);
    data_size = kXi * data_pitch;
    sums_pitch = odd_lines<T>(tiles * kPanel<T>);
    sums_size = kXi * sums_pitch;
    out_size = round_up(rows * columns * kTile * kTile * kPanel<T>, line);
    packed_size = round_up(op.channels * 9 * kPanel<T>, line);
    steps = channel_blocks * 9;

    Regions regions;
    filter_at = regions.reserve(data_resident ? 0 : op.groups * panels * panel_size * item);
    data_at = regions.reserve(data_resident ? op.groups * data_size * item : 0);
    worker_at = regions.end;
    const int64_t own = data_resident ? panel_size : data_size;
    worker_bytes = static_cast<size_t>(
        round_up((patch_size + own + sums_size + out_size + packed_size + kPanel<T>)*item, 64) +
        round_up(steps * static_cast<int64_t>(sizeof(BatchStep)), 64));
    total_bytes = worker_at + worker_bytes * static_cast<size_t>(threads);
  }
  WinogradPlan(const WinogradPlan&) = delete;  // op points into p

  TileBlock block(int64_t index) const {
    TileBlock b;
    b.column = index % column_blocks * columns;
    index /= column_blocks;
    b.row = index % row_blocks * rows;
    index /= row_blocks;
    b.od = index % axis[0].out;
    index /= axis[0].out;
    b.g = index % op.groups;
    b.n = index / op.groups;
    b.rows = min(rows, tile_rows - b.row);
    b.columns = min(columns, tile_columns - b.column);
    return b;
  }
  // Index of a tap, in the order filters are packed, from its place in the input.
  int64_t tap(int row, int column) const {
    const int64_t kh = axis[1].offset_step < 0 ? 2 - row : row;
    const int64_t kw = axis[2].offset_step < 0 ? 2 - column : column;
    return kh * 3 + kw;
  }
};

// A worker's scratch.
template <class T>
struct WinogradScratch {
  T *patch, *own, *sums, *out, *packed, *bias;
  BatchStep* steps;
  WinogradScratch(const WinogradPlan<T>& plan, char* workspace, int worker) {
    patch = reinterpret_cast<T*>(workspace + plan.worker_at +
                                 static_cast<size_t>(worker) * plan.worker_bytes);
    own = patch + plan.patch_size;  // the data of a block, or the filters of a panel
    sums = own + (plan.data_resident ? plan.panel_size : plan.data_size);
    out = sums + plan.sums_size;
    packed = out + plan.out_size;
    bias = packed + plan.packed_size;
    steps = reinterpret_cast<BatchStep*>(bias + kPanel<T>);
  }
};

// Plan: a WinogradPlan, or the one for the gradient of the filters.
template <class Plan, class T>
void pack_tiles(const Plan& plan, const TileBlock& block, T* patch) {
  const Operands<T>& op = plan.op;
  const Axis* axis = plan.axis;
  const int64_t id = block.od * axis[0].step + axis[0].lowest();
  const int64_t first_row = block.row * kTile + axis[1].lowest();
  const int64_t first = block.column * kTile + axis[2].lowest();
  const int64_t length = block.columns * kTile + 2;
  const int64_t begin = min(max(0, -first), length);
  const int64_t end = max(begin, min(axis[2].in - first, length));
  for (int64_t c = 0; c < op.channels; c += kChannelBlock) {
    const int64_t count = min(kChannelBlock, op.channels - c);
    const T* in = op.in + block.n * op.in_stride[0] +
                  (block.g * op.channels + c) * op.in_stride[1] + id * op.in_stride[2];
    for (int64_t row = 0; row < block.rows * kTile + 2; ++row) {
      T* to = patch + c / kChannelBlock * plan.plane + row * plan.row_pitch;
      const int64_t ih = first_row + row;
      if (id < 0 || id >= axis[0].in || ih < 0 || ih >= axis[1].in) {
        zero(to, length * kChannelBlock);
        continue;
      }
      if (count < kChannelBlock) zero(to, length * kChannelBlock);
      zero(to, begin * kChannelBlock);
      pack_positions(to + begin * kChannelBlock, kChannelBlock,
                     in + ih * op.in_stride[3] + (first + begin) * op.in_stride[4], count,
                     op.in_stride[1], end - begin, op.in_stride[4]);
      zero(to + end * kChannelBlock, (length - end) * kChannelBlock);
    }
  }
}

// data[xi][c/16][tile][16] = B^T d B, for the block's tiles from `first` on.
template <class Plan, class T>
void transform_data(const Plan& plan, const TileBlock& block, const T* patch, int64_t first,
                    T* data) {
  for (int64_t c = 0; c < plan.channel_blocks; ++c) {
    for (int64_t tile = 0; tile < block.tiles(); ++tile) {
      const int64_t row = tile / block.columns, column = tile % block.columns;
      const T* from =
          patch + c * plan.plane + row * kTile * plan.row_pitch + column * kTile * kChannelBlock;
      T* to = data + (c * plan.tiles + first + tile) * kChannelBlock;
      for (int v = 0; v < kChannelBlock; v += kLanes<T>) {
        Vec<T> half[kTileIn][kTileIn];  // B^T d, transposed
        FASTCONV_UNROLL
        for (int j = 0; j < kTileIn; ++j) {
          Vec<T> d[kTileIn];
          FASTCONV_UNROLL
          for (int i = 0; i < kTileIn; ++i)
            d[i] = load(from + i * plan.row_pitch + j * kChannelBlock + v);
          apply_by_pairs<T>(kWinograd43.bt, d, half[j]);
        }
        FASTCONV_UNROLL
        for (int i = 0; i < kTileIn; ++i) {
          Vec<T> x[kTileIn], y[kTileIn];
          FASTCONV_UNROLL
          for (int j = 0; j < kTileIn; ++j) x[j] = half[j][i];
          apply_by_pairs<T>(kWinograd43.bt, x, y);
          FASTCONV_UNROLL
          for (int j = 0; j < kTileIn; ++j)
            store(to + (i * kTileIn + j) * plan.data_pitch + v, y[j]);
        }
      }
    }
  }
}

// filter[xi][c][width] = G w G^T, of the panel of outputs that begins at `first`.
template <class T>
void transform_filter(const WinogradPlan<T>& plan, int64_t g, int64_t first, T* packed, T* filter) {
  const Operands<T>& op = plan.op;
  const int64_t width = panel_width(op.outputs, first, kLanes<T>);
  pack_weight(packed, op.weight + g * op.weight_group_stride, op.weight_stride, plan.axis,
              op.channels, op.outputs, first, 0, plan.steps);
  for (int64_t c = 0; c < op.channels; ++c) {
    const int64_t block = c / kChannelBlock * kChannelBlock;
    const int64_t count = min(kChannelBlock, op.channels - block);
    for (int64_t v = 0; v < width; v += kLanes<T>) {
      const T* from = packed + (block * 9 + c - block) * width + v;
      Vec<T> half[3][kTileIn];  // G w, transposed
      FASTCONV_UNROLL
      for (int j = 0; j < 3; ++j) {
        Vec<T> w[3];
        FASTCONV_UNROLL
        for (int i = 0; i < 3; ++i) w[i] = load(from + plan.tap(i, j) * count * width);
        apply_by_pairs<T>(kWinograd43.g, w, half[j]);
      }
      FASTCONV_UNROLL
      for (int i = 0; i < kTileIn; ++i) {
        Vec<T> x[3], y[kTileIn];
        FASTCONV_UNROLL
        for (int j = 0; j < 3; ++j) x[j] = half[j][i];
        apply_by_pairs<T>(kWinograd43.g, x, y);
        FASTCONV_UNROLL
        for (int j = 0; j < kTileIn; ++j)
          store(filter + (i * kTileIn + j) * plan.filter_pitch + c * width + v, y[j]);
      }
    }
  }
}

// Direct summation of one tile, for a panel whose filters are packed.
template <class T>
void sum_directly(const WinogradPlan<T>& plan, const T* patch, int64_t row, int64_t column,
                  const T* packed, int64_t width, BatchStep* steps, T* out, int64_t out_pitch) {
  const MicroKernel<T> kernel =
      kMicroKernels<T, kChannelBlock>.at[width / kLanes<T> - 1][kTile - 1];
  int64_t count = 0;
  for (int64_t c = 0; c < plan.channel_blocks; ++c) {
    const int64_t k = min(kChannelBlock, plan.op.channels - c * kChannelBlock);
    for (int64_t tap = 0; tap < 9; ++tap) {
      const int64_t kh = plan.axis[1].offset(tap / 3) - plan.axis[1].lowest();
      const int64_t kw = plan.axis[2].offset(tap % 3) - plan.axis[2].lowest();
      steps[count++] = {c * plan.plane + kh * plan.row_pitch + kw * kChannelBlock, k};
    }
  }
  for (int64_t i = 0; i < kTile; ++i)
    kernel(out + i * out_pitch, false,
           patch + (row * kTile + i) * plan.row_pitch + column * kTile * kChannelBlock, 1, packed,
           steps, count);
}

// out[row][column][width] = A^T sums A; whether all of the tile's outputs are finite.
template <class T>
FASTCONV_INLINE bool transform_sums(const T* sums, int64_t sums_pitch, T* out, int64_t out_pitch,
                                    int64_t width) {
  bool finite = true;
  for (int64_t v = 0; v < width; v += kLanes<T>) {
    Vec<T> half[kTileIn][kTile];  // A^T s, transposed
    FASTCONV_UNROLL
    for (int j = 0; j < kTileIn; ++j) {
      Vec<T> s[kTileIn];
      FASTCONV_UNROLL
      for (int i = 0; i < kTileIn; ++i) s[i] = load(sums + (i * kTileIn + j) * sums_pitch + v);
      apply_transposed_pairs<T>(kWinograd43.at, s, half[j]);
    }
    Vec<T> probe = {};  // becomes NaN with the first that is not finite
    FASTCONV_UNROLL
    for (int i = 0; i < kTile; ++i) {
      Vec<T> x[kTileIn], y[kTile];
      FASTCONV_UNROLL
      for (int j = 0; j < kTileIn; ++j) x[j] = half[j][i];
      apply_transposed_pairs<T>(kWinograd43.at, x, y);
      FASTCONV_UNROLL
      for (int j = 0; j < kTile; ++j) {
        store(out + i * out_pitch + j * width + v, y[j]);
        probe += y[j] * T(0);
      }
    }
    finite &= !any<T>(probe != probe);
  }
  return finite;
}

// sums[xi][tile][width]: 36 products of `tiles` tiles with one panel of filters.
template <class T>
void multiply_tiles(const WinogradPlan<T>& plan, int64_t tiles, int64_t width, const T* data,
                    const T* filter, const WinogradScratch<T>& scratch) {
  const MicroKernel<T>* kernels = kMicroKernels<T, kChannelBlock>.at[width / kLanes<T> - 1];
  for (int64_t c = 0; c < plan.channel_blocks; ++c)
    scratch.steps[c] = {c * plan.tiles * kChannelBlock,
                        min(kChannelBlock, plan.op.channels - c * kChannelBlock)};
  const int64_t count = tile_count(tiles);
  for (int64_t xi = 0; xi < kXi; ++xi) {
    for (int64_t i = 0; i < count; ++i) {
      const int64_t begin = tile_begin(tiles, count, i);
      const int64_t size = tile_begin(tiles, count, i + 1) - begin;
      kernels[size - 1](scratch.sums + xi * plan.sums_pitch + begin * width, false,
                        data + xi * plan.data_pitch + begin * kChannelBlock, 1,
                        filter + xi * plan.filter_pitch, scratch.steps, plan.channel_blocks);
    }
  }
}

// Inverse transform and store of one block for one panel, from the sums of its tiles.
template <class T>
void finish_block(const WinogradPlan<T>& plan, const TileBlock& block, int64_t first, const T* sums,
                  bool patch_is_packed, const WinogradScratch<T>& scratch) {
  const Operands<T>& op = plan.op;
  const int64_t width = panel_width(op.outputs, first, kLanes<T>);
  const int64_t out_pitch = block.columns * kTile * width;
  bool packed = false;
  for (int64_t tile = 0; tile < block.tiles(); ++tile) {
    const int64_t row = tile / block.columns, column = tile % block.columns;
    T* out = scratch.out + row * kTile * out_pitch + column * kTile * width;
    if (transform_sums(sums + tile * width, plan.sums_pitch, out, out_pitch, width)) continue;
    if (!patch_is_packed) pack_tiles(plan, block, scratch.patch);
    patch_is_packed = true;
    if (!packed)
      pack_weight(scratch.packed, op.weight + block.g * op.weight_group_stride, op.weight_stride,
                  plan.axis, op.channels, op.outputs, first, 0, plan.steps);
    packed = true;
    sum_directly(plan, scratch.patch, row, column, scratch.packed, width, scratch.steps, out,
                 out_pitch);
  }
  const int64_t outputs = min(width, op.outputs - first);
  const int64_t channel = block.g * op.outputs + first;
  op.copy_bias(scratch.bias, width, channel, outputs);
  const int64_t oh = block.row * kTile, ow = block.column * kTile;
  const int64_t columns = min(block.columns * kTile, plan.axis[2].out - ow);
  for (int64_t row = 0; row < min(block.rows * kTile, plan.axis[1].out - oh); ++row) {
    const auto offset = [&](const int64_t* stride) {
      return block.n * stride[0] + channel * stride[1] + block.od * stride[2] +
             (oh + row) * stride[3] + ow * stride[4];
    };
    const int64_t *rs = op.residual_stride, *os = op.out_stride;
    const T* residual = op.residual != nullptr ? op.residual + offset(rs) : nullptr;
    store_tile<T>(scratch.out + row * out_pitch, width, outputs, columns, scratch.bias,
                  {residual, rs[1], rs[4]}, {op.out + offset(os), os[1], os[4], plan.streams},
                  op.activation);
  }
  if (plan.streams) end_stream();
}

template <class T>
void run_winograd(const ConvArgs<T>& args, bool backward) {
  const WinogradPlan<T> plan(args, backward);
  const int threads = args.exec.threads;
  const int64_t groups = plan.op.groups;
  char* workspace = static_cast<char*>(args.exec.workspace);
  T* filters = reinterpret_cast<T*>(workspace + plan.filter_at);
  T* all_data = reinterpret_cast<T*>(workspace + plan.data_at);
  if (!plan.data_resident) {
    parallel_for(groups * plan.panels, threads, [&](int64_t task, int worker) {
      const WinogradScratch<T> scratch(plan, workspace, worker);
      transform_filter(plan, task / plan.panels, task % plan.panels * kPanel<T>, scratch.packed,
                       filters + task * plan.panel_size);
    });
    parallel_for(plan.blocks, threads, [&](int64_t task, int worker) {
      const WinogradScratch<T> scratch(plan, workspace, worker);
      const TileBlock block = plan.block(task);
      pack_tiles(plan, block, scratch.patch);
      transform_data(plan, block, scratch.patch, 0, scratch.own);
      for (int64_t panel = 0; panel < plan.panels; ++panel) {
        const int64_t first = panel * kPanel<T>;
        multiply_tiles(plan, block.tiles(), panel_width(plan.op.outputs, first, kLanes<T>),
                       scratch.own, filters + (block.g * plan.panels + panel) * plan.panel_size,
                       scratch);
        finish_block(plan, block, first, scratch.sums, true, scratch);
      }
    });
    return;
  }
  // Blocks are whole images here, numbered (n, g, od): the group's own in order of (n, od).
  const int64_t depth = plan.axis[0].out;
  const auto first_tile = [&](const TileBlock& block) {
    return (block.n * depth + block.od) * plan.image_tiles;
  };
  parallel_for(plan.blocks, threads, [&](int64_t task, int worker) {
    const WinogradScratch<T> scratch(plan, workspace, worker);
    const TileBlock block = plan.block(task);
    pack_tiles(plan, block, scratch.patch);
    transform_data(plan, block, scratch.patch, first_tile(block),
                   all_data + block.g * plan.data_size);
  });
  parallel_for(groups * plan.panels, threads, [&](int64_t task, int worker) {
    const WinogradScratch<T> scratch(plan, workspace, worker);
    const int64_t g = task / plan.panels, first = task % plan.panels * kPanel<T>;
    const int64_t width = panel_width(plan.op.outputs, first, kLanes<T>);
    transform_filter(plan, g, first, scratch.packed, scratch.own);
    multiply_tiles(plan, plan.tiles, width, all_data + g * plan.data_size, scratch.own, scratch);
    for (int64_t n = 0; n < plan.op.n; ++n) {
      for (int64_t od = 0; od < depth; ++od) {
        const TileBlock block = plan.block((n * groups + g) * depth + od);
        finish_block(plan, block, first, scratch.sums + first_tile(block) * width, false, scratch);
      }
    }
  });
}

}  // namespace
}  // namespace fastconv
