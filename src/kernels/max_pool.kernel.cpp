// Max pooling, forward.
//
//   y[n, c, o] = max over k of x[n, c, o * stride - pad + k * dilation]
//   indices[n, c, o] = where in the plane of x that maximum lies, (id * IH + ih) * IW + iw
//   x (N, C, ID, IH, IW) -> y, indices (N, C, OD, OH, OW); any strides, indices may be null
//
// Padding is -inf. The first NaN of a window in row-major order wins, else the first of its
// largest elements. A window of nothing but -inf gives the first of its positions inside the
// plane, as in PyTorch; one that lies in the padding altogether (a dilated window can) gives
// the position inside the plane nearest to where the first would be.
//
// One task owns some rows (n, c, od, oh) of y, or, when channels are adjacent in memory, some
// (n, od, oh) with all channels. Every output is computed alone, so neither the split nor the
// batch changes a bit.
//
// Lanes are output columns: a tap of the window is then one load for stride 1, two loads and
// a shuffle for stride 2, and a gather of scalars for all other strides and layouts. With
// adjacent channels the lanes are channels and every tap is one load. Either way the winner's
// position travels in the lanes as an offset from the window's first tap, as wide as T.
#include "dispatch/kernel_export.h"
#include "simd/parallel_for.h"
#include "simd/partial.h"

namespace fastconv {
namespace {

constexpr int64_t kTaskBytes = 65536;  // input of a task: microseconds, against 0.1 to take one

// Bytes ahead of a stride-2 window that are prefetched: with so little to do for a byte, 2x2
// windows run at 29 GB/s a core without and 42 to 57 with it (Zen 5; 2 to 8 KiB alike).
constexpr int64_t kAhead = 8192;

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

// The outputs [ow, ow + count) of a row, lanes along it; count is kLanes if kFit is kInside.
// kStep: how lanes lie in x. kKernel: if not 0, the windows are this many rows of this many
// taps, none of the rows padding, and the compiler unrolls them.
template <class T, bool kIndices, Step kStep, Fit kFit, int kKernel, Pass kPass>
FASTCONV_INLINE bool pool_columns(const Problem& p, const T* plane, T* y, int64_t* indices,
                                  const Taps& depth, const Taps& height, int64_t ow,
                                  int64_t count) {
  const Row<T, kStep> row(p);
  const int64_t IH = p.in[1], IW = p.in[2];
  const int64_t start = ow * row.stride - p.pad_before[2];
  const int64_t base = (depth.start * IH + height.start) * IW;
  const int64_t first_row = (depth.first * IH + height.first) * IW;
  const T* x =
      plane + depth.start * p.x_stride[2] + height.start * p.x_stride[3] + start * row.x_stride;
  Winner<T, kIndices, kPass> winner;
  winner.offset = broadcast_integer<T>(first_row - base);
  if constexpr (kKernel != 0) {
    FASTCONV_UNROLL
    for (int64_t kh = 0; kh < kKernel; ++kh)
      meet_row<kFit, kKernel>(&winner, row, x + kh * p.dilation[1] * p.x_stride[3], start,
                              kh * p.dilation[1] * IW, count);
  } else {
    for (int64_t kd = depth.begin; kd < depth.end; ++kd)
      for (int64_t kh = height.begin; kh < height.end; ++kh)
        meet_row<kFit, 0>(
            &winner, row,
            x + kd * p.dilation[0] * p.x_stride[2] + kh * p.dilation[1] * p.x_stride[3], start,
            (kd * p.dilation[0] * IH + kh * p.dilation[1]) * IW, count);
  }
  if (winner.met_nan()) return false;
  store_spaced(y + ow * p.y_stride[4], p.y_stride[4], winner.value, count);
  if constexpr (kIndices) {
    indices += ow * p.index_stride[4];
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
__attribute__((noinline)) bool pool_apart(const Problem& p, const T* plane, T* y, int64_t* indices,
                                          const Taps& depth, const Taps& height, int64_t ow,
                                          int64_t count) {
  return pool_columns<T, kIndices, kStep, kFit, kKernel, kPass>(p, plane, y, indices, depth, height,
                                                                ow, count);
}

// One row of outputs, kKernel as above.
template <class T, bool kIndices, Step kStep, int kKernel>
void pool_row(const Problem& p, const T* plane, T* y, int64_t* indices, const Taps& depth,
              const Taps& height) {
  constexpr int L = kLanes<T>;
  if constexpr (kKernel != 0) {
    if (height.end - height.begin != kKernel)  // the rows at the upper and lower edge
      return pool_row<T, kIndices, kStep, 0>(p, plane, y, indices, depth, height);
  }
  const int64_t OW = p.out[2], begin = p.inside_begin, end = p.inside_end;
  for (int64_t ow = 0; ow < OW; ow += L) {
    // The last vector overlaps the one before if that makes it a whole one.
    if (OW - ow < L && OW - L >= begin && OW == end) ow = OW - L;
    const int64_t count = OW - ow < L ? OW - ow : L;
    bool done;
    if (ow < begin || ow + count > end)
      done = pool_apart<T, kIndices, kStep, Fit::kEdge, kKernel, Pass::kFast>(
          p, plane, y, indices, depth, height, ow, count);
    else if (count < L)
      done = pool_apart<T, kIndices, kStep, Fit::kTail, kKernel, Pass::kFast>(
          p, plane, y, indices, depth, height, ow, count);
    else
      done = pool_columns<T, kIndices, kStep, Fit::kInside, kKernel, Pass::kFast>(
          p, plane, y, indices, depth, height, ow, L);
    if (!done)
      pool_apart<T, kIndices, kStep, Fit::kEdge, 0, Pass::kCareful>(p, plane, y, indices, depth,
                                                                    height, ow, count);
  }
}

// All channels of one output position, adjacent in memory: kVectors vectors of them, or only
// the first `count` lanes of one.
template <class T, bool kIndices, int kVectors, Pass kPass>
FASTCONV_INLINE bool pool_channels(const Problem& p, const T* x, T* y, int64_t* indices,
                                   const Taps& depth, const Taps& height, const Taps& width,
                                   int64_t count) {
  constexpr int L = kLanes<T>;
  const int64_t IH = p.in[1], IW = p.in[2];
  const int64_t base = (depth.start * IH + height.start) * IW + width.start;
  const int64_t first = (depth.first * IH + height.first) * IW + width.first;
  Winner<T, kIndices, kPass> winner[kVectors];
  FASTCONV_UNROLL
  for (int i = 0; i < kVectors; ++i) winner[i].offset = broadcast_integer<T>(first - base);
  for (int64_t kd = depth.begin; kd < depth.end; ++kd)
    for (int64_t kh = height.begin; kh < height.end; ++kh) {
      const T* row = x + (depth.start + kd * p.dilation[0]) * p.x_stride[2] +
                     (height.start + kh * p.dilation[1]) * p.x_stride[3];
      const int64_t offset = (kd * p.dilation[0] * IH + kh * p.dilation[1]) * IW;
      for (int64_t kw = width.begin; kw < width.end; ++kw) {
        const T* tap = row + (width.start + kw * p.dilation[2]) * p.x_stride[4];
        FASTCONV_UNROLL
        for (int i = 0; i < kVectors; ++i)
          winner[i].meet(count < L ? load_lanes(tap, 0, count, T{0}) : load(tap + i * L),
                         offset + kw * p.dilation[2]);
      }
    }
  bool met_nan = false;
  FASTCONV_UNROLL
  for (int i = 0; i < kVectors; ++i) met_nan |= winner[i].met_nan();
  if (met_nan) return false;
  FASTCONV_UNROLL
  for (int i = 0; i < kVectors; ++i) {
    store_spaced(y + i * L, 1, winner[i].value, count);
    if constexpr (kIndices) store_indices<T>(indices + i * L, 1, base, winner[i].offset, count);
  }
  return true;
}

// A row of outputs with all its channels.
template <class T, bool kIndices>
void pool_row_of_channels(const Problem& p, const T* x, T* y, int64_t* indices, const Taps& depth,
                          const Taps& height) {
  constexpr int L = kLanes<T>, kVectors = 4;  // 12 registers of winners, the rest for loads
  for (int64_t ow = 0; ow < p.out[2]; ++ow) {
    const Taps width = find_taps(p, 2, ow);
    T* out = y + ow * p.y_stride[4];
    int64_t* out_indices = kIndices ? indices + ow * p.index_stride[4] : nullptr;
    for (int64_t c = 0, channels; c < p.channels; c += channels) {
      const bool whole = p.channels - c >= kVectors * L;
      channels = whole ? kVectors * L : clamp(p.channels - c, 0, L);
      int64_t* to = kIndices ? out_indices + c : nullptr;
      const bool done = whole ? pool_channels<T, kIndices, kVectors, Pass::kFast>(
                                    p, x + c, out + c, to, depth, height, width, L)
                              : pool_channels<T, kIndices, 1, Pass::kFast>(
                                    p, x + c, out + c, to, depth, height, width, channels);
      for (int64_t i = 0; !done && i < channels; i += L)
        pool_channels<T, kIndices, 1, Pass::kCareful>(p, x + c + i, out + c + i,
                                                      kIndices ? to + i : nullptr, depth, height,
                                                      width, clamp(channels - i, 0, L));
    }
  }
}

// A row for windows so wide apart that offsets in them need more than 32 bits.
template <class T>
void pool_row_far(const Problem& p, const T* plane, T* y, int64_t* indices, const Taps& depth,
                  const Taps& height) {
  for (int64_t ow = 0; ow < p.out[2]; ++ow) {
    const Taps width = find_taps(p, 2, ow);
    T value = kLowest<T>;
    int64_t index = (depth.first * p.in[1] + height.first) * p.in[2] + width.first;
    for (int64_t kd = depth.begin; kd < depth.end; ++kd)
      for (int64_t kh = height.begin; kh < height.end; ++kh)
        for (int64_t kw = width.begin; kw < width.end; ++kw) {
          const int64_t id = depth.start + kd * p.dilation[0];
          const int64_t ih = height.start + kh * p.dilation[1];
          const int64_t iw = width.start + kw * p.dilation[2];
          const T v = plane[id * p.x_stride[2] + ih * p.x_stride[3] + iw * p.x_stride[4]];
          if (v <= value || value != value) continue;
          value = v;
          index = (id * p.in[1] + ih) * p.in[2] + iw;
        }
    y[ow * p.y_stride[4]] = value;
    if (indices) indices[ow * p.index_stride[4]] = index;
  }
}

template <class T>
using RowKernel = void (*)(const Problem& p, const T* x, T* y, int64_t* indices, const Taps& depth,
                           const Taps& height);

template <class T, bool kIndices>
RowKernel<T> choose_row_kernel(const Problem& p) {
  const int64_t square = p.kernel[0] == 1 && p.kernel[1] == p.kernel[2] ? p.kernel[2] : 0;
  if (p.x_stride[4] != 1) return pool_row<T, kIndices, Step::kAny, 0>;
  if (p.stride[2] == 1)
    return square == 3 ? pool_row<T, kIndices, Step::kOne, 3>
                       : pool_row<T, kIndices, Step::kOne, 0>;
  if (p.stride[2] == 2 && p.dilation[2] == 1)
    return square == 2   ? pool_row<T, kIndices, Step::kTwo, 2>
           : square == 3 ? pool_row<T, kIndices, Step::kTwo, 3>
                         : pool_row<T, kIndices, Step::kTwo, 0>;
  return pool_row<T, kIndices, Step::kAny, 0>;
}

// Whether positions relative to a window's first tap, and to a vector of windows, fit the
// 32-bit lanes of float32 with room to spare; in floating point, which cannot overflow.
inline bool offsets_fit(const WindowParams& p) {
  double span = 0;
  for (int i = 0; i < kSpatial; ++i)
    span = span * static_cast<double>(p.in[i]) +
           static_cast<double>(p.kernel[i]) * static_cast<double>(p.dilation[i]);
  return span + 64 * static_cast<double>(p.stride[2]) < 1073741824;
}

template <class T>
void max_pool_forward(const PoolArgs<T>& args) {
  const Problem p(*args.params);
  const bool with_indices = args.indices != nullptr;
  const bool fits = offsets_fit(p);
  const bool channels_last = fits && p.channels > 1 && p.x_stride[1] == 1 && p.y_stride[1] == 1 &&
                             (!with_indices || p.index_stride[1] == 1);
  RowKernel<T> row_kernel = pool_row_far<T>;
  if (channels_last)
    row_kernel = with_indices ? pool_row_of_channels<T, true> : pool_row_of_channels<T, false>;
  else if (fits)
    row_kernel = with_indices ? choose_row_kernel<T, true>(p) : choose_row_kernel<T, false>(p);

  const int64_t C = channels_last ? 1 : p.channels, OD = p.out[0], OH = p.out[1];
  const int64_t rows = p.n * C * OD * OH;
  const int64_t row_elements =
      p.in[2] * (p.stride[1] < p.in[1] ? p.stride[1] : p.in[1]) * (channels_last ? p.channels : 1);
  const int64_t rows_per_task = kTaskBytes / (row_elements * int64_t{sizeof(T)}) + 1;
  const int64_t tasks = (rows + rows_per_task - 1) / rows_per_task;
  parallel_for(tasks, args.exec.threads, [&](int64_t task, int) {
    int64_t row = task * rows_per_task;
    const int64_t end = clamp(row + rows_per_task, 0, rows);
    int64_t oh = row % OH, od = row / OH % OD, c = row / OH / OD % C, n = row / OH / OD / C;
    for (; row < end; ++row) {
      int64_t* indices = args.indices;
      if (with_indices)
        indices += n * p.index_stride[0] + c * p.index_stride[1] + od * p.index_stride[2] +
                   oh * p.index_stride[3];
      row_kernel(
          p, args.x + n * p.x_stride[0] + c * p.x_stride[1],
          args.y + n * p.y_stride[0] + c * p.y_stride[1] + od * p.y_stride[2] + oh * p.y_stride[3],
          indices, find_taps(p, 0, od), find_taps(p, 1, oh));
      if (++oh < OH) continue;
      oh = 0;
      if (++od < OD) continue;
      od = 0;
      if (++c < C) continue;
      c = 0;
      ++n;
    }
  });
}

}  // namespace
}  // namespace fastconv

FASTCONV_EXPORT(max_pool_forward, PoolArgs)
