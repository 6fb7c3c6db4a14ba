// im2col and its transpose, for those who want the matrix itself: convolution here never
// builds it.
//
//   im2col:  cols[n, (c, k), o] = x[n, c, o * stride - pad + k * dilation], zero in the padding
//   col2im:  x[n, c, i] = sum over k and the o with o * stride - pad + k * dilation = i of
//            cols[n, (c, k), o], in ascending k
//   x (N, C, ID, IH, IW), cols (N, C * KD * KH * KW, OD * OH * OW); any strides
//
// One task owns some elements of what is written: rows (c, k) of cols, or a run of positions o
// with all rows, or rows (c, id, ih) of x. Sums have one order, so threads change nothing.
//
// im2col is a matter of writing: cols has K times the elements of x, which stays in the cache.
// Where both run along positions, a row of cols is made of segments of rows of x. Where the
// channels of x are adjacent they are transposed in registers. When cols runs along (c, k),
// rows are laid side by side in a small buffer and transposed from there.
#include "dispatch/kernel_export.h"
#include "simd/parallel_for.h"
#include "simd/partial.h"
#include "simd/transpose.h"

namespace fastconv {
namespace {

constexpr int64_t kTaskElements = 16384;  // microseconds of copying, against 0.1 to take a task
constexpr int64_t kRun = 64;              // positions treated together where layouts differ
constexpr int kBlock = 16;                // rows, or channels, treated together there
constexpr int64_t kRow = 1024;            // elements of a row of x summed at a time

struct Range {
  int64_t begin, end;
};

// The outputs o in [0, OW) whose tap at `offset` = k * dilation - pad is inside [0, extent).
FASTCONV_INLINE Range outputs_inside(int64_t offset, int64_t stride, int64_t extent, int64_t OW) {
  const int64_t begin = offset < 0 ? (-offset - 1) / stride + 1 : 0;
  const int64_t end = offset < extent ? (extent - offset - 1) / stride + 1 : 0;
  return {clamp(begin, 0, OW), clamp(end, 0, OW)};
}

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

// sum[i * step] += a[i * a_step], i in [0, count).
template <class T>
FASTCONV_INLINE void add_spaced(T* sum, int64_t step, const T* a, int64_t a_step, int64_t count) {
  constexpr int L = kLanes<T>;
  int64_t i = 0;
  if (step == 1 && a_step == 1)
    for (; i + L <= count; i += L) store(sum + i, load(sum + i) + load(a + i));
  for (; i < count; ++i) sum[i * step] += a[i * a_step];
}

// The output whose tap at `offset` = k * dilation - pad is at position i, or -1.
FASTCONV_INLINE int64_t output_at(int64_t i, int64_t offset, int64_t stride, int64_t out) {
  const int64_t strided = i - offset;
  if (strided < 0 || strided % stride != 0) return -1;
  return strided / stride < out ? strided / stride : -1;
}

// sum[iw - begin] = x[n, c, id, ih, iw] for iw in [begin, end).
template <class T>
void sum_segment(const ColumnsArgs<T>& args, T* sum, int64_t n, int64_t c, int64_t id, int64_t ih,
                 int64_t begin, int64_t end) {
  const WindowParams& p = *args.params;
  const int64_t stride = p.stride[2], step = p.cols_stride[2];
  __builtin_memset(sum, 0, static_cast<size_t>(end - begin) * sizeof(T));
  for (int64_t kd = 0; kd < p.kernel[0]; ++kd) {
    const int64_t od = output_at(id, kd * p.dilation[0] - p.pad_before[0], p.stride[0], p.out[0]);
    if (od < 0) continue;
    for (int64_t kh = 0; kh < p.kernel[1]; ++kh) {
      const int64_t oh = output_at(ih, kh * p.dilation[1] - p.pad_before[1], p.stride[1], p.out[1]);
      if (oh < 0) continue;
      for (int64_t kw = 0; kw < p.kernel[2]; ++kw) {
        // Output ow lands on element ow * stride + offset of the segment.
        const int64_t offset = kw * p.dilation[2] - p.pad_before[2] - begin;
        const Range valid = outputs_inside(offset, stride, end - begin, p.out[2]);
        if (valid.begin >= valid.end) continue;
        const int64_t row = ((c * p.kernel[0] + kd) * p.kernel[1] + kh) * p.kernel[2] + kw;
        const int64_t position = (od * p.out[1] + oh) * p.out[2] + valid.begin;
        add_spaced(sum + offset + valid.begin * stride, stride,
                   args.cols + n * p.cols_stride[0] + row * p.cols_stride[1] + position * step,
                   step, valid.end - valid.begin);
      }
    }
  }
}

template <class T>
void col2im(const ColumnsArgs<T>& args) {
  const WindowParams& p = *args.params;
  const int64_t C = p.channels, ID = p.in[0], IH = p.in[1], IW = p.in[2];
  const bool adjacent_channels = p.x_stride[1] == 1 && C > 1;
  // Several channels at once where x or cols keeps these closer together than positions.
  const int64_t block = adjacent_channels || p.cols_stride[2] != 1 ? kBlock : 1;
  const int64_t blocks = (C + block - 1) / block;
  const int64_t width = block == 1 ? kRow : kRun;
  const int64_t rows = p.n * blocks * ID * IH;
  const int64_t row_work = block * IW * p.kernel[0] * p.kernel[1] * p.kernel[2];
  const int64_t per_task = kTaskElements / row_work + 1;
  const int64_t tasks = (rows + per_task - 1) / per_task;
  parallel_for(tasks, args.exec.threads, [&](int64_t task, int) {
    T sums[kRow];
    static_assert(kBlock * kRun <= kRow);
    const int64_t last = clamp((task + 1) * per_task, 0, rows);
    for (int64_t row = task * per_task; row < last; ++row) {
      const int64_t ih = row % IH, id = row / IH % ID;
      const int64_t c = row / IH / ID % blocks * block, n = row / IH / ID / blocks;
      const int64_t channels = clamp(C - c, 0, block);
      T* x =
          args.x + n * p.x_stride[0] + c * p.x_stride[1] + id * p.x_stride[2] + ih * p.x_stride[3];
      for (int64_t begin = 0; begin < IW; begin += width) {
        const int64_t count = clamp(IW - begin, 0, width);
        for (int64_t i = 0; i < channels; ++i)
          sum_segment(args, sums + i * width, n, c + i, id, ih, begin, begin + count);
        T* out = x + begin * p.x_stride[4];
        if (adjacent_channels) {
          transpose_copy(out, p.x_stride[4], sums, width, channels, count);
        } else {
          for (int64_t i = 0; i < channels; ++i)
            for (int64_t j = 0; j < count; j += kLanes<T>)
              store_spaced(out + i * p.x_stride[1] + j * p.x_stride[4], p.x_stride[4],
                           load(sums + i * width + j), clamp(count - j, 0, kLanes<T>));
        }
      }
    }
  });
}

}  // namespace
}  // namespace fastconv

FASTCONV_EXPORT(im2col, ColumnsArgs)
FASTCONV_EXPORT(col2im, ColumnsArgs)
