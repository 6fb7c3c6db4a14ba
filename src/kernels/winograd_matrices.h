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
#pragma once

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

}  // namespace
}  // namespace fastconv
