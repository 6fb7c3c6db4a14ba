// What both ways of max pooling share: where windows meet the input, and the comparison of
// their elements with the position of the winner.
#pragma once

#include "core/params.h"
#include "simd/partial.h"

namespace fastconv {
namespace {

template <class T>
constexpr T kLowest = -static_cast<T>(__builtin_inf());

// Whether NaNs are looked for. The fast pass only notices that there was one: its test for
// the larger is wrong for NaN, but a compare and a select shorter, of which a window's taps
// are a chain. When it has met one, the careful pass goes over the same windows again.
enum class Pass { kFast, kCareful };

// The windows of kLanes outputs on their way through the taps, in row-major order.
template <class T, bool kIndices, Pass kPass>
struct Winner {
  Vec<T> value = broadcast(kLowest<T>);
  Vec<T> sum = {};  // of all taps: NaN after one (or, harmlessly, after both infinities)
  Mask<T> offset;

  FASTCONV_INLINE void meet(Vec<T> v, int64_t tap_offset) {
    if constexpr (kPass == Pass::kCareful) {
      // v <= value is false for a NaN on either side; value == value keeps the first one.
      const Mask<T> wins = ~(v <= value) & (value == value);
      value = wins ? v : value;
      if constexpr (kIndices) offset = wins ? broadcast_integer<T>(tap_offset) : offset;
    } else {
      const Mask<T> wins = v > value;
      value = max(v, value);
      sum += v;
      if constexpr (kIndices) offset = wins ? broadcast_integer<T>(tap_offset) : offset;
    }
  }

  FASTCONV_INLINE bool met_nan() const { return kPass == Pass::kFast && any<T>(sum != sum); }
};

// indices[i * stride] = base + offset[i] for the first `count` lanes.
template <class T>
FASTCONV_INLINE void store_indices(int64_t* indices, int64_t stride, int64_t base, Mask<T> offset,
                                   int64_t count) {
  constexpr int L = kLanes<T>, kWide = kLanes<double>;
  if (stride == 1) {
    store_lanes(indices, widen<T, 0>(offset) + base, count < kWide ? count : kWide);
    if constexpr (kWide < L)
      store_lanes(indices + kWide, widen<T, kWide>(offset) + base, clamp(count - kWide, 0, kWide));
  } else {
    for (int64_t i = 0; i < count; ++i) indices[i * stride] = base + offset[i];
  }
}

// The parameters, and the output columns [inside_begin, inside_end) whose windows lie inside
// the row of x.
struct Problem : WindowParams {
  int64_t inside_begin, inside_end;

  explicit Problem(const WindowParams& p) : WindowParams(p) {
    const int64_t room = in[2] + pad_before[2] - (kernel[2] - 1) * dilation[2] - 1;
    inside_begin = clamp((pad_before[2] + stride[2] - 1) / stride[2], 0, out[2]);
    inside_end = room < 0 ? 0 : clamp(room / stride[2] + 1, 0, out[2]);
  }
};

// Where the windows at one output coordinate meet the input, for depth and height.
struct Taps {
  int64_t start;       // the position of the first tap, padding or not
  int64_t begin, end;  // the taps inside the input
  int64_t first;       // the position that a window of -inf answers
};

// The first multiple of the dilation from `start` that is not negative, moved into the plane.
FASTCONV_INLINE int64_t first_position(int64_t start, int64_t dilation, int64_t extent) {
  const int64_t skipped = start < 0 ? (-start - 1) / dilation + 1 : 0;
  return clamp(start + skipped * dilation, 0, extent - 1);
}

inline Taps find_taps(const Problem& p, int dimension, int64_t o) {
  const int64_t dilation = p.dilation[dimension], extent = p.in[dimension];
  const int64_t kernel = p.kernel[dimension];
  Taps taps;
  taps.start = o * p.stride[dimension] - p.pad_before[dimension];
  taps.begin = 0;
  taps.end = kernel;
  taps.first = taps.start;
  if (taps.start < 0) {
    taps.begin = clamp((-taps.start - 1) / dilation + 1, 0, kernel);
    taps.first = first_position(taps.start, dilation, extent);
  }
  if (taps.start + (kernel - 1) * dilation >= extent)
    taps.end = clamp((extent - taps.start - 1) / dilation + 1, taps.begin, kernel);
  return taps;
}

}  // namespace
}  // namespace fastconv
