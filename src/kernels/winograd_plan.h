// How the work and the memory of a Winograd convolution are cut up, once winograd_cover.h has
// chosen the transforms: blocks of tiles, panels of outputs, groups of sums; patches and data in
// scratch.
//
// Depth is summed tap by tap in the transformed domain.
#pragma once

#include "kernels/conv_blocks.h"
#include "kernels/winograd_cover.h"

namespace fastconv {
namespace {

// Of a task: enough tiles to amortise reading the filters, or fewer whose data fit L2, which saves
// 2 to 4 % (64 channels of 224x224, 32 of 16x56x56, two threads of Cascade Lake).
constexpr int64_t kBlockTiles = 64, kLeastBlockTiles = 24;
constexpr int64_t kBlockDataBytes = 512 << 10;
constexpr int64_t kResidentTiles = 256;
constexpr int64_t kResidentDataBytes = 24 << 20;  // stays in L3
constexpr int64_t kStripTiles = 16;
constexpr int kMostGroups = kMostPhases * kMostPhases;
// An odd number of cache lines: n * n streams a multiple of 4 KiB apart would all fall into
// one set of L1.
template <class T>
FASTCONV_INLINE int64_t odd_lines(int64_t size) {
  constexpr int64_t line = 64 / sizeof(T);
  return (round_up(size, line) / line | 1) * line;
}

// A block of tiles of one image, group and run of depths, in units of tiles.
struct TileBlock {
  int64_t n, g, od, depths, row, column, rows, columns;
};

// Planes of a patch: a lane block of channels each, or all channels where they are fewer.
struct PlaneRange {
  int64_t begin, end;
};

// Lanes of a term.
struct LaneRange {
  int64_t begin, end;
  FASTCONV_INLINE int64_t size() const { return end - begin; }
};

// Sums that share their outputs: one phase and one pair of transforms.
struct WinogradGroup {
  int64_t row_phase, column_phase;
  int row_kind, column_kind;
  int64_t terms;  // of each depth tap
};

// Where a panel's filters lie, [group][entry][k][width].
struct FilterLayout {
  int64_t at[kMostGroups], pitch[kMostGroups];  // of a group; of an entry
  int64_t size;
  void append(int group, int64_t entries, int64_t entry_pitch) {
    at[group] = size;
    pitch[group] = entry_pitch;
    size += entries * entry_pitch;
  }
};

template <class T>
struct WinogradPlan {
  ConvParams p;
  Operands<T> op;
  TiledAxis<T> row_axis, column_axis;
  Axis depth;
  bool folded, merged_columns, merged_phases, backward, streams;
  bool by_family;                       // data are those of one family at a time
  int64_t lanes, channel_blocks, unit;  // of a term; elements of a column in the patch
  int64_t outputs;                      // lanes of the sums: channels, or phases of channels
  int64_t panels;
  int64_t piece;  // lanes that all terms are summed of before the next
  FilterLayout filters;
  int64_t slices;                                                                  // of a block
  int64_t rows, columns, depths, row_blocks, column_blocks, depth_blocks, blocks;  // of a group
  int64_t tiles;  // multiplied at once, at most
  // Patch [lane block][slice][row][column][unit], data [slice][window][lane block][tile][16].
  int64_t row_pitch, slice_pitch, plane, patch_size;
  int64_t family_at[2][2], data_pitch[2][2], data_size;
  WinogradGroup groups[kMostGroups];
  int group_count;

  WinogradPlan(const ConvArgs<T>& args, const ConvParams& params, bool is_backward,
               const WinogradCover& cover)
      : p(params),
        op(is_backward ? backward_operands(args, p) : forward_operands(args, p)),
        row_axis(cover.row_runs, cover.out_rows, cover.row.m, cover.row.r),
        column_axis(cover.column_runs, cover.out_columns, cover.column.m, cover.column.r),
        folded(cover.folded),
        merged_columns(cover.merged_columns),
        merged_phases(cover.merged_phases),
        backward(is_backward),
        by_family(false) {
    depth = backward ? backward_axis(p, 0, 0) : forward_axis(p, 0);
    const TiledAxis<T>&r = row_axis, &c = column_axis;
    lanes = op.channels * column_runs();
    unit = op.channels < kLaneBlock ? op.channels : kLaneBlock;
    channel_blocks = ceil_div(lanes, kLaneBlock);
    // It sets the order of a sum: the same for any batch. Column runs that are lanes are few.
    piece = merged_columns ? lanes : kLaneBlock;
    outputs = op.outputs * (merged_phases ? r.phases * c.phases : 1);
    panels = ceil_div(outputs, kPanel<T>);
    streams = op.n * op.groups * op.outputs * depth.out * out_rows() * out_columns() *
                  static_cast<int64_t>(sizeof(T)) >=
              kStreamBytes;
    group_count = 0;
    filters = {};
    for (int64_t i = 0; i < (merged_phases ? 1 : r.phases * c.phases); ++i) {
      for (int kinds = 0; kinds < r.kinds * c.kinds; ++kinds) {
        WinogradGroup group = {i / c.phases, i % c.phases, kinds / c.kinds, kinds % c.kinds, 0};
        for_each_term(group, [&](const Piece&, const Piece&, int64_t) { ++group.terms; });
        if (group.terms == 0) continue;
        filters.append(group_count, values(group), odd_lines<T>(k(group) * kPanel<T>));
        groups[group_count++] = group;
      }
    }
  }
  WinogradPlan(const WinogradPlan&) = delete;  // op points into p

  int64_t in_extent(int axis) const { return backward ? p.out[axis] : p.in[axis]; }
  int64_t out_rows() const { return folded ? 1 : row_axis.out; }
  int64_t out_columns() const { return folded ? row_axis.out : column_axis.out; }
  const Transform<T>& row_transform(int kind) const { return *row_axis.kind[kind]; }
  const Transform<T>& column_transform(int kind) const { return *column_axis.kind[kind]; }
  const Transform<T>& row_transform(const WinogradGroup& group) const {
    return row_transform(group.row_kind);
  }
  const Transform<T>& column_transform(const WinogradGroup& group) const {
    return column_transform(group.column_kind);
  }
  int64_t values(int row_kind, int column_kind) const {
    return row_transform(row_kind).n * column_transform(column_kind).n;
  }
  int64_t values(const WinogradGroup& group) const {
    return values(group.row_kind, group.column_kind);
  }
  // Whether an earlier group has the same outputs.
  bool adds(int index) const {
    return index > 0 && groups[index - 1].row_phase == groups[index].row_phase &&
           groups[index - 1].column_phase == groups[index].column_phase;
  }
  // Those of one row transform and one column transform.
  int families() const { return row_axis.kinds * column_axis.kinds; }
  int family(const WinogradGroup& group) const {
    return group.row_kind * column_axis.kinds + group.column_kind;
  }
  // Products of an entry of the sums.
  int64_t k(const WinogradGroup& group) const { return depth.taps * group.terms * lanes; }
  int64_t all_taps() const { return p.kernel[0] * p.kernel[1] * p.kernel[2]; }
  LaneRange all_lanes() const { return {0, lanes}; }
  LaneRange piece_at(int64_t lane) const { return {lane, min(lane + piece, lanes)}; }
  int64_t most_values() const {
    int64_t most = 0;
    for (int i = 0; i < families(); ++i)
      most = max(most, values(i / column_axis.kinds, i % column_axis.kinds));
    return most;
  }
  int64_t windows(int row_kind, int column_kind) const {
    return row_axis.windows_of[row_kind] * column_axis.windows_of[column_kind];
  }

  // visit(row piece, column piece, window): what one group multiplies, in order.
  template <class Visit>
  void for_each_term(const WinogradGroup& group, const Visit& visit) const {
    const TiledAxis<T>&r = row_axis, &c = column_axis;
    const bool all = merged_phases;
    for (int i = 0; i < (all ? 1 : r.piece_count); ++i) {
      const Window<T>& row = r.windows[r.pieces[i].window];
      if ((!all && r.pieces[i].phase != group.row_phase) || row.kind != group.row_kind) continue;
      for (int j = 0; j < (all ? 1 : c.piece_count); ++j) {
        const Window<T>& column = c.windows[c.pieces[j].window];
        if ((!all && c.pieces[j].phase != group.column_phase) || column.kind != group.column_kind)
          continue;
        visit(r.pieces[i], c.pieces[j], row.rank * c.windows_of[column.kind] + column.rank);
      }
    }
  }

  // The column piece of a lane: where column runs are channels, the lane's own.
  Piece lane_piece(const Piece& column, int64_t lane) const {
    if (!merged_columns) return column;
    const int64_t run = lane / op.channels, stride = p.stride[2];
    return {0, 0, 0, ceil_div(p.kernel[2] - run, stride), run, stride};
  }

  // Kernel index (row-major in height and width) of tap (i, j) of a term, or -1.
  int64_t kernel_tap(const Piece& row, const Piece& column, int64_t i, int64_t j) const {
    if (folded) {
      const int64_t rank = row.tap(i) * kFoldedColumns + j;
      if (row.tap(i) < 0 || rank >= p.kernel[2]) return -1;
      return backward ? p.kernel[2] - 1 - rank : rank;
    }
    const int64_t kh = row.tap(i), kw = column.tap(j);
    return kh < 0 || kw < 0 ? -1 : kh * p.kernel[2] + kw;
  }

  // The patch and the data of blocks of rows x columns units, `at_once` tiles side by side.
  void lay_out(int64_t at_once) {
    tiles = at_once;
    const TiledAxis<T>&r = row_axis, &c = column_axis;
    const int64_t width =
        folded ? r.extent(rows) + c.reach : c.extent(columns) + (column_runs() - 1);
    row_pitch = round_up(width * unit, kLaneBlock);
    slice_pitch = row_pitch * (folded ? 1 : r.extent(rows));
    slices = depth.taps + depths - 1;
    plane = odd_lines<T>(slices * slice_pitch);
    // Vectors of few channels are read beyond the last of them.
    patch_size = plane * all_planes().end + channel_blocks * kLaneBlock;
    data_size = 0;
    for (int i = 0; i < families(); ++i) {
      const int row = i / c.kinds, column = i % c.kinds;
      family_at[row][column] = by_family ? 0 : data_size;
      data_pitch[row][column] =
          odd_lines<T>(slices * windows(row, column) * channel_blocks * tiles * kLaneBlock);
      data_size =
          max(data_size, family_at[row][column] + values(row, column) * data_pitch[row][column]);
    }
  }
  PlaneRange all_planes() const { return {0, ceil_div(op.channels, unit)}; }
  int64_t column_runs() const { return merged_columns ? min(p.stride[2], p.kernel[2]) : 1; }
  // Elements of the patch from one input row to the next, as the row transforms count them.
  int64_t row_input() const { return folded ? unit : row_pitch; }
  // Of the strip: rows transformed, with room for a vector beyond the last column.
  int64_t strip_pitch() const { return odd_lines<T>(row_pitch + kLaneBlock); }
  int64_t strip_size() const {
    int64_t most = 1;
    for (int i = 0; i < row_axis.kinds; ++i) most = max(most, row_transform(i).n);
    return most * strip_pitch();
  }

  // Tiles whose data stay in L2, and how many a block has: those, unless it is too few.
  int64_t tiles_in_cache() const {
    int64_t values_of_tile = 0;
    for (int i = 0; i < families(); ++i) {
      const int row = i / column_axis.kinds, column = i % column_axis.kinds;
      const int64_t of_family = values(row, column) * windows(row, column);
      values_of_tile = by_family ? max(values_of_tile, of_family) : values_of_tile + of_family;
    }
    const int64_t of_tile = values_of_tile * depth.taps * channel_blocks * kLaneBlock;
    return kBlockDataBytes / (of_tile * int64_t{sizeof(T)});
  }
  int64_t block_tiles() const {
    const int64_t most = tiles_in_cache();
    return most < kLeastBlockTiles ? kBlockTiles : min(most, kBlockTiles);
  }
  // Blocks of about block_tiles() tiles, and enough of them for `tasks`.
  void cut_blocks(int64_t tasks) {
    const TiledAxis<T>&r = row_axis, &c = column_axis;
    const int64_t most = max(1, block_tiles() / (r.interleave * c.interleave));
    // Wide enough for long lines, narrow enough for a strip in L1 and little overlap of rows.
    const int64_t most_columns = max(most / r.units, max(1, kStripTiles / c.interleave));
    columns = ceil_div(c.units, ceil_div(c.units, most_columns));
    // Rows of a block that end with a cache line of a planar output can be streamed.
    if (streams && op.out_stride[4] == 1)
      while (columns < c.units && columns * c.unit_out() % kLaneBlock != 0) ++columns;
    rows = min(r.units, max(1, most / columns));
    // Depths share the transforms of their slices.
    depths = depth.taps > 1 && depth.step == 1 && depth.dilation() == 1
                 ? min(depth.out, kDepthBlock)
                 : 1;
    if (depths > 1) rows = max(1, ceil_div(rows, 2));
    const int64_t outer =
        op.n * op.groups * ceil_div(depth.out, depths) * ceil_div(c.units, columns);
    while (rows > 1 && outer * ceil_div(r.units, rows) < tasks) rows = ceil_div(rows, 2);
    rows = ceil_div(r.units, ceil_div(r.units, rows));
    count_blocks();
    lay_out(rows * columns * r.interleave * c.interleave);
  }
  // Blocks are images.
  void take_images() {
    rows = row_axis.units;
    columns = column_axis.units;
    depths = 1;
    count_blocks();
    lay_out(group_tiles());
  }
  int64_t image_tiles() const { return row_axis.tiles() * column_axis.tiles(); }
  int64_t group_tiles() const { return op.n * depth.out * image_tiles(); }
  void count_blocks() {
    row_blocks = ceil_div(row_axis.units, rows);
    column_blocks = ceil_div(column_axis.units, columns);
    depth_blocks = ceil_div(depth.out, depths);
    blocks = op.n * depth_blocks * row_blocks * column_blocks;
  }
  TileBlock block(int64_t g, int64_t index) const {
    TileBlock b;
    b.g = g;
    const Division of_row = divide(index, column_blocks);
    const Division of_slice = divide(of_row.quotient, row_blocks);
    const Division of_image = divide(of_slice.quotient, depth_blocks);
    b.column = of_row.remainder * columns;
    b.row = of_slice.remainder * rows;
    b.od = of_image.remainder * depths;
    b.n = of_image.quotient;
    b.rows = min(rows, row_axis.units - b.row);
    b.columns = min(columns, column_axis.units - b.column);
    b.depths = min(depths, depth.out - b.od);
    return b;
  }
  int64_t tile_rows(const TileBlock& b) const { return b.rows * row_axis.interleave; }
  int64_t tile_columns(const TileBlock& b) const { return b.columns * column_axis.interleave; }
  int64_t tile_count(const TileBlock& b) const { return tile_rows(b) * tile_columns(b); }
};

}  // namespace
}  // namespace fastconv
