// Max pooling of rows of outputs whose channels are adjacent in memory, with lanes along
// these, and of rows that no vector can take.
#pragma once

#include "kernels/pool_columns.h"
#include "kernels/pool_store.h"

namespace fastconv {
namespace {

// All channels of one output position, adjacent in memory: kVectors vectors of them, or only
// the first `count` lanes of one.
template <class T, Report kReport, int kVectors, Pass kPass>
FASTCONV_INLINE bool pool_channels(const Problem& p, const T* x, T* y, Place<kReport>* places,
                                   const Taps& depth, const Taps& height, const Taps& width,
                                   int64_t count) {
  constexpr int L = kLanes<T>;
  constexpr bool kArgmax = kReport == Report::kArgmax;
  const int64_t IH = p.in[1], IW = p.in[2];
  const int64_t base = (depth.start * IH + height.start) * IW + width.start;
  int64_t first = (depth.first * IH + height.first) * IW + width.first - base;
  if constexpr (kArgmax) first = first_tap(p, depth, height, width);
  Winner<T, kReport, kPass> winner[kVectors];
  FASTCONV_UNROLL
  for (int i = 0; i < kVectors; ++i) winner[i].offset = broadcast_integer<T>(first);
  for (int64_t kd = depth.begin; kd < depth.end; ++kd)
    for (int64_t kh = height.begin; kh < height.end; ++kh) {
      const T* row = x + (depth.start + kd * p.dilation[0]) * p.x_stride[2] +
                     (height.start + kh * p.dilation[1]) * p.x_stride[3];
      const int64_t name = p.template name_of<kReport>(kd, kh);
      const bool fetches = is_first_read(p, kh, height.end - 1);
      for (int64_t kw = width.begin; kw < width.end; ++kw) {
        const T* tap = row + (width.start + kw * p.dilation[2]) * p.x_stride[4];
        FASTCONV_UNROLL
        for (int i = 0; i < kVectors; ++i)
          if (fetches) __builtin_prefetch(tap + i * L + kChannelsAhead / sizeof(T));
        FASTCONV_UNROLL
        for (int i = 0; i < kVectors; ++i)
          winner[i].meet(count < L ? load_lanes(tap, 0, count, T{0}) : load(tap + i * L),
                         name + (kArgmax ? kw : kw * p.dilation[2]));
      }
    }
  bool met_nan = false;
  FASTCONV_UNROLL
  for (int i = 0; i < kVectors; ++i) met_nan |= winner[i].met_nan();
  if (met_nan) return false;
  FASTCONV_UNROLL
  for (int i = 0; i < kVectors; ++i) {
    put(y + i * L, winner[i].value, count, p.streamed);
    if constexpr (kReport == Report::kIndices)
      store_indices<T>(places + i * L, 1, base, winner[i].offset, count, p.streamed);
    if constexpr (kArgmax) store_argmax<T>(places + i * L, 1, winner[i].offset, count);
  }
  return true;
}

// Rows [oh, oh_end) of outputs at one depth with all their channels; y and indices at the first.
template <class T, Report kReport>
void pool_rows_of_channels(const Problem& problem, const T* x, T* y, Place<kReport>* places,
                           const Taps& depth, int64_t oh, int64_t oh_end) {
  constexpr int L = kLanes<T>, kVectors = 4;  // 12 registers of winners, the rest for loads
  const Problem p = problem;  // a copy: stores of places could change what is read by reference
  for (; oh < oh_end; ++oh) {
    const Taps height = find_taps(p, 1, oh);
    for (int64_t ow = 0; ow < p.out[2]; ++ow) {
      const Taps width = find_taps(p, 2, ow);
      T* out = y + oh * p.y_stride[3] + ow * p.y_stride[4];
      Place<kReport>* to = nullptr;
      if constexpr (kReport != Report::kNothing)
        to = places + oh * p.index_stride[3] + ow * p.index_stride[4];
      for (int64_t c = 0, channels; c < p.channels; c += channels) {
        const bool whole = p.channels - c >= kVectors * L;
        channels = whole ? kVectors * L : clamp(p.channels - c, 0, L);
        const bool done = whole ? pool_channels<T, kReport, kVectors, Pass::kFast>(
                                      p, x + c, out + c, to, depth, height, width, L)
                                : pool_channels<T, kReport, 1, Pass::kFast>(
                                      p, x + c, out + c, to, depth, height, width, channels);
        for (int64_t i = 0; !done && i < channels; i += L)
          pool_channels<T, kReport, 1, Pass::kCareful>(p, x + c + i, out + c + i,
                                                       to == nullptr ? nullptr : to + i, depth,
                                                       height, width, clamp(channels - i, 0, L));
        if constexpr (kReport != Report::kNothing) to += channels;
      }
    }
  }
}

// The same one by one: for windows so wide apart that offsets in them need more than 32 bits,
// and for those of adaptive pooling, each of a size of its own.
template <class T, Report kReport>
void pool_rows_one_by_one(const Problem& p, const T* plane, T* y, Place<kReport>* places,
                          const Taps& depth, int64_t oh, int64_t oh_end) {
  constexpr bool kArgmax = kReport == Report::kArgmax;
  for (; oh < oh_end; ++oh)
    for (int64_t ow = 0; ow < p.out[2]; ++ow) {
      const Taps height = find_taps(p, 1, oh), width = find_taps(p, 2, ow);
      T value = kLowest<T>;
      int64_t place = (depth.first * p.in[1] + height.first) * p.in[2] + width.first;
      if constexpr (kArgmax) place = first_tap(p, depth, height, width);
      for (int64_t kd = depth.begin; kd < depth.end; ++kd)
        for (int64_t kh = height.begin; kh < height.end; ++kh)
          for (int64_t kw = width.begin; kw < width.end; ++kw) {
            const int64_t id = depth.start + kd * p.dilation[0];
            const int64_t ih = height.start + kh * p.dilation[1];
            const int64_t iw = width.start + kw * p.dilation[2];
            const T v = plane[id * p.x_stride[2] + ih * p.x_stride[3] + iw * p.x_stride[4]];
            if (v <= value || value != value) continue;
            value = v;
            place = kArgmax ? (kd * p.kernel[1] + kh) * p.kernel[2] + kw
                            : (id * p.in[1] + ih) * p.in[2] + iw;
          }
      y[oh * p.y_stride[3] + ow * p.y_stride[4]] = value;
      if constexpr (kReport != Report::kNothing)
        places[oh * p.index_stride[3] + ow * p.index_stride[4]] =
            static_cast<Place<kReport>>(place);
    }
}

}  // namespace
}  // namespace fastconv
