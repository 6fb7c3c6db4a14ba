// Packing a piece of the input for the micro-kernel, where it is the broadcast operand.
//
//   patch[c][row][phase][column / step]   rows: (tap of depth, input row), zeros for padding
//
// Planar whatever the layout of the input: consecutive output positions are then
// consecutive in memory for every tap. With a step (stride) above 1 the columns are sorted by
// their residue modulo the step, for the same reason. Each input element is copied once for
// all the taps that read it, and serves every output channel of the block.
#pragma once

#include "kernels/conv_taps.h"
#include "simd/transpose.h"

namespace fastconv {
namespace {

// Where things are in a patch for `rows` x `columns` output positions of one output depth.
struct PatchLayout {
  Reach height, width;
  int64_t phase_pitch, row_pitch, slice_pitch, plane;

  PatchLayout(const Axis* axis, int64_t rows, int64_t columns, int64_t item_size)
      : height(axis[1], rows), width(axis[2], columns) {
    phase_pitch = ceil_div(width.extent, axis[2].step);
    row_pitch = phase_pitch * axis[2].step;
    slice_pitch = row_pitch * height.extent;
    // An odd number of cache lines: planes a multiple of 4 KiB apart would share one L1 set.
    const int64_t line = 64 / item_size;
    plane = round_up(slice_pitch * axis[0].taps, line);
    if (plane / line % 2 == 0) plane += line;
  }
  // Of the element under output (0, 0) for tap (kd, kh, kw).
  FASTCONV_INLINE int64_t tap_offset(const Axis* axis, int64_t kd, int64_t kh, int64_t kw) const {
    const auto rank = [&](int i, int64_t tap) {
      return axis[i].offset_step < 0 ? axis[i].taps - 1 - tap : tap;
    };
    const int64_t row = rank(1, kh) * height.tap_step, column = rank(2, kw) * width.tap_step;
    const int64_t start = kd * slice_pitch + row * row_pitch;
    if (axis[2].step == 1) return start + column;  // without a division
    return start + column % axis[2].step * phase_pitch + column / axis[2].step;
  }
  FASTCONV_INLINE int64_t row_offset(const Axis* axis, int64_t row) const {
    return row * axis[1].step * row_pitch;
  }
};

// dst[c * plane + i] = src[c * channel_stride + i * column_stride], i in [0, count)
template <class T>
inline void pack_run(T* dst, int64_t plane, const T* src, int64_t channels, int64_t channel_stride,
                     int64_t count, int64_t column_stride) {
  if (column_stride == 1) {
    for (int64_t c = 0; c < channels; ++c) {
      T* to = dst + c * plane;
      const T* from = src + c * channel_stride;
      int64_t i = 0;
      for (; i + kLanes<T> <= count; i += kLanes<T>) store(to + i, load(from + i));
      if (i < count && count > kLanes<T>)  // some of the vector before once more
        store(to + count - kLanes<T>, load(from + count - kLanes<T>));
      else if (i < count)
        store_lanes(to + i, load_lanes(from + i, 0, count - i, T(0)), count - i);
    }
  } else if (channel_stride == 1) {
    transpose_copy(dst, plane, src, column_stride, count, channels);
  } else {
    for (int64_t c = 0; c < channels; ++c)
      for (int64_t i = 0; i < count; ++i)
        dst[c * plane + i] = src[c * channel_stride + i * column_stride];
  }
}

template <class T>
inline void zero_run(T* dst, int64_t plane, int64_t channels, int64_t count) {
  // Vectors, of which the last is partial: a loop over elements is compiled to a call of memset.
  for (int64_t c = 0; c < channels; ++c)
    for (int64_t i = 0; i < count; i += kLanes<T>)
      store_lanes(dst + c * plane + i, Vec<T>{}, min(kLanes<T>, count - i));
}

// One row: a segment of packed columns after the other, and within it one phase after the
// other. `from` is column 0 of the input row, `first_column` the one of packed column 0.
template <class T>
void pack_row(T* to, const PatchLayout& layout, const Axis& axis, const T* from,
              const int64_t* in_stride, int64_t channels, int64_t first_column) {
  const int64_t step = axis.step;
  for (int64_t segment = 0; segment < layout.width.segments; ++segment) {
    const int64_t low = segment * layout.width.segment_extent;
    const int64_t high = low + layout.width.segment_extent;
    // Input column of a packed one: packed + shift.
    const int64_t shift = first_column + segment * layout.width.segment_step - low;
    for (int64_t phase = 0; phase < step; ++phase) {
      // Packed columns phase + i * step of this segment: i in [i_low, i_high), of which
      // [begin, end) lie inside the image.
      const auto first_at = [&](int64_t column) {
        if (step == 1) return max(0, column);  // and no division
        return column > phase ? ceil_div(column - phase, step) : 0;
      };
      const int64_t i_low = first_at(low), i_high = first_at(high);
      const int64_t begin = min(max(i_low, first_at(-shift)), i_high);
      const int64_t end = max(begin, min(i_high, first_at(axis.in - shift)));
      T* run = to + phase * layout.phase_pitch;
      zero_run(run + i_low, layout.plane, channels, begin - i_low);
      pack_run(run + begin, layout.plane, from + (shift + phase + begin * step) * in_stride[4],
               channels, in_stride[1], end - begin, step * in_stride[4]);
      zero_run(run + end, layout.plane, channels, i_high - end);
    }
  }
}

// `in` is the group's first channel of one image; (od, oh, ow) the block's first output.
template <class T>
void pack_patch(T* patch, const PatchLayout& layout, const Axis* axis, const T* in,
                const int64_t* in_stride, int64_t channels, int64_t od, int64_t oh, int64_t ow) {
  const int64_t first_row = oh * axis[1].step + axis[1].lowest();
  const int64_t first_column = ow * axis[2].step + axis[2].lowest();
  for (int64_t kd = 0; kd < axis[0].taps; ++kd) {
    const int64_t id = od * axis[0].step + axis[0].offset(kd);
    for (int64_t row = 0; row < layout.height.extent; ++row) {
      const int64_t ih = first_row + layout.height.position(row);
      T* to = patch + kd * layout.slice_pitch + row * layout.row_pitch;
      if (id < 0 || id >= axis[0].in || ih < 0 || ih >= axis[1].in)
        zero_run(to, layout.plane, channels, layout.row_pitch);
      else
        pack_row(to, layout, axis[2], in + id * in_stride[2] + ih * in_stride[3], in_stride,
                 channels, first_column);
    }
  }
}

}  // namespace
}  // namespace fastconv
