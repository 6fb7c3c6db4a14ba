// The taps of rows of windows with lanes along the row, for pools that look at each of them.
#pragma once

#include "kernels/max_pool_window.h"

namespace fastconv {
namespace {

// Bytes ahead of a stride-2 window that are prefetched: with so little to do for a byte, 2x2
// windows run at 29 GB/s a core without and 42 to 57 with it (Zen 5; 4 and 8 KiB alike).
constexpr int64_t kAhead = 8192;

// The same with lanes along the channels, of the rows that no earlier outputs have read: further
// ahead, or rows that L2 has, it takes their windows out of L1 (3x3, one thread of Cascade Lake: 480
// channels of 14x14 88 -> 64 us, 64 of 112x112 at stride 2 245 -> 175).
constexpr int64_t kChannelsAhead = 2048;
FASTCONV_INLINE bool is_first_read(const Problem& p, int64_t row, int64_t last_row) {
  return row + p.stride[1] > last_row;
}

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
  int64_t name_step;  // how far apart the names of neighbouring taps are
  Row(const Problem& p, bool by_tap)
      : IW(p.in[2]),
        KW(p.kernel[2]),
        stride(kStep == Step::kOne   ? 1
               : kStep == Step::kTwo ? 2
                                     : p.stride[2]),
        dilation(kStep == Step::kTwo ? 1 : p.dilation[2]),
        x_stride(kStep == Step::kAny ? p.x_stride[4] : 1),
        name_step(by_tap ? 1 : dilation) {}
};

// The taps of one row of x for the windows that begin at column `start`, which x points at.
template <Fit kFit, int kKernel, class T, Step kStep, class Sum>
FASTCONV_INLINE void meet_row(Sum* sum, const Row<T, kStep>& row, const T* x, int64_t start,
                              int64_t name, int64_t count) {
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
      sum->meet(even_lanes<T>(low, high), name + kw);
      sum->meet(odd_lanes<T>(low, high), name + kw + 1);
    }
  }
  for (; kw < KW; ++kw) {
    const T* tap = x + kw * row.dilation * row.x_stride;
    const int64_t step = row.stride * row.x_stride;
    if constexpr (kFit == Fit::kInside) {
      sum->meet(load_spaced<kStep>(tap, step), name + kw * row.name_step);
    } else if constexpr (kFit == Fit::kTail) {
      sum->meet(load_spaced_lanes<kStep>(tap, step, 0, count, T{0}), name + kw * row.name_step);
    } else {
      const int64_t column = start + kw * row.dilation;
      const int64_t lo = column < 0 ? (-column - 1) / row.stride + 1 : 0;
      const int64_t hi = column < row.IW ? (row.IW - column - 1) / row.stride + 1 : 0;
      sum->meet(
          load_spaced_lanes<kStep>(tap, step, clamp(lo, 0, L), clamp(hi, 0, count), Sum::kPadding),
          name + kw * row.name_step);
    }
  }
}

}  // namespace
}  // namespace fastconv
