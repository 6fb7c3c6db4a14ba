// Winograd convolution, forward and backward_input, float32.
//
//   Y = A^T [ sum over c of (G w[m, c] G^T) * (B^T d[c] B) ] A      on tiles of outputs
//   in (N, G * C, spatial)   weight, per group (M, C, taps)   out (N, G * M, spatial)
//
// F(4x4, 3x3) does the work of 144 multiplications with 36. They are 36 matrix products, one an
// entry of the transformed tile ("xi"), tiles x C by C x M, on the micro-kernel of the direct
// convolution. winograd_plan.h says which transforms a problem takes and how larger, strided,
// dilated and one-dimensional filters are made of them.
//
//   data   [xi][k/16][tile][16]   winograd_data.h: rows of the broadcast operand are 16 apart
//   filter [xi][k][width]         winograd_filter.h: the vector operand
//   sums   [xi][tile][width]      then A^T . A, and store_tile to any layout
//
// Many tiles: all filters are transformed once, and a task takes a block of tiles. Few tiles,
// many filters (14x14 and less): all data is transformed once, and a task takes a panel,
// whose filters it transforms for itself.
//
// Non-finite numbers: the transforms mix the inputs of a tile, so that one infinity would make
// NaN of all its outputs. A tile with any result that is not finite is computed again by
// direct summation, which puts infinities and NaN where they belong.
//
// Threads: a task owns its tiles resp. its panel; every element is summed in the order of
// the channels: the bits depend neither on the number of threads nor on the batch.
//
// Filters that were transformed before the call are the same numbers, taken from elsewhere.
#pragma once

#include "kernels/winograd_data.h"
#include "kernels/winograd_filter.h"
#include "simd/parallel_for.h"

namespace fastconv {
namespace {

template <class T>
struct ConvWinogradPlan : WinogradPlan<T> {
  using WinogradPlan<T>::op;
  using WinogradPlan<T>::row_axis;
  using WinogradPlan<T>::column_axis;
  bool data_resident;
  int64_t out_size, row_size, sums_pitch, group_sums, sums_size, steps;
  size_t filter_at, data_at, worker_at, worker_bytes, total_bytes;

  ConvWinogradPlan(const ConvArgs<T>& args, const ConvParams& params, bool is_backward,
                   const WinogradCover& cover)
      : WinogradPlan<T>(args, params, is_backward, cover) {
    constexpr int64_t item = sizeof(T);
    const int64_t all_tiles = this->group_tiles();
    constexpr int kResidentGroups = 4;  // whose sums are kept
    data_resident = this->panels > 1 && !this->merged_phases &&
                    this->group_count <= kResidentGroups && this->depth.taps == 1 &&
                    all_tiles <= min(kResidentTiles, this->outputs) &&
                    all_tiles * op.groups * this->most_values() * row_axis.window_count *
                            column_axis.window_count * this->channel_blocks * kLaneBlock * item <=
                        kResidentDataBytes;
    if (data_resident)
      this->take_images();
    else
      this->cut_blocks(3 * args.exec.threads);
    sums_pitch = odd_lines<T>(this->tiles * kPanel<T>);
    group_sums = this->most_values() * sums_pitch;
    sums_size = group_sums * (data_resident ? this->group_count : 1);
    const TileBlock largest = {0, 0, 0, this->depths, 0, 0, this->rows, this->columns};
    out_size = round_up(out_rows_of(largest) * out_columns_of(largest) * position_width(0), 16);
    row_size = this->merged_phases
                   ? round_up(out_columns_of(largest) * column_axis.phases * op.outputs, 16) +
                         2 * kPanel<T>
                   : 0;
    steps = 0;
    for (int i = 0; i < this->group_count; ++i)
      steps = max(steps, ceil_div(this->groups[i].k, this->lanes) * this->channel_blocks);
    // A tile summed directly takes one step a tap.
    const int64_t* kernel = this->p.kernel;
    steps = max(steps, kernel[0] * kernel[1] * kernel[2]);

    Regions regions;
    filter_at =
        regions.reserve(data_resident || args.packed_weight != nullptr ? 0 : filters_size() * item);
    data_at = regions.reserve(data_resident ? op.groups * this->data_size * item : 0);
    worker_at = regions.end;
    worker_bytes = static_cast<size_t>(
        round_up(scratch_size() * item, 64) +
        round_up(steps * static_cast<int64_t>(sizeof(BatchStep)) + this->tiles, 64));
    const int64_t tasks = op.groups * max(this->panels, this->blocks);
    total_bytes = worker_at + worker_bytes * static_cast<size_t>(min(args.exec.threads, tasks));
  }
  // All filters transformed.
  int64_t filters_size() const { return op.groups * this->panels * this->panel_size; }
  // The data of a block, or the filters of a panel.
  int64_t own_size() const { return data_resident ? this->panel_size : this->data_size; }
  int64_t scratch_size() const {
    return round_up(this->patch_size, 16) + this->strip_size() + own_size() + sums_size + out_size +
           packed_size(*this) + row_size + 3 * kPanel<T> + kMostValues * kMostValues * kLanes<T>;
  }

  // Outputs in scratch, [row][column][width]: those of a panel, or of all panels where phases
  // are lanes, which leave it together.
  int64_t position_width(int64_t first) const {
    return this->merged_phases ? round_up(this->outputs, kLanes<T>)
                               : panel_width(this->outputs, first, kLanes<T>);
  }
  int64_t out_rows_of(const TileBlock& block) const {
    if (this->folded) return 1;
    return block.rows * (this->merged_phases ? row_axis.m : row_axis.unit_out());
  }
  int64_t out_columns_of(const TileBlock& block) const {
    if (this->folded) return block.rows * row_axis.unit_out();
    return block.columns * (this->merged_phases ? column_axis.m : column_axis.unit_out());
  }
};

// A worker's scratch.
template <class T>
struct WinogradScratch {
  T *patch, *strip, *own, *sums, *out, *packed, *row, *bias, *direct, *half;
  BatchStep* steps;
  bool* broken;  // tiles that are not finite
  WinogradScratch(const ConvWinogradPlan<T>& plan, char* workspace, int worker) {
    char* begin = workspace + plan.worker_at + static_cast<size_t>(worker) * plan.worker_bytes;
    patch = reinterpret_cast<T*>(begin);
    strip = patch + round_up(plan.patch_size, 16);
    own = strip + plan.strip_size();
    sums = own + plan.own_size();
    out = sums + plan.sums_size;
    packed = out + plan.out_size;
    row = packed + packed_size(plan);
    bias = row + plan.row_size;
    direct = bias + kPanel<T>;
    half = direct + 2 * kPanel<T>;
    steps = reinterpret_cast<BatchStep*>(
        begin + round_up(plan.scratch_size() * static_cast<int64_t>(sizeof(T)), 64));
    broken = reinterpret_cast<bool*>(steps + plan.steps);
  }
};

// sums[xi][tile][width]: one product an xi, of `tiles` tiles with one panel of filters.
template <class T>
void multiply_tiles(const ConvWinogradPlan<T>& plan, const WinogradGroup& group, int64_t slice,
                    int64_t tiles, int64_t width, const T* data, const T* filter, BatchStep* steps,
                    T* sums) {
  const int64_t windows = plan.windows(group.row_kind, group.column_kind);
  int64_t count = 0;
  for (int64_t rank = 0; rank < plan.depth.taps; ++rank) {
    plan.for_each_term(group, [&](const Piece&, const Piece&, int64_t window) {
      const int64_t at = ((slice + rank) * windows + window) * plan.channel_blocks;
      for (int64_t b = 0; b < plan.channel_blocks; ++b)
        steps[count++] = {(at + b) * plan.tiles * kLaneBlock,
                          min(kLaneBlock, plan.lanes - b * kLaneBlock)};
    });
  }
  const MicroKernel<T>* kernels = kMicroKernels<T, kLaneBlock>.at[width / kLanes<T> - 1];
  const int64_t parts = tile_count(tiles), values = plan.values(group);
  const int64_t data_pitch = plan.data_pitch[group.row_kind][group.column_kind];
  const int64_t filter_pitch = plan.filter_pitch(group);
  data += plan.family_at[group.row_kind][group.column_kind];
  filter += group.filter_at;
  for (int64_t xi = 0; xi < values; ++xi) {
    for (int64_t i = 0; i < parts; ++i) {
      const int64_t begin = tile_begin(tiles, parts, i);
      const int64_t size = tile_begin(tiles, parts, i + 1) - begin;
      kernels[size - 1](sums + xi * plan.sums_pitch + begin * width, false,
                        data + xi * data_pitch + begin * kLaneBlock, 1, filter + xi * filter_pitch,
                        steps, count);
    }
  }
}

// Where the first output of a tile is in scratch.out, and how far its neighbours are.
template <class T>
struct TileOutput {
  int64_t at, row_step, column_step;
  TileOutput(const ConvWinogradPlan<T>& plan, const TileBlock& block, int64_t tile,
             int64_t row_phase, int64_t column_phase, int64_t first) {
    const TiledAxis<T>&r = plan.row_axis, &c = plan.column_axis;
    const int64_t row = tile / plan.tile_columns(block), column = tile % plan.tile_columns(block);
    // Phases that are lanes have an output each at the same place.
    const int64_t row_out = plan.merged_phases ? 1 : r.out_step;
    const int64_t column_out = plan.merged_phases ? 1 : c.out_step;
    const int64_t width = plan.position_width(first);
    const int64_t pitch = plan.folded ? width : plan.out_columns_of(block) * width;
    at = (row / r.interleave * r.m * row_out + row % r.interleave + row_phase) * pitch +
         (column / c.interleave * c.m * column_out + column % c.interleave + column_phase) * width +
         (plan.merged_phases ? first : 0);
    row_step = row_out * pitch;
    column_step = column_out * width;
  }
};

// out = A^T sums A for one tile; whether it is finite.
template <class T>
FASTCONV_INLINE bool transform_sums(const ConvWinogradPlan<T>& plan, const WinogradGroup& group,
                                    const T* sums, const TileOutput<T>& to, int64_t width, bool add,
                                    T* half, T* out) {
  const Transform<T>& rows = plan.row_transform(group.row_kind);
  const Transform<T>& columns = plan.column_transform(group.column_kind);
  constexpr int64_t lanes = kLanes<T>;
  bool finite = true;
  for (int64_t v = 0; v < width; v += lanes) {
    const T* from = sums + v;
    int64_t pitch = plan.sums_pitch, step = columns.n * plan.sums_pitch;
    if (rows.r > 1) {
      rows.sums(from, step, pitch, half, columns.n * lanes, lanes, columns.n);
      from = half;
      pitch = lanes;
      step = columns.n * lanes;
    }
    finite &= (add ? columns.add : columns.outputs)(from, pitch, step, out + to.at + v,
                                                    to.column_step, to.row_step, rows.m);
  }
  return finite;
}

// The steps of one output of one phase in direct summation, of a block of channels.
template <class T>
int64_t direct_steps(const ConvWinogradPlan<T>& plan, const TileBlock& block, const Axis* axis,
                     int64_t depth, int64_t row, int64_t column, int64_t channel,
                     BatchStep* steps) {
  int64_t count = 0;
  // Of the patch's first element, from the first input of the block on.
  const int64_t first_row = plan.folded ? 0 : plan.row_axis.lowest;
  const int64_t first_column = plan.folded ? plan.row_axis.lowest : plan.column_axis.lowest;
  const auto slice_of = [&](int64_t kd) {
    return depth + (axis[0].offset(kd) - axis[0].lowest()) /
                       (block.depths > 1 ? 1 : max(1, axis[0].dilation()));
  };
  for (int64_t kd = 0; kd < axis[0].taps; ++kd)
    for (int64_t kh = 0; kh < axis[1].taps; ++kh)
      for (int64_t kw = 0; kw < axis[2].taps; ++kw)
        steps[count++] = {
            channel / kChannelBlock * plan.plane + slice_of(kd) * plan.slice_pitch +
                (row * axis[1].step + axis[1].offset(kh) - first_row) * plan.row_pitch +
                (column * axis[2].step + axis[2].offset(kw) - first_column) * plan.unit,
            min(kChannelBlock, plan.op.channels - channel)};
  return count;
}

// Sums again the tiles of a block that are not finite: for the panel that begins at `first`, or
// for all outputs where phases are lanes.
template <class T>
void repair_tiles(const ConvWinogradPlan<T>& plan, const TileBlock& block, int64_t depth,
                  int64_t first, const WinogradScratch<T>& scratch) {
  const Operands<T>& op = plan.op;
  const TiledAxis<T>&r = plan.row_axis, &c = plan.column_axis;
  const int64_t width = panel_width(op.outputs, first, kLanes<T>);
  const MicroKernel<T> kernel = kMicroKernels<T, 1>.at[width / kLanes<T> - 1][0];
  const auto position = [](const TiledAxis<T>& a, int64_t index, int64_t of_tile) {
    return (index / a.interleave * a.m + of_tile) * a.interleave + index % a.interleave;
  };
  pack_tiles(plan, block, plan.all_planes(), scratch.patch);
  for (int64_t phase = 0; phase < r.phases * c.phases; ++phase) {
    const int64_t of_axis[kSpatial] = {0, phase / c.phases, phase % c.phases};
    Axis axis[kSpatial];
    for (int i = 0; i < kSpatial; ++i)
      axis[i] = plan.backward ? backward_axis(plan.p, i, of_axis[i]) : forward_axis(plan.p, i);
    const int64_t taps = axis[0].taps * axis[1].taps * axis[2].taps;
    for (int64_t channel = 0; channel < op.channels; channel += kChannelBlock) {
      const int64_t first_step = channel / kChannelBlock * taps;
      pack_weight(scratch.packed, op.weight + block.g * op.weight_group_stride, op.weight_stride,
                  axis, op.channels, op.outputs, first, first_step, first_step + taps);
      for (int64_t tile = 0; tile < plan.tile_count(block); ++tile) {
        if (!scratch.broken[tile]) continue;
        const TileOutput<T> to(plan, block, tile, plan.merged_phases ? 0 : of_axis[1],
                               plan.merged_phases ? 0 : of_axis[2], first);
        const int64_t tile_row = tile / plan.tile_columns(block);
        const int64_t tile_column = tile % plan.tile_columns(block);
        for (int64_t i = 0; i < r.m; ++i) {
          for (int64_t j = 0; j < c.m; ++j) {
            const int64_t row = plan.folded ? 0 : position(r, tile_row, i);
            const int64_t column = plan.folded ? tile_row * r.unit_out() + i * r.out_step + j
                                               : position(c, tile_column, j);
            const int64_t count =
                direct_steps(plan, block, axis, depth, row, column, channel, scratch.steps);
            T* out = scratch.out + to.at + i * to.row_step + j * to.column_step +
                     (plan.merged_phases ? phase * op.outputs : 0);
            // (Phases that are lanes are narrower than a vector.)
            const int64_t lanes = plan.merged_phases ? op.outputs : width;
            for (int64_t m = 0; m < lanes; ++m) scratch.direct[m] = out[m];
            kernel(scratch.direct, channel > 0, scratch.patch, 1, scratch.packed, scratch.steps,
                   count);
            for (int64_t m = 0; m < lanes; ++m) out[m] = scratch.direct[m];
          }
        }
      }
    }
  }
}

// Bias, residual, activation and store of one row of outputs: row[column][width].
template <class T>
void store_row(const ConvWinogradPlan<T>& plan, const TileBlock& block, int64_t od, int64_t first,
               int64_t outputs, int64_t oh, int64_t ow, int64_t columns, const T* row,
               int64_t width, const T* bias) {
  const Operands<T>& op = plan.op;
  const auto offset = [&](const int64_t* stride) {
    return block.n * stride[0] + (block.g * op.outputs + first) * stride[1] + od * stride[2] +
           oh * stride[3] + ow * stride[4];
  };
  const int64_t *rs = op.residual_stride, *os = op.out_stride;
  const T* residual = op.residual != nullptr ? op.residual + offset(rs) : nullptr;
  store_tile<T>(row, width, outputs, columns, bias, {residual, rs[1], rs[4]},
                {op.out + offset(os), os[1], os[4], plan.streams}, op.activation);
}

template <class T>
void store_outputs(const ConvWinogradPlan<T>& plan, const TileBlock& block, int64_t depth,
                   int64_t first, const WinogradScratch<T>& scratch) {
  const Operands<T>& op = plan.op;
  const TiledAxis<T>&r = plan.row_axis, &c = plan.column_axis;
  const int64_t width = plan.position_width(first), pitch = plan.out_columns_of(block) * width;
  const int64_t outputs = min(plan.merged_phases ? op.outputs : width, op.outputs - first);
  op.copy_bias(scratch.bias, kPanel<T>, block.g * op.outputs + first, outputs);
  const int64_t od = block.od + depth;
  const int64_t oh = plan.folded ? 0 : block.row * r.unit_out();
  const int64_t ow = plan.folded ? block.row * r.unit_out() : block.column * c.unit_out();
  const int64_t phases = plan.merged_phases ? r.phases : 1;
  const int64_t side = plan.merged_phases ? c.phases : 1;
  const int64_t columns = min(plan.out_columns_of(block) * side, plan.out_columns() - ow);
  const int64_t rows = min(plan.out_rows_of(block) * phases, plan.out_rows() - oh);
  for (int64_t row = 0; row < rows; ++row) {
    const T* from = scratch.out + row / phases * pitch;
    if (plan.merged_phases) {
      // The phases of neighbouring columns are neighbours in a row of outputs.
      const int64_t count = side * op.outputs;
      from += row % phases * count;
      T* to = scratch.row;
      for (int64_t i = 0; i < ceil_div(columns, side); ++i, from += width)
        for (int64_t m = 0; m < count; ++m) *to++ = from[m];
      from = scratch.row;
    }
    store_row(plan, block, od, first, outputs, oh + row, ow, columns, from,
              plan.merged_phases ? op.outputs : width, scratch.bias);
  }
  if (plan.streams) end_stream();
}

// Sums of group `index` to scratch.out, all tiles of a block.
template <class T>
void finish_group(const ConvWinogradPlan<T>& plan, const TileBlock& block, int index, int64_t first,
                  const T* sums, const WinogradScratch<T>& scratch) {
  const WinogradGroup& group = plan.groups[index];
  const int64_t width = panel_width(plan.outputs, first, kLanes<T>);
  const bool add = index > 0 && plan.groups[index - 1].row_phase == group.row_phase &&
                   plan.groups[index - 1].column_phase == group.column_phase;
  for (int64_t tile = 0; tile < plan.tile_count(block); ++tile) {
    const TileOutput<T> to(plan, block, tile, group.row_phase, group.column_phase, first);
    const bool finite =
        transform_sums(plan, group, sums + tile * width, to, width, add, scratch.half, scratch.out);
    scratch.broken[tile] |= !finite;
  }
}

template <class T>
void clear_broken(const ConvWinogradPlan<T>& plan, const TileBlock& block,
                  const WinogradScratch<T>& scratch) {
  for (int64_t tile = 0; tile < plan.tile_count(block); ++tile) scratch.broken[tile] = false;
}

template <class T>
void finish_outputs(const ConvWinogradPlan<T>& plan, const TileBlock& block, int64_t depth,
                    int64_t first, const WinogradScratch<T>& scratch) {
  bool any_broken = false;
  for (int64_t tile = 0; tile < plan.tile_count(block); ++tile) any_broken |= scratch.broken[tile];
  if (any_broken) repair_tiles(plan, block, depth, first, scratch);
  store_outputs(plan, block, depth, first, scratch);
}

// filters[g][panel] of the whole convolution.
template <class T>
void transform_filters(const ConvWinogradPlan<T>& plan, char* workspace, int threads, T* filters) {
  parallel_for(plan.op.groups * plan.panels, threads, [&](int64_t task, int worker) {
    const WinogradScratch<T> scratch(plan, workspace, worker);
    transform_filter(plan, task / plan.panels, task % plan.panels * kPanel<T>, scratch.packed,
                     filters + task * plan.panel_size);
  });
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
        const int64_t first = panel * kPanel<T>;
        const int64_t width = panel_width(plan.outputs, first, kLanes<T>);
        const T* filter = filters + (block.g * plan.panels + panel) * plan.panel_size;
        for (int i = 0; i < plan.group_count; ++i) {
          multiply_tiles(plan, plan.groups[i], depth, plan.tile_count(block), width, scratch.own,
                         filter, scratch.steps, scratch.sums);
          finish_group(plan, block, i, first, scratch.sums, scratch);
        }
        if (plan.merged_phases && panel + 1 < plan.panels) continue;
        finish_outputs(plan, block, depth, plan.merged_phases ? 0 : first, scratch);
        clear_broken(plan, block, scratch);
      }
    }
  });
}

// Data transformed beforehand, blocks are images: a task transforms the filters of a panel,
// unless `filters` has them already.
template <class T>
void run_filter_panels(const ConvWinogradPlan<T>& plan, char* workspace, int threads,
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
    const T* filter = scratch.own;
    if (filters != nullptr)
      filter = filters + task * plan.panel_size;
    else
      transform_filter(plan, g, first, scratch.packed, scratch.own);
    for (int i = 0; i < plan.group_count; ++i)
      multiply_tiles(plan, plan.groups[i], 0, plan.tiles, width, all_data + g * plan.data_size,
                     filter, scratch.steps, scratch.sums + i * plan.group_sums);
    for (int64_t index = 0; index < plan.blocks; ++index) {
      const TileBlock block = plan.block(g, index);
      const T* sums = scratch.sums + index * plan.image_tiles() * width;
      clear_broken(plan, block, scratch);
      for (int i = 0; i < plan.group_count; ++i)
        finish_group(plan, block, i, first, sums + i * plan.group_sums, scratch);
      finish_outputs(plan, block, 0, first, scratch);
    }
  });
}

template <class T>
void run_winograd(const ConvArgs<T>& args, bool backward, const WinogradCover& cover) {
  const ConvWinogradPlan<T> plan(args, canonical(*args.params), backward, cover);
  char* workspace = static_cast<char*>(args.exec.workspace);
  const int threads = args.exec.threads;
  const T* filters = args.packed_weight;
  if (plan.data_resident) return run_filter_panels(plan, workspace, threads, filters);
  if (filters == nullptr) {
    T* transformed = reinterpret_cast<T*>(workspace + plan.filter_at);
    transform_filters(plan, workspace, threads, transformed);
    filters = transformed;
  }
  run_tile_blocks(plan, workspace, threads, filters);
}

template <class T>
void pack_winograd(const ConvArgs<T>& args, bool backward, const WinogradCover& cover) {
  const ConvWinogradPlan<T> plan(args, canonical(*args.params), backward, cover);
  transform_filters(plan, static_cast<char*>(args.exec.workspace), args.exec.threads,
                    args.packed_weight);
}

}  // namespace
}  // namespace fastconv
