// Which of Winograd's transforms a convolution takes: a cover of the rows times one of the columns
// (winograd_axis.h), the cheapest of all by a model of costs.
//
// Beside the covers of both axes:
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
#include "kernels/winograd_axis.h"

namespace fastconv {
namespace {

constexpr int64_t kLaneBlock = 16;  // channels side by side in patches and data
constexpr int64_t kFoldedColumns = 3;
constexpr int64_t kDepthBlock = 4;  // outputs of a block whose slices share transformed data

// In multiply-adds: an element of the data transformed, one of the sums, and one summed
// directly (whose loop has shorter runs).
constexpr double kDataCost = 5, kSumCost = 5, kDirectCost = 1.1;
// Transforming and reading a filter, in tiles that it is multiplied with: 15 an image where they
// come from memory, for a batch of four. Without it 512 filters of 3x3 with stride 2 on 14x14
// take 85 MB for 49 outputs, and one image 4.0 ms where direct summation takes 1.3.
constexpr double kFilterTiles = 4;
// The most of direct summation's cost that a cover may have: what its data, sums and filters take
// in the memory between the caches is not counted. At 0.85, 256 filters of 3x3 with stride 2 on
// 28x28 took 36 ms for a batch of 16 where direct summation takes 17 (Cascade Lake).
constexpr double kMostCost = 0.8;

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
  int64_t lanes;  // of a term: channels, or column runs of them
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
  *best = {};
  best->row_runs = rows;
  best->merged_columns = few_channels;
  best->merged_phases = few_outputs;
  best->lanes = channels * (few_channels ? columns.count : 1);
  best->out_rows = out[1];
  best->out_columns = out[2];
  best->cost = kMostCost * direct;
  best->direct_cost = direct;
  const double k = static_cast<double>(best->lanes);
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

}  // namespace
}  // namespace fastconv
