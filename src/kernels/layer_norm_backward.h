// The gradients of layer normalisation, piece by piece.
//
//   dx[r, k] = invstd[r] * (g - mean over k of g - x^ * mean over k of g * x^),  g = dy * weight
//   dweight[k] = sum over r of dy * x^,   dbias[k] = sum over r of dy
//   x^ = (x[r, k] - mean[r]) * invstd[r];   mean, invstd a row, weight, bias an element of a row
//
// The sums over rows are made by pieces of rows, as many as the extents say, in T over 64 rows and
// then in double. Long rows, whose pieces would take more scratch than the data, are read again for
// them, column by column.
#pragma once

#include "dispatch/args.h"
#include "kernels/layer_norm_rows.h"
#include "kernels/moments.h"

namespace fastconv {
namespace {

constexpr int64_t kColumnPiece = 65536;  // elements between two additions in double, at least
constexpr int64_t kColumnPieces = 32;
constexpr int64_t kLongRow = 16384;  // 32 pieces of longer ones would be more than 12 MiB
constexpr int64_t kRowsInT = 64;

template <class T>
struct LayerNormBackward {
  static constexpr int L = kLanes<T>;
  enum { kOut, kX, kDy, kWeight, kDweight, kDbias };
  const LayerNormArgs<T>& args;
  const int64_t* strides[6];
  Rows<6> it;
  int64_t step[6], pitch, pieces;
  bool sums, long_rows, dense;

  explicit LayerNormBackward(const LayerNormArgs<T>& from)
      : args(from),
        strides{from.out != nullptr ? from.out_stride : from.x_stride,
                from.x_stride,
                from.dy_stride,
                from.weight != nullptr ? from.weight_stride : nullptr,
                from.dweight != nullptr ? from.dweight_stride : nullptr,
                from.dbias != nullptr ? from.dbias_stride : nullptr},
        it(from.extent, from.axis, strides) {
    dense = true;
    for (int i = 0; i < 6; ++i) {
      step[i] = it.step(i);
      dense &= step[i] == 1;
    }
    pitch = (it.columns + 63) / 64 * 64;
    sums = from.dweight != nullptr || from.dbias != nullptr;
    long_rows = it.columns > kLongRow;
    const int64_t most = clamp(it.rows, 1, kColumnPieces);
    pieces = long_rows ? most : clamp(it.rows * it.columns / kColumnPiece, 1, most);
  }

  // Of a piece of rows: the sums of dy * x^ and of dy, in double and in T.
  size_t piece_bytes() const {
    return !sums || long_rows ? 0 : static_cast<size_t>(2 * pitch) * (sizeof(double) + sizeof(T));
  }
  double* piece_sums(int64_t piece) const {
    return reinterpret_cast<double*>(static_cast<char*>(args.exec.workspace) +
                                     static_cast<size_t>(piece) * piece_bytes());
  }

  struct Row {
    const T *x, *dy;
    T *dx, mean, invstd;
  };
  Row row(int64_t r) const {
    const auto at = [&](const int64_t* stride) {
      return offset_of(r, args.axis, args.extent, stride);
    };
    return {args.x + at(args.x_stride), args.dy + at(args.dy_stride),
            args.out != nullptr ? args.out + at(args.out_stride) : nullptr,
            args.mean[at(args.mean_stride)], args.invstd[at(args.invstd_stride)]};
  }

  // f(offsets, i, lanes, element of the row, which of two sums) for every vector of the elements
  // [begin, end). Where all steps are 1, whole vectors are a loop of their own.
  template <class F>
  FASTCONV_INLINE void each(int64_t begin, int64_t end, const F& f) const {
    each_run(it.loops, begin, end, [&](const int64_t* offset, int64_t count) {
      int64_t i = 0;
      if (dense)
        for (; i + 2 * L <= count; i += 2 * L) {
          f(offset, i, Whole{}, begin + i, 0);
          f(offset, i + L, Whole{}, begin + i + L, 1);
        }
      for (; i < count; i += L) f(offset, i, clamp(count - i, 0, L), begin + i, 0);
      begin += count;
    });
  }

  // In place of a number of lanes: all, and neighbours in memory.
  struct Whole {};
  static FASTCONV_INLINE Vec<T> take(const T* p, int64_t, int64_t i, Whole) { return load(p + i); }
  static FASTCONV_INLINE Vec<T> take(const T* p, int64_t step, int64_t i, int64_t n) {
    return fastconv::take(p, step, i, n);
  }
  static FASTCONV_INLINE void put(T* p, int64_t, Vec<T> v, Whole) { store(p, v); }
  static FASTCONV_INLINE void put(T* p, int64_t step, Vec<T> v, int64_t n) {
    store_spaced(p, step, v, n);
  }

  template <class N>
  FASTCONV_INLINE Vec<T> weighted_dy(const Row& row, const int64_t* offset, int64_t i, N n) const {
    const Vec<T> dy = take(row.dy + offset[kDy], step[kDy], i, n);
    if (args.weight == nullptr) return dy;
    return dy * take(args.weight + offset[kWeight], step[kWeight], i, n);
  }

  void input_gradient(const Row& row) const {
    double g_sum = 0, gx_sum = 0;
    for (int64_t begin = 0; begin < it.columns; begin += kMomentsChunk) {
      Vec<T> g_chunk[2] = {}, gx_chunk[2] = {};
      each(begin, clamp(begin + kMomentsChunk, 0, it.columns),
           [&](const int64_t* offset, int64_t i, auto n, int64_t, int j) {
             const Vec<T> g = weighted_dy(row, offset, i, n);
             g_chunk[j] += g;
             gx_chunk[j] += g * (take(row.x + offset[kX], step[kX], i, n) - row.mean);
           });
      g_sum += static_cast<double>(sum_lanes<T>(g_chunk[0] + g_chunk[1]));
      gx_sum += static_cast<double>(sum_lanes<T>(gx_chunk[0] + gx_chunk[1]));
    }
    const double invstd = static_cast<double>(row.invstd);
    const double count = static_cast<double>(it.columns);
    const T of_input = static_cast<T>(-invstd * invstd * invstd * (gx_sum / count));
    const T constant = static_cast<T>(-invstd * (g_sum / count));
    each(0, it.columns, [&](const int64_t* offset, int64_t i, auto n, int64_t, int) {
      const Vec<T> g = weighted_dy(row, offset, i, n);
      const Vec<T> centred = take(row.x + offset[kX], step[kX], i, n) - row.mean;
      put(row.dx + offset[kOut] + i * step[kOut], step[kOut],
          g * row.invstd + (centred * of_input + constant), n);
    });
  }

  // to[k] += dy * x^ and to[width + k] += dy for the elements [begin, end) of a row.
  void add_columns(const Row& row, int64_t begin, int64_t end, T* to, int64_t width) const {
    each(begin, end, [&](const int64_t* offset, int64_t i, auto n, int64_t element, int) {
      const Vec<T> dy = take(row.dy + offset[kDy], step[kDy], i, n);
      const Vec<T> normal = (take(row.x + offset[kX], step[kX], i, n) - row.mean) * row.invstd;
      T *dweight = to + element - begin, *dbias = dweight + width;
      put(dweight, 1, take(dweight, 1, 0, n) + dy * normal, n);
      put(dbias, 1, take(dbias, 1, 0, n) + dy, n);
    });
  }

  static void flush(double* to, T* from, int64_t count) {
    for (int64_t k = 0; k < count; ++k) {
      to[k] += static_cast<double>(from[k]);
      from[k] = 0;
    }
  }

  // The gradients of the elements [begin, end) of weight and bias.
  void store_columns(const double* from, int64_t width, int64_t begin, int64_t end) const {
    each_run(it.loops, begin, end, [&](const int64_t* offset, int64_t count) {
      for (int64_t i = 0; i < count; ++i, ++from) {
        if (args.dweight != nullptr)
          args.dweight[offset[kDweight] + i * step[kDweight]] = static_cast<T>(from[0]);
        if (args.dbias != nullptr)
          args.dbias[offset[kDbias] + i * step[kDbias]] = static_cast<T>(from[width]);
      }
    });
  }

  void run_piece(int64_t piece) const {
    double* in_double = piece_sums(piece);
    T* in_t = reinterpret_cast<T*>(in_double + 2 * pitch);
    const bool adds = sums && !long_rows;
    for (int64_t k = 0; k < 2 * pitch && adds; ++k) in_double[k] = in_t[k] = 0;
    const int64_t begin = it.rows * piece / pieces, end = it.rows * (piece + 1) / pieces;
    for (int64_t r = begin; r < end; ++r) {
      const Row it_row = row(r);
      if (adds) add_columns(it_row, 0, it.columns, in_t, pitch);
      if (adds && ((r - begin) % kRowsInT == kRowsInT - 1 || r + 1 == end))
        flush(in_double, in_t, 2 * pitch);
      if (it_row.dx != nullptr) input_gradient(it_row);
    }
  }

  // Columns [begin, begin + kColumnBlock) of long rows, over all of them.
  static constexpr int64_t kColumnBlock = 1024;
  void run_columns(int64_t begin) const {
    double in_double[2 * kColumnBlock] = {};
    T in_t[2 * kColumnBlock] = {};
    const int64_t end = clamp(begin + kColumnBlock, 0, it.columns);
    for (int64_t r = 0; r < it.rows; ++r) {
      add_columns(row(r), begin, end, in_t, kColumnBlock);
      if (r % kRowsInT == kRowsInT - 1 || r + 1 == it.rows)
        flush(in_double, in_t, 2 * kColumnBlock);
    }
    store_columns(in_double, kColumnBlock, begin, end);
  }
};

}  // namespace
}  // namespace fastconv
