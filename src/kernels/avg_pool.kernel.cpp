// Average pooling, forward.
//
//   y[n, c, o] = sum over k of x[n, c, o * stride - pad + k] / divisor(o)
//   x (N, C, ID, IH, IW) -> y (N, C, OD, OH, OW); any strides
//
// Padding is 0. One task owns some rows (n, c, od, oh) of y, or some blocks of channels of
// (n, od, oh); every output is computed alone, so neither the split nor the batch changes a bit.
//
// Four ways, by the problem alone:
// - One window over a plane without gaps: avg_pool_plane.h.
// - Channels adjacent in memory: lanes are channels, every tap is one load.
// - Small windows on rows that are contiguous: lanes are columns of y, as for the maximum.
// - All else (large, adaptive, strided): one window after another, each row of it a sum_run.
// Sums of more than kManyTaps are carried on in double.
#include "dispatch/kernel_export.h"
#include "kernels/avg_pool_columns.h"
#include "kernels/avg_pool_plane.h"
#include "kernels/sum_run.h"
#include "simd/parallel_for.h"

namespace fastconv {
namespace {

constexpr int64_t kTaskBytes = 65536;  // of x: microseconds, against 0.1 to take a task
constexpr int64_t kManyTaps = 64;      // a sum of 64 is off by 64 epsilon at most, by 4 mostly
constexpr int kVectors = 4;            // of channels at once: chains of additions, 256 bytes

// kBlock vectors of channels of one output, or the first `count` lanes of one. x at the image.
template <class T, int kBlock, bool kMany>
FASTCONV_INLINE void average_channels(const Problem& p, const T* x, T* y, const Span& depth,
                                      const Span& height, const Span& width, T divisor,
                                      int64_t count) {
  constexpr int L = kLanes<T>;
  Vec<T> sum[kBlock] = {};
  WideSum<T> wide[kMany ? kBlock : 1];
  int terms = 0;
  for (int64_t id = depth.begin; id < depth.end; ++id)
    for (int64_t ih = height.begin; ih < height.end; ++ih) {
      const T* tap = x + id * p.x_stride[2] + ih * p.x_stride[3] + width.begin * p.x_stride[4];
      const bool fetches = is_first_read(p, ih, height.end - 1);
      for (int64_t iw = width.begin; iw < width.end; ++iw, tap += p.x_stride[4]) {
        FASTCONV_UNROLL
        for (int i = 0; i < kBlock; ++i)
          if (fetches) __builtin_prefetch(tap + i * L + kChannelsAhead / sizeof(T));
        FASTCONV_UNROLL
        for (int i = 0; i < kBlock; ++i)
          sum[i] += count < L ? load_lanes(tap, 0, count, T{0}) : load(tap + i * L);
        if constexpr (kMany) {
          if (++terms < kTerms) continue;
          terms = 0;
          FASTCONV_UNROLL
          for (int i = 0; i < kBlock; ++i) {
            wide[i].add(sum[i]);
            sum[i] = Vec<T>{};
          }
        }
      }
    }
  FASTCONV_UNROLL
  for (int i = 0; i < kBlock; ++i) {
    Vec<T> mean;
    if constexpr (kMany) {
      wide[i].add(sum[i]);
      mean = wide[i].divided(static_cast<double>(divisor));
    } else {
      mean = sum[i] / broadcast(divisor);
    }
    put(y + i * L, mean, count, p.streamed);
  }
}

// The channels [c, c_end) of a row of outputs. x and y at the image's first channel, and row.
template <class T, bool kMany>
void average_row_of_channels(const Problem& problem, const Divisor<T>& given, const T* x, T* y,
                             int64_t od, int64_t oh, int64_t c_begin, int64_t c_end) {
  constexpr int L = kLanes<T>;
  const Problem p = problem;
  const Divisor<T> divisor = given;
  const Span depth = inputs_of(p, 0, od), height = inputs_of(p, 1, oh);
  for (int64_t ow = 0; ow < p.out[2]; ++ow) {
    const Span width = inputs_of(p, 2, ow);
    const T by = divisor.at(od, oh, ow);
    T* out = y + ow * p.y_stride[4];
    int64_t c = c_begin;
    for (; c + kVectors * L <= c_end; c += kVectors * L)
      average_channels<T, kVectors, kMany>(p, x + c, out + c, depth, height, width, by, L);
    for (; c < c_end; c += L)
      average_channels<T, 1, kMany>(p, x + c, out + c, depth, height, width, by,
                                    clamp(c_end - c, 0, L));
  }
}

// A row of outputs, one after another. x at the plane, y at the row.
template <class T>
void average_row_one_by_one(const Problem& p, const Divisor<T>& divisor, const T* x, T* y,
                            int64_t od, int64_t oh) {
  const Span depth = inputs_of(p, 0, od), height = inputs_of(p, 1, oh);
  for (int64_t ow = 0; ow < p.out[2]; ++ow) {
    const Span width = inputs_of(p, 2, ow);
    double sum = 0;
    for (int64_t id = depth.begin; id < depth.end; ++id)
      for (int64_t ih = height.begin; ih < height.end; ++ih)
        sum += sum_run(x + id * p.x_stride[2] + ih * p.x_stride[3] + width.begin * p.x_stride[4],
                       p.x_stride[4], width.end - width.begin);
    y[ow * p.y_stride[4]] = static_cast<T>(sum / static_cast<double>(divisor.at(od, oh, ow)));
  }
}

template <class T>
using RowKernel = void (*)(const Problem& p, const Divisor<T>& divisor, const T* x, T* y,
                           int64_t od, int64_t oh);

template <class T>
RowKernel<T> choose_row_kernel(const Problem& p, int64_t taps) {
  const int64_t KW = p.kernel[2];
  const int64_t square = p.kernel[0] == 1 && p.kernel[1] == KW ? KW : 0;
  if (p.adaptive || (p.in[2] > 1 && p.x_stride[4] != 1) || taps > kManyTaps || p.out[2] == 1 ||
      !columns_fit(p))
    return average_row_one_by_one<T>;
  if (p.stride[2] == 1)
    return square == 3 ? average_row<T, Step::kOne, 3> : average_row<T, Step::kOne, 0>;
  if (p.stride[2] == 2)
    return square == 2   ? average_row<T, Step::kTwo, 2>
           : square == 3 ? average_row<T, Step::kTwo, 3>
                         : average_row<T, Step::kTwo, 0>;
  return average_row<T, Step::kAny, 0>;
}

template <class T>
void avg_pool_forward(const AveragePoolArgs<T>& args) {
  WindowParams window = *args.params;
  const bool channels = window.channels > 1 && window.x_stride[1] == 1 && window.y_stride[1] == 1;
  if (!channels) merge_whole_plane(&window);
  const Problem p(window, sizeof(T));
  const Divisor<T> divisor(args, p);
  if (!channels && is_whole_plane(p))
    return average_planes(p, args.x, args.y, divisor.at(0, 0, 0), args.exec.threads);
  const double all_taps = static_cast<double>(p.kernel[0]) * static_cast<double>(p.kernel[1]) *
                          static_cast<double>(p.kernel[2]);
  const int64_t taps = all_taps < 1e9 ? static_cast<int64_t>(all_taps) : 1000000000;
  const RowKernel<T> row_kernel = choose_row_kernel<T>(p, taps);
  // Channels of a task: all, or a block of them where the windows are large and the rows few.
  constexpr int64_t kBlock = kVectors * kLanes<T>;
  const int64_t block = !channels ? 1 : taps > kManyTaps ? kBlock : p.channels;
  const int64_t blocks = (p.channels + block - 1) / block, OD = p.out[0], OH = p.out[1];
  const int64_t rows = p.n * blocks * OD * OH;
  const double seen = static_cast<double>(p.stride[1] < p.in[1] ? p.stride[1] : p.in[1]) *
                      static_cast<double>(p.stride[0] < p.in[0] ? p.stride[0] : p.in[0]) *
                      static_cast<double>(p.in[2]) * static_cast<double>(block);
  const int64_t rows_per_task = static_cast<int64_t>(kTaskBytes / sizeof(T) / seen) + 1;
  parallel_for(
      (rows + rows_per_task - 1) / rows_per_task, args.exec.threads, [&](int64_t task, int) {
        const int64_t end = clamp((task + 1) * rows_per_task, 0, rows);
        for (int64_t row = task * rows_per_task; row < end; ++row) {
          const int64_t oh = row % OH, od = row / OH % OD, index = row / OH / OD % blocks;
          const int64_t n = row / OH / OD / blocks, c = channels ? 0 : index;
          const T* x = args.x + n * p.x_stride[0] + c * p.x_stride[1];
          T* y = args.y + n * p.y_stride[0] + c * p.y_stride[1] + od * p.y_stride[2] +
                 oh * p.y_stride[3];
          if (!channels) {
            row_kernel(p, divisor, x, y, od, oh);
            continue;
          }
          const int64_t c_begin = index * block, c_end = clamp(c_begin + block, 0, p.channels);
          if (taps > kManyTaps)
            average_row_of_channels<T, true>(p, divisor, x, y, od, oh, c_begin, c_end);
          else
            average_row_of_channels<T, false>(p, divisor, x, y, od, oh, c_begin, c_end);
        }
        if (p.streamed) end_stream();
      });
}

}  // namespace
}  // namespace fastconv

FASTCONV_EXPORT(avg_pool_forward, AveragePoolArgs)
