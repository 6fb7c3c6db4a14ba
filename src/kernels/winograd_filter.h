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

// Elements of packed filters and of the scratch to transform them in, for one panel.
template <class T>
int64_t packed_size(const WinogradPlan<T>& plan) {
  const int64_t* kernel = plan.p.kernel;
  return round_up(plan.op.channels * kernel[0] * kernel[1] * kernel[2] * kPanel<T>, 64);
}

// Where a panel's filters lie once packed: [block of channels][tap][c][width].
template <class T>
struct PackedFilters {
  const T* packed;
  int64_t taps, channels, width;
  FASTCONV_INLINE const T* at(int64_t channel, int64_t tap) const {
    const int64_t block = channel / kChannelBlock * kChannelBlock;
    const int64_t count = min(kChannelBlock, channels - block);
    return packed + (block * taps + tap * count + channel - block) * width;
  }
};

// taps[i][j][width] of one lane of a term, for the panel that begins at `first`.
template <class T>
void gather_taps(const WinogradPlan<T>& plan, const PackedFilters<T>& filters, const Piece& row,
                 const Piece& column, int64_t kd, int64_t lane, int64_t rows, int64_t columns,
                 T* taps) {
  const int64_t* kernel = plan.p.kernel;
  const int64_t channels = plan.op.channels, width = filters.width;
  const int64_t channel = lane % channels;
  const Piece own = plan.lane_piece(column, lane);
  for (int64_t i = 0; i < rows; ++i) {
    for (int64_t j = 0; j < columns; ++j, taps += width) {
      const int64_t tap = plan.kernel_tap(row, own, i, j);
      if (tap < 0) {
        for (int64_t v = 0; v < width; v += kLanes<T>) store(taps + v, Vec<T>{});
        continue;
      }
      const T* from = filters.at(channel, kd * kernel[1] * kernel[2] + tap);
      for (int64_t v = 0; v < width; v += kLanes<T>) store(taps + v, load(from + v));
    }
  }
}

// The same where the phases of few outputs are lanes, from the filters as they come.
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

// filter = G w G^T of all groups for the panel that begins at `first`; `packed` is scratch.
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
  const PackedFilters<T> filters = {packed, all_taps, op.channels, width};
  alignas(64) T taps[kMostTaps * kMostTaps * kPanel<T>];
  alignas(64) T half[kMostValues * kMostTaps * kPanel<T>];
  for (int index = 0; index < plan.group_count; ++index) {
    const WinogradGroup& group = plan.groups[index];
    const Transform<T>& rows = plan.row_transform(group.row_kind);
    const Transform<T>& columns = plan.column_transform(group.column_kind);
    const int64_t pitch = plan.filter_pitch(group);
    T* to = filter + group.filter_at;
    for (int64_t rank = 0; rank < plan.depth.taps; ++rank) {
      const int64_t kd = plan.backward ? plan.depth.taps - 1 - rank : rank;
      plan.for_each_term(group, [&](const Piece& row, const Piece& column, int64_t) {
        for (int64_t lane = 0; lane < plan.lanes; ++lane, to += width) {
          if (plan.merged_phases)
            gather_phase_taps(plan, g, first, width, kd, lane, rows.r, columns.r, taps);
          else
            gather_taps(plan, filters, row, column, kd, lane, rows.r, columns.r, taps);
          rows.filter(taps, columns.r * width, kLanes<T>, half, columns.r * width, kLanes<T>,
                      columns.r * width / kLanes<T>);
          for (int64_t v = 0; v < width; v += kLanes<T>)
            columns.filter(half + v, width, columns.r * width, to + v, pitch, columns.n * pitch,
                           rows.n);
        }
      });
    }
  }
}

}  // namespace
}  // namespace fastconv
