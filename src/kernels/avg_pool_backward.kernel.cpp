// The gradient of average pooling.
//
//   x[n, c, i] = sum over the windows o that see i of y[n, c, o] / divisor(o)
//   y (N, C, OD, OH, OW) -> x (N, C, ID, IH, IW); any strides
//
// in row-major order of o, as products with the reciprocal of the divisor. One task owns some
// rows of x and writes each element once.
//
// Where channels or columns are adjacent in memory the sum is gathered with lanes along them, as
// for the maximum: see pool_gather.h, and pool_apart.h for windows of strides from 3 on that do not
// overlap. For other layouts, for other strides of 3 and more, for windows
// of a great height and for adaptive ones, each output is added to the segment of a row that its window covers, in a
// buffer in L1.
#include "dispatch/kernel_export.h"
#include "kernels/avg_pool_divisor.h"
#include "kernels/avg_pool_plane.h"
#include "kernels/pool_apart.h"
#include "kernels/pool_gather.h"
#include "kernels/pool_gather_columns.h"

namespace fastconv {
namespace {

constexpr int64_t kRow = 1024;  // elements of a row of x summed at a time

// A Term of pool_gather.h. y at the first output of a plane or an image.
template <class T>
struct AverageTerm {
  const T* y;
  int64_t y_stride[3];
  const Divisor<T>* divisor;

  struct Position {
    const T* y;
    T scale;

    FASTCONV_INLINE void add(Vec<T>* sum, int64_t c, int64_t count) const {
      const Vec<T> v = count == kLanes<T> ? load(y + c) : load_lanes(y + c, 0, count, T{0});
      *sum += v * scale;
    }
  };

  struct Row {
    const Divisor<T>* divisor;
    const T* y;
    int64_t y_step, full_begin, full_end;  // between these the reciprocal is `uniform`
    T rows, uniform;                       // the divisor's part of this row

    FASTCONV_INLINE Position position(int64_t ow, int64_t) const {
      const bool full = ow >= full_begin && ow < full_end;
      const T scale = full ? uniform : T{1} / (rows * static_cast<T>(divisor->elements(2, ow)));
      return {y + ow * y_step, scale};
    }
  };

  FASTCONV_INLINE Row row(int64_t od, int64_t oh, int64_t, int64_t) const {
    const T rows = divisor->of_rows(od, oh);
    return {divisor,
            y + od * y_stride[0] + oh * y_stride[1],
            y_stride[2],
            divisor->full_begin,
            divisor->full_end,
            rows,
            T{1} / divisor->uniform_divisor(rows)};
  }
};

// A Source of pool_gather_columns.h: y times the reciprocal of the divisor.
template <class T>
struct AverageSource {
  static constexpr bool kMasked = false;
  const T* y;  // of the plane
  const Divisor<T>* divisor;
  const T* values = nullptr;
  const typename VecType<T>::integer* taps = nullptr;

  T* scale = nullptr;  // the reciprocals of the divisors of the row at hand
  T scaled_rows = 0;   // and the part of it that the row says

  void begin(T* first_row) { scale = first_row; }
  void copy_row(const WindowParams& p, int64_t od, int64_t oh, int64_t ow, int64_t count, T* to,
                typename VecType<T>::integer*) {
    constexpr int L = kLanes<T>;
    const T rows = divisor->of_rows(od, oh);
    if (rows != scaled_rows) {
      scaled_rows = rows;
      for (int64_t i = 0; i < count; ++i) scale[i] = reciprocal(p, ow + i, rows);
    }
    const T* row = y + od * p.y_stride[2] + oh * p.y_stride[3] + ow;
    for (int64_t i = 0; i < count; i += L, ow += L) {
      const int64_t lo = clamp(-ow, 0, L), hi = clamp(p.out[2] - ow, 0, L);
      const Vec<T> v = lo == 0 && hi == L ? load(row + i) : load_lanes(row + i, lo, hi, T{0});
      store(to + i, v * load_lanes(scale + i, 0, clamp(count - i, 0, L), T{0}));
    }
  }
  T reciprocal(const WindowParams& p, int64_t ow, T rows) const {
    if (ow < 0 || ow >= p.out[2]) return 0;
    if (divisor->fixed != 0) return T{1} / rows;
    return T{1} / (rows * static_cast<T>(divisor->elements(2, ow)));
  }
  FASTCONV_INLINE void add(Vec<T>* sum, int64_t at, int64_t) const { *sum += load(values + at); }
};

// A Source of pool_apart.h. y at the first output of a plane, then of a row.
template <class T>
struct AverageRow {
  static constexpr bool kMasked = false;
  const T* y;
  const Divisor<T>* divisor;
  T rows = 0, scale = 0;  // the divisor's part of the row; the usual reciprocal

  void begin_row(const WindowParams& p, int64_t od, int64_t oh, int64_t, int64_t) {
    y += od * p.y_stride[2] + oh * p.y_stride[3];
    rows = divisor->of_rows(od, oh);
    scale = T{1} / divisor->uniform_divisor(rows);
  }
  FASTCONV_INLINE Vec<T> values(int64_t ow, int64_t count) const {
    const Vec<T> v = count == kLanes<T> ? load(y + ow) : load_lanes(y + ow, 0, count, T{0});
    if (ow >= divisor->full_begin && ow + count <= divisor->full_end) return v * scale;
    Vec<T> scales = {};
    for (int64_t i = 0; i < count; ++i) {
      const bool full = ow + i >= divisor->full_begin && ow + i < divisor->full_end;
      scales[i] = full ? scale : T{1} / (rows * static_cast<T>(divisor->elements(2, ow + i)));
    }
    return v * scales;
  }
};

// buffer[0, count) += a.
template <class T>
FASTCONV_INLINE void add_constant(T* buffer, T a, int64_t count) {
  constexpr int L = kLanes<T>;
  int64_t i = 0;
  for (; i + L <= count; i += L) store(buffer + i, load(buffer + i) + broadcast(a));
  for (; i < count; ++i) buffer[i] += a;
}

// x[i * step] = buffer[i].
template <class T>
FASTCONV_INLINE void put_segment(T* x, int64_t step, const T* buffer, int64_t count,
                                 bool streamed) {
  constexpr int L = kLanes<T>;
  for (int64_t i = 0; i < count; i += L) {
    const int64_t rest = clamp(count - i, 0, L);
    if (step == 1)
      put(x + i, load(buffer + i), rest, streamed);
    else
      store_spaced(x + i * step, step, load(buffer + i), rest);
  }
}

// The columns [begin, end) of row (id, ih), in the buffer.
template <class T>
void spread_segment(const WindowParams& p, const AverageTerm<T>& term, T* buffer,
                    const Windows& depth, const Windows& height, int64_t begin, int64_t end) {
  __builtin_memset(buffer, 0, static_cast<size_t>(end - begin) * sizeof(T));
  const int64_t left = begin + p.pad_before[2] - p.kernel[2];
  int64_t first = left < 0 ? 0 : left / p.stride[2] + 1;
  int64_t last = (end - 1 + p.pad_before[2]) / p.stride[2];
  if (p.adaptive) {
    first = adaptive_span(p.out[2], p.in[2], begin).begin;
    last = adaptive_span(p.out[2], p.in[2], end - 1).end - 1;
  }
  last = last < p.out[2] ? last : p.out[2] - 1;
  for (int64_t a = 0; a < depth.count; ++a)
    for (int64_t b = 0; b < height.count; ++b) {
      const auto row = term.row(depth.first + a, height.first + b, 0, 0);
      for (int64_t ow = first; ow <= last; ++ow) {
        const auto at = row.position(ow, 0);
        const Span span = inputs_of(p, 2, ow);
        const int64_t lo = clamp(span.begin, begin, end), hi = clamp(span.end, lo, end);
        add_constant(buffer + lo - begin, *at.y * at.scale, hi - lo);
      }
    }
}

// The same where one window in the width is all there is: every column it sees is alike.
template <class T>
void fill_row(const WindowParams& p, const AverageTerm<T>& term, T* x, const Windows& depth,
              const Windows& height, bool streamed) {
  constexpr int L = kLanes<T>;
  T sum = 0;
  for_each_row(term, depth, height, [&](const auto& row) {
    const auto at = row.position(0, 0);
    sum += *at.y * at.scale;
  });
  const Span span = inputs_of(p, 2, 0);
  if (p.x_stride[4] != 1 || span.end - span.begin < p.in[2]) {
    for (int64_t iw = 0; iw < p.in[2]; ++iw)
      x[iw * p.x_stride[4]] = iw >= span.begin && iw < span.end ? sum : T{0};
    return;
  }
  for (int64_t iw = 0; iw < p.in[2]; iw += L)
    put(x + iw, broadcast(sum), clamp(p.in[2] - iw, 0, L), streamed);
}

template <class T>
void spread_row(const WindowParams& p, const AverageTerm<T>& term, T* x, const Windows& depth,
                const Windows& height, bool streamed) {
  T buffer[kRow];
  for (int64_t begin = 0; begin < p.in[2]; begin += kRow) {
    const int64_t end = clamp(begin + kRow, 0, p.in[2]);
    spread_segment(p, term, buffer, depth, height, begin, end);
    put_segment(x + begin * p.x_stride[4], p.x_stride[4], buffer, end - begin, streamed);
  }
}

template <class T>
void avg_pool_backward(const AveragePoolArgs<T>& args) {
  WindowParams p = *args.params;
  const bool channels = p.channels > 1 && p.x_stride[1] == 1 && p.y_stride[1] == 1;
  if (!channels) merge_whole_plane(&p);
  const auto adjacent = [](int64_t extent, int64_t stride) { return extent == 1 || stride == 1; };
  const bool rows = adjacent(p.in[2], p.x_stride[4]) && adjacent(p.out[2], p.y_stride[4]);
  const bool columns = rows && !p.adaptive && p.stride[2] <= 2 && p.out[2] > 1 && columns_fit(p);
  const Divisor<T> divisor(args, p);
  if (!channels && is_whole_plane(p))
    return spread_planes(p, args.x, args.y, divisor.at(0, 0, 0), args.exec.threads);
  const int64_t planes = channels ? 1 : p.channels;
  const int64_t row_bytes = p.in[2] * (p.channels / planes) * int64_t{sizeof(T)};
  const bool streamed = p.n * planes * p.in[0] * p.in[1] >= kStreamBytes / row_bytes;
  if (columns && !channels) {
    const auto source_of = [&](int64_t n, int64_t c) {
      return AverageSource<T>{args.y + n * p.y_stride[0] + c * p.y_stride[1], &divisor};
    };
    const ColumnsPlan<T, 1> ones(p);
    if (p.stride[2] == 1 && ones.applies)
      return gather_planes_of_columns<AverageSource<T>>(p, ones, source_of, args.x,
                                                        args.exec.threads, streamed);
    const ColumnsPlan<T, 2> twos(p);
    if (p.stride[2] == 2 && twos.applies)
      return gather_planes_of_columns<AverageSource<T>>(p, twos, source_of, args.x,
                                                        args.exec.threads, streamed);
  }
  if (rows && !channels && p.out[2] > 1 && windows_apart(p))
    return spread_windows(p, args.x, args.exec.threads, [&](int64_t n, int64_t c) {
      return AverageRow<T>{args.y + n * p.y_stride[0] + c * p.y_stride[1], &divisor};
    });
  for_each_input_row(p, planes, row_bytes, args.exec.threads, streamed,
                     [&](int64_t n, int64_t c, int64_t id, int64_t ih, const Windows& depth,
                         const Windows& height) {
                       const AverageTerm<T> term = {args.y + n * p.y_stride[0] + c * p.y_stride[1],
                                                    {p.y_stride[2], p.y_stride[3], p.y_stride[4]},
                                                    &divisor};
                       T* x = args.x + n * p.x_stride[0] + c * p.x_stride[1] + id * p.x_stride[2] +
                              ih * p.x_stride[3];
                       if (channels)
                         gather_row_of_channels(p, term, x, depth, height, streamed);
                       else if (p.out[2] == 1)
                         fill_row(p, term, x, depth, height, streamed);
                       else
                         spread_row(p, term, x, depth, height, streamed);
                     });
}

}  // namespace
}  // namespace fastconv

FASTCONV_EXPORT(avg_pool_backward, AveragePoolArgs)
