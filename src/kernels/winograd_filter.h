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

// Elements of a panel's packed filters; and with the scratch to transform a block of them.
template <class T>
int64_t filters_size(const WinogradPlan<T>& plan) {
  const int64_t* kernel = plan.p.kernel;
  return round_up(plan.op.channels * kernel[0] * kernel[1] * kernel[2] * kPanel<T>, 64);
}
template <class T>
int64_t packed_size(const WinogradPlan<T>& plan) {
  return filters_size(plan) + (kMostTaps + kMostValues) * kMostTaps * kChannelBlock * kPanel<T>;
}

// Lanes of a term whose filters are transformed together, a block of packed channels or fewer.
struct FilterBlock {
  Piece row, column;
  int64_t kd, channel, channels;
};

// A transform's taps [i][j], each a run of `size` elements: in place if they lie evenly, else
// copied into `taps`, with zeros where the transform has more of them than the term.
template <class T>
struct FilterTaps {
  const T* from;
  int64_t row_pitch, column_pitch, size;

  FilterTaps(const WinogradPlan<T>& plan, const FilterBlock& block, const T* packed, int64_t width,
             int64_t rows, int64_t columns, T* taps) {
    const int64_t* kernel = plan.p.kernel;
    const int64_t plane = kernel[1] * kernel[2], all = plane * kernel[0];
    const int64_t first = block.channel / kChannelBlock * kChannelBlock;
    const int64_t packed_channels = min(kChannelBlock, plan.op.channels - first);
    const T* base =
        packed + (first * all + block.kd * plane * packed_channels + block.channel - first) * width;
    const int64_t pitch = packed_channels * width;
    const auto tap = [&](int64_t i, int64_t j) {
      return plan.kernel_tap(block.row, block.column, i, j);
    };
    size = block.channels * width;
    from = base + tap(0, 0) * pitch;
    row_pitch = rows > 1 ? (tap(1, 0) - tap(0, 0)) * pitch : 0;
    column_pitch = columns > 1 ? (tap(0, 1) - tap(0, 0)) * pitch : 0;
    bool evenly = tap(0, 0) >= 0;
    for (int64_t i = 0; i < rows; ++i)
      for (int64_t j = 0; j < columns; ++j)
        evenly &=
            tap(i, j) >= 0 && base + tap(i, j) * pitch == from + i * row_pitch + j * column_pitch;
    if (evenly) return;
    from = taps;
    row_pitch = columns * size;
    column_pitch = size;
    for (int64_t i = 0; i < rows; ++i) {
      for (int64_t j = 0; j < columns; ++j, taps += size) {
        const T* run = base + tap(i, j) * pitch;
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
// packed_size().
template <class T>
void transform_filter(const WinogradPlan<T>& plan, int64_t g, int64_t first, T* packed, T* filter) {
  const Operands<T>& op = plan.op;
  const int64_t width = panel_width(plan.outputs, first, kLanes<T>);
  const int64_t* kernel = plan.p.kernel;
  const int64_t all_taps = kernel[0] * kernel[1] * kernel[2];
  if (!plan.merged_phases) {
    Axis axis[kSpatial];
    kernel_axes(plan.p, axis);
    pack_weight(packed, op.weight + g * op.weight_group_stride, op.weight_stride, axis, op.channels,
                op.outputs, first, 0, all_taps * ceil_div(op.channels, kChannelBlock));
  }
  T* taps = packed + filters_size(plan);
  T* half = taps + kMostTaps * kMostTaps * kChannelBlock * kPanel<T>;
  for (int index = 0; index < plan.group_count; ++index) {
    const WinogradGroup& group = plan.groups[index];
    const Transform<T>& rows = plan.row_transform(group.row_kind);
    const Transform<T>& columns = plan.column_transform(group.column_kind);
    const int64_t pitch = plan.filter_pitch(group);
    T* to = filter + group.filter_at;
    const auto transform = [&](const T* from, int64_t row_pitch, int64_t column_pitch,
                               int64_t size) {
      for (int64_t j = 0; j < columns.r; ++j)
        rows.filter(from + j * column_pitch, row_pitch, kLanes<T>, half + j * size,
                    columns.r * size, kLanes<T>, size / kLanes<T>);
      for (int64_t i = 0; i < rows.n; ++i)
        columns.filter(half + i * columns.r * size, size, kLanes<T>, to + i * columns.n * pitch,
                       pitch, kLanes<T>, size / kLanes<T>);
      to += size;
    };
    for (int64_t rank = 0; rank < plan.depth.taps; ++rank) {
      const int64_t kd = plan.backward ? plan.depth.taps - 1 - rank : rank;
      plan.for_each_term(group, [&](const Piece& row, const Piece& column, int64_t) {
        if (plan.merged_phases) {
          for (int64_t channel = 0; channel < op.channels; ++channel) {
            gather_phase_taps(plan, g, first, width, kd, channel, rows.r, columns.r, taps);
            transform(taps, columns.r * width, width, width);
          }
          return;
        }
        // Runs of lanes whose taps are alike: a block of channels of one column run.
        for (int64_t lane = 0; lane < plan.lanes;) {
          const int64_t channel = lane % op.channels;
          const FilterBlock block = {row, plan.lane_piece(column, lane), kd, channel,
                                     min(kChannelBlock, op.channels - channel)};
          const FilterTaps<T> filters(plan, block, packed, width, rows.r, columns.r, taps);
          transform(filters.from, filters.row_pitch, filters.column_pitch, filters.size);
          lane += block.channels;
        }
      });
    }
  }
}

}  // namespace
}  // namespace fastconv
