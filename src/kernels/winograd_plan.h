// Which of Winograd's transforms a convolution takes, and how its work and memory are cut up.
//
// A plan is a transform cover of the rows times one of the columns (winograd_axis.h); depth is
// summed tap by tap in the transformed domain. Beside those:
//
// - A 1-D filter of more than three taps is folded: outputs j * 3 + q for q < 3 are rows and
//   columns of a 2-D image with rows 3 apart, its taps those of a filter of three columns, and
//   F(6, 3) nested with F(3, 3) needs 2.2 products an output where nine taps need 9.
// - Few input channels (a first layer) with a stride: the channels of neighbouring columns are
//   neighbours, as lanes of one vector; the column runs become channels.
// - Few output channels in the gradient of a strided layer: the phases become channels.
//
// The cost model counts, for each cover, the products and the vector elements transformed; its
// weights are estimates from instruction counts, not fits (measured choices: docs/plans.md). It
// knows the problem of one image alone: neither the batch nor the threads change the choice.
#pragma once

#include "core/canonical.h"
#include "kernels/conv_blocks.h"
#include "kernels/winograd_axis.h"

namespace fastconv {
namespace {

constexpr int64_t kLaneBlock = 16;   // channels side by side in patches and data
constexpr int64_t kBlockTiles = 64;  // of a task: enough to amortise reading the filters
constexpr int64_t kResidentTiles = 256;
constexpr int64_t kResidentDataBytes = 24 << 20;  // stays in L3
constexpr int64_t kStripTiles = 16;
constexpr int64_t kFoldedColumns = 3;
constexpr int kMostGroups = kMostPhases * kMostPhases;
constexpr int64_t kDepthBlock = 4;  // outputs of a block whose slices share transformed data

// In multiply-adds: an element of the data transformed, one of the sums, and one summed
// directly (whose loop has shorter runs).
constexpr double kDataCost = 5, kSumCost = 5, kDirectCost = 1.1;
// Transforming and reading a filter, in tiles that it is multiplied with: 15 an image where they
// come from memory, for a batch of four. Without it 512 filters of 3x3 with stride 2 on 14x14
// take 85 MB for 49 outputs, and one image 4.0 ms where direct summation takes 1.3.
constexpr double kFilterTiles = 4;

// An odd number of cache lines: n * n streams a multiple of 4 KiB apart would all fall into
// one set of L1.
template <class T>
FASTCONV_INLINE int64_t odd_lines(int64_t size) {
  constexpr int64_t line = 64 / sizeof(T);
  return (round_up(size, line) / line | 1) * line;
}

// The tiles of an axis and the taps of all its windows; 0: as many as each run has.
struct CoverChoice {
  int64_t m, r;
};

// What a choice costs, counted along its axis.
struct AxisCost {
  CoverChoice choice;
  int number;  // of the choice
  double tiles, data, products, sums;
};

constexpr int kAxisChoices = 8;

template <class T>
struct AxisChoices {
  AxisCost at[kAxisChoices];
  int count = 0;

  AxisChoices(const Runs& runs, int64_t outputs, bool shared_only) {
    // Taps one by one ({1, 1}) leave an axis as it is. Runs longer than any transform are cut;
    // shorter transforms than a run never pay otherwise.
    constexpr int64_t kLongest = 5;
    constexpr CoverChoice kAll[kAxisChoices] = {{1, 1}, {4, 2}, {4, 3}, {5, 3},
                                                {6, 3}, {4, 4}, {4, 5}, {4, 0}};
    for (int number = 0; number < kAxisChoices; ++number) {
      const CoverChoice& choice = kAll[number];
      const bool one_by_one = choice.m == 1 && runs.count == 1 && runs.phases == 1;
      // Phases may share the windows of a longer filter.
      const bool fits = choice.r > 1 &&
                        (choice.r == runs.most_taps || (runs.phases > 1 && choice.r == runs.span));
      const bool cuts = runs.most_taps > kLongest && choice.r > 2;
      const bool uneven = choice.r == 0 && !runs.even;
      if (!one_by_one && !fits && !cuts && !uneven) continue;
      const TiledAxis<T> axis(runs, outputs, choice.m, choice.r);
      if (axis.piece_count == 0 || (shared_only && axis.window_count > 1)) continue;
      at[count++] = {choice,
                     number,
                     static_cast<double>(axis.tiles()),
                     static_cast<double>(axis.data_values()),
                     static_cast<double>(axis.products()),
                     static_cast<double>(axis.sum_values())};
    }
  }
};

// A cover of rows and columns.
struct WinogradCover {
  Runs row_runs, column_runs;
  CoverChoice row, column;
  bool folded, merged_columns, merged_phases;
  int64_t out_rows, out_columns;
  double cost, direct_cost;  // of one image and group
  int number;                // of the cover, below 2 * kAxisChoices^2
};

// Whether there is a cover that beats direct summation, and which; for `wanted` >= 0, whether
// there is one of that number, whatever it costs.
template <class T>
bool choose_cover(const ConvParams& p, bool backward, WinogradCover* best, int wanted = -1) {
  const int64_t channels = (backward ? p.out_channels : p.in_channels) / p.groups;
  const int64_t outputs = (backward ? p.in_channels : p.out_channels) / p.groups;
  const int64_t* out = backward ? p.in : p.out;
  const int64_t taps = p.kernel[0] * p.kernel[1] * p.kernel[2];
  // Nothing to gain; and what it takes to find that out is more than small problems have.
  constexpr int64_t kFewestProducts = 2048, kFewestOutputs = 16;
  if (taps == 1 || channels * outputs * taps < kFewestProducts ||
      out[1] * out[2] < kFewestOutputs || (backward && p.stride[0] != 1))
    return false;
  Runs rows = make_runs(p, 1, backward), columns = make_runs(p, 2, backward);
  if (rows.count == 0 || columns.count == 0) return false;
  const double phases = static_cast<double>(rows.phases * columns.phases);
  const bool few_channels = channels < kLaneBlock && columns.count > 1 && !backward;
  const bool few_outputs = outputs < kLaneBlock && phases > 1;
  // Groups of few outputs are summed with vectors along the positions, less well.
  const double direct_outputs = outputs < kLaneBlock
                                    ? 1.5 * static_cast<double>(outputs)
                                    : static_cast<double>(round_up(outputs, kLaneBlock));
  const double direct =
      (kDirectCost * static_cast<double>(out[1] * out[2]) / phases + kFilterTiles) *
      static_cast<double>(taps * channels) * direct_outputs;
  *best = {rows,        columns, {},     {},     false,  few_channels,
           few_outputs, out[1],  out[2], direct, direct, 0};
  const double k = static_cast<double>(channels * (few_channels ? columns.count : 1));
  const double lanes = static_cast<double>(round_up(static_cast<int64_t>(k), kLaneBlock));
  const double sums = few_outputs ? phases : 1;
  const double vectors = static_cast<double>(
      round_up(static_cast<int64_t>(static_cast<double>(outputs) * sums), kLaneBlock));
  const double depth = static_cast<double>(p.kernel[0]);
  // Neighbouring depths of a block share transformed slices.
  const double slices = p.stride[0] == 1 ? (kDepthBlock + depth - 1) / kDepthBlock : depth;
  const auto consider = [&](const AxisCost& row, const AxisCost& column, bool folded) {
    const int number = (folded * kAxisChoices + row.number) * kAxisChoices + column.number;
    if (wanted >= 0 && number != wanted) return false;
    if (row.choice.m == 1 && column.choice.m == 1) return false;  // the direct algorithm
    const double values = row.sums * column.sums / sums;
    const double tiles = row.tiles * column.tiles;
    const double cost =
        (tiles + kFilterTiles) * row.products * column.products / sums * depth * k * vectors +
        tiles * (kDataCost * row.data * column.data * slices * lanes + kSumCost * values * vectors);
    if (wanted < 0 && cost >= best->cost) return false;
    best->number = number;
    best->row = row.choice;
    best->column = column.choice;
    best->cost = cost;
    return true;
  };
  if (few_channels) columns.count = 1;  // the longest; the others become its channels
  const AxisChoices<T> row_choices(rows, out[1], few_outputs);
  const AxisChoices<T> column_choices(columns, out[2], few_outputs || few_channels);
  best->column_runs = columns;
  bool found = false;
  for (int i = 0; i < row_choices.count; ++i)
    for (int j = 0; j < column_choices.count; ++j)
      found |= consider(row_choices.at[i], column_choices.at[j], false);
  const bool one_row = p.in[1] == 1 && p.out[1] == 1 && p.kernel[1] == 1 && p.pad_before[1] == 0;
  if (one_row && p.kernel[2] > kFoldedColumns && p.stride[2] == 1 && p.dilation[2] == 1) {
    const int64_t outer = ceil_div(p.kernel[2], kFoldedColumns);
    rows = columns;
    rows.at[0] = {0, columns.at[0].offset, outer, 0, 1};
    rows.in_step = rows.out_step = kFoldedColumns;
    rows.most_taps = outer;
    columns.at[0] = {0, 0, kFoldedColumns, 0, 1};
    columns.most_taps = kFoldedColumns;
    const TiledAxis<T> inner(columns, kFoldedColumns, kFoldedColumns, kFoldedColumns);
    const double n = static_cast<double>(inner.products());
    const AxisCost column = {{kFoldedColumns, kFoldedColumns}, 0, 1, n, n, n};
    const AxisChoices<T> folded(rows, out[2], false);
    for (int i = 0; i < folded.count; ++i) {
      if (folded.at[i].choice.m == 1 || !consider(folded.at[i], column, true)) continue;
      best->folded = found = true;
      best->row_runs = rows;
      best->column_runs = columns;
      best->out_rows = out[2];
      best->out_columns = kFoldedColumns;
    }
  }
  return found;
}

// A block of tiles of one image, group and run of depths, in units of tiles.
struct TileBlock {
  int64_t n, g, od, depths, row, column, rows, columns;
};

// Planes of a patch: a lane block of channels each, or all channels where they are fewer.
struct PlaneRange {
  int64_t begin, end;
};

// Sums that share their outputs: one phase and one pair of transforms.
struct WinogradGroup {
  int64_t row_phase, column_phase;
  int row_kind, column_kind;
  int64_t k, filter_at;  // channels times terms; of a panel's filters
};

template <class T>
struct WinogradPlan {
  ConvParams p;
  Operands<T> op;
  TiledAxis<T> row_axis, column_axis;
  Axis depth;
  bool folded, merged_columns, merged_phases, backward, streams;
  int64_t lanes, channel_blocks, unit;  // of a term; elements of a column in the patch
  int64_t outputs;                      // lanes of the sums: channels, or phases of channels
  int64_t panels, panel_size;           // elements of a panel's transformed filters
  int64_t slices;                       // of a block
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
        backward(is_backward) {
    depth = backward ? backward_axis(p, 0, 0) : forward_axis(p, 0);
    const TiledAxis<T>&r = row_axis, &c = column_axis;
    lanes = op.channels * column_runs();
    unit = op.channels < kLaneBlock ? op.channels : kLaneBlock;
    channel_blocks = ceil_div(lanes, kLaneBlock);
    outputs = op.outputs * (merged_phases ? r.phases * c.phases : 1);
    panels = ceil_div(outputs, kPanel<T>);
    streams = op.n * op.groups * op.outputs * depth.out * out_rows() * out_columns() *
                  static_cast<int64_t>(sizeof(T)) >=
              kStreamBytes;
    group_count = 0;
    panel_size = 0;
    for (int64_t i = 0; i < (merged_phases ? 1 : r.phases * c.phases); ++i) {
      for (int kinds = 0; kinds < r.kinds * c.kinds; ++kinds) {
        WinogradGroup group = {i / c.phases, i % c.phases, kinds / c.kinds, kinds % c.kinds, 0, 0};
        for_each_term(group,
                      [&](const Piece&, const Piece&, int64_t) { group.k += depth.taps * lanes; });
        if (group.k == 0) continue;
        group.filter_at = panel_size;
        panel_size += values(group) * filter_pitch(group);
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
  int64_t values(int row_kind, int column_kind) const {
    return row_transform(row_kind).n * column_transform(column_kind).n;
  }
  int64_t values(const WinogradGroup& group) const {
    return values(group.row_kind, group.column_kind);
  }
  int64_t filter_pitch(const WinogradGroup& group) const {
    return odd_lines<T>(group.k * kPanel<T>);
  }
  int64_t most_values() const {
    int64_t most = 0;
    for (int i = 0; i < row_axis.kinds * column_axis.kinds; ++i)
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
    for (int i = 0; i < r.kinds * c.kinds; ++i) {
      const int row = i / c.kinds, column = i % c.kinds;
      family_at[row][column] = data_size;
      data_pitch[row][column] =
          odd_lines<T>(slices * windows(row, column) * channel_blocks * tiles * kLaneBlock);
      data_size += values(row, column) * data_pitch[row][column];
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

  // Blocks of about kBlockTiles tiles, and enough of them for `tasks`.
  void cut_blocks(int64_t tasks) {
    const TiledAxis<T>&r = row_axis, &c = column_axis;
    const int64_t most = max(1, kBlockTiles / (r.interleave * c.interleave));
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
    b.column = index % column_blocks * columns;
    index /= column_blocks;
    b.row = index % row_blocks * rows;
    index /= row_blocks;
    b.od = index % depth_blocks * depths;
    b.n = index / depth_blocks;
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
