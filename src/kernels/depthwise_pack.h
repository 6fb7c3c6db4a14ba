// The copy of a piece in L1, and where the taps of its sums are in it.
//
//   patch[c][kd][row][column % step][column / step], zeros outside the image
//
// Then every tap is at a constant distance from its position, for any stride and layout.
#pragma once

#include "kernels/depthwise_plan.h"

namespace fastconv {
namespace {

// Rows of `count` zeros, and up to a vector beyond each.
template <class T>
void zero_rows(T* to, int64_t pitch, int64_t rows, int64_t count) {
  for (int64_t row = 0; row < rows; ++row, to += pitch)
    for (int64_t i = 0; i < count; i += kLanes<T>) store(to + i, Vec<T>{});
}

// to[i] = from[i * stride] for i in [begin, end), zero elsewhere in [0, count), and anything up
// to a vector beyond; for `rows` rows. The masks of the edges are the same for all of them.
template <class T, Step kStep>
void pack_rows(T* to, int64_t to_pitch, const T* from, int64_t from_pitch, int64_t stride,
               int64_t rows, int64_t count, int64_t begin, int64_t end) {
  constexpr int L = kLanes<T>;
  const int64_t first = begin / L * L, low = begin - first, high = min(end - first, L);
  for (int64_t row = 0; row < rows; ++row, to += to_pitch, from += from_pitch) {
    int64_t i = 0;
    for (; i < first; i += L) store(to + i, Vec<T>{});
    store(to + i, load_spaced_lanes<kStep>(from + i * stride, stride, low, high, T(0)));
    for (i += L; i + L <= end; i += L) store(to + i, load_spaced<kStep>(from + i * stride, stride));
    if (i < end) {
      store(to + i, load_spaced_lanes<kStep>(from + i * stride, stride, 0, end - i, T(0)));
      i += L;
    }
    for (; i < count; i += L) store(to + i, Vec<T>{});
  }
}

template <class T>
void pack_rows(T* to, int64_t to_pitch, const T* from, int64_t from_pitch, int64_t stride,
               int64_t rows, int64_t count, int64_t begin, int64_t end) {
  if (begin >= end)
    zero_rows(to, to_pitch, rows, count);
  else if (stride == 1)
    pack_rows<T, Step::kOne>(to, to_pitch, from, from_pitch, stride, rows, count, begin, end);
  else if (stride == 2)
    pack_rows<T, Step::kTwo>(to, to_pitch, from, from_pitch, stride, rows, count, begin, end);
  else
    pack_rows<T, Step::kAny>(to, to_pitch, from, from_pitch, stride, rows, count, begin, end);
}

// One channel of one image.
template <class T>
void pack_piece(const PlanarPlan<T>& plan, const Axis* axis, const PlanePiece& piece, const T* in,
                T* patch) {
  const int64_t* stride = plan.op.in_stride;
  const int64_t rows = plan.patch_extent(1, piece.rows), step = plan.step[2];
  const int64_t columns = plan.patch_extent(2, piece.columns);
  const int64_t first_row = piece.oh * plan.step[1] + plan.low[1];
  const int64_t first_column = piece.ow * step + plan.low[2];
  const int64_t top = clamp(-first_row, 0, rows);
  const int64_t bottom = clamp(axis[1].in - first_row, top, rows);
  for (int64_t kd = 0; kd < axis[0].taps; ++kd) {
    const int64_t id = piece.od * axis[0].step + axis[0].offset(kd);
    if (id < 0 || id >= axis[0].in) continue;
    const T* slice = in + id * stride[2] + (first_row + top) * stride[3];
    T* to = patch + kd * rows * plan.pitch;
    for (int64_t residue = 0; residue < step; ++residue, to += plan.residue_pitch) {
      // Element i is column `column` + i * step.
      const int64_t column = first_column + residue;
      const int64_t count = ceil_div(columns - residue, step);
      const int64_t begin = column < 0 ? min(ceil_div(-column, step), count) : 0;
      const int64_t end = column < axis[2].in ? min(ceil_div(axis[2].in - column, step), count) : 0;
      zero_rows(to, plan.pitch, top, count);
      pack_rows(to + top * plan.pitch, plan.pitch, slice + column * stride[4], stride[3],
                step * stride[4], bottom - top, count, begin, end);
      zero_rows(to + bottom * plan.pitch, plan.pitch, rows - bottom, count);
    }
  }
}

// What the sums of all phases of rows and columns read of the patch, and their filters: the same
// for all channels.
template <class T>
void list_segments(const PlanarPlan<T>& plan, const Phase* phases, const PlanePiece& piece,
                   const PlanarScratch<T>& scratch) {
  const Operands<T>& op = plan.op;
  const int64_t slice = plan.patch_extent(1, piece.rows) * plan.pitch;
  int64_t tap = 0;
  ColumnSegment<T>* next = scratch.segments;
  for (int64_t f = 0; f < plan.phases[1] * plan.phases[2]; ++f) {
    const Axis* axis = phases[f].axis;
    const auto kernel = [&](int i, int64_t t) {
      return (axis[i].first_kernel + t * axis[i].kernel_step) * op.weight_stride[i + 2];
    };
    scratch.lists[f].begin = next;
    for (int64_t c = 0; c < op.channels; ++c) {
      for (int64_t kd = 0; kd < axis[0].taps; ++kd) {
        const int64_t id = piece.od * axis[0].step + axis[0].offset(kd);
        if (id < 0 || id >= axis[0].in) continue;
        for (int64_t kw = 0; kw < axis[2].taps; ++kw) {
          const int64_t column = axis[2].offset(kw) - plan.low[2];
          const int64_t at = c * plan.patch_size + kd * slice +
                             column % plan.step[2] * plan.residue_pitch + column / plan.step[2];
          for (int64_t kh = 0; kh < axis[1].taps; ++kh) {
            if (kh % plan.run == 0)
              *next++ = {at + (axis[1].offset(kh) - plan.low[1]) * plan.pitch,
                         scratch.weights + tap};
            scratch.taps[tap++] =
                c * op.weight_stride[1] + kernel(0, kd) + kernel(1, kh) + kernel(2, kw);
          }
        }
      }
    }
    scratch.lists[f].count = next - scratch.lists[f].begin;
  }
  *scratch.tap_count = tap;
}

}  // namespace
}  // namespace fastconv
