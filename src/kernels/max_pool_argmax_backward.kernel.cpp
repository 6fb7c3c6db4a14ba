// The gradient of max pooling from the position of each maximum in its window.
//
//   x[n, c, i] = sum over the windows o that see i, at their tap k, of
//                y[n, c, o] if argmax[n, c, o] = k, else 0
//   y, argmax (N, C, OD, OH, OW) -> x (N, C, ID, IH, IW); any strides
//
// in row-major order of o, so there is exactly one result.
//
// Where channels or columns are adjacent in memory the sum is gathered (pool_gather.h): lanes
// compare a vector of argmax with the tap that would be theirs. That reads y and argmax once for
// every row of x that a window covers, from the cache, and writes x once. One task owns some
// rows of x.
//
// Windows of strides from 3 on that do not overlap are spread over their inputs (pool_apart.h). For
// other layouts, for strides of 3 and more, where lanes would lie far apart, and for windows of
// a great height, it is scattered (max_pool_scatter.h). An argmax that names no element of x is
// passed over, so nothing has to be checked in advance.
#include "dispatch/kernel_export.h"
#include "kernels/max_pool_scatter.h"
#include "kernels/pool_apart.h"
#include "kernels/pool_gather.h"
#include "kernels/pool_gather_columns.h"
#include "kernels/pool_plane.h"

namespace fastconv {
namespace {

// So far ahead y is prefetched: its loads wait for the mask, and too late for the memory.
constexpr int64_t kAhead = 4096;

// Bytes [lo, hi) of p as integer lanes; the others are kNoArgmax.
template <class T>
FASTCONV_INLINE Mask<T> load_argmax(const uint8_t* p, int64_t lo, int64_t hi) {
  constexpr int L = kLanes<T>;
#if defined(__AVX512F__)
  __m128i bytes = {};
  if (lo <= 0 && hi >= L) {
    __builtin_memcpy(&bytes, p, L);
  } else {
    const uint32_t mask = hi > lo ? ((1u << hi) - 1) & ~((1u << lo) - 1) : 0;
    bytes = _mm_mask_loadu_epi8(_mm_set1_epi8(static_cast<char>(kNoArgmax)),
                                static_cast<__mmask16>(mask), p);
  }
  if constexpr (sizeof(T) == 4)
    return (Mask<T>)_mm512_maskz_cvtepu8_epi32(0xffff, bytes);
  else
    return (Mask<T>)_mm512_maskz_cvtepu8_epi64(0xff, bytes);
#else
  uint64_t bytes = ~uint64_t{0};
  if (lo <= 0 && hi >= L) {
    __builtin_memcpy(&bytes, p, L);
  } else {
    uint8_t lanes[sizeof(bytes)];
    __builtin_memset(lanes, kNoArgmax, sizeof(lanes));
    for (int64_t i = lo; i < hi; ++i) lanes[i] = p[i];
    __builtin_memcpy(&bytes, lanes, sizeof(bytes));
  }
#if defined(__AVX2__)
  const __m128i packed = _mm_cvtsi64_si128(static_cast<long long>(bytes));
  if constexpr (sizeof(T) == 4)
    return (Mask<T>)_mm256_cvtepu8_epi32(packed);
  else
    return (Mask<T>)_mm256_cvtepu8_epi64(packed);
#else
  Mask<T> lanes;
  FASTCONV_UNROLL
  for (int i = 0; i < L; ++i) lanes[i] = static_cast<uint8_t>(bytes >> (8 * i));
  return lanes;
#endif
#endif
}

// A Term of pool_gather.h. y and argmax at the first output of a plane or an image.
template <class T>
struct ArgmaxTerm {
  const T* y;
  const uint8_t* argmax;
  int64_t y_stride[3], argmax_stride[3], KH, KW;

  struct Position {
    const T* y;
    const uint8_t* argmax;
    int64_t tap;

    FASTCONV_INLINE void add(Vec<T>* sum, int64_t c, int64_t count) const {
      __builtin_prefetch(y + c + kAhead / sizeof(T));
      __builtin_prefetch(argmax + c + kAhead / sizeof(T));
      const bool whole = count == kLanes<T>;
      const Vec<T> v = whole ? load(y + c) : load_lanes(y + c, 0, count, T{0});
      const Mask<T> wins =
          load_argmax<T>(argmax + c, 0, whole ? kLanes<T> : count) == broadcast_integer<T>(tap);
      *sum += wins ? v : Vec<T>{};
    }
  };

  struct Row {
    const T* y;
    const uint8_t* argmax;
    int64_t y_step, argmax_step, first_tap;

    FASTCONV_INLINE Position position(int64_t ow, int64_t kw) const {
      return {y + ow * y_step, argmax + ow * argmax_step, first_tap + kw};
    }
  };

  FASTCONV_INLINE Row row(int64_t od, int64_t oh, int64_t kd, int64_t kh) const {
    return {y + od * y_stride[0] + oh * y_stride[1],
            argmax + od * argmax_stride[0] + oh * argmax_stride[1], y_stride[2], argmax_stride[2],
            (kd * KH + kh) * KW};
  }
};

// A Source of pool_gather_columns.h.
template <class T>
struct ArgmaxSource {
  static constexpr bool kMasked = true;
  using Integer = typename VecType<T>::integer;
  const T* y;  // of the plane
  const uint8_t* argmax;
  const T* values = nullptr;
  const Integer* taps = nullptr;

  void begin(T*) {}
  void copy_row(const WindowParams& p, int64_t od, int64_t oh, int64_t ow, int64_t count, T* to,
                Integer* to_taps) const {
    constexpr int L = kLanes<T>;
    const T* row = y + od * p.y_stride[2] + oh * p.y_stride[3] + ow;
    const uint8_t* places = argmax + od * p.index_stride[2] + oh * p.index_stride[3] + ow;
    for (int64_t i = 0; i < count; i += L, ow += L) {
      const int64_t lo = clamp(-ow, 0, L), hi = clamp(p.out[2] - ow, 0, L);
      store(to + i, lo == 0 && hi == L ? load(row + i) : load_lanes(row + i, lo, hi, T{0}));
      const Mask<T> names = load_argmax<T>(places + i, lo, hi);
      __builtin_memcpy(to_taps + i, &names, sizeof(names));
    }
  }
  FASTCONV_INLINE void add(Vec<T>* sum, int64_t at, int64_t tap) const {
    Mask<T> names;
    __builtin_memcpy(&names, taps + at, sizeof(names));
    *sum += names == broadcast_integer<T>(tap) ? load(values + at) : Vec<T>{};
  }
};

// A Source of pool_apart.h. y and argmax at the first output of a plane, then of a row.
template <class T>
struct ArgmaxRow {
  static constexpr bool kMasked = true;
  const T* y;
  const uint8_t* argmax;
  int64_t first_tap = 0;

  void begin_row(const WindowParams& p, int64_t od, int64_t oh, int64_t kd, int64_t kh) {
    y += od * p.y_stride[2] + oh * p.y_stride[3];
    argmax += od * p.index_stride[2] + oh * p.index_stride[3];
    first_tap = (kd * p.kernel[1] + kh) * p.kernel[2];
  }
  FASTCONV_INLINE Vec<T> values(int64_t ow, int64_t count) const {
    return count == kLanes<T> ? load(y + ow) : load_lanes(y + ow, 0, count, T{0});
  }
  FASTCONV_INLINE Mask<T> names(int64_t ow, int64_t count) const {
    return load_argmax<T>(argmax + ow, 0, count);
  }
};

// Of global pooling: zeros, and y where the maximum was. An argmax that names nothing gets nothing.
template <class T>
void clear_planes(const WindowParams& p, T* all_x, const T* all_y, const uint8_t* all_argmax,
                  int threads) {
  const bool streamed = streams_planes<T>(p);
  for_each_block_of_planes<T>(p, threads, [&](int64_t n, int64_t c, int64_t count) {
    T* x = all_x + n * p.x_stride[0] + c * p.x_stride[1];
    const T* y = all_y + n * p.y_stride[0] + c * p.y_stride[1];
    const uint8_t* argmax = all_argmax + n * p.index_stride[0] + c * p.index_stride[1];
    for (int64_t i = 0; i < count; ++i) {
      T* plane = x + i * p.x_stride[1];
      fill_run(plane, p.in[kSpatial - 1], Vec<T>{}, streamed);
      const int64_t place = argmax[i * p.index_stride[1]];
      if (place < p.in[kSpatial - 1]) plane[place] = y[i * p.y_stride[1]];
    }
    if (streamed) end_stream();
  });
}

template <class T>
void max_pool_backward_argmax(const PoolArgs<T>& args) {
  WindowParams p = *args.params;
  const bool channels =
      p.channels > 1 && p.x_stride[1] == 1 && p.y_stride[1] == 1 && p.index_stride[1] == 1;
  if (!channels) merge_whole_plane(&p);
  if (!channels && is_whole_plane(p))
    return clear_planes(p, args.x, args.y, args.argmax, args.exec.threads);
  const auto adjacent = [](int64_t extent, int64_t stride) { return extent == 1 || stride == 1; };
  const bool rows = adjacent(p.in[2], p.x_stride[4]) && adjacent(p.out[2], p.y_stride[4]) &&
                    adjacent(p.out[2], p.index_stride[4]);
  const bool columns = rows && p.stride[2] <= 2;
  const int64_t row_bytes = p.in[2] * int64_t{sizeof(T)};
  if (columns && !channels) {
    const bool streamed = p.n * p.channels * p.in[0] * p.in[1] >= kStreamBytes / row_bytes;
    const auto source_of = [&](int64_t n, int64_t c) {
      return ArgmaxSource<T>{args.y + n * p.y_stride[0] + c * p.y_stride[1],
                             args.argmax + n * p.index_stride[0] + c * p.index_stride[1]};
    };
    const ColumnsPlan<T, 1> ones(p);
    if (p.stride[2] == 1 && ones.applies)
      return gather_planes_of_columns<ArgmaxSource<T>>(p, ones, source_of, args.x,
                                                       args.exec.threads, streamed);
    const ColumnsPlan<T, 2> twos(p);
    if (p.stride[2] == 2 && twos.applies)
      return gather_planes_of_columns<ArgmaxSource<T>>(p, twos, source_of, args.x,
                                                       args.exec.threads, streamed);
  }
  if (!channels && rows && windows_apart(p))
    return spread_windows(p, args.x, args.exec.threads, [&](int64_t n, int64_t c) {
      return ArgmaxRow<T>{args.y + n * p.y_stride[0] + c * p.y_stride[1],
                          args.argmax + n * p.index_stride[0] + c * p.index_stride[1]};
    });
  if (!channels) return scatter_planes(args);
  const bool streamed = p.n * p.in[0] * p.in[1] >= kStreamBytes / (row_bytes * p.channels);
  for_each_input_row(
      p, 1, row_bytes * p.channels, args.exec.threads, streamed,
      [&](int64_t n, int64_t, int64_t id, int64_t ih, const Windows& depth, const Windows& height) {
        const ArgmaxTerm<T> term = {args.y + n * p.y_stride[0],
                                    args.argmax + n * p.index_stride[0],
                                    {p.y_stride[2], p.y_stride[3], p.y_stride[4]},
                                    {p.index_stride[2], p.index_stride[3], p.index_stride[4]},
                                    p.kernel[1],
                                    p.kernel[2]};
        T* x = args.x + n * p.x_stride[0] + id * p.x_stride[2] + ih * p.x_stride[3];
        gather_row_of_channels(p, term, x, depth, height, streamed);
      });
}

}  // namespace
}  // namespace fastconv

FASTCONV_EXPORT(max_pool_backward_argmax, PoolArgs)
