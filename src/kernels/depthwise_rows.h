// The register tile of a depthwise convolution with vectors along the columns.
//
//   out[i * out_step + lane] = bias + sum over segments s, k of
//                              in[s.in + (i * S + k) * in_step + lane] * s.weight[k]
//
// The i of a tile are rows, and a segment the taps of one column of the filter: its elements
// are broadcast into registers and every input vector is loaded once for all rows that it
// reaches. Most of those loads cross a cache line, which takes twice as long, so that fewer of
// them count double. Where the filter has no such column (dilation, a phase of a strided
// gradient), or rows are narrower than vectors and a tile is one run across them, a segment
// is one tap.
#pragma once

#include "kernels/depthwise_tile.h"

namespace fastconv {
namespace {

template <class T>
struct ColumnSegment {
  int64_t in;
  const T* weight;
};

template <class T>
struct ColumnTile {
  const T* in;
  int64_t in_step;  // from one i to the next, resp. for KH > 1 from one input row to the next
  T* out;
  int64_t out_step;
  const ColumnSegment<T>* segments;
  int64_t count;
  T bias;
};

template <class T, int KH, int S, int R>
[[gnu::noinline]] void sum_columns(const ColumnTile<T>& tile, const T* in, T* out) {
  constexpr int kRows = (R - 1) * S + KH;
  Vec<T> sum[R];
  FASTCONV_UNROLL
  for (int i = 0; i < R; ++i) sum[i] = broadcast(tile.bias);
  for (const ColumnSegment<T>*s = tile.segments, *last = s + tile.count; s != last; ++s) {
    Vec<T> weight[KH];
    FASTCONV_UNROLL
    for (int k = 0; k < KH; ++k) weight[k] = broadcast(s->weight[k]);
    const T* from = in + s->in;
    FASTCONV_UNROLL
    for (int j = 0; j < kRows; ++j, from += tile.in_step) {
      Vec<T> x = load(from);
      if constexpr (KH > 1) hold(x);
      FASTCONV_UNROLL
      for (int k = 0; k < KH; ++k)
        if (j >= k && (j - k) % S == 0 && (j - k) / S < R) sum[(j - k) / S] += x * weight[k];
    }
  }
  FASTCONV_UNROLL
  for (int i = 0; i < R; ++i) store(out + i * tile.out_step, sum[i]);
}

// `rows` rows of `columns` columns. A row's last vector may write beyond it: onto the next row,
// whose first vector comes later, since the vectors of a tile are taken from right to left.
template <class T, int KH, int S>
void sum_rows_of(const ColumnTile<T>& tile, int64_t rows, int64_t columns) {
  constexpr int L = kLanes<T>;
  const int64_t full = ceil_div(rows, 7) * 7 <= ceil_div(rows, 8) * 8 ? 7 : 8;
  const int64_t last = (columns - 1) / L * L;
  for (int64_t row = 0, done; row < rows; row += done) {
    done = rows - row > 4 ? full : 4;
    const T* in = tile.in + row * S * tile.in_step;
    T* out = tile.out + row * tile.out_step;
    for (int64_t i = last; i >= 0; i -= L) {
      if (done == 7)
        sum_columns<T, KH, S, 7>(tile, in + i, out + i);
      else if (done == 8)
        sum_columns<T, KH, S, 8>(tile, in + i, out + i);
      else
        sum_columns<T, KH, S, 4>(tile, in + i, out + i);
    }
  }
}

// As many vectors as have `count` elements, one behind the other: the tile's steps are a vector.
template <class T>
void sum_run(const ColumnTile<T>& tile, int64_t count) {
  constexpr int L = kLanes<T>;
  for (int64_t i = 0, done; i < count; i += done * L) {
    const int64_t left = ceil_div(count - i, L);
    done = left >= 8 ? 8 : left >= 4 ? 4 : left >= 2 ? 2 : 1;
    if (done == 8)
      sum_columns<T, 1, 1, 8>(tile, tile.in + i, tile.out + i);
    else if (done == 4)
      sum_columns<T, 1, 1, 4>(tile, tile.in + i, tile.out + i);
    else if (done == 2)
      sum_columns<T, 1, 1, 2>(tile, tile.in + i, tile.out + i);
    else
      sum_columns<T, 1, 1, 1>(tile, tile.in + i, tile.out + i);
  }
}

// taps: of a segment; step: rows of the input from one row of the output to the next.
template <class T>
void sum_rows(const ColumnTile<T>& tile, int64_t taps, int64_t step, int64_t rows,
              int64_t columns) {
  if (taps == 3)
    step == 2 ? sum_rows_of<T, 3, 2>(tile, rows, columns)
              : sum_rows_of<T, 3, 1>(tile, rows, columns);
  else if (taps == 5)
    step == 2 ? sum_rows_of<T, 5, 2>(tile, rows, columns)
              : sum_rows_of<T, 5, 1>(tile, rows, columns);
  else if (taps == 7)
    step == 2 ? sum_rows_of<T, 7, 2>(tile, rows, columns)
              : sum_rows_of<T, 7, 1>(tile, rows, columns);
  else
    sum_rows_of<T, 1, 1>(tile, rows, columns);
}

}  // namespace
}  // namespace fastconv
