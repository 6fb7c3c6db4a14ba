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
// near 1 on both sides keep the powers from growing: for F(4, 3), 256 channels and normal data
// 0, +-3/4, +-3/2 has an error of 2.2e-6 of the largest output against 8.9e-6 for the usual
// 0, +-1, +-2 and 8.2e-6 for 0, +-1, +-1/2 (benchmarks/accuracy.py). They come in pairs of
// opposite sign, whose rows share their even and odd halves.
#pragma once

#include "simd/vec.h"

namespace fastconv {
namespace {

template <int kOutputs, int kTaps>
struct Winograd {
  static constexpr int n = kOutputs + kTaps - 1;
  double at[kOutputs][n] = {}, g[n][kTaps] = {}, bt[n][n] = {};
  double a[n][kOutputs] = {}, gt[kTaps][n] = {};  // transposed: the gradient of the filters

  // `points`: 0, then pairs a, -a; n - 1 of them.
  constexpr explicit Winograd(const double (&points)[n - 1]) {
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
    }
    at[kOutputs - 1][n - 1] = 1;
    g[n - 1][kTaps - 1] = 1;
    product(-1, bt[n - 1]);
    for (int j = 0; j < n; ++j) {
      for (int i = 0; i < kOutputs; ++i) a[j][i] = at[i][j];
      for (int k = 0; k < kTaps; ++k) gt[k][j] = g[j][k];
    }
  }
};

constexpr Winograd<4, 3> kWinograd43({0, 0.75, -0.75, 1.5, -1.5});

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

// y = G g, B^T d or A y: rows 1 and 2, 3 and 4, ... belong to points of opposite sign, so that their
// even entries agree and their odd ones are opposite.
template <class T, int kRows, int kCount>
FASTCONV_INLINE void apply_by_pairs(const double (&matrix)[kRows][kCount],
                                    const Vec<T> (&x)[kCount], Vec<T> (&y)[kRows]) {
  y[0] = combine<T>(matrix[0], x);
  FASTCONV_UNROLL
  for (int i = 1; i + 1 < kRows; i += 2) {
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
  Vec<T> sum[kCount / 2], difference[kCount / 2];
  FASTCONV_UNROLL
  for (int j = 1; j + 1 < kCount; j += 2) {
    sum[j / 2] = x[j] + x[j + 1];
    difference[j / 2] = x[j] - x[j + 1];
  }
  FASTCONV_UNROLL
  for (int i = 0; i < kRows; ++i) {
    Vec<T> value = {};
    if (i == 0) value = static_cast<T>(matrix[0][0]) * x[0];
    if (i == kRows - 1) value = x[kCount - 1];
    FASTCONV_UNROLL
    for (int j = 1; j + 1 < kCount; j += 2) {
      const Vec<T> part = i % 2 == 0 ? sum[j / 2] : difference[j / 2];
      if (matrix[i][j] == 1)
        value += part;
      else
        value += static_cast<T>(matrix[i][j]) * part;
    }
    y[i] = value;
  }
}

}  // namespace
}  // namespace fastconv
