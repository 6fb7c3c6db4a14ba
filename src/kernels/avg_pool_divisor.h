// What the sums of average pooling are divided by.
#pragma once

#include "dispatch/args.h"
#include "kernels/pool_span.h"

namespace fastconv {
namespace {

template <class T>
struct Divisor {
  const WindowParams& p;
  bool count_include_pad;
  int64_t fixed;                 // for all windows, or 0
  int64_t full_begin, full_end;  // the columns of outputs whose divisor is the usual one

  explicit Divisor(const AveragePoolArgs<T>& args, const WindowParams& params)
      : p(params),
        count_include_pad(args.count_include_pad),
        fixed(args.divisor),
        full_begin(0),
        full_end(0) {
    const int w = kSpatial - 1;
    if (fixed != 0) full_end = p.out[w];
    if (p.adaptive || fixed != 0) return;
    const int64_t after = count_include_pad ? p.pad_after[w] : 0;
    const int64_t room = p.in[w] + p.pad_before[w] + after - p.kernel[w];
    if (!count_include_pad) full_begin = (p.pad_before[w] + p.stride[w] - 1) / p.stride[w];
    if (room >= 0) full_end = room / p.stride[w] + 1;
  }

  // How many elements of a window count in one dimension. A last window of ceil_mode may reach
  // beyond the padding; what lies there never counts.
  FASTCONV_INLINE int64_t elements(int dimension, int64_t o) const {
    if (p.adaptive || !count_include_pad) {
      const Span span = inputs_of(p, dimension, o);
      return span.end - span.begin;
    }
    const int64_t start = o * p.stride[dimension] - p.pad_before[dimension];
    const int64_t room = p.in[dimension] + p.pad_after[dimension] - start;
    return room < p.kernel[dimension] ? room : p.kernel[dimension];
  }

  FASTCONV_INLINE T at(int64_t od, int64_t oh, int64_t ow) const {
    if (fixed != 0) return static_cast<T>(fixed);
    return static_cast<T>(elements(0, od) * elements(1, oh) * elements(2, ow));
  }

  // The part of depth and height, for `lanes`.
  FASTCONV_INLINE T of_rows(int64_t od, int64_t oh) const {
    return fixed != 0 ? static_cast<T>(fixed) : static_cast<T>(elements(0, od) * elements(1, oh));
  }

  // Whether the windows of the outputs [ow, ow + kLanes) that exist all have the same divisor.
  FASTCONV_INLINE bool uniform(int64_t ow) const {
    const int64_t end = ow + kLanes<T> < p.out[2] ? ow + kLanes<T> : p.out[2];
    return ow >= full_begin && end <= full_end;
  }
  FASTCONV_INLINE T uniform_divisor(T rows) const {
    return fixed != 0 ? rows : rows * static_cast<T>(p.kernel[2]);
  }

  // Those of the outputs [ow, ow + kLanes) if they are not uniform; at least 1 where there is no
  // such output. Not for adaptive pooling.
  FASTCONV_INLINE Vec<T> lanes(int64_t ow, T rows) const {
    Mask<T> start = lane_numbers<T>() * broadcast_integer<T>(p.stride[2]) +
                    broadcast_integer<T>(ow * p.stride[2] - p.pad_before[2]);
    Mask<T> end = start + broadcast_integer<T>(p.kernel[2]);
    const Mask<T> limit =
        broadcast_integer<T>(count_include_pad ? p.in[2] + p.pad_after[2] : p.in[2]);
    end = end < limit ? end : limit;
    if (!count_include_pad) start = start > Mask<T>{} ? start : Mask<T>{};
    const Mask<T> one = broadcast_integer<T>(1);
    const Mask<T> count = end - start > one ? end - start : one;
    return __builtin_convertvector(count, Vec<T>) * rows;
  }
};

// Whether positions fit the 32-bit lanes of float32 with room to spare.
inline bool columns_fit(const WindowParams& p) {
  constexpr int64_t kRoom = 1 << 28;
  return p.in[2] < kRoom && p.out[2] < kRoom && p.kernel[2] < kRoom && p.stride[2] < kRoom / 64;
}

}  // namespace
}  // namespace fastconv
