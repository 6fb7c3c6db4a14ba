// Filters for Winograd's products: G w G^T, the vector operand.
//
//   filter [xi][k][width]     k: depth taps, then the terms of a group, then their lanes
//
// Rows of a term's taps that are shorter than its transform are filled with zeros.
#pragma once

#include "kernels/pack_weight.h"
#include "kernels/winograd_plan.h"

namespace fastconv {
namespace {

constexpr int kMostTaps = 5, kMostValues = 8;  // of a transform

// The axes as filters are packed: every kernel index in its order.
inline void kernel_axes(const ConvParams& p, Axis (&axis)[kSpatial]) {
  for (int i = 0; i < kSpatial; ++i) axis[i] = {0, 0, 1, p.kernel[i], 0, 1, 0, 1, 0, 1};
}

// Elements of scratch to transform a panel of filters: a block of them packed, its taps, and
// these half transformed.
template <class T>
int64_t packed_size(const WinogradPlan<T>& plan) {
  const int64_t* kernel = plan.p.kernel;
  return (kernel[0] * kernel[1] * kernel[2] + (kMostTaps + kMostValues) * kMostTaps) *
         kChannelBlock * kPanel<T>;
}

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
    const auto tap = [&](int64_t i, int64_t j) { return plan.kernel_tap(row, column, i, j); };
    from = base + tap(0, 0) * size;
    row_pitch = rows > 1 ? (tap(1, 0) - tap(0, 0)) * size : 0;
    column_pitch = columns > 1 ? (tap(0, 1) - tap(0, 0)) * size : 0;
    bool evenly = tap(0, 0) >= 0;
    for (int64_t i = 0; i < rows; ++i)
      for (int64_t j = 0; j < columns; ++j)
        evenly &=
            tap(i, j) >= 0 && base + tap(i, j) * size == from + i * row_pitch + j * column_pitch;
    if (evenly) return;
    from = taps;
    row_pitch = columns * size;
    column_pitch = size;
    for (int64_t i = 0; i < rows; ++i) {
      for (int64_t j = 0; j < columns; ++j, taps += size) {
        const T* run = base + tap(i, j) * size;
        for (int64_t v = 0; v < size; v += kLanes<T>)
          store(taps + v, tap(i, j) < 0 ? Vec<T>{} : load(run + v));
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

// filter = G w G^T of all groups for the panel that begins at `first`; `packed` is scratch of
// packed_size(). Channels are taken a block at a time, whose packed filters stay in L1.
template <class T>
void transform_filter(const WinogradPlan<T>& plan, int64_t g, int64_t first, T* packed, T* filter) {
  const Operands<T>& op = plan.op;
  const int64_t width = panel_width(plan.outputs, first, kLanes<T>);
  const int64_t* kernel = plan.p.kernel;
  const int64_t all_taps = kernel[0] * kernel[1] * kernel[2];
  Axis axis[kSpatial];
  kernel_axes(plan.p, axis);
  T* taps = packed + all_taps * kChannelBlock * kPanel<T>;
  T* half = taps + kMostTaps * kMostTaps * kChannelBlock * kPanel<T>;
  for (int64_t channel = 0; channel < op.channels; channel += kChannelBlock) {
    const int64_t channels = min(kChannelBlock, op.channels - channel);
    const int64_t block = channel / kChannelBlock;
    if (!plan.merged_phases)
      pack_weight(packed, op.weight + g * op.weight_group_stride, op.weight_stride, axis,
                  op.channels, op.outputs, first, block * all_taps, (block + 1) * all_taps);
    for (int index = 0; index < plan.group_count; ++index) {
      const WinogradGroup& group = plan.groups[index];
      const Transform<T>& rows = plan.row_transform(group.row_kind);
      const Transform<T>& columns = plan.column_transform(group.column_kind);
      const int64_t pitch = plan.filter_pitch(group);
      // Taps of `lanes` lanes to where lane `to` of the group is.
      const auto transform = [&](const T* from, int64_t row_pitch, int64_t column_pitch, int64_t to,
                                 int64_t lanes) {
        const int64_t size = lanes * width;
        T* out = filter + group.filter_at + to * width;
        for (int64_t j = 0; j < columns.r; ++j)
          rows.filter(from + j * column_pitch, row_pitch, kLanes<T>, half + j * size,
                      columns.r * size, kLanes<T>, size / kLanes<T>);
        for (int64_t i = 0; i < rows.n; ++i)
          columns.filter(half + i * columns.r * size, size, kLanes<T>, out + i * columns.n * pitch,
                         pitch, kLanes<T>, size / kLanes<T>);
      };
      int64_t to = channel;  // in the first term
      for (int64_t rank = 0; rank < plan.depth.taps; ++rank) {
        const int64_t kd = plan.backward ? plan.depth.taps - 1 - rank : rank;
        plan.for_each_term(group, [&](const Piece& row, const Piece& column, int64_t) {
          if (plan.merged_phases) {
            for (int64_t i = 0; i < channels; ++i) {
              gather_phase_taps(plan, g, first, width, kd, channel + i, rows.r, columns.r, taps);
              transform(taps, columns.r * width, width, to + i, 1);
            }
          } else {
            // Lanes whose taps are alike: those of one column run.
            for (int64_t run = 0; run < plan.column_runs(); ++run) {
              const int64_t lane = run * op.channels;
              const FilterTaps<T> filters(plan, row, plan.lane_piece(column, lane), kd, channels,
                                          packed, width, rows.r, columns.r, taps);
              transform(filters.from, filters.row_pitch, filters.column_pitch, to + lane, channels);
            }
          }
          to += plan.lanes;
        });
      }
    }
  }
}

}  // namespace
}  // namespace fastconv
