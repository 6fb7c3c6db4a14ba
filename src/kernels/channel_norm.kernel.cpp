// Batch, group and instance normalisation, forward.
//
//   y[n, c, p] = act((x[n, c, p] - mean) * (invstd * weight[c]) + bias[c])
//   x, y (N, C, D, H, W), any strides; mean, invstd (1 or N, groups); act identity or ReLU
//
// mean and variance are computed (and the running ones moved towards them) or, for inference,
// the running ones are used. Layouts, tasks and bits: channel_norm.h; accuracy: moments.h.
#include "kernels/channel_norm.h"

#include "dispatch/kernel_export.h"

namespace fastconv {
namespace {

enum { kMean, kScale, kShift };

template <class T>
struct ForwardSteps {
  static constexpr int L = kLanes<T>;
  const ChannelNorm<2, T>& norm;

  bool needs_sums() const { return norm.args.from_batch; }

  void sum_positions(int64_t b, int64_t c, int64_t piece) const {
    const Moments m = moments_of(norm.args.x + norm.at(1, b, c), norm.reads, 0,
                                 norm.piece_begin(piece), norm.piece_begin(piece + 1));
    norm.sum(b, piece, 0)[c] = m.mean;
    norm.sum(b, piece, 1)[c] = m.m2;
  }

  void sum_channels(int64_t b, int64_t piece) const {
    double *mean = norm.sum(b, piece, 0), *m2 = norm.sum(b, piece, 1);
    for (int64_t c = 0; c < norm.channels; ++c) mean[c] = m2[c] = 0;
    const T* x = norm.args.x + norm.at(1, b, 0);
    double before = 0;
    norm.each_chunk(
        norm.piece_begin(piece), norm.piece_begin(piece + 1), [&](int64_t begin, int64_t end) {
          const double n = static_cast<double>(end - begin);
          norm.template each_block<4>([&](int64_t c, int64_t lanes, auto count) {
            constexpr int V = decltype(count)::value;
            T chunk[3][V * L];
            sum_rows<V>(x + c, begin, end, lanes, chunk);
            for (int64_t j = 0; j < (V > 1 ? V * L : lanes); ++j) {
              const double lacks = static_cast<double>(chunk[1][j]) / n;
              const double delta = static_cast<double>(chunk[0][j]) + lacks - mean[c + j];
              mean[c + j] += delta * (n / (before + n));
              m2[c + j] += static_cast<double>(chunk[2][j]) - lacks * lacks * n +
                           delta * delta * (before * n / (before + n));
            }
          });
          before += n;
        });
  }

  // chunk[0]: the rounded means; chunk[1], chunk[2]: the sums of x - mean and of its square.
  template <int V>
  FASTCONV_INLINE void sum_rows(const T* x, int64_t begin, int64_t end, int64_t lanes,
                                T (*chunk)[V * L]) const {
    Vec<T> sum[V] = {}, first[V] = {}, second[V] = {};
    each_row<V>(x, begin, end, lanes, [&](int j, Vec<T> v) { sum[j] += v; });
    const T n = static_cast<T>(end - begin);
    FASTCONV_UNROLL
    for (int j = 0; j < V; ++j) sum[j] /= n;
    each_row<V>(x, begin, end, lanes, [&](int j, Vec<T> v) {
      const Vec<T> d = v - sum[j];
      first[j] += d;
      second[j] += d * d;
    });
    FASTCONV_UNROLL
    for (int j = 0; j < V; ++j) {
      store(chunk[0] + j * L, sum[j]);
      store(chunk[1] + j * L, first[j]);
      store(chunk[2] + j * L, second[j]);
    }
  }

  template <int V, class F>
  FASTCONV_INLINE void each_row(const T* x, int64_t begin, int64_t end, int64_t lanes,
                                const F& f) const {
    const int64_t step = norm.reads.stride[0][norm.reads.ndim - 1];
    each_run(norm.reads, begin, end, [&](const int64_t* offset, int64_t count) {
      const T* p = x + offset[0];
      for (int64_t r = 0; r < count; ++r, p += step) {
        FASTCONV_UNROLL
        for (int j = 0; j < V; ++j)
          f(j, V == 1 && lanes < L ? load_lanes(p, 0, lanes, T{0}) : load(p + j * L));
      }
    });
  }

  void move_towards(T* running, int64_t offset, double value) const {
    if (running == nullptr) return;
    const double momentum = norm.args.momentum;
    running[offset] =
        static_cast<T>((1 - momentum) * static_cast<double>(running[offset]) + momentum * value);
  }

  // Statistics of a group, and what its channels are multiplied with.
  void finish(int64_t b, int64_t g) const {
    const NormArgs<T>& args = norm.args;
    const int64_t size = norm.channels / args.groups;
    Moments m;
    for (int64_t c = g * size; c < (g + 1) * size && args.from_batch; ++c)
      for (int64_t piece = 0; piece < norm.pieces; ++piece)
        m.add(static_cast<double>(norm.piece_begin(piece + 1) - norm.piece_begin(piece)),
              norm.sum(b, piece, 0)[c], norm.sum(b, piece, 1)[c]);
    T mean = static_cast<T>(m.mean);
    double variance = m.variance();
    if (args.from_batch && m.count > 0) {
      move_towards(args.running_mean, g * args.running_mean_stride, m.mean);
      move_towards(args.running_var, g * args.running_var_stride, m.m2 / (m.count - 1));
    } else if (!args.from_batch) {
      mean = args.running_mean[g * args.running_mean_stride];
      variance = static_cast<double>(args.running_var[g * args.running_var_stride]);
    }
    const T invstd = static_cast<T>(inverse_root(variance + args.eps));
    if (args.mean != nullptr) norm.mean(b, g) = mean;
    if (args.invstd != nullptr) norm.invstd(b, g) = invstd;
    for (int64_t c = g * size; c < (g + 1) * size; ++c) {
      norm.coefficient(kMean, b)[c] = mean;
      norm.coefficient(kScale, b)[c] = invstd * norm.weight(c);
      norm.coefficient(kShift, b)[c] = norm.bias(c);
    }
  }

  static FASTCONV_INLINE Vec<T> normalize(Vec<T> x, Vec<T> mean, Vec<T> scale, Vec<T> shift,
                                          bool relus) {
    const Vec<T> y = (x - mean) * scale + shift;
    return relus ? relu<T>(y) : y;
  }

  void map_positions(int64_t b, int64_t c, int64_t begin, int64_t end) const {
    const Vec<T> mean = broadcast(norm.coefficient(kMean, b)[c]);
    const Vec<T> scale = broadcast(norm.coefficient(kScale, b)[c]);
    const Vec<T> shift = broadcast(norm.coefficient(kShift, b)[c]);
    const bool relus = norm.args.relu;
    const auto f = [&](Vec<T> x, Vec<T>) { return normalize(x, mean, scale, shift, relus); };
    const Map<2, 4, T, decltype(f)> map = {f};
    const int64_t out_step = norm.loops.stride[0][norm.loops.ndim - 1];
    const int64_t x_step = norm.loops.stride[1][norm.loops.ndim - 1];
    T* out = norm.args.out + norm.at(0, b, c);
    const T* x = norm.args.x + norm.at(1, b, c);
    each_run(norm.loops, begin, end, [&](const int64_t* offset, int64_t count) {
      const T* from = x + offset[1];
      if (out_step == 1 && x_step == 1)
        map.contiguous(out + offset[0], from, from, count, norm.streams);
      else
        map.spaced(out + offset[0], out_step, from, x_step, from, x_step, count);
    });
  }

  void map_channels(int64_t b, int64_t begin, int64_t end) const {
    const int inner = norm.loops.ndim - 1;
    const int64_t out_step = norm.loops.stride[0][inner], x_step = norm.loops.stride[1][inner];
    const bool relus = norm.args.relu;
    norm.each_chunk(begin, end, [&](int64_t first, int64_t last) {
      norm.template each_block<4>([&](int64_t c, int64_t lanes, auto count) {
        constexpr int V = decltype(count)::value;
        T* out = norm.args.out + norm.at(0, b, c);
        const T* x = norm.args.x + norm.at(1, b, c);
        Vec<T> mean[V], scale[V], shift[V];
        FASTCONV_UNROLL
        for (int j = 0; j < V; ++j) {
          mean[j] = load(norm.coefficient(kMean, b) + c + j * L);
          scale[j] = load(norm.coefficient(kScale, b) + c + j * L);
          shift[j] = load(norm.coefficient(kShift, b) + c + j * L);
        }
        each_run(norm.loops, first, last, [&](const int64_t* offset, int64_t rows) {
          T* to = out + offset[0];
          const T* from = x + offset[1];
          for (int64_t r = 0; r < rows; ++r, to += out_step, from += x_step) {
            FASTCONV_UNROLL
            for (int j = 0; j < V; ++j) {
              const Vec<T> v =
                  V == 1 && lanes < L ? load_lanes(from, 0, lanes, T{0}) : load(from + j * L);
              store_normalized<T>(to + j * L, normalize(v, mean[j], scale[j], shift[j], relus),
                                  V == 1 ? lanes : L, norm.streams);
            }
          }
        });
      });
    });
  }
};

template <class T>
void channel_norm_forward_workspace(const NormArgs<T>& args) {
  *args.workspace_size = ChannelNorm<2, T>(args).workspace_bytes();
}

template <class T>
void channel_norm_forward(const NormArgs<T>& args) {
  const ChannelNorm<2, T> norm(args);
  const ForwardSteps<T> steps = {norm};
  if (norm.positions > 0) return norm.run(steps);
  for (int64_t g = 0; g < args.groups && norm.batches == 1; ++g) steps.finish(0, g);
}

}  // namespace
}  // namespace fastconv

FASTCONV_EXPORT(channel_norm_forward, NormArgs)
FASTCONV_EXPORT(channel_norm_forward_workspace, NormArgs)
