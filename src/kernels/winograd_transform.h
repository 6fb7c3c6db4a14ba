// The transforms of Winograd's algorithm (winograd_matrices.h) on vectors.
//
// A transform is applied to lines: `count` of them, each of a few vectors a pitch apart. Rows
// and columns of a tile, sub-sampled images and interleaved outputs are all but pitches, so
// that any two transforms make a two-dimensional one.
#pragma once

#include "kernels/winograd_matrices.h"
#include "simd/partial.h"

namespace fastconv {
namespace {

constexpr int kMostTaps = 5, kMostValues = 8;  // of a transform

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

// The sum over i of row[i] * tap(i), even and odd i apart, as apply_by_pairs() adds them.
template <class T, int kRows, class Tap>
FASTCONV_INLINE Vec<T> combine_taps(const Vec<T> (&row)[kRows], int64_t rows, const Tap& tap) {
  Vec<T> even = {}, odd = {};
  FASTCONV_UNROLL
  for (int i = 0; i < kRows; i += 2)
    if (i < rows) even += row[i] * tap(i);
  FASTCONV_UNROLL
  for (int i = 1; i < kRows; i += 2)
    if (i < rows) odd += row[i] * tap(i);
  return even + odd;
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

// to[n] = M of the columns' transform on the sum over i of row[i] * taps[i][j], j in [0, r): one row
// of G w G^T for `count` vectors, taps [i][j] a pitch apart and i below `rows`.
template <class T>
using FilterRow = void (*)(const T* taps, int64_t row_pitch, int64_t column_pitch,
                           const double* row, int64_t rows, T* to, int64_t to_pitch, int64_t count);

template <class T>
struct Transform {
  int64_t m, r, n;
  const double* g;          // G, [n][r]
  LineTransform<T> data;    // B^T: n inputs to n values
  FilterRow<T> filter_row;  // G: r taps to n values, after a row of the rows' transform
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
  // Of `kRows` taps at most, or as many.
  template <int kRows>
  static FASTCONV_INLINE void combine_row(const T* taps, int64_t row_pitch, int64_t column_pitch,
                                          const double* coefficients, int64_t rows, T* to,
                                          int64_t to_pitch, int64_t count) {
    Vec<T> row[kRows];
    FASTCONV_UNROLL
    for (int i = 0; i < kRows; ++i)
      row[i] = broadcast(i < rows ? static_cast<T>(coefficients[i]) : T(0));
    for (int64_t line = 0; line < count; ++line) {
      Vec<T> half[r], value[n];
      FASTCONV_UNROLL
      for (int j = 0; j < r; ++j)
        half[j] = combine_taps<T>(
            row, rows, [&](int64_t i) { return load(taps + i * row_pitch + j * column_pitch); });
      apply(kWinograd<m, r>.g, half, value);
      FASTCONV_UNROLL
      for (int k = 0; k < n; ++k) store(to + k * to_pitch, value[k]);
      taps += kLanes<T>;
      to += kLanes<T>;
    }
  }
  static void filter_row(const T* taps, int64_t row_pitch, int64_t column_pitch, const double* row,
                         int64_t rows, T* to, int64_t to_pitch, int64_t count) {
    if (rows == r)
      combine_row<r>(taps, row_pitch, column_pitch, row, r, to, to_pitch, count);
    else
      combine_row<kMostTaps>(taps, row_pitch, column_pitch, row, rows, to, to_pitch, count);
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
      m,          r,     n,    &kWinograd<m, r>.g[0][0], data,
      filter_row, grads, sums, results<false>,           results<true>,
      weight};
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
