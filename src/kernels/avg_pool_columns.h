// Average pooling of rows of outputs with lanes along them: avg_pool.kernel.cpp says when and why.
#pragma once

#include "kernels/avg_pool_divisor.h"
#include "kernels/pool_columns.h"
#include "kernels/pool_store.h"

namespace fastconv {
namespace {

// The windows of kLanes outputs on their way through the taps.
template <class T>
struct WindowSum {
  static constexpr T kPadding = 0;
  Vec<T> value = {};
  FASTCONV_INLINE void meet(Vec<T> v, int64_t) { value += v; }
};

// A row (od, oh) of windows: x where the first tap of one at column 0 would be, were there no
// padding, and the part of their divisors that they share.
template <class T>
struct AverageRow {
  const T* x;
  T* y;
  Taps depth, height;
  T rows, uniform;
};

// The outputs [ow, ow + count) of a row; the parameters are those of pool_columns in
// max_pool_columns.h.
template <class T, Step kStep, Fit kFit, int kKernel>
FASTCONV_INLINE void average_columns(const Problem& p, const Divisor<T>& divisor,
                                     const AverageRow<T>& rows, int64_t ow, int64_t count) {
  const Row<T, kStep> row(p, false);
  const int64_t start = ow * row.stride - p.pad_before[2];
  const T* x = rows.x + start * row.x_stride;
  WindowSum<T> sum;
  if constexpr (kKernel != 0) {
    FASTCONV_UNROLL
    for (int64_t kh = 0; kh < kKernel; ++kh)
      meet_row<kFit, kKernel>(&sum, row, x + kh * p.x_stride[3], start, 0, count);
  } else {
    for (int64_t kd = rows.depth.begin; kd < rows.depth.end; ++kd)
      for (int64_t kh = rows.height.begin; kh < rows.height.end; ++kh)
        meet_row<kFit, 0>(&sum, row, x + kd * p.x_stride[2] + kh * p.x_stride[3], start, 0, count);
  }
  const Vec<T> mean = divisor.uniform(ow) ? sum.value / broadcast(rows.uniform)
                                          : sum.value / divisor.lanes(ow, rows.rows);
  if (p.y_stride[4] == 1)
    put(rows.y + ow, mean, count, p.streamed);
  else
    store_spaced(rows.y + ow * p.y_stride[4], p.y_stride[4], mean, count);
}

// Out of line, so that the registers of the loop over inside vectors stay its own.
template <class T, Step kStep, Fit kFit, int kKernel>
__attribute__((noinline)) void average_apart(const Problem& p, const Divisor<T>& divisor,
                                             const AverageRow<T>& rows, int64_t ow, int64_t count) {
  average_columns<T, kStep, kFit, kKernel>(p, divisor, rows, ow, count);
}

// A row of outputs (od, oh): x at the plane, y at the row.
template <class T, Step kStep, int kKernel>
void average_row(const Problem& p, const Divisor<T>& divisor, const T* x, T* y, int64_t od,
                 int64_t oh) {
  constexpr int L = kLanes<T>;
  const Taps depth = find_taps(p, 0, od), height = find_taps(p, 1, oh);
  if constexpr (kKernel != 0)
    if (height.end - height.begin != kKernel)  // the rows at the upper and lower edge
      return average_row<T, kStep, 0>(p, divisor, x, y, od, oh);
  const T of_rows = divisor.of_rows(od, oh);
  const AverageRow<T> row = {x + depth.start * p.x_stride[2] + height.start * p.x_stride[3],
                             y,
                             depth,
                             height,
                             of_rows,
                             divisor.uniform_divisor(of_rows)};
  const int64_t OW = p.out[2], begin = p.inside_begin, end = p.inside_end;
  for (int64_t ow = 0; ow < OW; ow += L) {
    // The last vector overlaps the one before if that makes it a whole one.
    if (OW - ow < L && OW - L >= begin && OW == end) ow = OW - L;
    const int64_t count = OW - ow < L ? OW - ow : L;
    if (ow < begin || ow + count > end)
      average_apart<T, kStep, Fit::kEdge, kKernel>(p, divisor, row, ow, count);
    else if (count < L)
      average_apart<T, kStep, Fit::kTail, kKernel>(p, divisor, row, ow, count);
    else
      average_columns<T, kStep, Fit::kInside, kKernel>(p, divisor, row, ow, L);
  }
}

}  // namespace
}  // namespace fastconv
