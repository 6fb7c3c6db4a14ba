// im2col, for those who want the matrix itself: convolution here never builds it.
//
//   cols[n, (c, k), o] = x[n, c, o * stride - pad + k * dilation], zero in the padding
//   x (N, C, ID, IH, IW) -> cols (N, C * KD * KH * KW, OD * OH * OW); any strides
//
// One task owns some elements of cols: rows (c, k), or a run of positions o with all rows.
// Elements are copied, so nothing changes a bit.
//
// It is a matter of writing: cols has K times the elements of x, which stays in the cache.
// Where both run along positions, a row of cols is made of segments of rows of x. Where the
// channels of x are adjacent they are transposed in registers. When cols runs along (c, k),
// rows are laid side by side in a small buffer and transposed from there.
#include "dispatch/kernel_export.h"
#include "kernels/window_range.h"
#include "simd/parallel_for.h"
#include "simd/partial.h"
#include "simd/transpose.h"

namespace fastconv {
namespace {

constexpr int64_t kTaskElements = 16384;  // microseconds of copying, against 0.1 to take a task
constexpr int64_t kRun = 64;              // positions treated together where layouts differ
constexpr int kBlock = 16;                // rows of cols treated together there

// Coordinates of a tap, from its flat number.
struct Tap {
  int64_t d, h, w;
  FASTCONV_INLINE Tap(const WindowParams& p, int64_t k)
      : d(k / p.kernel[2] / p.kernel[1]), h(k / p.kernel[2] % p.kernel[1]), w(k % p.kernel[2]) {}
};

// out[i] = x[i * step], i in [0, count).
template <class T>
FASTCONV_INLINE void copy_spaced(T* out, const T* x, int64_t step, int64_t count) {
  constexpr int L = kLanes<T>;
  int64_t i = 0;
  if (step == 1) {
    for (; i + L <= count; i += L) store(out + i, load(x + i));
    if (i < count) store_lanes(out + i, load_lanes(x + i, 0, count - i, T{0}), count - i);
  } else if (step == 2) {
    for (; i + L <= count; i += L) store(out + i, load_spaced<Step::kTwo>(x + 2 * i, 2));
  }
  for (; i < count; ++i) out[i] = x[i * step];
}

// The outputs [ow, ow + count) of the row (od, oh) for channel c, tap k: contiguous in out.
template <class T>
FASTCONV_INLINE void copy_segment(const WindowParams& p, T* out, const T* channel, const Tap& k,
                                  int64_t od, int64_t oh, int64_t ow, int64_t count) {
  const int64_t id = od * p.stride[0] - p.pad_before[0] + k.d * p.dilation[0];
  const int64_t ih = oh * p.stride[1] - p.pad_before[1] + k.h * p.dilation[1];
  const int64_t offset = ow * p.stride[2] - p.pad_before[2] + k.w * p.dilation[2];
  Range valid = {count, count};
  if (id >= 0 && id < p.in[0] && ih >= 0 && ih < p.in[1])
    valid = outputs_inside(offset, p.stride[2], p.in[2], count);
  for (int64_t i = 0; i < valid.begin; ++i) out[i] = 0;
  if (valid.begin < valid.end)
    copy_spaced(out + valid.begin,
                channel + id * p.x_stride[2] + ih * p.x_stride[3] +
                    (offset + valid.begin * p.stride[2]) * p.x_stride[4],
                p.stride[2] * p.x_stride[4], valid.end - valid.begin);
  for (int64_t i = clamp(valid.end, valid.begin, count); i < count; ++i) out[i] = 0;
}

// Row r = (c, k) of cols for image n, positions contiguous.
template <class T>
void copy_row(const ColumnsArgs<T>& args, int64_t n, int64_t r) {
  const WindowParams& p = *args.params;
  const int64_t K = p.kernel[0] * p.kernel[1] * p.kernel[2], OW = p.out[2];
  const Tap k(p, r % K);
  const T* channel = args.x + n * p.x_stride[0] + r / K * p.x_stride[1];
  T* out = args.cols + n * p.cols_stride[0] + r * p.cols_stride[1];
  for (int64_t od = 0; od < p.out[0]; ++od)
    for (int64_t oh = 0; oh < p.out[1]; ++oh, out += OW)
      copy_segment(p, out, channel, k, od, oh, 0, OW);
}

// A run of outputs [ow, ow + count) of row (od, oh) of image n, for all rows of cols.
struct OutputRun {
  int64_t n, od, oh, ow, count;
};

// x with adjacent channels, cols with adjacent positions: for every tap a transpose.
template <class T>
void transpose_run(const ColumnsArgs<T>& args, const OutputRun& run) {
  const WindowParams& p = *args.params;
  const int64_t K = p.kernel[0] * p.kernel[1] * p.kernel[2], C = p.channels;
  const int64_t row_stride = K * p.cols_stride[1];
  T* out = args.cols + run.n * p.cols_stride[0] + (run.od * p.out[1] + run.oh) * p.out[2] + run.ow;
  for (int64_t i = 0; i < K; ++i, out += p.cols_stride[1]) {
    const Tap k(p, i);
    const int64_t id = run.od * p.stride[0] - p.pad_before[0] + k.d * p.dilation[0];
    const int64_t ih = run.oh * p.stride[1] - p.pad_before[1] + k.h * p.dilation[1];
    const int64_t offset = run.ow * p.stride[2] - p.pad_before[2] + k.w * p.dilation[2];
    Range valid = {run.count, run.count};
    if (id >= 0 && id < p.in[0] && ih >= 0 && ih < p.in[1])
      valid = outputs_inside(offset, p.stride[2], p.in[2], run.count);
    if (valid.begin > 0 || valid.end < run.count)
      for (int64_t c = 0; c < C; ++c) {
        for (int64_t o = 0; o < valid.begin; ++o) out[c * row_stride + o] = 0;
        for (int64_t o = clamp(valid.end, valid.begin, run.count); o < run.count; ++o)
          out[c * row_stride + o] = 0;
      }
    if (valid.begin < valid.end)
      transpose_copy(out + valid.begin, row_stride,
                     args.x + run.n * p.x_stride[0] + id * p.x_stride[2] + ih * p.x_stride[3] +
                         (offset + valid.begin * p.stride[2]) * p.x_stride[4],
                     p.stride[2] * p.x_stride[4], valid.end - valid.begin, C);
  }
}

// Any other pair of layouts: kBlock rows side by side, then to where cols wants them.
template <class T>
void stage_run(const ColumnsArgs<T>& args, const OutputRun& run) {
  const WindowParams& p = *args.params;
  const int64_t K = p.kernel[0] * p.kernel[1] * p.kernel[2], rows = p.channels * K;
  const T* image = args.x + run.n * p.x_stride[0];
  T* out = args.cols + run.n * p.cols_stride[0] +
           ((run.od * p.out[1] + run.oh) * p.out[2] + run.ow) * p.cols_stride[2];
  T stage[kBlock * kRun];
  for (int64_t first = 0; first < rows; first += kBlock) {
    const int64_t block = clamp(rows - first, 0, kBlock);
    for (int64_t i = 0; i < block; ++i) {
      const int64_t r = first + i;
      copy_segment(p, stage + i * kRun, image + r / K * p.x_stride[1], Tap(p, r % K), run.od,
                   run.oh, run.ow, run.count);
    }
    T* to = out + first * p.cols_stride[1];
    if (p.cols_stride[1] == 1) {
      transpose_copy(to, p.cols_stride[2], stage, kRun, block, run.count);
    } else {
      for (int64_t i = 0; i < block; ++i)
        for (int64_t o = 0; o < run.count; ++o)
          to[i * p.cols_stride[1] + o * p.cols_stride[2]] = stage[i * kRun + o];
    }
  }
}

template <class T>
void im2col(const ColumnsArgs<T>& args) {
  const WindowParams& p = *args.params;
  const int64_t K = p.kernel[0] * p.kernel[1] * p.kernel[2], rows = p.channels * K;
  const int64_t positions = p.out[0] * p.out[1] * p.out[2];
  const bool adjacent_positions = p.cols_stride[2] == 1 || positions == 1;
  const bool adjacent_channels = p.x_stride[1] == 1 && p.channels > 1;
  if (adjacent_positions && !adjacent_channels) {
    const int64_t per_task = kTaskElements / positions + 1;
    const int64_t tasks = (p.n * rows + per_task - 1) / per_task;
    parallel_for(tasks, args.exec.threads, [&](int64_t task, int) {
      const int64_t end = clamp((task + 1) * per_task, 0, p.n * rows);
      for (int64_t i = task * per_task; i < end; ++i) copy_row(args, i / rows, i % rows);
    });
    return;
  }
  const int64_t runs = (p.out[2] + kRun - 1) / kRun;  // of an output row
  const int64_t total = p.n * p.out[0] * p.out[1] * runs;
  const int64_t per_task = kTaskElements / (rows * (p.out[2] < kRun ? p.out[2] : kRun)) + 1;
  const int64_t tasks = (total + per_task - 1) / per_task;
  parallel_for(tasks, args.exec.threads, [&](int64_t task, int) {
    const int64_t end = clamp((task + 1) * per_task, 0, total);
    for (int64_t i = task * per_task; i < end; ++i) {
      OutputRun run;
      run.ow = i % runs * kRun;
      run.count = clamp(p.out[2] - run.ow, 0, kRun);
      run.oh = i / runs % p.out[1];
      run.od = i / runs / p.out[1] % p.out[0];
      run.n = i / runs / p.out[1] / p.out[0];
      if (adjacent_positions)
        transpose_run(args, run);
      else
        stage_run(args, run);
    }
  });
}

}  // namespace
}  // namespace fastconv

FASTCONV_EXPORT(im2col, ColumnsArgs)
