// Input whose channels are innermost, as rows of channels for rows_kernel.h.
//
//   patch[tap of depth][input row][input column][c]   zeros for padding left and right
//
// Copied as it lies, without a transpose, and not at all where a filter has one tap and no
// padding. k runs over [tap of depth][row of taps][column of taps][c], ascending in memory: the
// columns of a dense filter and their channels are one run, so that 3 channels under 3 columns
// are a step of 9.
#pragma once

#include "kernels/conv_taps.h"
#include "kernels/pack_positions.h"
#include "kernels/pack_weight.h"
#include "kernels/rows_kernel.h"

namespace fastconv {
namespace {

// Where things are in a patch for `rows` x `columns` output positions of one output depth.
struct RowsLayout {
  Reach height, width;
  int64_t row_pitch, slice_pitch;

  RowsLayout(const Axis* axis, int64_t rows, int64_t columns, int64_t channels)
      : height(axis[1], rows),
        width(axis[2], columns),
        row_pitch(width.extent * channels),
        slice_pitch(height.extent * row_pitch) {}
};

// Steps for k in [first, last) of all taps and channels, under output row oh of depth od;
// returns how many. Taps in the padding are left out: 5 % of a 3x3 filter over 13 rows.
FASTCONV_INLINE int64_t make_row_steps(const RowsLayout& layout, const Axis* axis, int64_t channels,
                                       int64_t od, int64_t oh, int64_t first, int64_t last,
                                       RowStep* steps) {
  const bool dense = layout.width.tap_step == 1;
  const int64_t run = (dense ? axis[2].taps : 1) * channels;
  const int64_t runs_a_row = dense ? 1 : axis[2].taps;
  const int64_t first_row = oh * axis[1].step + axis[1].lowest();
  const RowStep* begin = steps;
  for (int64_t k = first; k < last;) {
    const Division of_run = divide(k, run);
    const Division of_row = divide(of_run.quotient, runs_a_row);
    const Division of_slice = divide(of_row.quotient, axis[1].taps);
    const int64_t kd = of_slice.quotient, kh = of_slice.remainder;
    const int64_t column = of_row.remainder, at = of_run.remainder;
    const int64_t count = min(run - at, last - k);
    const int64_t id = od * axis[0].step + axis[0].offset(kd);
    const int64_t ih = first_row + kh * axis[1].dilation();
    if (id >= 0 && id < axis[0].in && ih >= 0 && ih < axis[1].in)
      *steps++ = {kd * layout.slice_pitch + kh * layout.height.tap_step * layout.row_pitch +
                      column * layout.width.tap_step * channels + at,
                  k - first, count};
    k += count;
  }
  return steps - begin;
}

// Filters in the order of k: to[k - first][width] for k in [first, last).
template <class T>
void pack_row_weight(T* to, const T* weight, const int64_t* stride, const Axis* axis,
                     int64_t channels, int64_t outputs, int64_t output, int64_t first,
                     int64_t last) {
  const int64_t width = panel_width(outputs, output, kLanes<T>);
  const int64_t count = min(width, outputs - output);
  if (count < width) zero(to, (last - first) * width);
  const auto kernel = [&](int i, int64_t rank) {
    const int64_t tap = i > 0 && axis[i].offset_step < 0 ? axis[i].taps - 1 - rank : rank;
    return (axis[i].first_kernel + tap * axis[i].kernel_step) * stride[i + 2];
  };
  while (first < last) {
    const Division of_tap = divide(first, channels);
    const Division of_row = divide(of_tap.quotient, axis[2].taps);
    const Division of_slice = divide(of_row.quotient, axis[1].taps);
    const int64_t kd = of_slice.quotient, kh = of_slice.remainder, kw = of_row.remainder;
    const int64_t c = of_tap.remainder;
    const int64_t k = min(channels - c, last - first);
    pack_step(
        to, width,
        weight + output * stride[0] + c * stride[1] + kernel(0, kd) + kernel(1, kh) + kernel(2, kw),
        stride[0], stride[1], count, k);
    to += k * width;
    first += k;
  }
}

// `in` is the group's first channel of one image; (od, oh, ow) the block's first output.
template <class T>
void pack_rows(T* patch, const RowsLayout& layout, const Axis* axis, const T* in,
               const int64_t* in_stride, int64_t channels, int64_t od, int64_t oh, int64_t ow) {
  const int64_t first_row = oh * axis[1].step + axis[1].lowest();
  const int64_t first_column = ow * axis[2].step + axis[2].lowest();
  const Reach& width = layout.width;
  for (int64_t kd = 0; kd < axis[0].taps; ++kd) {
    const int64_t id = od * axis[0].step + axis[0].offset(kd);
    for (int64_t row = 0; row < layout.height.extent; ++row) {
      const int64_t ih = first_row + layout.height.position(row);
      T* to = patch + kd * layout.slice_pitch + row * layout.row_pitch;
      if (id < 0 || id >= axis[0].in || ih < 0 || ih >= axis[1].in) continue;  // nobody reads it
      const T* from = in + id * in_stride[2] + ih * in_stride[3];
      for (int64_t segment = 0; segment < width.segments; ++segment) {
        // Input column first + i for i in [0, length); those inside the image are [begin, end).
        const int64_t first = first_column + segment * width.segment_step;
        const int64_t length = width.segment_extent;
        const int64_t begin = min(max(0, -first), length);
        const int64_t end = max(begin, min(axis[2].in - first, length));
        zero(to, begin * channels);
        pack_positions(to + begin * channels, channels, from + (first + begin) * in_stride[4],
                       channels, int64_t{1}, end - begin, in_stride[4]);
        zero(to + end * channels, (length - end) * channels);
        to += length * channels;
      }
    }
  }
}

// Whether every phase of an axis reads exactly its own positions, all inside the image.
FASTCONV_INLINE bool reads_in_place(const Axis& axis) {
  return axis.out == 0 || axis.taps == 0 ||
         (axis.taps == 1 && axis.first_offset >= 0 &&
          axis.first_offset + (axis.out - 1) * axis.step < axis.in);
}

}  // namespace
}  // namespace fastconv
