// Max pooling of rows of outputs with lanes along them: max_pool.kernel.cpp says when and why.
#pragma once

#include "kernels/pool_columns.h"
#include "kernels/pool_store.h"

namespace fastconv {
namespace {

// A row of windows in memory: x where the first tap of a window at column 0 would be, were
// there no padding.
template <class T, Report kReport>
struct WindowRow {
  const T* x;
  T* y;
  Place<kReport>* places;
  Taps depth, height;
};

// The outputs [ow, ow + count) of a row, lanes along it; count is kLanes if kFit is kInside.
// kStep: how lanes lie in x. kKernel: if not 0, the windows are this many rows of this many
// taps, none of the rows padding, and the compiler unrolls them. False if kPass is kFast and
// has met a NaN; then nothing is stored.
template <class T, Report kReport, Step kStep, Fit kFit, int kKernel, Pass kPass>
FASTCONV_INLINE bool pool_columns(const Problem& p, const WindowRow<T, kReport>& rows, int64_t ow,
                                  int64_t count) {
  const Row<T, kStep> row(p, kReport == Report::kArgmax);
  const int64_t IH = p.in[1], IW = p.in[2];
  const int64_t start = ow * row.stride - p.pad_before[2];
  const int64_t base = (rows.depth.start * IH + rows.height.start) * IW;
  const int64_t first_row = (rows.depth.first * IH + rows.height.first) * IW;
  const T* x = rows.x + start * row.x_stride;
  Winner<T, kReport, kPass> winner;
  constexpr bool kArgmax = kReport == Report::kArgmax;
  const Taps whole = {0, 0, p.kernel[2], 0};
  winner.offset = broadcast_integer<T>(kArgmax ? first_tap(p, rows.depth, rows.height, whole)
                                               : first_row - base);
  if constexpr (kKernel != 0) {
    FASTCONV_UNROLL
    for (int64_t kh = 0; kh < kKernel; ++kh)
      meet_row<kFit, kKernel>(&winner, row, x + kh * p.dilation[1] * p.x_stride[3], start,
                              p.template name_of<kReport>(0, kh), count);
  } else {
    for (int64_t kd = rows.depth.begin; kd < rows.depth.end; ++kd)
      for (int64_t kh = rows.height.begin; kh < rows.height.end; ++kh)
        meet_row<kFit, 0>(
            &winner, row,
            x + kd * p.dilation[0] * p.x_stride[2] + kh * p.dilation[1] * p.x_stride[3], start,
            p.template name_of<kReport>(kd, kh), count);
  }
  if (winner.met_nan()) return false;
  if (p.y_stride[4] == 1)
    put(rows.y + ow, winner.value, count, p.streamed);
  else
    store_spaced(rows.y + ow * p.y_stride[4], p.y_stride[4], winner.value, count);
  const bool lost = kFit == Fit::kEdge && any<T>(winner.value == broadcast(kLowest<T>));
  if constexpr (kReport == Report::kIndices) {
    int64_t* places = rows.places + ow * p.index_stride[4];
    store_indices<T>(places, p.index_stride[4], base + start,
                     winner.offset + lane_numbers<T>() * broadcast_integer<T>(row.stride), count,
                     p.streamed);
    for (int64_t i = 0; lost && i < count; ++i)
      if (winner.value[i] == kLowest<T>)
        places[i * p.index_stride[4]] =
            first_row + first_position(start + i * row.stride, row.dilation, IW);
  }
  if constexpr (kArgmax) {
    uint8_t* places = rows.places + ow * p.index_stride[4];
    store_argmax<T>(places, p.index_stride[4], winner.offset, count);
    for (int64_t i = 0; lost && i < count; ++i)
      if (winner.value[i] == kLowest<T>)
        places[i * p.index_stride[4]] =
            static_cast<uint8_t>(first_tap(p, rows.depth, rows.height, find_taps(p, 2, ow + i)));
  }
  return true;
}

// Out of line, so that the registers of the loop over inside vectors stay its own.
template <class T, Report kReport, Step kStep, Fit kFit, int kKernel, Pass kPass>
__attribute__((noinline)) bool pool_apart(const Problem& p, const WindowRow<T, kReport>& rows,
                                          int64_t ow, int64_t count) {
  return pool_columns<T, kReport, kStep, kFit, kKernel, kPass>(p, rows, ow, count);
}

// Rows [oh, oh_end) of outputs at one depth, kKernel as above; y and places at the first row.
template <class T, Report kReport, Step kStep, int kKernel>
void pool_rows(const Problem& problem, const T* plane, T* y, Place<kReport>* places,
               const Taps& depth, int64_t oh, int64_t oh_end) {
  constexpr int L = kLanes<T>;
  const Problem p = problem;  // a copy: stores of places could change what is read by reference
  const int64_t OW = p.out[2], begin = p.inside_begin, end = p.inside_end;
  for (; oh < oh_end; ++oh) {
    const Taps height = find_taps(p, 1, oh);
    if constexpr (kKernel != 0) {
      if (height.end - height.begin != kKernel) {  // the rows at the upper and lower edge
        pool_rows<T, kReport, kStep, 0>(problem, plane, y, places, depth, oh, oh + 1);
        continue;
      }
    }
    const WindowRow<T, kReport> rows = {
        plane + depth.start * p.x_stride[2] + height.start * p.x_stride[3], y + oh * p.y_stride[3],
        places == nullptr ? nullptr : places + oh * p.index_stride[3], depth, height};
    for (int64_t ow = 0; ow < OW; ow += L) {
      // The last vector overlaps the one before if that makes it a whole one.
      if (OW - ow < L && OW - L >= begin && OW == end) ow = OW - L;
      const int64_t count = OW - ow < L ? OW - ow : L;
      bool done;
      if (ow < begin || ow + count > end)
        done = pool_apart<T, kReport, kStep, Fit::kEdge, kKernel, Pass::kFast>(problem, rows, ow,
                                                                               count);
      else if (count < L)
        done = pool_apart<T, kReport, kStep, Fit::kTail, kKernel, Pass::kFast>(problem, rows, ow,
                                                                               count);
      else
        done = pool_columns<T, kReport, kStep, Fit::kInside, kKernel, Pass::kFast>(p, rows, ow, L);
      if (!done)
        pool_apart<T, kReport, kStep, Fit::kEdge, 0, Pass::kCareful>(problem, rows, ow, count);
    }
  }
}

}  // namespace
}  // namespace fastconv
