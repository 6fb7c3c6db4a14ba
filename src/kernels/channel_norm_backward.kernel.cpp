// Gradients of batch, group and instance normalisation.
//
//   g = dy, where the forward result was cut off by a ReLU 0      x^ = (x - mean) * invstd
//   dbias[c] = sum over n, p of g      dweight[c] = sum over n, p of g * x^
//   dx = invstd * (weight[c] * g - a - x^ * b)
//   a, b the means over a set with common statistics of weight * g and weight * g * x^
//
// At inference the statistics are constants: a = b = 0. What the ReLU cut off is computed again
// from x, which is read in any case; the forward result is not. Layouts, tasks and bits:
// channel_norm.h. Sums are made in T over chunks of 64 to 2048 elements and then in double.
#include "dispatch/kernel_export.h"
#include "kernels/channel_norm.h"

namespace fastconv {
namespace {

enum { kMean, kScale, kShift, kOfGradient, kOfInput, kConstant };

template <class T>
struct Cut {  // the gradient behind the ReLU; x without its mean
  bool relus;
  FASTCONV_INLINE Vec<T> operator()(Vec<T> dy, Vec<T> centred, Vec<T> scale, Vec<T> shift) const {
    if (!relus) return dy;
    return centred * scale + shift <= Vec<T>{} ? Vec<T>{} : dy;
  }
};

template <class T>
struct BackwardSteps {
  static constexpr int L = kLanes<T>;
  const ChannelNorm<3, T>& norm;
  Cut<T> cut;

  bool needs_sums() const {
    return norm.args.from_batch || norm.args.dweight != nullptr || norm.args.dbias != nullptr;
  }

  // The coefficients that sums and results need.
  void prepare() const {
    const int64_t size = norm.channels / norm.args.groups;
    for (int64_t b = 0; b < norm.batches; ++b)
      for (int64_t c = 0; c < norm.channels; ++c) {
        norm.coefficient(kMean, b)[c] = norm.mean(b, c / size);
        norm.coefficient(kScale, b)[c] = norm.invstd(b, c / size) * norm.weight(c);
        norm.coefficient(kShift, b)[c] = norm.bias(c);
      }
  }

  void sum_positions(int64_t b, int64_t c, int64_t piece) const {
    const T mean = norm.coefficient(kMean, b)[c];
    const Vec<T> scale = broadcast(norm.coefficient(kScale, b)[c]);
    const Vec<T> shift = broadcast(norm.coefficient(kShift, b)[c]);
    const T* x = norm.args.x + norm.at(1, b, c);
    const T* dy = norm.args.dy + norm.at(2, b, c);
    const int inner = norm.reads.ndim - 1;
    const int64_t x_step = norm.reads.stride[0][inner], dy_step = norm.reads.stride[1][inner];
    const int64_t end = norm.piece_begin(piece + 1);
    double sums[2] = {};
    for (int64_t begin = norm.piece_begin(piece); begin < end; begin += kMomentsChunk) {
      Vec<T> g_sum[4] = {}, gx_sum[4] = {};
      each_run(norm.reads, begin, clamp(begin + kMomentsChunk, 0, end),
               [&](const int64_t* offset, int64_t count) {
                 each_vector<T>(x + offset[0], x_step, dy + offset[1], dy_step, count, mean,
                                [&](int j, Vec<T> v, Vec<T> dv) {
                                  const Vec<T> centred = v - mean;
                                  const Vec<T> g = cut(dv, centred, scale, shift);
                                  g_sum[j] += g;
                                  gx_sum[j] += g * centred;
                                });
               });
      sums[0] += static_cast<double>(sum_of<T>(g_sum));
      sums[1] += static_cast<double>(sum_of<T>(gx_sum));
    }
    norm.sum(b, piece, 0)[c] = sums[0];
    norm.sum(b, piece, 1)[c] = sums[1];
  }

  void sum_channels(int64_t b, int64_t piece) const {
    double *g_sums = norm.sum(b, piece, 0), *gx_sums = norm.sum(b, piece, 1);
    for (int64_t c = 0; c < norm.channels; ++c) g_sums[c] = gx_sums[c] = 0;
    const int inner = norm.reads.ndim - 1;
    const int64_t x_step = norm.reads.stride[0][inner], dy_step = norm.reads.stride[1][inner];
    norm.each_chunk(
        norm.piece_begin(piece), norm.piece_begin(piece + 1), [&](int64_t begin, int64_t end) {
          norm.template each_block<4>([&](int64_t c, int64_t lanes, auto count) {
            constexpr int V = decltype(count)::value;
            const T* x = norm.args.x + norm.at(1, b, c);
            const T* dy = norm.args.dy + norm.at(2, b, c);
            Vec<T> mean[V], scale[V], shift[V], g_sum[V] = {}, gx_sum[V] = {};
            load_coefficients<V>(b, c, mean, scale, shift);
            each_run(norm.reads, begin, end, [&](const int64_t* offset, int64_t rows) {
              const T *p = x + offset[0], *d = dy + offset[1];
              for (int64_t r = 0; r < rows; ++r, p += x_step, d += dy_step) {
                FASTCONV_UNROLL
                for (int j = 0; j < V; ++j) {
                  const Vec<T> centred = load_block<V>(p, j, lanes) - mean[j];
                  const Vec<T> g = cut(load_block<V>(d, j, lanes), centred, scale[j], shift[j]);
                  g_sum[j] += g;
                  gx_sum[j] += g * centred;
                }
              }
            });
            T chunk[2][V * L];
            FASTCONV_UNROLL
            for (int j = 0; j < V; ++j) {
              store(chunk[0] + j * L, g_sum[j]);
              store(chunk[1] + j * L, gx_sum[j]);
            }
            for (int64_t j = 0; j < (V > 1 ? V * L : lanes); ++j) {
              g_sums[c + j] += static_cast<double>(chunk[0][j]);
              gx_sums[c + j] += static_cast<double>(chunk[1][j]);
            }
          });
        });
  }

  template <int V>
  FASTCONV_INLINE void load_coefficients(int64_t b, int64_t c, Vec<T>* mean, Vec<T>* scale,
                                         Vec<T>* shift) const {
    FASTCONV_UNROLL
    for (int j = 0; j < V; ++j) {
      mean[j] = load(norm.coefficient(kMean, b) + c + j * L);
      scale[j] = load(norm.coefficient(kScale, b) + c + j * L);
      shift[j] = load(norm.coefficient(kShift, b) + c + j * L);
    }
  }

  template <int V>
  static FASTCONV_INLINE Vec<T> load_block(const T* p, int j, int64_t lanes) {
    return V == 1 && lanes < L ? load_lanes(p, 0, lanes, T{0}) : load(p + j * L);
  }

  double channel_sum(int64_t b, int64_t c, int which) const {
    double sum = 0;
    for (int64_t piece = 0; piece < norm.pieces; ++piece) sum += norm.sum(b, piece, which)[c];
    return sum;
  }

  void finish(int64_t b, int64_t g) const {
    const NormArgs<T>& args = norm.args;
    const int64_t size = norm.channels / args.groups;
    double g_mean = 0, gx_mean = 0;
    for (int64_t c = g * size; c < (g + 1) * size && args.from_batch; ++c) {
      g_mean += static_cast<double>(norm.weight(c)) * channel_sum(b, c, 0);
      gx_mean += static_cast<double>(norm.weight(c)) * channel_sum(b, c, 1);
    }
    const double invstd = static_cast<double>(norm.invstd(b, g));
    const double count = static_cast<double>(norm.positions * size);
    for (int64_t c = g * size; c < (g + 1) * size; ++c) {
      norm.coefficient(kOfGradient, b)[c] = norm.coefficient(kScale, b)[c];
      norm.coefficient(kOfInput, b)[c] =
          static_cast<T>(-invstd * invstd * invstd * (gx_mean / count));
      norm.coefficient(kConstant, b)[c] = static_cast<T>(-invstd * (g_mean / count));
    }
  }

  FASTCONV_INLINE Vec<T> gradient(Vec<T> x, Vec<T> dy, Vec<T> mean, Vec<T> scale, Vec<T> shift,
                                  Vec<T> of_input, Vec<T> constant) const {
    const Vec<T> centred = x - mean;
    return cut(dy, centred, scale, shift) * scale + (centred * of_input + constant);
  }

  void map_positions(int64_t b, int64_t c, int64_t begin, int64_t end) const {
    if (norm.args.out == nullptr) return;
    const Vec<T> mean = broadcast(norm.coefficient(kMean, b)[c]);
    const Vec<T> scale = broadcast(norm.coefficient(kScale, b)[c]);
    const Vec<T> shift = broadcast(norm.coefficient(kShift, b)[c]);
    const Vec<T> of_input = broadcast(norm.coefficient(kOfInput, b)[c]);
    const Vec<T> constant = broadcast(norm.coefficient(kConstant, b)[c]);
    const auto f = [&](Vec<T> x, Vec<T> dy) {
      return gradient(x, dy, mean, scale, shift, of_input, constant);
    };
    const Map<3, 4, T, decltype(f)> map = {f};
    const int inner = norm.loops.ndim - 1;
    const int64_t step = norm.loops.stride[0][inner], x_step = norm.loops.stride[1][inner];
    const int64_t dy_step = norm.loops.stride[2][inner];
    T* dx = norm.args.out + norm.at(0, b, c);
    const T* x = norm.args.x + norm.at(1, b, c);
    const T* dy = norm.args.dy + norm.at(2, b, c);
    each_run(norm.loops, begin, end, [&](const int64_t* offset, int64_t count) {
      if (step == 1 && x_step == 1 && dy_step == 1)
        map.contiguous(dx + offset[0], x + offset[1], dy + offset[2], count, norm.streams);
      else
        map.spaced(dx + offset[0], step, x + offset[1], x_step, dy + offset[2], dy_step, count);
    });
  }

  void map_channels(int64_t b, int64_t begin, int64_t end) const {
    if (norm.args.out == nullptr) return;
    const int inner = norm.loops.ndim - 1;
    const int64_t step = norm.loops.stride[0][inner], x_step = norm.loops.stride[1][inner];
    const int64_t dy_step = norm.loops.stride[2][inner];
    norm.each_chunk(begin, end, [&](int64_t first, int64_t last) {
      norm.template each_block<4>([&](int64_t c, int64_t lanes, auto count) {
        constexpr int V = decltype(count)::value;
        T* dx = norm.args.out + norm.at(0, b, c);
        const T* x = norm.args.x + norm.at(1, b, c);
        const T* dy = norm.args.dy + norm.at(2, b, c);
        Vec<T> mean[V], scale[V], shift[V], of_input[V], constant[V];
        load_coefficients<V>(b, c, mean, scale, shift);
        FASTCONV_UNROLL
        for (int j = 0; j < V; ++j) {
          of_input[j] = load(norm.coefficient(kOfInput, b) + c + j * L);
          constant[j] = load(norm.coefficient(kConstant, b) + c + j * L);
        }
        each_run(norm.loops, first, last, [&](const int64_t* offset, int64_t rows) {
          T* to = dx + offset[0];
          const T *p = x + offset[1], *d = dy + offset[2];
          for (int64_t r = 0; r < rows; ++r, to += step, p += x_step, d += dy_step) {
            FASTCONV_UNROLL
            for (int j = 0; j < V; ++j)
              store_normalized<T>(to + j * L,
                                  gradient(load_block<V>(p, j, lanes), load_block<V>(d, j, lanes),
                                           mean[j], scale[j], shift[j], of_input[j], constant[j]),
                                  V == 1 ? lanes : L, norm.streams);
          }
        });
      });
    });
  }

  // The gradients of weight and bias, over all samples in their order.
  void finish_parameters() const {
    const NormArgs<T>& args = norm.args;
    const int64_t size = norm.channels / args.groups;
    for (int64_t c = 0; c < norm.channels; ++c) {
      double g_sum = 0, gx_sum = 0;
      for (int64_t b = 0; b < norm.batches && norm.positions > 0 && needs_sums(); ++b) {
        g_sum += channel_sum(b, c, 0);
        gx_sum += channel_sum(b, c, 1) * static_cast<double>(norm.invstd(b, c / size));
      }
      if (args.dbias != nullptr) args.dbias[c * args.dbias_stride] = static_cast<T>(g_sum);
      if (args.dweight != nullptr) args.dweight[c * args.dweight_stride] = static_cast<T>(gx_sum);
    }
  }
};

template <class T>
void channel_norm_backward_workspace(const NormArgs<T>& args) {
  *args.workspace_size = ChannelNorm<3, T>(args).workspace_bytes();
}

template <class T>
void channel_norm_backward(const NormArgs<T>& args) {
  const ChannelNorm<3, T> norm(args);
  const BackwardSteps<T> steps = {norm, {args.relu}};
  if (norm.positions * norm.batches > 0) {
    steps.prepare();
    norm.run(steps);
  }
  steps.finish_parameters();
}

}  // namespace
}  // namespace fastconv

FASTCONV_EXPORT(channel_norm_backward, NormArgs)
FASTCONV_EXPORT(channel_norm_backward_workspace, NormArgs)
