// From finished sums to the gradient of the filters, in any layout.
#pragma once

#include "core/params.h"
#include "kernels/brgemm.h"
#include "simd/transpose.h"

namespace fastconv {
namespace {

// sums[taps][c][width] -> dweight[m, c, tap]; in a gradient as it comes (each output's channels
// and taps contiguous) and in one with adjacent channels blocks are transposed in registers.
template <class T>
void store_weight(const ConvParams& p, const T* sums, int64_t width, int64_t outputs,
                  int64_t channels, T* dweight) {
  const int64_t* stride = p.w_stride;
  const int64_t taps = p.kernel[0] * p.kernel[1] * p.kernel[2], length = taps * channels;
  const int64_t kw_count = p.kernel[2], kh_count = p.kernel[1];
  const bool contiguous = (stride[1] == taps || channels == 1) &&
                          (kw_count == 1 || stride[4] == 1) &&
                          (kh_count == 1 || stride[3] == kw_count) &&
                          (p.kernel[0] == 1 || stride[2] == kh_count * kw_count);
  constexpr int n = kLanes<T>;
  int64_t done = 0;  // of (c, tap), for all outputs
  if (contiguous) {
    done = length / n * n;
    // Rows in the order of `length`: the next tap's, or the next channel's. Counted: divisions
    // for every row took longer than its transposition.
    const int64_t next_tap = channels * width, next_channel = width - (taps - 1) * next_tap;
    for (int64_t m = 0; m < outputs; m += n) {
      const T* row = sums + m;
      T* to = dweight + m * stride[0];
      const int64_t valid = min(n, outputs - m);
      for (int64_t j = 0, tap = 0; j < done; j += n) {
        Vec<T> block[n];
        FASTCONV_UNROLL
        for (int r = 0; r < n; ++r) {
          block[r] = load(row);
          const bool last = ++tap == taps;
          row += last ? next_channel : next_tap;
          tap = last ? 0 : tap;
        }
        transpose<T>(block);
        for (int64_t r = 0; r < valid; ++r) {
          // The next block: runs are short and pages apart, no hardware sees them coming (5 %).
          __builtin_prefetch(to + r * stride[0] + j + n, 1);
          store(to + r * stride[0] + j, block[r]);
        }
      }
    }
  }
  const auto offset = [&](int64_t tap) {
    const int64_t kw = tap % kw_count, kh = tap / kw_count % kh_count;
    return tap / kw_count / kh_count * stride[2] + kh * stride[3] + kw * stride[4];
  };
  if (!contiguous && stride[1] == 1) {
    for (int64_t tap = 0; tap < taps; ++tap)
      transpose_copy(dweight + offset(tap), stride[0], sums + tap * channels * width, width,
                     channels, outputs);
    return;
  }
  for (int64_t j = done; j < length; ++j) {
    const int64_t c = j / taps, tap = j % taps;
    T* to = dweight + c * stride[1] + offset(tap);
    for (int64_t m = 0; m < outputs; ++m)
      to[m * stride[0]] = sums[(tap * channels + c) * width + m];
  }
}

}  // namespace
}  // namespace fastconv
