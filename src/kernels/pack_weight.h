// Packing filters for the micro-kernel, where they are the vector operand.
//
//   panel[block of channels][tap][c][output]   kPanel outputs side by side, zeros beyond M
//
// the order in which the micro-kernel consumes them, so that it reads one stream.
#pragma once

#include "kernels/conv_taps.h"
#include "simd/transpose.h"

namespace fastconv {
namespace {

// Channels of one step: taps change every so many, which keeps the lines of the patch that
// neighbouring taps share in L1 (16 planes x 3 rows x 2 lines are 6 KiB).
constexpr int64_t kChannelBlock = 16;

// One step's worth, [c][width], from `from` at the panel's first output and the step's first
// channel and tap.
template <class T>
inline void pack_step(T* to, int64_t width, const T* from, int64_t output_stride,
                      int64_t channel_stride, int64_t outputs, int64_t channels) {
  if (output_stride == 1) {
    // A panel of a matrix's rows is two lines of each, pages apart: no hardware sees them coming
    // (16 rows by 4096 x 4096, two threads of Cascade Lake: 35 -> 14 ms; 4 rows ahead 18 ms).
    constexpr int64_t kAhead = 40, kLine = 64 / sizeof(T);
    const T* ahead = from + kAhead * channel_stride;
    for (int64_t c = 0; c < channels; ++c) {
      for (int64_t m = 0; m < outputs; m += kLine) __builtin_prefetch(ahead + m);
      for (int64_t m = 0; m < outputs; ++m) to[m] = from[m];
      to += width;
      from += channel_stride;
      ahead += channel_stride;
    }
  } else if (channel_stride == 1) {
    transpose_copy(to, width, from, output_stride, outputs, channels);
  } else {
    for (int64_t m = 0; m < outputs; ++m)
      for (int64_t c = 0; c < channels; ++c)
        to[c * width + m] = from[m * output_stride + c * channel_stride];
  }
}

// All taps of a block of channels that lie in memory as [output][c][tap], each output's run
// contiguous (a filter as it comes): transposed in registers, then every row goes to the step
// of its tap. Rows beyond the last full register are few and go one by one.
template <class T>
inline void pack_contiguous_block(T* to, int64_t width, const T* from, int64_t output_stride,
                                  int64_t outputs, int64_t channels, int64_t taps) {
  constexpr int n = kLanes<T>;
  const int64_t length = channels * taps;
  // Rows of a run change their tap first, then their channel. Counted: two divisions a row took
  // twice as long as the transposition (512 filters of 512 channels, 3x3: 19 % of a forward call
  // on 7x7 images).
  const int64_t next_tap = channels * width, next_channel = width - (taps - 1) * next_tap;
  for (int64_t m = 0; m < outputs; m += n) {
    const int64_t valid = min(n, outputs - m);
    T* row = to + m;
    int64_t tap = 0;
    const auto advance = [&] {
      const bool last = ++tap == taps;
      row += last ? next_channel : next_tap;
      tap = last ? 0 : tap;
    };
    int64_t j = 0;
    for (; j + n <= length; j += n) {
      Vec<T> block[n];
      FASTCONV_UNROLL
      for (int r = 0; r < n; ++r) {
        // Runs are pages apart: no hardware sees the next block's coming. To L2, of whose sets
        // they do not all share one.
        __builtin_prefetch(from + (m + r) * output_stride + j + length, 0, 2);
        block[r] = r < valid ? load(from + (m + r) * output_stride + j) : Vec<T>{};
      }
      transpose<T>(block);
      FASTCONV_UNROLL
      for (int r = 0; r < n; ++r) {
        store(row, block[r]);
        advance();
      }
    }
    for (; j < length; ++j) {
      for (int64_t r = 0; r < valid; ++r) row[r] = from[(m + r) * output_stride + j];
      advance();
    }
  }
}

// The same where each channel's run of outputs and taps is contiguous, [c][output][tap]: the
// filter as it comes, in the gradient of the input.
template <class T>
inline void pack_transposed_block(T* to, int64_t width, const T* from, int64_t channel_stride,
                                  int64_t outputs, int64_t channels, int64_t taps) {
  constexpr int64_t kAhead = 4, kLine = 64 / sizeof(T);
  for (int64_t c = 0; c < channels; ++c) {
    // Runs are pages apart and a kilobyte long: no hardware sees the next one coming.
    for (int64_t i = 0; i < outputs * taps; i += kLine)
      __builtin_prefetch(from + (c + kAhead) * channel_stride + i);
    transpose_copy(to + c * width, channels * width, from + c * channel_stride, taps, outputs,
                   taps);
  }
}

// Steps [first_step, last_step) of the panel of outputs that begins at `first`; steps are
// numbered block of channels by block, and tap by tap within one.
template <class T>
void pack_weight(T* to, const T* weight, const int64_t* weight_stride, const Axis* axis,
                 int64_t channels, int64_t outputs, int64_t first, int64_t first_step,
                 int64_t last_step) {
  const int64_t width = panel_width(outputs, first, kLanes<T>);
  const int64_t count = min(width, outputs - first);
  const int64_t taps = axis[0].taps * axis[1].taps * axis[2].taps;
  const int64_t* stride = weight_stride;
  // Whether taps in their order are consecutive, and channels (or outputs) follow each other
  // after them.
  const bool in_order =
      axis[2].kernel_step == 1 && (axis[2].taps == 1 || stride[4] == 1) &&
      (axis[1].taps == 1 || (axis[1].kernel_step == 1 && stride[3] == axis[2].taps)) &&
      (axis[0].taps == 1 || (axis[0].kernel_step == 1 && stride[2] == axis[1].taps * axis[2].taps));
  const bool contiguous = in_order && stride[1] == taps;
  const bool transposed = in_order && stride[0] == taps;
  const T* from = weight + first * stride[0];
  for (int64_t step = first_step; step < last_step;) {
    const Division of_block = divide(step, taps);
    const int64_t tap = of_block.remainder;
    const int64_t c = of_block.quotient * kChannelBlock,
                  block_channels = min(kChannelBlock, channels - c);
    const int64_t whole =
        (contiguous || transposed) && taps > 1 && tap == 0 && step + taps <= last_step;
    const int64_t steps = whole ? taps : 1;
    if (count < width)
      for (int64_t i = 0; i < steps * block_channels * width; ++i) to[i] = T(0);
    if (whole && transposed) {
      pack_transposed_block(to, width, from + c * stride[1], stride[1], count, block_channels,
                            taps);
    } else if (whole) {
      pack_contiguous_block(to, width, from + c * stride[1], stride[0], count, block_channels,
                            taps);
    } else {
      const Division of_row = divide(tap, axis[2].taps);
      const Division of_slice = divide(of_row.quotient, axis[1].taps);
      const int64_t kd = of_slice.quotient, kh = of_slice.remainder, kw = of_row.remainder;
      const auto kernel = [&](int i, int64_t t) {
        return (axis[i].first_kernel + t * axis[i].kernel_step) * stride[i + 2];
      };
      if (stride[1] == 1)
        for (int64_t m = 0; m < count; ++m)
          __builtin_prefetch(from + c + kernel(0, kd) + kernel(1, kh) + kernel(2, kw) +
                                 m * stride[0] + kChannelBlock,
                             0, 2);
      pack_step(to, width, from + c * stride[1] + kernel(0, kd) + kernel(1, kh) + kernel(2, kw),
                stride[0], stride[1], count, block_channels);
    }
    to += steps * block_channels * width;
    step += steps;
  }
}

}  // namespace
}  // namespace fastconv
