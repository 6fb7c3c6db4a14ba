// Sums, softmax and cross-entropy by their definitions, and the
// probes as anybody would first write them: see reference.h.
#include "reference/reference.h"

namespace fastconv {
namespace {

// out[c] = sum over n, d, h, w of x[n, c, d, h, w]
template <class T>
void channel_sum(const ChannelSumArgs<T>& args) {
  const int64_t* extent = args.extent;
  for (int64_t c = 0; c < extent[1]; ++c) {
    double sum = 0;
    for (int64_t n = 0; n < extent[0]; ++n)
      for (int64_t d = 0; d < extent[2]; ++d)
        for (int64_t h = 0; h < extent[3]; ++h)
          for (int64_t w = 0; w < extent[4]; ++w)
            sum += value(args.x[at(args.x_stride, n, c, d, h, w)]);
    args.out[c * args.out_stride] = rounded<T>(sum);
  }
}

// The largest of `count` elements, and log(sum exp(a - max)): what softmax needs of a row.
// An infinite maximum makes the logarithm NaN, and with it every element: as in PyTorch.
template <class T>
void log_sum_exp(const T* a, int64_t stride, int64_t count, double* max, double* log_sum) {
  *max = -__builtin_inf();
  for (int64_t i = 0; i < count; ++i)
    if (static_cast<double>(a[i * stride]) > *max) *max = static_cast<double>(a[i * stride]);
  double sum = 0;
  for (int64_t i = 0; i < count; ++i)
    sum += __builtin_exp(static_cast<double>(a[i * stride]) - *max);
  *log_sum = __builtin_log(sum);
}

// The extent with the given dimension reduced to 1: where rows along it begin.
struct RowExtent {
  int64_t extent[5];
  RowExtent(const int64_t full[5], int axis) {
    for (int i = 0; i < 5; ++i) extent[i] = i == axis ? 1 : full[i];
  }
};

// out = exp(a - max - log(sum exp(a - max))), or without the exp, along the axis.
template <class T>
void softmax(const SoftmaxArgs<T>& args) {
  const int64_t count = args.extent[args.axis];
  const int64_t a_stride = args.a_stride[args.axis], out_stride = args.out_stride[args.axis];
  const RowExtent rows(args.extent, args.axis);
  for_each(rows.extent, [&](int64_t n, int64_t c, int64_t d, int64_t h, int64_t w) {
    const T* a = args.a + at(args.a_stride, n, c, d, h, w);
    T* out = args.out + at(args.out_stride, n, c, d, h, w);
    double max, log_sum;
    log_sum_exp(a, a_stride, count, &max, &log_sum);
    for (int64_t i = 0; i < count; ++i) {
      const double y = static_cast<double>(a[i * a_stride]) - max - log_sum;
      out[i * out_stride] = static_cast<T>(args.log_softmax ? y : __builtin_exp(y));
    }
  });
}

// y the forward result b, dy the gradient a:
// out = y * (dy - sum(dy * y)), or dy - exp(y) * sum(dy) for log_softmax.
template <class T>
void softmax_backward(const SoftmaxArgs<T>& args) {
  const int64_t count = args.extent[args.axis];
  const int64_t a_stride = args.a_stride[args.axis], b_stride = args.b_stride[args.axis];
  const int64_t out_stride = args.out_stride[args.axis];
  const RowExtent rows(args.extent, args.axis);
  for_each(rows.extent, [&](int64_t n, int64_t c, int64_t d, int64_t h, int64_t w) {
    const T* a = args.a + at(args.a_stride, n, c, d, h, w);
    const T* b = args.b + at(args.b_stride, n, c, d, h, w);
    T* out = args.out + at(args.out_stride, n, c, d, h, w);
    double sum = 0;
    for (int64_t i = 0; i < count; ++i) {
      const double dy = static_cast<double>(a[i * a_stride]);
      sum += args.log_softmax ? dy : dy * static_cast<double>(b[i * b_stride]);
    }
    for (int64_t i = 0; i < count; ++i) {
      const double dy = static_cast<double>(a[i * a_stride]);
      const double y = static_cast<double>(b[i * b_stride]);
      out[i * out_stride] =
          static_cast<T>(args.log_softmax ? dy - __builtin_exp(y) * sum : y * (dy - sum));
    }
  });
}

// loss = -(1 - smoothing) * y[target] - smoothing / C * sum over c of y[c],
// y = log_softmax(input) over the classes; 0 where target is ignore_index.
template <class T>
void cross_entropy(const CrossEntropyArgs<T>& args) {
  const int64_t C = args.extent[1], stride = args.input_stride[1];
  const RowExtent rows(args.extent, 1);
  for_each(rows.extent, [&](int64_t n, int64_t, int64_t d, int64_t h, int64_t w) {
    const int64_t target = args.target[at(args.target_stride, n, 0, d, h, w)];
    T* loss = args.loss + at(args.loss_stride, n, 0, d, h, w);
    *loss = 0;
    if (target == args.ignore_index) return;
    const T* input = args.input + at(args.input_stride, n, 0, d, h, w);
    double max, log_sum;
    log_sum_exp(input, stride, C, &max, &log_sum);
    const double hit = static_cast<double>(input[target * stride]) - max - log_sum;
    double sum = 0;
    for (int64_t c = 0; c < C; ++c) sum += static_cast<double>(input[c * stride]) - max - log_sum;
    // Not 0 * sum, which is NaN where a class has probability 0.
    const double smooth =
        args.label_smoothing > 0 ? args.label_smoothing / static_cast<double>(C) * sum : 0.0;
    *loss = static_cast<T>(-(1 - args.label_smoothing) * hit - smooth);
  });
}

// grad_input = (softmax(input) - q) * grad_loss, q[c] = (1 - smoothing) * (c == target) +
// smoothing / C; 0 where target is ignore_index.
template <class T>
void cross_entropy_backward(const CrossEntropyArgs<T>& args) {
  const int64_t C = args.extent[1], stride = args.input_stride[1];
  const int64_t grad_stride = args.grad_input_stride[1];
  const RowExtent rows(args.extent, 1);
  for_each(rows.extent, [&](int64_t n, int64_t, int64_t d, int64_t h, int64_t w) {
    const int64_t target = args.target[at(args.target_stride, n, 0, d, h, w)];
    const double grad_loss =
        static_cast<double>(args.grad_loss[at(args.loss_stride, n, 0, d, h, w)]);
    const T* input = args.input + at(args.input_stride, n, 0, d, h, w);
    T* grad_input = args.grad_input + at(args.grad_input_stride, n, 0, d, h, w);
    double max, log_sum;
    log_sum_exp(input, stride, C, &max, &log_sum);
    for (int64_t c = 0; c < C; ++c) {
      const double y = __builtin_exp(static_cast<double>(input[c * stride]) - max - log_sum);
      const double q = (c == target ? 1 - args.label_smoothing : 0.0) +
                       args.label_smoothing / static_cast<double>(C);
      grad_input[c * grad_stride] =
          target == args.ignore_index ? T{0} : static_cast<T>((y - q) * grad_loss);
    }
  });
}

// One multiply-add after the other, each waiting for the last: one thread, no vectors.
template <class T>
void probe_fma(const ProbeArgs<T>& args) {
  constexpr int64_t kSteps = 4096;
  T sum = 0;
  for (int64_t repeat = 0; repeat < args.repeats; ++repeat) {
    for (int64_t step = 0; step < kSteps; ++step) sum = sum * T(0.5) + T(0.25);
    asm volatile("" : "+m"(sum));  // keeps every repeat
  }
  *args.flops = 2.0 * static_cast<double>(args.repeats * kSteps);
}

// c[m, n] += sum over k of a[m, k] * b[k, n] with everything in L1: one thread.
template <class T>
void probe_micro_kernel(const ProbeArgs<T>& args) {
  constexpr int64_t M = 32, N = 32, K = 32;
  T a[M][K], b[K][N], c[M][N] = {};
  for (int64_t m = 0; m < M; ++m)
    for (int64_t k = 0; k < K; ++k) a[m][k] = b[k][m] = T(1) / static_cast<T>(1 + m + k);
  for (int64_t repeat = 0; repeat < args.repeats; ++repeat) {
    for (int64_t m = 0; m < M; ++m)
      for (int64_t n = 0; n < N; ++n)
        for (int64_t k = 0; k < K; ++k) c[m][n] += a[m][k] * b[k][n];
    asm volatile("" : : "r"(c) : "memory");  // keeps every repeat
  }
  *args.flops = 2.0 * static_cast<double>(args.repeats * M * N * K);
}

}  // namespace
}  // namespace fastconv

FASTCONV_EXPORT(channel_sum, ChannelSumArgs)
FASTCONV_EXPORT_BF16(channel_sum, ChannelSumArgs)
FASTCONV_EXPORT(softmax, SoftmaxArgs)
FASTCONV_EXPORT(softmax_backward, SoftmaxArgs)
FASTCONV_EXPORT(cross_entropy, CrossEntropyArgs)
FASTCONV_EXPORT(cross_entropy_backward, CrossEntropyArgs)
FASTCONV_EXPORT(probe_fma, ProbeArgs)
FASTCONV_EXPORT(probe_micro_kernel, ProbeArgs)
