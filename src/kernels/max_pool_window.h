// What both ways of max pooling share: where windows meet the input, and the comparison of
// their elements with the position of the winner.
#pragma once

#include "dispatch/args.h"
#include "kernels/pool_span.h"
#include "simd/partial.h"
#include "simd/stream.h"

namespace fastconv {
namespace {

template <class T>
constexpr T kLowest = -static_cast<T>(__builtin_inf());

// Whether NaNs are looked for. The fast pass only notices that there was one: its test for
// the larger is wrong for NaN, but a compare and a select shorter, of which a window's taps
// are a chain. When it has met one, the careful pass goes over the same windows again.
enum class Pass { kFast, kCareful };

// What is stored of where the maximum was: nothing, its position in the plane or in the window.
enum class Report { kNothing, kIndices, kArgmax };

template <Report kReport>
struct PlaceType {
  typedef int64_t type;
};
template <>
struct PlaceType<Report::kArgmax> {
  typedef uint8_t type;
};
template <Report kReport>
using Place = typename PlaceType<kReport>::type;

// The windows of kLanes outputs on their way through the taps, in row-major order.
template <class T, Report kReport, Pass kPass>
struct Winner {
  static constexpr T kPadding = kLowest<T>;
  Vec<T> value = broadcast(kLowest<T>);
  Vec<T> sum = {};  // of all taps: NaN after one (or, harmlessly, after both infinities)
  Mask<T> offset;   // of the winner: its tap in the window, or from the first tap in the plane

  FASTCONV_INLINE void meet(Vec<T> v, int64_t tap_offset) {
    if constexpr (kPass == Pass::kCareful) {
      // v <= value is false for a NaN on either side; value == value keeps the first one.
      const Mask<T> wins = ~(v <= value) & (value == value);
      value = wins ? v : value;
      if constexpr (kReport != Report::kNothing)
        offset = wins ? broadcast_integer<T>(tap_offset) : offset;
    } else {
      const Mask<T> wins = v > value;
      value = max(v, value);
      sum += v;
      if constexpr (kReport != Report::kNothing)
        offset = wins ? broadcast_integer<T>(tap_offset) : offset;
    }
  }

  FASTCONV_INLINE bool met_nan() const { return kPass == Pass::kFast && any<T>(sum != sum); }
};

// indices[i * stride] = base + offset[i] for the first `count` lanes.
template <class T>
FASTCONV_INLINE void store_indices(int64_t* indices, int64_t stride, int64_t base, Mask<T> offset,
                                   int64_t count, bool streamed) {
  constexpr int L = kLanes<T>, kWide = kLanes<double>;
  if (streamed && stride == 1 && count == L && is_aligned(indices)) {
    stream(indices, widen<T, 0>(offset) + base);
    if constexpr (kWide < L) stream(indices + kWide, widen<T, kWide>(offset) + base);
  } else if (stride == 1) {
    store_lanes(indices, widen<T, 0>(offset) + base, count < kWide ? count : kWide);
    if constexpr (kWide < L)
      store_lanes(indices + kWide, widen<T, kWide>(offset) + base, clamp(count - kWide, 0, kWide));
  } else {
    for (int64_t i = 0; i < count; ++i) indices[i * stride] = base + offset[i];
  }
}

// argmax[i * stride] = tap[i] for the first `count` lanes.
template <class T>
FASTCONV_INLINE void store_argmax(uint8_t* argmax, int64_t stride, Mask<T> tap, int64_t count) {
  constexpr int L = kLanes<T>;
  if (stride == 1 && count == L) {
    typedef uint8_t Bytes __attribute__((vector_size(L)));
    const Bytes bytes = __builtin_convertvector(tap, Bytes);
    __builtin_memcpy(argmax, &bytes, sizeof(bytes));
    return;
  }
#if defined(__AVX512F__)
  if (stride == 1) {
    const auto mask = static_cast<uint16_t>((1u << count) - 1);
    if constexpr (sizeof(T) == 4)
      _mm512_mask_cvtepi32_storeu_epi8(argmax, mask, (__m512i)tap);
    else
      _mm512_mask_cvtepi64_storeu_epi8(argmax, static_cast<__mmask8>(mask), (__m512i)tap);
    return;
  }
#endif
  for (int64_t i = 0; i < count; ++i) argmax[i * stride] = static_cast<uint8_t>(tap[i]);
}

// The parameters, and the output columns [inside_begin, inside_end) whose windows lie inside
// the row of x.
struct Problem : WindowParams {
  int64_t inside_begin, inside_end;
  bool streamed;  // outputs go past the caches, through which the input has swept already

  Problem(const WindowParams& p, int64_t item) : WindowParams(p) {
    const double elements = static_cast<double>(n) * static_cast<double>(channels) *
                            static_cast<double>(in[0]) * static_cast<double>(in[1]) *
                            static_cast<double>(in[2]);
    // Of runs that are not whole vectors some lines would be written half past the caches and half
    // through them: memory is then read and written twice (56x56 to 28x28: 5.4 against 1.2 ms).
    const int64_t run = channels > 1 && y_stride[1] == 1 ? channels : out[2];
    streamed = elements * static_cast<double>(item) >= kStreamBytes &&
               run * item % FASTCONV_VEC_BYTES == 0;
    const int64_t room = in[2] + pad_before[2] - (kernel[2] - 1) * dilation[2] - 1;
    inside_begin = clamp((pad_before[2] + stride[2] - 1) / stride[2], 0, out[2]);
    inside_end = room < 0 ? 0 : clamp(room / stride[2] + 1, 0, out[2]);
  }

  // What a tap is called when the winner is: see Winner::offset.
  template <Report kReport>
  FASTCONV_INLINE int64_t name_of(int64_t kd, int64_t kh) const {
    if constexpr (kReport == Report::kArgmax) return (kd * kernel[1] + kh) * kernel[2];
    return (kd * dilation[0] * in[1] + kh * dilation[1]) * in[2];
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
  if (p.adaptive) {
    const Span span = adaptive_span(extent, p.out[dimension], o);
    taps.start = taps.first = span.begin;
    taps.begin = 0;
    taps.end = span.end - span.begin;
    return taps;
  }
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

// The argmax of a window of -inf: the first of its taps inside the plane.
FASTCONV_INLINE int64_t first_tap(const Problem& p, const Taps& depth, const Taps& height,
                                  const Taps& width) {
  if (depth.begin >= depth.end || height.begin >= height.end || width.begin >= width.end)
    return kNoArgmax;
  return (depth.begin * p.kernel[1] + height.begin) * p.kernel[2] + width.begin;
}

}  // namespace
}  // namespace fastconv
