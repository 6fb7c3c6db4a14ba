// The transforms of Winograd's minimal filtering F(m, r), made from interpolation points.
//
// Toom-Cook multiplies polynomials of m and r coefficients through their values at
// n = m + r - 1 points, one of them infinity; transposed, it is the correlation of n inputs
// with r taps (Winograd 1980; Lavin & Gray, arXiv 1509.09308):
//
//   y = A^T ((G g) * (B^T d))        y[i] = sum over k of d[i + k] * g[k], i in [0, m)
//
//   A^T[i][j] = a_j^i                          values at a_j, transposed
//   G[j][k]   = a_j^k / prod_{l != j} (a_j - a_l)
//   B^T[j]    = coefficients of prod_{l != j} (x - a_l)
//
// and for infinity the leading coefficient: A^T[m-1][n-1] = G[n-1][r-1] = 1, B^T[n-1] =
// coefficients of prod_l (x - a_l). n multiplications replace m * r; in two dimensions the
// transforms apply to rows and columns, and (n / m)^2 replace r^2 an output.
//
// The points decide the accuracy. Fractions with few bits keep all entries exact, and values
// on both sides of 1 keep the powers from growing. Those below have the least error, forward
// times gradient of the filters, of all pairs of eighths up to 2, or one close to it
// (`python -m benchmarks points`): with n = 6 and 256 channels 2.2e-6 of the largest output
// against 9.1e-6 for the usual 0, +-1, +-2.
// They come in pairs of opposite sign, whose rows share their even and odd halves.
//
// A transform is applied to lines: `count` of them, each of a few vectors a pitch apart. Rows
// and columns of a tile, sub-sampled images and interleaved outputs are all but pitches, so
// that any two transforms make a two-dimensional one.
#pragma once

#include "simd/partial.h"

namespace fastconv {
namespace {

// kPoints<n>: n - 1 finite points, 0 first where their number is odd, then pairs a, -a.
template <int n>
struct Points;
template <>
struct Points<5> {
  static constexpr double at[] = {0.5, -0.5, 1.25, -1.25};
};
template <>
struct Points<6> {
  static constexpr double at[] = {0, 0.75, -0.75, 1.5, -1.5};
};
template <>
struct Points<7> {
  static constexpr double at[] = {0.375, -0.375, 0.875, -0.875, 1.625, -1.625};
};
template <>
struct Points<8> {
  static constexpr double at[] = {0, 0.5, -0.5, 1, -1, 1.75, -1.75};
};

template <int kOutputs, int kTaps>
struct Winograd {
  static constexpr int n = kOutputs + kTaps - 1;
  double at[kOutputs][n] = {}, g[n][kTaps] = {}, bt[n][n] = {};
  double a[n][kOutputs] = {}, gt[kTaps][n] = {};  // transposed: the gradient of the filters

  constexpr Winograd() {
    if constexpr (kTaps == 1)
      make_identity();
    else
      interpolate();
    for (int j = 0; j < n; ++j) {
      for (int i = 0; i < kOutputs; ++i) a[j][i] = at[i][j];
      for (int k = 0; k < kTaps; ++k) gt[k][j] = g[j][k];
    }
  }

 private:
  // F(m, 1): a tap by itself needs no transform.
  constexpr void make_identity() {
    for (int j = 0; j < n; ++j) at[j][j] = bt[j][j] = g[j][0] = 1;
  }

  constexpr void interpolate() {
    const auto& points = Points<n>::at;
    const auto power = [](double base, int exponent) {
      double value = 1;
      for (int i = 0; i < exponent; ++i) value *= base;
      return value;
    };
    // Coefficients of the product of (x - a_l) over all points but `skipped`.
    const auto product = [&](int skipped, double (&row)[n]) {
      for (double& value : row) value = 0;
      row[0] = 1;
      for (int l = 0; l < n - 1; ++l) {
        if (l == skipped) continue;
        for (int i = n - 1; i >= 0; --i) row[i] = (i > 0 ? row[i - 1] : 0) - points[l] * row[i];
      }
    };
    for (int j = 0; j < n - 1; ++j) {
      double scale = 1;
      for (int l = 0; l < n - 1; ++l)
        if (l != j) scale *= points[j] - points[l];
      for (int i = 0; i < kOutputs; ++i) at[i][j] = power(points[j], i);
      for (int k = 0; k < kTaps; ++k) g[j][k] = power(points[j], k) / scale;
      product(j, bt[j]);
      // With an odd n the rows of -a are those of a mirrored and negated, in G and in B^T
      // alike; negating both leaves their product.
      if (n % 2 == 1 && points[j] < 0) {
        for (double& value : g[j]) value = -value;
        for (double& value : bt[j]) value = -value;
      }
    }
    at[kOutputs - 1][n - 1] = 1;
    g[n - 1][kTaps - 1] = 1;
    product(-1, bt[n - 1]);
  }
};

template <int m, int r>
constexpr Winograd<m, r> kWinograd;

// out = sum of coefficient * x over the entries of one row, skipping zeros at compile time.
template <class T, int kCount, int kFirst = 0, int kStep = 1>
FASTCONV_INLINE Vec<T> combine(const double (&row)[kCount], const Vec<T> (&x)[kCount]) {
  Vec<T> sum = {};
  FASTCONV_UNROLL
  for (int k = kFirst; k < kCount; k += kStep) {
    if (row[k] == 1)
      sum += x[k];
    else if (row[k] != 0)
      sum += static_cast<T>(row[k]) * x[k];
  }
  return sum;
}

// y = G g, B^T d or A y: the rows of opposite points agree in their even entries and are
// opposite in their odd ones.
template <class T, int kRows, int kCount>
FASTCONV_INLINE void apply_by_pairs(const double (&matrix)[kRows][kCount],
                                    const Vec<T> (&x)[kCount], Vec<T> (&y)[kRows]) {
  constexpr int kFirst = 1 - kRows % 2;
  if constexpr (kFirst == 1) y[0] = combine<T>(matrix[0], x);
  FASTCONV_UNROLL
  for (int i = kFirst; i + 1 < kRows; i += 2) {
    const Vec<T> even = combine<T, kCount, 0, 2>(matrix[i], x);
    const Vec<T> odd = combine<T, kCount, 1, 2>(matrix[i], x);
    y[i] = even + odd;
    y[i + 1] = even - odd;
  }
  y[kRows - 1] = combine<T>(matrix[kRows - 1], x);
}

// y = A^T x or G^T x: columns of opposite points enter even rows by their sum, odd ones by
// their difference; the points 0 and infinity enter the first and the last row alone.
template <class T, int kRows, int kCount>
FASTCONV_INLINE void apply_transposed_pairs(const double (&matrix)[kRows][kCount],
                                            const Vec<T> (&x)[kCount], Vec<T> (&y)[kRows]) {
  constexpr int kFirst = 1 - kCount % 2;
  Vec<T> sum[kCount / 2], difference[kCount / 2];
  FASTCONV_UNROLL
  for (int j = kFirst; j + 1 < kCount; j += 2) {
    sum[j / 2] = x[j] + x[j + 1];
    difference[j / 2] = x[j] - x[j + 1];
  }
  FASTCONV_UNROLL
  for (int i = 0; i < kRows; ++i) {
    Vec<T> value = {};
    if (kFirst == 1 && i == 0) value = static_cast<T>(matrix[0][0]) * x[0];
    if (i == kRows - 1) value += x[kCount - 1];
    FASTCONV_UNROLL
    for (int j = kFirst; j + 1 < kCount; j += 2) {
      const Vec<T> part = i % 2 == 0 ? sum[j / 2] : difference[j / 2];
      if (matrix[i][j] == 1)
        value += part;
      else
        value += static_cast<T>(matrix[i][j]) * part;
    }
    y[i] = value;
  }
}

// to[k, line] = (M from)[k, line]: element k of a line is `pitch` after element k - 1, line i
// is `step` after line i - 1.
template <class T>
using LineTransform = void (*)(const T* from, int64_t from_pitch, int64_t from_step, T* to,
                               int64_t to_pitch, int64_t to_step, int64_t count);
// The same for results that leave the algorithm: whether all of them are finite.
template <class T>
using LineResults = bool (*)(const T* from, int64_t from_pitch, int64_t from_step, T* to,
                             int64_t to_pitch, int64_t to_step, int64_t count);

template <class T>
struct Transform {
  int64_t m, r, n;
  LineTransform<T> data;    // B^T: n inputs to n values
  LineTransform<T> filter;  // G: r taps to n values
  LineTransform<T> grads;   // A: m output gradients to n values
  LineTransform<T> sums;    // A^T: n values to m outputs, of the first dimension
  LineResults<T> outputs;   // the same, of the second
  LineResults<T> add;       // and added to what is there
  LineTransform<T> weight;  // G^T: n values to r taps
};

template <class T, int kFrom, int kTo, class Apply>
FASTCONV_INLINE void each_line(const T* from, int64_t from_pitch, int64_t from_step, T* to,
                               int64_t to_pitch, int64_t to_step, int64_t count,
                               const Apply& apply) {
  for (int64_t i = 0; i < count; ++i) {
    Vec<T> x[kFrom], y[kTo];
    FASTCONV_UNROLL
    for (int k = 0; k < kFrom; ++k) x[k] = load(from + k * from_pitch);
    apply(x, y);
    FASTCONV_UNROLL
    for (int k = 0; k < kTo; ++k) store(to + k * to_pitch, y[k]);
    from += from_step;
    to += to_step;
  }
}

template <class T, int m, int r>
struct Lines {
  static constexpr int n = m + r - 1;
  // The identity has no pairs.
  template <int kRows, int kCount>
  static FASTCONV_INLINE void apply(const double (&matrix)[kRows][kCount],
                                    const Vec<T> (&x)[kCount], Vec<T> (&y)[kRows]) {
    if constexpr (r > 1) return apply_by_pairs<T>(matrix, x, y);
    FASTCONV_UNROLL
    for (int i = 0; i < kRows; ++i) y[i] = combine<T>(matrix[i], x);
  }
  template <int kRows, int kCount>
  static FASTCONV_INLINE void apply_transposed(const double (&matrix)[kRows][kCount],
                                               const Vec<T> (&x)[kCount], Vec<T> (&y)[kRows]) {
    if constexpr (r > 1) return apply_transposed_pairs<T>(matrix, x, y);
    FASTCONV_UNROLL
    for (int i = 0; i < kRows; ++i) y[i] = combine<T>(matrix[i], x);
  }

  static void data(const T* from, int64_t from_pitch, int64_t from_step, T* to, int64_t to_pitch,
                   int64_t to_step, int64_t count) {
    each_line<T, n, n>(from, from_pitch, from_step, to, to_pitch, to_step, count,
                       [](const auto& x, auto& y) { apply(kWinograd<m, r>.bt, x, y); });
  }
  static void filter(const T* from, int64_t from_pitch, int64_t from_step, T* to, int64_t to_pitch,
                     int64_t to_step, int64_t count) {
    each_line<T, r, n>(from, from_pitch, from_step, to, to_pitch, to_step, count,
                       [](const auto& x, auto& y) { apply(kWinograd<m, r>.g, x, y); });
  }
  static void grads(const T* from, int64_t from_pitch, int64_t from_step, T* to, int64_t to_pitch,
                    int64_t to_step, int64_t count) {
    each_line<T, m, n>(from, from_pitch, from_step, to, to_pitch, to_step, count,
                       [](const auto& x, auto& y) { apply(kWinograd<m, r>.a, x, y); });
  }
  static void sums(const T* from, int64_t from_pitch, int64_t from_step, T* to, int64_t to_pitch,
                   int64_t to_step, int64_t count) {
    each_line<T, n, m>(from, from_pitch, from_step, to, to_pitch, to_step, count,
                       [](const auto& x, auto& y) { apply_transposed(kWinograd<m, r>.at, x, y); });
  }
  static void weight(const T* from, int64_t from_pitch, int64_t from_step, T* to, int64_t to_pitch,
                     int64_t to_step, int64_t count) {
    each_line<T, n, r>(from, from_pitch, from_step, to, to_pitch, to_step, count,
                       [](const auto& x, auto& y) { apply_transposed(kWinograd<m, r>.gt, x, y); });
  }
  template <bool kAdd>
  static bool results(const T* from, int64_t from_pitch, int64_t from_step, T* to, int64_t to_pitch,
                      int64_t to_step, int64_t count) {
    Vec<T> probe = {};  // becomes NaN with the first that is not finite
    for (int64_t i = 0; i < count; ++i) {
      Vec<T> x[n], y[m];
      FASTCONV_UNROLL
      for (int k = 0; k < n; ++k) x[k] = load(from + k * from_pitch);
      apply_transposed(kWinograd<m, r>.at, x, y);
      FASTCONV_UNROLL
      for (int k = 0; k < m; ++k) {
        if (kAdd) y[k] += load(to + k * to_pitch);
        store(to + k * to_pitch, y[k]);
        probe += y[k] * T(0);
      }
      from += from_step;
      to += to_step;
    }
    return !any<T>(probe != probe);
  }
  static constexpr Transform<T> kTransform = {
      m, r, n, data, filter, grads, sums, results<false>, results<true>, weight};
};

// All that the plans choose from.
template <class T>
constexpr Transform<T> kTransforms[] = {
    Lines<T, 1, 1>::kTransform, Lines<T, 4, 1>::kTransform, Lines<T, 4, 2>::kTransform,
    Lines<T, 3, 3>::kTransform, Lines<T, 4, 3>::kTransform, Lines<T, 5, 3>::kTransform,
    Lines<T, 6, 3>::kTransform, Lines<T, 4, 4>::kTransform, Lines<T, 4, 5>::kTransform,
};

// F(m, r), or null where there is none.
template <class T>
inline const Transform<T>* find_transform(int64_t m, int64_t r) {
  for (const Transform<T>& transform : kTransforms<T>)
    if (transform.m == m && transform.r == r) return &transform;
  return nullptr;
}

}  // namespace
}  // namespace fastconv
