// The micro-kernel for few tiles: one row i of the transformed filters, made of the taps in
// registers and multiplied there.
//
//   sum[c][tile] (+)= sum over steps s, k in [0, s.k) of
//                     data[c][s.data + k + tile * 16] * (G w[s, k] G^T)[i][c]    for c < n
//   w[s, k]: taps[s.taps + i' * s.row_pitch + j * s.column_pitch + k * width]
//
// Transformed beforehand, filters are 36 vectors for F(4x4, 3x3), each used for as many products as
// there are tiles, four on a 7x7 image: writing them to L2 and reading them took four times as long
// as multiplying with them, and in memory they are four times the weight. Here nine taps are read
// for each of six rows, and 24 operations make six values of them, beside 24 products (512 filters
// of 512 channels on 7x7, one thread of Cascade Lake: 3.3 -> 2.0 ms).
//
// Making the values of some channels before multiplying with any (no sums in registers meanwhile)
// took 2.3 to 2.9 ms: the values, the taps and the sums do not fit 32 KiB of L1 together.
//
// The values are those of Lines::filter_row to the bit: zeros that it leaves out add zero, and a filter
// that is not finite spoils its tiles either way, which are summed directly then.
#pragma once

#include "kernels/rows_kernel.h"
#include "kernels/winograd_transform.h"

namespace fastconv {
namespace {

// Of 32 registers, n * tiles for sums and n for values. (With 16 there is no room for two tiles.)
#if FASTCONV_VEC_BYTES == 64
constexpr int kValueSums = 24;
#else
constexpr int kValueSums = 0;
#endif
constexpr int kMostTapsTiles = 4;
constexpr int kTileLanes = 16;  // from a tile to the next in the data

// A run of channels of one term. Offsets and pitches of taps are elements of the packed panel.
struct TapsStep {
  int64_t data, taps, row_pitch, column_pitch, k;
};

// sum[c] += data[c] * value[c], row c of the data being row_at<c>(odd) bytes after `row`.
template <class T, int n, int tiles, int c = 0>
FASTCONV_INLINE void multiply_values(Vec<T> (&sum)[n][tiles], const Vec<T> (&value)[n],
                                     const char* row, const int64_t* odd) {
  const T* data = reinterpret_cast<const T*>(row + row_at<c>(odd));
  FASTCONV_UNROLL
  for (int t = 0; t < tiles; ++t) sum[c][t] += broadcast(data[t * kTileLanes]) * value[c];
  if constexpr (c + 1 < n) multiply_values<T, n, tiles, c + 1>(sum, value, row, odd);
}

// Rows of `sums` and of `data` are a pitch apart for each c; tiles of `sums` and taps of one
// channel and the next are `width` apart. `row` is row i of the rows' G. `fetched` bytes after
// `ahead` are fetched for every k.
template <class T>
struct TapsProduct {
  T* sums;
  int64_t sums_pitch, width;
  bool accumulate;
  const T* data;
  int64_t data_pitch;
  const T *taps, *row;
  const TapsStep* steps;
  int64_t count;
  const char* ahead;
  int64_t fetched;
};

// F(m, r) of the columns; the rows' transform has r taps as well.
template <class T, int m, int r, int tiles>
void taps_kernel(const TapsProduct<T>& product) {
  constexpr int n = m + r - 1;
  const int64_t width = product.width;
  Vec<T> sum[n][tiles], row[r];
  FASTCONV_UNROLL
  for (int c = 0; c < n; ++c) {
    FASTCONV_UNROLL
    for (int t = 0; t < tiles; ++t)
      sum[c][t] =
          product.accumulate ? load(product.sums + c * product.sums_pitch + t * width) : Vec<T>{};
  }
  FASTCONV_UNROLL
  for (int i = 0; i < r; ++i) row[i] = broadcast(product.row[i]);
  int64_t odd[n / 2];
  FASTCONV_UNROLL
  for (int i = 0; i < n / 2; ++i) odd[i] = (2 * i + 1) * product.data_pitch * int64_t{sizeof(T)};
  const char* ahead = product.ahead;
  const int64_t fetched = product.fetched;
  for (int64_t s = 0; s < product.count; ++s) {
    const TapsStep& step = product.steps[s];
    const char* data = reinterpret_cast<const char*>(product.data + step.data);
    const T* taps[r];
    FASTCONV_UNROLL
    for (int i = 0; i < r; ++i) taps[i] = product.taps + step.taps + i * step.row_pitch;
    const int64_t column = step.column_pitch;
    for (int64_t k = step.k; k > 0; --k) {
      Vec<T> half[r], value[n];
      FASTCONV_UNROLL
      for (int j = 0; j < r; ++j) {
        half[j] = combine_taps<T>(row, r, [&](int i) { return load(taps[i] + j * column); });
      }
      Lines<T, m, r>::apply(kWinograd<m, r>.g, half, value);
      FASTCONV_UNROLL
      for (int i = 0; i < n / 2; ++i) __asm__("" : "+r"(odd[i]));  // as in rows_kernel.h
      __builtin_prefetch(ahead, 0, 2);
      multiply_values<T, n, tiles>(sum, value, data, odd);
      FASTCONV_UNROLL
      for (int i = 0; i < r; ++i) taps[i] += width;
      data += sizeof(T);
      ahead += fetched;
    }
  }
  FASTCONV_UNROLL
  for (int c = 0; c < n; ++c) {
    FASTCONV_UNROLL
    for (int t = 0; t < tiles; ++t)
      store(product.sums + c * product.sums_pitch + t * width, sum[c][t]);
  }
}

// Of F(m, r) in both dimensions: at[tiles - 1], for up to `most` tiles.
template <class T>
struct TapsKernels {
  int64_t m, r;
  int most;
  void (*at[kMostTapsTiles])(const TapsProduct<T>&);
};
template <class T, int m, int r>
constexpr TapsKernels<T> make_taps_kernels() {
  constexpr int n = m + r - 1;
  constexpr int most = kValueSums / n < kMostTapsTiles ? kValueSums / n : kMostTapsTiles;
  TapsKernels<T> kernels = {m, r, most, {}};
  if constexpr (most >= 1) kernels.at[0] = taps_kernel<T, m, r, 1>;
  if constexpr (most >= 2) kernels.at[1] = taps_kernel<T, m, r, 2>;
  if constexpr (most >= 3) kernels.at[2] = taps_kernel<T, m, r, 3>;
  if constexpr (most >= 4) kernels.at[3] = taps_kernel<T, m, r, 4>;
  return kernels;
}
template <class T>
constexpr TapsKernels<T> kTapsKernels[] = {
    make_taps_kernels<T, 4, 2>(),
    make_taps_kernels<T, 4, 3>(),
    make_taps_kernels<T, 5, 3>(),
    make_taps_kernels<T, 6, 3>(),
};

// Those for two transforms, or null where there are none.
template <class T>
inline const TapsKernels<T>* find_taps_kernels(const Transform<T>& rows,
                                               const Transform<T>& columns) {
  for (const TapsKernels<T>& kernels : kTapsKernels<T>)
    if (kernels.r == rows.r && kernels.m == columns.m && kernels.r == columns.r && kernels.most > 0)
      return &kernels;
  return nullptr;
}

}  // namespace
}  // namespace fastconv
