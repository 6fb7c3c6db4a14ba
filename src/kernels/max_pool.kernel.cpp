// Max pooling, forward.
//
//   y[n, c, o] = max over k of x[n, c, o * stride - pad + k * dilation]
//   indices[n, c, o] = where in the plane of x that maximum lies, (id * IH + ih) * IW + iw
//   argmax[n, c, o] = the k of that maximum, (kd * KH + kh) * KW + kw, in a byte
//   x (N, C, ID, IH, IW) -> y, indices, argmax (N, C, OD, OH, OW); any strides, at most one of
//   the last two is asked for
//
// Padding is -inf. The first NaN of a window in row-major order wins, else the first of its
// largest elements. A window of nothing but -inf gives the first of its positions inside the
// plane, as in PyTorch; one that lies in the padding altogether (a dilated window can) gives
// the position inside the plane nearest to where the first would be, and no argmax. Adaptive
// windows each have their own size: see pool_span.h.
//
// One task owns some rows (n, c, od, oh) of y, or, when channels are adjacent in memory, some
// (n, od, oh) with all channels. Every output is computed alone, so neither the split nor the
// batch changes a bit.
//
// Lanes are output columns: a tap of the window is then one load for stride 1, two loads and
// a shuffle for stride 2, and a gather of scalars for all other strides and layouts. With
// adjacent channels the lanes are channels and every tap is one load. Either way the winner's
// position travels in the lanes as an offset from the window's first tap, or as the number of
// its tap, as wide as T.
#include "dispatch/kernel_export.h"
#include "kernels/max_pool_channels.h"
#include "kernels/max_pool_columns.h"
#include "kernels/max_pool_plane.h"
#include "simd/parallel_for.h"

namespace fastconv {
namespace {

constexpr int64_t kTaskBytes = 65536;  // input of a task: microseconds, against 0.1 to take one

template <class T, Report kReport>
using RowsKernel = void (*)(const Problem& p, const T* x, T* y, Place<kReport>* places,
                            const Taps& depth, int64_t oh, int64_t oh_end);

template <class T, Report kReport>
RowsKernel<T, kReport> choose_rows_kernel(const Problem& p) {
  const int64_t square = p.kernel[0] == 1 && p.kernel[1] == p.kernel[2] ? p.kernel[2] : 0;
  // Where most lanes would have no column, a gather of them is slower than no vectors.
  if (p.adaptive || (p.out[2] * 4 <= kLanes<T> && p.stride[2] > 2))
    return pool_rows_one_by_one<T, kReport>;
  if (p.x_stride[4] != 1) return pool_rows<T, kReport, Step::kAny, 0>;
  if (p.stride[2] == 1)
    return square == 3 ? pool_rows<T, kReport, Step::kOne, 3>
                       : pool_rows<T, kReport, Step::kOne, 0>;
  if (p.stride[2] == 2 && p.dilation[2] == 1)
    return square == 2   ? pool_rows<T, kReport, Step::kTwo, 2>
           : square == 3 ? pool_rows<T, kReport, Step::kTwo, 3>
                         : pool_rows<T, kReport, Step::kTwo, 0>;
  return pool_rows<T, kReport, Step::kAny, 0>;
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

template <Report kReport, class T>
void pool(const PoolArgs<T>& args, Place<kReport>* all_places) {
  const Problem p(*args.params, sizeof(T));
  const bool fits = offsets_fit(p);
  const bool channels_last = fits && p.channels > 1 && p.x_stride[1] == 1 && p.y_stride[1] == 1 &&
                             (kReport == Report::kNothing || p.index_stride[1] == 1);
  WindowParams plane = p;
  merge_whole_plane(&plane);
  if (fits && !channels_last && is_whole_plane(plane))
    return max_planes<kReport>(p, plane, args.x, args.y, all_places, args.exec.threads);
  RowsKernel<T, kReport> rows_kernel = pool_rows_one_by_one<T, kReport>;
  if (channels_last)
    rows_kernel = pool_rows_of_channels<T, kReport>;
  else if (fits)
    rows_kernel = choose_rows_kernel<T, kReport>(p);

  const int64_t C = channels_last ? 1 : p.channels, OD = p.out[0], OH = p.out[1];
  const int64_t rows = p.n * C * OD * OH;
  const int64_t row_elements =
      p.in[2] * (p.stride[1] < p.in[1] ? p.stride[1] : p.in[1]) * (channels_last ? p.channels : 1);
  const int64_t rows_per_task = kTaskBytes / (row_elements * int64_t{sizeof(T)}) + 1;
  const int64_t tasks = (rows + rows_per_task - 1) / rows_per_task;
  parallel_for(tasks, args.exec.threads, [&](int64_t task, int) {
    const int64_t end = clamp((task + 1) * rows_per_task, 0, rows);
    for (int64_t row = task * rows_per_task, count; row < end; row += count) {
      const int64_t oh = row % OH, od = row / OH % OD, c = row / OH / OD % C;
      const int64_t n = row / OH / OD / C;
      count = clamp(end - row, 0, OH - oh);
      Place<kReport>* places = all_places;
      if (kReport != Report::kNothing)
        places += n * p.index_stride[0] + c * p.index_stride[1] + od * p.index_stride[2];
      rows_kernel(p, args.x + n * p.x_stride[0] + c * p.x_stride[1],
                  args.y + n * p.y_stride[0] + c * p.y_stride[1] + od * p.y_stride[2], places,
                  find_taps(p, 0, od), oh, oh + count);
    }
    if (p.streamed) end_stream();
  });
}

template <class T>
void max_pool_forward(const PoolArgs<T>& args) {
  if (args.indices == nullptr)
    pool<Report::kNothing>(args, static_cast<int64_t*>(nullptr));
  else
    pool<Report::kIndices>(args, args.indices);
}

template <class T>
void max_pool_forward_argmax(const PoolArgs<T>& args) {
  pool<Report::kArgmax>(args, args.argmax);
}

}  // namespace
}  // namespace fastconv

FASTCONV_EXPORT(max_pool_forward, PoolArgs)
FASTCONV_EXPORT(max_pool_forward_argmax, PoolArgs)
