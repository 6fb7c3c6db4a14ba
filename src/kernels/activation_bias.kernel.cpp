// The gradient behind an epilogue: that of the activation and that of the bias in one pass.
//
//   out[n, c, p] = dy[n, c, p] * f'(x), from x or f(x);   dbias[c] = sum over n, p of out
//   x, dy, out (N, C, D, H, W), any strides; out may be the same view as either
//
// Apart, the second would read from memory again what the first has just written. Layouts,
// pieces and their order: channel_norm.h. Sums are made in T over chunks of at most 64 rows or
// 2048 elements, then in double.
#include "dispatch/kernel_export.h"
#include "kernels/activation.h"
#include "kernels/channel_norm.h"

namespace fastconv {
namespace {

template <int kKind, class T>
struct ActivationBias {
  static constexpr int L = kLanes<T>;
  const ChannelNorm<3, T>& plan;
  T alpha, beta;

  FASTCONV_INLINE Vec<T> gradient(Vec<T> dy, Vec<T> saved) const {
    return apply_gradient<kKind, T>(dy, saved, alpha, beta);
  }

  void run_positions(int64_t c, int64_t piece) const {
    T* out = plan.args.out + plan.at(0, 0, c);
    const T* x = plan.args.x + plan.at(1, 0, c);
    const T* dy = plan.args.dy + plan.at(2, 0, c);
    const int inner = plan.loops.ndim - 1;
    const int64_t step = plan.loops.stride[0][inner], x_step = plan.loops.stride[1][inner];
    const int64_t dy_step = plan.loops.stride[2][inner];
    const bool contiguous = step == 1 && x_step == 1 && dy_step == 1;
    const int64_t end = plan.piece_begin(piece + 1);
    double total = 0;
    for (int64_t begin = plan.piece_begin(piece); begin < end; begin += kMomentsChunk) {
      Vec<T> sum[4] = {};
      each_run(plan.loops, begin, clamp(begin + kMomentsChunk, 0, end),
               [&](const int64_t* offset, int64_t count) {
                 T* to = out + offset[0];
                 const T *saved = x + offset[1], *from = dy + offset[2];
                 int64_t i = 0;
                 for (; contiguous && i + 4 * L <= count; i += 4 * L) {
                   FASTCONV_UNROLL
                   for (int j = 0; j < 4; ++j) {
                     const Vec<T> g = gradient(load(from + i + j * L), load(saved + i + j * L));
                     sum[j] += g;
                     store_normalized<T>(to + i + j * L, g, L, plan.streams);
                   }
                 }
                 for (; i < count; i += L) {
                   const int64_t n = clamp(count - i, 0, L);
                   const Vec<T> g = gradient(take(from, dy_step, i, n), take(saved, x_step, i, n));
                   // Lanes beyond are 0: their dy is, and no derivative at 0 is infinite.
                   sum[0] += g;
                   store_spaced(to + i * step, step, g, n);
                 }
               });
      total += static_cast<double>(sum_of<T>(sum));
    }
    plan.sum(0, piece, 0)[c] = total;
  }

  void run_channels(int64_t piece) const {
    double* totals = plan.sum(0, piece, 0);
    for (int64_t c = 0; c < plan.channels; ++c) totals[c] = 0;
    const int inner = plan.loops.ndim - 1;
    const int64_t step = plan.loops.stride[0][inner], x_step = plan.loops.stride[1][inner];
    const int64_t dy_step = plan.loops.stride[2][inner];
    plan.each_chunk(
        plan.piece_begin(piece), plan.piece_begin(piece + 1), [&](int64_t begin, int64_t end) {
          plan.template each_block<4>([&](int64_t c, int64_t lanes, auto count) {
            constexpr int V = decltype(count)::value;
            Vec<T> sum[V] = {};
            each_run(plan.loops, begin, end, [&](const int64_t* offset, int64_t rows) {
              T* to = plan.args.out + plan.at(0, 0, c) + offset[0];
              const T* saved = plan.args.x + plan.at(1, 0, c) + offset[1];
              const T* from = plan.args.dy + plan.at(2, 0, c) + offset[2];
              for (int64_t r = 0; r < rows; ++r, to += step, saved += x_step, from += dy_step) {
                FASTCONV_UNROLL
                for (int j = 0; j < V; ++j) {
                  const int64_t n = V == 1 ? lanes : L;
                  const Vec<T> g = gradient(take(from, 1, j * L, n), take(saved, 1, j * L, n));
                  sum[j] += g;
                  store_normalized<T>(to + j * L, g, n, plan.streams);
                }
              }
            });
            T sums[V * L];
            FASTCONV_UNROLL
            for (int j = 0; j < V; ++j) store(sums + j * L, sum[j]);
            for (int64_t j = 0; j < (V > 1 ? V * L : lanes); ++j)
              totals[c + j] += static_cast<double>(sums[j]);
          });
        });
  }

  void run() const {
    const int64_t rows = plan.channels_last ? 1 : plan.channels;
    parallel_for(plan.pieces * rows, plan.args.exec.threads, [&](int64_t task, int) {
      if (plan.channels_last)
        run_channels(task);
      else
        run_positions(task / plan.pieces, task % plan.pieces);
      if (plan.streams) end_stream();
    });
    for (int64_t c = 0; c < plan.channels; ++c) {
      double sum = 0;
      for (int64_t piece = 0; piece < plan.pieces; ++piece) sum += plan.sum(0, piece, 0)[c];
      plan.args.dbias[c * plan.args.dbias_stride] = static_cast<T>(sum);
    }
  }
};

template <class T>
void activation_backward_bias_workspace(const NormArgs<T>& args) {
  *args.workspace_size = ChannelNorm<3, T>(args).workspace_bytes();
}

template <class T>
void activation_backward_bias(const NormArgs<T>& args) {
  const ChannelNorm<3, T> plan(args);
  const T alpha = static_cast<T>(args.activation.alpha);
  const T beta = static_cast<T>(args.activation.beta);
  with_activation(args.activation.kind, [&](auto kind) {
    ActivationBias<decltype(kind)::value, T>{plan, alpha, beta}.run();
  });
}

}  // namespace
}  // namespace fastconv

FASTCONV_EXPORT(activation_backward_bias, NormArgs)
FASTCONV_EXPORT(activation_backward_bias_workspace, NormArgs)
