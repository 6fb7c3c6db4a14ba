// Max pooling of rows of outputs with lanes along them: max_pool.kernel.cpp says when and why.
#pragma once

#include "kernels/max_pool_window.h"

namespace fastconv {
namespace {

// Bytes ahead of a stride-2 window that are prefetched: with so little to do for a byte, 2x2
// windows run at 29 GB/s a core without and 42 to 57 with it (Zen 5; 4 and 8 KiB alike).
constexpr int64_t kAhead = 8192;

// How far the windows of a vector lie inside the row of x.
enum class Fit {
  kInside,  // all taps of all lanes
  kTail,    // all taps of the lanes that count
  kEdge     // some taps are padding
};

// What a row of windows has in common, in the units of the loops.
template <class T, Step kStep>
struct Row {
  int64_t IW, KW, stride, dilation, x_stride;
  explicit Row(const Problem& p)
      : IW(p.in[2]),
        KW(p.kernel[2]),
        stride(kStep == Step::kOne   ? 1
               : kStep == Step::kTwo ? 2
                                     : p.stride[2]),
        dilation(kStep == Step::kTwo ? 1 : p.dilation[2]),
        x_stride(kStep == Step::kAny ? p.x_stride[4] : 1) {}
};

// The taps of one row of x for the windows that begin at column `start`, which x points at.
template <Fit kFit, int kKernel, class T, Step kStep, class Winner>
FASTCONV_INLINE void meet_row(Winner* winner, const Row<T, kStep>& row, const T* x, int64_t start,
                              int64_t offset, int64_t count) {
  constexpr int L = kLanes<T>;
  const int64_t KW = kKernel ? kKernel : row.KW;
  int64_t kw = 0;
  if constexpr (kStep == Step::kTwo && kFit == Fit::kInside) {
    __builtin_prefetch(x + kAhead / int64_t{sizeof(T)});
    __builtin_prefetch(x + kAhead / int64_t{sizeof(T)} + L);
  }
  if constexpr (kStep == Step::kTwo && kFit != Fit::kEdge) {
    // Two taps for two loads. With an odd tap at the end, nothing beyond the row is read.
    for (; kw + 1 < KW; kw += 2) {
      const int64_t elements = 2 * count;
      const Vec<T> low =
          kFit == Fit::kInside ? load(x + kw) : load_lanes(x + kw, 0, clamp(elements, 0, L), T{0});
      const Vec<T> high = kFit == Fit::kInside
                              ? load(x + kw + L)
                              : load_lanes(x + kw + L, 0, clamp(elements - L, 0, L), T{0});
      winner->meet(even_lanes<T>(low, high), offset + kw);
      winner->meet(odd_lanes<T>(low, high), offset + kw + 1);
    }
  }
  for (; kw < KW; ++kw) {
    const T* tap = x + kw * row.dilation * row.x_stride;
    const int64_t step = row.stride * row.x_stride;
    if constexpr (kFit == Fit::kInside) {
      winner->meet(load_spaced<kStep>(tap, step), offset + kw * row.dilation);
    } else if constexpr (kFit == Fit::kTail) {
      winner->meet(load_spaced_lanes<kStep>(tap, step, 0, count, T{0}), offset + kw * row.dilation);
    } else {
      const int64_t column = start + kw * row.dilation;
      const int64_t lo = column < 0 ? (-column - 1) / row.stride + 1 : 0;
      const int64_t hi = column < row.IW ? (row.IW - column - 1) / row.stride + 1 : 0;
      winner->meet(
          load_spaced_lanes<kStep>(tap, step, clamp(lo, 0, L), clamp(hi, 0, count), kLowest<T>),
          offset + kw * row.dilation);
    }
  }
}

// A row of windows in memory: x where the first tap of a window at column 0 would be, were
// there no padding.
template <class T>
struct WindowRow {
  const T* x;
  T* y;
  int64_t* indices;
  Taps depth, height;
};

// The outputs [ow, ow + count) of a row, lanes along it; count is kLanes if kFit is kInside.
// kStep: how lanes lie in x. kKernel: if not 0, the windows are this many rows of this many
// taps, none of the rows padding, and the compiler unrolls them. False if kPass is kFast and
// has met a NaN; then nothing is stored.
template <class T, bool kIndices, Step kStep, Fit kFit, int kKernel, Pass kPass>
FASTCONV_INLINE bool pool_columns(const Problem& p, const WindowRow<T>& rows, int64_t ow,
                                  int64_t count) {
  const Row<T, kStep> row(p);
  const int64_t IH = p.in[1], IW = p.in[2];
  const int64_t start = ow * row.stride - p.pad_before[2];
  const int64_t base = (rows.depth.start * IH + rows.height.start) * IW;
  const int64_t first_row = (rows.depth.first * IH + rows.height.first) * IW;
  const T* x = rows.x + start * row.x_stride;
  Winner<T, kIndices, kPass> winner;
  winner.offset = broadcast_integer<T>(first_row - base);
  if constexpr (kKernel != 0) {
    FASTCONV_UNROLL
    for (int64_t kh = 0; kh < kKernel; ++kh)
      meet_row<kFit, kKernel>(&winner, row, x + kh * p.dilation[1] * p.x_stride[3], start,
                              kh * p.dilation[1] * IW, count);
  } else {
    for (int64_t kd = rows.depth.begin; kd < rows.depth.end; ++kd)
      for (int64_t kh = rows.height.begin; kh < rows.height.end; ++kh)
        meet_row<kFit, 0>(
            &winner, row,
            x + kd * p.dilation[0] * p.x_stride[2] + kh * p.dilation[1] * p.x_stride[3], start,
            (kd * p.dilation[0] * IH + kh * p.dilation[1]) * IW, count);
  }
  if (winner.met_nan()) return false;
  store_spaced(rows.y + ow * p.y_stride[4], p.y_stride[4], winner.value, count);
  if constexpr (kIndices) {
    int64_t* indices = rows.indices + ow * p.index_stride[4];
    store_indices<T>(indices, p.index_stride[4], base + start,
                     winner.offset + lane_numbers<T>() * broadcast_integer<T>(row.stride), count);
    if (kFit == Fit::kEdge && any<T>(winner.value == broadcast(kLowest<T>)))
      for (int64_t i = 0; i < count; ++i)
        if (winner.value[i] == kLowest<T>)
          indices[i * p.index_stride[4]] =
              first_row + first_position(start + i * row.stride, row.dilation, IW);
  }
  return true;
}

// Out of line, so that the registers of the loop over inside vectors stay its own.
template <class T, bool kIndices, Step kStep, Fit kFit, int kKernel, Pass kPass>
__attribute__((noinline)) bool pool_apart(const Problem& p, const WindowRow<T>& rows, int64_t ow,
                                          int64_t count) {
  return pool_columns<T, kIndices, kStep, kFit, kKernel, kPass>(p, rows, ow, count);
}

// Rows [oh, oh_end) of outputs at one depth, kKernel as above; y and indices at the first row.
template <class T, bool kIndices, Step kStep, int kKernel>
void pool_rows(const Problem& problem, const T* plane, T* y, int64_t* indices, const Taps& depth,
               int64_t oh, int64_t oh_end) {
  constexpr int L = kLanes<T>;
  const Problem p = problem;  // a copy: stores of indices could change what is read by reference
  const int64_t OW = p.out[2], begin = p.inside_begin, end = p.inside_end;
  for (; oh < oh_end; ++oh) {
    const Taps height = find_taps(p, 1, oh);
    if constexpr (kKernel != 0) {
      if (height.end - height.begin != kKernel) {  // the rows at the upper and lower edge
        pool_rows<T, kIndices, kStep, 0>(problem, plane, y, indices, depth, oh, oh + 1);
        continue;
      }
    }
    const WindowRow<T> rows = {
        plane + depth.start * p.x_stride[2] + height.start * p.x_stride[3], y + oh * p.y_stride[3],
        kIndices ? indices + oh * p.index_stride[3] : nullptr, depth, height};
    for (int64_t ow = 0; ow < OW; ow += L) {
      // The last vector overlaps the one before if that makes it a whole one.
      if (OW - ow < L && OW - L >= begin && OW == end) ow = OW - L;
      const int64_t count = OW - ow < L ? OW - ow : L;
      bool done;
      if (ow < begin || ow + count > end)
        done = pool_apart<T, kIndices, kStep, Fit::kEdge, kKernel, Pass::kFast>(problem, rows, ow,
                                                                                count);
      else if (count < L)
        done = pool_apart<T, kIndices, kStep, Fit::kTail, kKernel, Pass::kFast>(problem, rows, ow,
                                                                                count);
      else
        done = pool_columns<T, kIndices, kStep, Fit::kInside, kKernel, Pass::kFast>(p, rows, ow, L);
      if (!done)
        pool_apart<T, kIndices, kStep, Fit::kEdge, 0, Pass::kCareful>(problem, rows, ow, count);
    }
  }
}

}  // namespace
}  // namespace fastconv
