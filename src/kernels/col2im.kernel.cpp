// col2im, the transpose of im2col: every column is summed back to where it came from.
//
//   x[n, c, i] = sum over k and the o with o * stride - pad + k * dilation = i of
//                cols[n, (c, k), o], in ascending k
//   cols (N, C * KD * KH * KW, OD * OH * OW) -> x (N, C, ID, IH, IW); any strides
//
// One task owns some rows (n, c, id, ih) of x. Sums have one order, so threads change nothing.
//
// A row is summed in L1, tap by tap, each adding a segment of a row of cols. Where channels
// are closer together than positions, in x or in cols, 16 of them are summed side by side, so
// that every cache line is used while it is there.
#include "dispatch/kernel_export.h"
#include "kernels/window_range.h"
#include "simd/parallel_for.h"
#include "simd/partial.h"
#include "simd/transpose.h"

namespace fastconv {
namespace {

constexpr int64_t kTaskElements = 16384;  // microseconds of adding, against 0.1 to take a task
constexpr int64_t kRow = 1024;            // elements of a row of x summed at a time
constexpr int64_t kRun = 64;              // the same when there are kBlock channels
constexpr int kBlock = 16;

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

FASTCONV_EXPORT(col2im, ColumnsArgs)
