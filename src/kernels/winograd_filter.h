// Filters for Winograd's products: G w G^T, the vector operand.
//
//   filter [xi][k][width]     k: blocks of channels, then depth taps, then the terms of a group,
//                             then the channels of the block
//
// Rows of a term's taps that are shorter than its transform are filled with zeros.
#pragma once

#include "kernels/pack_weight.h"
#include "kernels/winograd_plan.h"

namespace fastconv {
namespace {

// The axes as filters are packed: every kernel index in its order.
inline void kernel_axes(const ConvParams& p, Axis (&axis)[kSpatial]) {
  for (int i = 0; i < kSpatial; ++i) axis[i] = {0, 0, 1, p.kernel[i], 0, 1, 0, 1, 0, 1};
}

// Elements of scratch for a panel's taps: a block of channels packed, and the taps of a term.
template <class T>
int64_t taps_scratch(const WinogradPlan<T>& plan) {
  return (plan.all_taps() + kMostTaps * kMostTaps) * kChannelBlock * kPanel<T>;
}

// Where a term's taps [i][j] are among all, [height][width] of a slice, if they lie evenly.
struct TapsPlace {
  int64_t first, row_pitch, column_pitch;
  bool evenly;

  template <class T>
  TapsPlace(const WinogradPlan<T>& plan, const Piece& row, const Piece& column, int64_t rows,
            int64_t columns) {
    const auto tap = [&](int64_t i, int64_t j) { return plan.kernel_tap(row, column, i, j); };
    first = tap(0, 0);
    row_pitch = rows > 1 ? tap(1, 0) - first : 0;
    column_pitch = columns > 1 ? tap(0, 1) - first : 0;
    evenly = first >= 0;
    for (int64_t i = 0; i < rows; ++i)
      for (int64_t j = 0; j < columns; ++j)
        evenly &= tap(i, j) >= 0 && tap(i, j) == first + i * row_pitch + j * column_pitch;
  }
};

// A transform's taps [i][j] of packed[tap][channel][width], each a run of `size` elements: in
// place if they lie evenly, else copied into `taps`, with zeros where the transform has more of
// them than the term.
template <class T>
struct FilterTaps {
  const T* from;
  int64_t row_pitch, column_pitch, size;

  FilterTaps(const WinogradPlan<T>& plan, const Piece& row, const Piece& column, int64_t kd,
             int64_t channels, const T* packed, int64_t width, int64_t rows, int64_t columns,
             T* taps)
      : size(channels * width) {
    const T* base = packed + kd * plan.p.kernel[1] * plan.p.kernel[2] * size;
    const TapsPlace place(plan, row, column, rows, columns);
    from = base + place.first * size;
    row_pitch = place.row_pitch * size;
    column_pitch = place.column_pitch * size;
    if (place.evenly) return;
    from = taps;
    row_pitch = columns * size;
    column_pitch = size;
    for (int64_t i = 0; i < rows; ++i) {
      for (int64_t j = 0; j < columns; ++j, taps += size) {
        const int64_t tap = plan.kernel_tap(row, column, i, j);
        for (int64_t v = 0; v < size; v += kLanes<T>)
          store(taps + v, tap < 0 ? Vec<T>{} : load(base + tap * size + v));
      }
    }
  }
};

// taps[i][j][width] of one channel where the phases of few outputs are lanes, from the filters
// as they come.
template <class T>
void gather_phase_taps(const WinogradPlan<T>& plan, int64_t g, int64_t first, int64_t width,
                       int64_t kd, int64_t channel, int64_t rows, int64_t columns, T* taps) {
  const Operands<T>& op = plan.op;
  const TiledAxis<T>&r = plan.row_axis, &c = plan.column_axis;
  const int64_t* stride = op.weight_stride;
  const T* weight = op.weight + g * op.weight_group_stride + channel * stride[1] + kd * stride[2];
  for (int64_t v = 0; v < width; ++v) {
    const int64_t lane = first + v, phase = lane / op.outputs;
    for (int64_t i = 0; i < rows; ++i) {
      for (int64_t j = 0; j < columns; ++j) {
        T value = 0;
        if (lane < plan.outputs) {
          const int64_t kh = r.pieces[phase / c.phases].tap(i);
          const int64_t kw = c.pieces[phase % c.phases].tap(j);
          if (kh >= 0 && kw >= 0)
            value = weight[lane % op.outputs * stride[0] + kh * stride[3] + kw * stride[4]];
        }
        taps[(i * columns + j) * width + v] = value;
      }
    }
  }
}

// The taps of channels [begin, end), packed [block of channels][tap][c][width].
template <class T>
void pack_taps(const WinogradPlan<T>& plan, int64_t g, int64_t first, int64_t begin, int64_t end,
               T* packed) {
  const Operands<T>& op = plan.op;
  const int64_t taps = plan.all_taps();
  Axis axis[kSpatial];
  kernel_axes(plan.p, axis);
  pack_weight(packed, op.weight + g * op.weight_group_stride, op.weight_stride, axis, op.channels,
              op.outputs, first, begin / kChannelBlock * taps, ceil_div(end, kChannelBlock) * taps);
}

// The taps of one panel. They come from `all`, which has all of the panel's packed, or if that is
// null from the weight; `scratch` is of taps_scratch().
template <class T>
struct PanelTaps {
  const WinogradPlan<T>& plan;
  int64_t g, first;
  const T* all;
  T* scratch;
  int64_t width = panel_width(plan.outputs, first, kLanes<T>);
  int64_t taps = plan.all_taps();

  // Those of channels [begin, end), [block of channels][tap][c][width]: of `all`, or packed to `to`.
  const T* of_channels(int64_t begin, int64_t end, T* to) const {
    if (all != nullptr) return all + begin * taps * width;
    if (!plan.merged_phases) pack_taps(plan, g, first, begin, end, to);
    return to;
  }

  // visit(place among the block's k, taps, their row and column pitch, lanes): the taps of every
  // term of a group and of the block of channels at `channel`, which are `packed`, a run of lanes
  // at a time.
  template <class Visit>
  void for_each(const WinogradGroup& group, int64_t channel, const T* packed,
                const Visit& visit) const {
    const int64_t channels = min(kChannelBlock, plan.op.channels - channel);
    const LaneRange piece = plan.piece_at(channel);
    T* copied = scratch + taps * kChannelBlock * kPanel<T>;
    const int64_t rows = plan.row_transform(group).r;
    const int64_t columns = plan.column_transform(group).r;
    int64_t to = 0;
    for (int64_t rank = 0; rank < plan.depth.taps; ++rank) {
      const int64_t kd = plan.backward ? plan.depth.taps - 1 - rank : rank;
      plan.for_each_term(group, [&](const Piece& row, const Piece& column, int64_t) {
        if (plan.merged_phases) {
          for (int64_t i = 0; i < channels; ++i) {
            gather_phase_taps(plan, g, first, width, kd, channel + i, rows, columns, copied);
            visit(to + i, copied, columns * width, width, 1);
          }
        } else {
          // Lanes whose taps are alike: those of one column run.
          for (int64_t run = 0; run < plan.column_runs(); ++run) {
            const int64_t lane = run * plan.op.channels;
            const FilterTaps<T> of_run(plan, row, plan.lane_piece(column, lane), kd, channels,
                                       packed, width, rows, columns, copied);
            visit(to + lane, of_run.from, of_run.row_pitch, of_run.column_pitch, channels);
          }
        }
        to += piece.size();
      });
    }
  }

  // to[column of the transform][k][width], `pitch` apart: row i of G w G^T, of `lanes` lanes.
  void transform_row(const WinogradGroup& group, int64_t i, const T* from, int64_t row_pitch,
                     int64_t column_pitch, int64_t lanes, T* to, int64_t pitch) const {
    const Transform<T>& rows = plan.row_transform(group);
    plan.column_transform(group).filter_row(from, row_pitch, column_pitch, rows.g + i * rows.r,
                                            rows.r, to, pitch, lanes * width / kLanes<T>);
  }
};

// filter = G w G^T of all groups.
template <class T>
void transform_filter(const PanelTaps<T>& taps, T* filter) {
  const WinogradPlan<T>& plan = taps.plan;
  for (int64_t channel = 0; channel < plan.op.channels; channel += kChannelBlock) {
    const int64_t end = min(channel + kChannelBlock, plan.op.channels);
    const T* packed = taps.of_channels(channel, end, taps.scratch);
    for (int index = 0; index < plan.group_count; ++index) {
      const WinogradGroup& group = plan.groups[index];
      const int64_t pitch = plan.filters.pitch[index];
      const int64_t row_pitch = plan.column_transform(group).n * pitch;
      // After the k of earlier blocks.
      T* of_block =
          filter + plan.filters.at[index] + channel * plan.depth.taps * group.terms * taps.width;
      taps.for_each(
          group, channel, packed,
          [&](int64_t at, const T* from, int64_t from_row, int64_t from_column, int64_t lanes) {
            for (int64_t i = 0; i < plan.row_transform(group).n; ++i)
              taps.transform_row(group, i, from, from_row, from_column, lanes,
                                 of_block + at * taps.width + i * row_pitch, pitch);
          });
    }
  }
}

}  // namespace
}  // namespace fastconv
