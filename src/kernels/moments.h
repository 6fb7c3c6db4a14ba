// Mean and sum of squared deviations, of any number of elements and whatever their mean.
//
// Elements are taken by chunks that stay in the L1 cache, twice each: once for a mean, once for
// the sums of x - mean and of its square. What the rounded mean lacks is known from the first
// of these (the corrected two-pass algorithm), so nothing cancels; the memory is read once.
// Chunks are put together in double (T. F. Chan, G. H. Golub, R. J. LeVeque, 1979).
#pragma once

#include "kernels/collapse.h"
#include "simd/partial.h"
#include "simd/reduce.h"

namespace fastconv {
namespace {

// 8 or 16 KiB, of 32 to 48 in an L1 cache.
constexpr int64_t kMomentsChunk = 2048;

struct Moments {
  double count = 0, mean = 0, m2 = 0;  // m2: the sum of (x - mean)^2

  void add(double n, double chunk_mean, double chunk_m2) {
    if (n == 0) return;
    const double total = count + n, delta = chunk_mean - mean;
    mean += delta * (n / total);
    m2 += chunk_m2 + delta * delta * (count * n / total);
    count = total;
  }
  double variance() const { return count > 0 ? m2 / count : 0; }
};

// 1 / sqrt(variance + eps), without libm.
inline double inverse_root(double x) {
#if defined(__SSE2__)
  double root;
  asm("sqrtsd %1, %0" : "=x"(root) : "x"(x));
  return 1 / root;
#else
  return 1 / __builtin_sqrt(x);
#endif
}

// Vectors of a run from any step: `n` lanes from element i on.
template <class T>
FASTCONV_INLINE Vec<T> take(const T* p, int64_t step, int64_t i, int64_t n) {
  if (step != 1) return load_spaced_lanes<Step::kAny>(p + i * step, step, 0, n, T{0});
  return n == kLanes<T> ? load(p + i) : load_lanes(p + i, 0, n, T{0});
}

// g(j, a's lanes, b's lanes) for every vector of a run, j counting its position modulo 4;
// lanes beyond the run are `fill`, for b 0.
template <class T, class G>
FASTCONV_INLINE void each_vector(const T* a, int64_t a_step, const T* b, int64_t b_step,
                                 int64_t count, T fill, const G& g) {
  constexpr int L = kLanes<T>;
  int64_t i = 0;
  if (a_step == 1 && b_step == 1) {
    for (; i + 4 * L <= count; i += 4 * L) {
      FASTCONV_UNROLL
      for (int j = 0; j < 4; ++j) g(j, load(a + i + j * L), load(b + i + j * L));
    }
    for (; i + L <= count; i += L) g(0, load(a + i), load(b + i));
    if (i < count)
      g(0, load_lanes(a + i, 0, count - i, fill), load_lanes(b + i, 0, count - i, T{0}));
    return;
  }
  for (; i < count; i += L) {
    const int64_t n = clamp(count - i, 0, L);
    g(0, load_spaced_lanes<Step::kAny>(a + i * a_step, a_step, 0, n, fill),
      load_spaced_lanes<Step::kAny>(b + i * b_step, b_step, 0, n, T{0}));
  }
}

// f(offsets, count) for every run of the elements [begin, end) of the loops.
template <int kOperands, class F>
FASTCONV_INLINE void each_run(const Collapsed<kOperands>& loops, int64_t begin, int64_t end,
                              const F& f) {
  for (Cursor<kOperands> cursor(loops, begin); begin < end;) {
    const int64_t count = clamp(cursor.left(), 0, end - begin);
    f(cursor.offset, count);
    cursor.advance(count);
    begin += count;
  }
}

template <class T>
FASTCONV_INLINE T sum_of(const Vec<T> (&v)[4]) {
  return sum_lanes<T>((v[0] + v[1]) + (v[2] + v[3]));
}

// The elements [begin, end) of x.
template <int kOperands, class T>
inline Moments moments_of(const T* x, const Collapsed<kOperands>& loops, int operand, int64_t begin,
                          int64_t end) {
  const int64_t step = loops.stride[operand][loops.ndim - 1];
  Moments moments;
  for (; begin < end; begin += kMomentsChunk) {
    const int64_t last = clamp(begin + kMomentsChunk, 0, end);
    const T n = static_cast<T>(last - begin);
    Vec<T> sum[4] = {}, first[4] = {}, second[4] = {};
    each_run(loops, begin, last, [&](const int64_t* offset, int64_t count) {
      const T* p = x + offset[operand];
      each_vector<T>(p, step, p, step, count, T{0}, [&](int j, Vec<T> v, Vec<T>) { sum[j] += v; });
    });
    const T pivot = sum_of<T>(sum) / n;
    each_run(loops, begin, last, [&](const int64_t* offset, int64_t count) {
      const T* p = x + offset[operand];
      each_vector<T>(p, step, p, step, count, pivot, [&](int j, Vec<T> v, Vec<T>) {
        const Vec<T> d = v - pivot;
        first[j] += d;
        second[j] += d * d;
      });
    });
    const double lacks = static_cast<double>(sum_of<T>(first)) / static_cast<double>(n);
    const double m2 =
        static_cast<double>(sum_of<T>(second)) - lacks * lacks * static_cast<double>(n);
    moments.add(static_cast<double>(n), static_cast<double>(pivot) + lacks, m2 < 0 ? 0 : m2);
  }
  return moments;
}

}  // namespace
}  // namespace fastconv
