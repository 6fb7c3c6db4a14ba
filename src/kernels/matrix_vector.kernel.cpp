// Dense layers for a few rows, forward and gradient of the input: a matrix times vectors.
//
//   y[n, m] = act(bias[m] + sum over k of a[m, k] * x[n, k] + residual[n, m]),   n < 1 to 4
//   a (M, K) contiguous along k or along m
//
// Every element of the matrix is used once a row, so there is nothing to pack: it streams from
// memory through the registers, and memory is the limit. One task owns some m, for all n.
//
// The sum of an output begins with the bias and goes over k in its order, one multiply-add after
// the other, as in every convolution that computes the layer for more rows: a row's bits do not
// depend on its batch.
// So lanes are outputs, also where a is contiguous along k: there, a square block of it is
// transposed in registers, four two-source permutes for a vector from memory.
#include "dispatch/kernel_export.h"
#include "kernels/activation.h"
#include "simd/parallel_for.h"
#include "simd/partial.h"
#include "simd/transpose.h"

namespace fastconv {
namespace {

// Bytes of a row that a task reads at a time where lanes are contiguous, at most: a page, so that
// the rows under way, those fetched for the next step and the sums fit the L1 cache. 16384 was
// no faster (31 to 33 GB/s, one row of 25088 outputs).
constexpr int64_t kRowBytes = 4096;
// Bytes between a load and its prefetch where a block has a line of each of many rows.
constexpr int64_t kAheadBytes = 512;

// What the sums of outputs [first, first + lanes) begin with.
template <class T>
FASTCONV_INLINE Vec<T> load_bias(const MatrixVectorArgs<T>& args, int64_t first, int64_t count) {
  if (args.bias == nullptr) return Vec<T>{};
  const int64_t step = args.bias_stride;
  return load_spaced_lanes<Step::kAny>(args.bias + first * step, step, 0, count, T{0});
}

// y[n, first + lane] from finished sums, for `count` lanes.
template <class T>
FASTCONV_INLINE void finish(const MatrixVectorArgs<T>& args, int64_t n, int64_t first, Vec<T> sum,
                            int64_t count) {
  const int64_t step = args.residual_stride[1];
  if (args.residual != nullptr)
    sum += load_spaced_lanes<Step::kAny>(args.residual + n * args.residual_stride[0] + first * step,
                                         step, 0, count, T{0});
  store_spaced(args.y + n * args.y_stride[0] + first * args.y_stride[1], args.y_stride[1],
               activate<T>(sum, args.activation), count);
}

// The outputs [first, first + count), a vector of them, from rows of a that are contiguous.
template <int kRows, class T>
void multiply_rows(const MatrixVectorArgs<T>& args, int64_t first, int64_t count) {
  constexpr int L = kLanes<T>;
  const int64_t K = args.columns, step = args.x_stride[1];
  const T* row[L];
  for (int m = 0; m < L; ++m)  // rows beyond the last are the last again, and not stored
    row[m] = args.a + (first + clamp(m, 0, count - 1)) * args.a_stride[0];
  const Vec<T> bias = load_bias(args, first, count);
  Vec<T> sum[kRows];
  FASTCONV_UNROLL
  for (int n = 0; n < kRows; ++n) sum[n] = bias;
  const auto add = [&](const Vec<T>(&block)[L], int64_t k, int64_t columns) {
    FASTCONV_UNROLL
    for (int n = 0; n < kRows; ++n) {
      const T* x = args.x + n * args.x_stride[0] + k * step;
      if (columns == L) {
        FASTCONV_UNROLL
        for (int j = 0; j < L; ++j) sum[n] += block[j] * x[j * step];
      } else {
        for (int64_t j = 0; j < columns; ++j) sum[n] += block[j] * x[j * step];
      }
    }
  };
  int64_t k = 0;
  for (; k + L <= K; k += L) {
    Vec<T> block[L];
    FASTCONV_UNROLL
    for (int m = 0; m < L; ++m) {
      block[m] = load(row[m] + k);
      __builtin_prefetch(reinterpret_cast<const char*>(row[m] + k) + kAheadBytes);
    }
    transpose<T>(block);
    add(block, k, L);
  }
  if (k < K) {
    Vec<T> block[L];
    FASTCONV_UNROLL
    for (int m = 0; m < L; ++m) block[m] = load_lanes(row[m] + k, 0, K - k, T{0});
    transpose<T>(block);
    add(block, k, K - k);
  }
  FASTCONV_UNROLL
  for (int n = 0; n < kRows; ++n) finish(args, n, first, sum[n], count);
}

// The outputs [first, first + count), at most kRowBytes of them, along rows of a.
template <int kRows, class T>
void multiply_columns(const MatrixVectorArgs<T>& args, int64_t first, int64_t count) {
  constexpr int L = kLanes<T>, kDepth = 4;  // rows of a between a load and a store of the sums
  alignas(64) T sums[kRows][kRowBytes / sizeof(T)];
  for (int64_t i = 0; i < count; i += L) {
    const Vec<T> bias = load_bias(args, first + i, clamp(count - i, 0, L));
    for (int n = 0; n < kRows; ++n) store(sums[n] + i, bias);
  }
  const T* a = args.a + first;
  const auto add = [&](int64_t k, auto depth) {
    constexpr int D = decltype(depth)::value;
    const T* row = a + k * args.a_stride[1];
    T x[kRows][D];
    FASTCONV_UNROLL
    for (int n = 0; n < kRows; ++n) {
      FASTCONV_UNROLL
      for (int d = 0; d < D; ++d)
        x[n][d] = args.x[n * args.x_stride[0] + (k + d) * args.x_stride[1]];
    }
    for (int64_t i = 0; i < count; i += L) {
      Vec<T> w[D];
      FASTCONV_UNROLL
      for (int d = 0; d < D; ++d) {
        const T* from = row + d * args.a_stride[1] + i;
        w[d] = count - i < L ? load_lanes(from, 0, count - i, T{0}) : load(from);
        __builtin_prefetch(from + D * args.a_stride[1]);  // the rows after these
      }
      FASTCONV_UNROLL
      for (int n = 0; n < kRows; ++n) {
        Vec<T> sum = load(sums[n] + i);
        FASTCONV_UNROLL
        for (int d = 0; d < D; ++d) sum += w[d] * x[n][d];
        store(sums[n] + i, sum);
      }
    }
  };
  int64_t k = 0;
  for (; k + kDepth <= args.columns; k += kDepth) add(k, Kind<kDepth>{});
  for (; k < args.columns; ++k) add(k, Kind<1>{});
  for (int n = 0; n < kRows; ++n)
    for (int64_t i = 0; i < count; i += L)
      finish(args, n, first + i, load(sums[n] + i), clamp(count - i, 0, L));
}

template <int kRows, class T>
void run(const MatrixVectorArgs<T>& args) {
  const bool along_rows = args.a_stride[1] == 1;
  // Blocks for all threads; where a block ends changes nothing in an output's sum.
  const int64_t share = (args.outputs / args.exec.threads + 63) / 64 * 64;
  const int64_t block = along_rows ? kLanes<T> : clamp(share, 64, kRowBytes / int64_t{sizeof(T)});
  parallel_for((args.outputs + block - 1) / block, args.exec.threads, [&](int64_t task, int) {
    const int64_t first = task * block, count = clamp(args.outputs - first, 0, block);
    if (along_rows)
      multiply_rows<kRows>(args, first, count);
    else
      multiply_columns<kRows>(args, first, count);
  });
}

template <class T>
void matrix_vector(const MatrixVectorArgs<T>& args) {
  switch (args.rows) {
    case 1:
      return run<1>(args);
    case 2:
      return run<2>(args);
    case 3:
      return run<3>(args);
    default:
      return run<4>(args);
  }
}

}  // namespace
}  // namespace fastconv

FASTCONV_EXPORT(matrix_vector, MatrixVectorArgs)
