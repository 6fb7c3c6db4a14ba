// Layer normalisation, forward and backward.
//
//   y[r, k] = x^[r, k] * weight[k] + bias[k],   x^ = (x[r, k] - mean[r]) * invstd[r]
//   x, y rows of a 5-D tensor from dimension `axis` on, any strides; mean, invstd a row
//   the gradients: layer_norm_backward.h
//
// One task owns some rows. A row stays in a cache between the sums and the result; its sums are
// those of moments.h and do not depend on the other rows.
#include "dispatch/kernel_export.h"
#include "kernels/layer_norm_backward.h"
#include "kernels/moments.h"
#include "simd/parallel_for.h"

namespace fastconv {
namespace {

constexpr int64_t kRowTask = 32768;  // elements: some microseconds

template <class T>
void layer_norm_forward(const LayerNormArgs<T>& args) {
  const int64_t* strides[4] = {args.out_stride, args.x_stride,
                               args.weight != nullptr ? args.weight_stride : nullptr,
                               args.bias != nullptr ? args.bias_stride : nullptr};
  const Rows<4> it(args.extent, args.axis, strides);
  const int64_t step[4] = {it.step(0), it.step(1), it.step(2), it.step(3)};
  constexpr int64_t L = kLanes<T>;
  const bool affine_runs = args.weight != nullptr && args.bias != nullptr && step[0] == 1 &&
                           step[1] == 1 && step[2] == 1 && step[3] == 1;
  const auto row_of = [&](int64_t row, const int64_t* stride) {
    return offset_of(row, args.axis, args.extent, stride);
  };
  const int64_t block = clamp(kRowTask / clamp(it.columns, 1, kRowTask), 1, kRowTask);
  parallel_for((it.rows + block - 1) / block, args.exec.threads, [&](int64_t task, int) {
    for (int64_t r = task * block; r < clamp((task + 1) * block, 0, it.rows); ++r) {
      const T* x = args.x + row_of(r, args.x_stride);
      T* out = args.out + row_of(r, args.out_stride);
      const Moments moments = moments_of(x, it.loops, 1, 0, it.columns);
      const T mean = static_cast<T>(moments.mean);
      const T invstd = static_cast<T>(inverse_root(moments.variance() + args.eps));
      if (args.mean != nullptr) args.mean[row_of(r, args.mean_stride)] = mean;
      if (args.invstd != nullptr) args.invstd[row_of(r, args.invstd_stride)] = invstd;
      each_run(it.loops, 0, it.columns, [&](const int64_t* offset, int64_t count) {
        const T* from = x + offset[1];
        const T* weight = args.weight != nullptr ? args.weight + offset[2] : nullptr;
        const T* bias = args.bias != nullptr ? args.bias + offset[3] : nullptr;
        T* to = out + offset[0];
        int64_t i = 0;
        if (affine_runs)
          for (; i + 2 * L <= count; i += 2 * L) {
            FASTCONV_UNROLL
            for (int64_t j = i; j < i + 2 * L; j += L)
              store(to + j, (load(from + j) - mean) * invstd * load(weight + j) + load(bias + j));
          }
        for (; i < count; i += L) {
          const int64_t n = clamp(count - i, 0, L);
          Vec<T> y = (take(from, step[1], i, n) - mean) * invstd;
          if (args.weight != nullptr) y *= take(weight, step[2], i, n);
          if (args.bias != nullptr) y += take(bias, step[3], i, n);
          store_spaced(to + i * step[0], step[0], y, n);
        }
      });
    }
  });
}

template <class T>
void layer_norm_backward_workspace(const LayerNormArgs<T>& args) {
  const LayerNormBackward<T> backward(args);
  *args.workspace_size = static_cast<size_t>(backward.pieces) * backward.piece_bytes();
}

template <class T>
void layer_norm_backward(const LayerNormArgs<T>& args) {
  const LayerNormBackward<T> backward(args);
  const int threads = args.exec.threads;
  // In place, dx would overwrite the dy that the columns of long rows need.
  const int64_t columns = backward.it.columns;
  const int64_t blocks = (columns + backward.kColumnBlock - 1) / backward.kColumnBlock;
  if (backward.sums && backward.long_rows)
    parallel_for(blocks, threads,
                 [&](int64_t task, int) { backward.run_columns(task * backward.kColumnBlock); });
  parallel_for(backward.pieces, threads, [&](int64_t task, int) { backward.run_piece(task); });
  if (!backward.sums || backward.long_rows) return;
  double* total = backward.piece_sums(0);
  for (int64_t piece = 1; piece < backward.pieces; ++piece) {
    const double* from = backward.piece_sums(piece);
    for (int64_t k = 0; k < 2 * backward.pitch; ++k) total[k] += from[k];
  }
  backward.store_columns(total, backward.pitch, 0, columns);
}

}  // namespace
}  // namespace fastconv

FASTCONV_EXPORT(layer_norm_forward, LayerNormArgs)
FASTCONV_EXPORT(layer_norm_backward, LayerNormArgs)
FASTCONV_EXPORT(layer_norm_backward_workspace, LayerNormArgs)
