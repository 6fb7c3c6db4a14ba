// The micro-kernel for data whose channels are innermost: the rows of the broadcast operand
// lie any distance apart and k runs along memory, so a 1x1 convolution reads its input where it
// is. Sums of the last group leave the registers as finished outputs.
//
//   sum[m, j] = start[m, j] + sum over steps s, k in [0, s.k) of
//               a[s.a + k + m * distance] * b[s.b + k][j]
//   out[m, j] = activation(sum[m, j] + residual[m, j])
//
// The sums start from the biases, which costs nothing; added at the end they were 28 additions
// beside the 756 multiply-adds of a first layer's 27 products.
//
// Fourteen rows at a distance known at run time take seven registers: every multiple up to 13
// is an odd one times 1, 2, 4 or 8, which an x86 address scales for nothing. Measured, AVX-512:
// 279 GFLOP/s, as with constant distances.
//
// A line of memory is fetched for every k. First those of the residual and the outputs, which are
// a tile's own: in a network they were written, or last used, layers ago, and lie in L3 at best
// (64 to 256 channels at 56x56 in ResNet-50: 0.69 -> 0.54 ms). Those of large outputs, which come
// from memory, for the tile after this one (stream.h). Then what the caller
// names: a tile's rows are as many lines as k has steps, so the next tile arrives while this one
// is computed (256 channels, data in memory: 189 -> 276 GFLOP/s).
//
// And the filters some rows ahead, from L2 into L1: a panel of many channels and the rows do not
// stay there together, and a core that is shared with another thread does not look far enough
// ahead by itself (two threads of Cascade Lake, 512 channels to 128 at 28x28 of 8 images: 4.4 ->
// 3.8 ms; 512 to 256: 9.0 -> 6.9; 1024 to 256 at 14x14: 4.2 -> 4.3; four rows ahead as eight).
#pragma once

#include "kernels/brgemm.h"
#include "kernels/store_tile.h"

namespace fastconv {
namespace {

// Rows of taps that lie in the padding have no step.
struct RowStep {
  int64_t a, b, k;
};

constexpr int64_t kFilterRows = 8;

// Lines of memory to be fetched, `step` bytes apart.
struct Fetch {
  const char* at;
  int64_t step, lines;
};

// What becomes of a register tile: `out` and `residual` are at its first row and output.
template <class T>
struct Finish {
  const T* residual;
  T* out;
  int64_t residual_position, out_position, outputs;
  int32_t activation;
  bool streams;
  bool far;  // the output is too large for a cache: its lines are fetched a tile ahead
};

// Whether finish_rows does this one; others go through store_tile.
FASTCONV_INLINE bool finishes_in_registers(int32_t activation) {
  return activation == FASTCONV_IDENTITY || activation == FASTCONV_RELU;
}

template <class T, int MR, int NV>
FASTCONV_INLINE void finish_rows(Vec<T> (&sum)[MR][NV], const Finish<T>& f) {
  constexpr int lanes = kLanes<T>;
  const int64_t last = f.outputs - (NV - 1) * lanes;  // lanes of the last vector
  // Read once: no compiler sees that the stores leave `f` alone.
  const int64_t position = f.out_position;
  T* const out = f.out;
  const bool whole_lines =
      f.streams && is_aligned(out) && position * int64_t{sizeof(T)} % FASTCONV_VEC_BYTES == 0;
  if (f.residual != nullptr) {
    FASTCONV_UNROLL
    for (int m = 0; m < MR; ++m) {
      const T* from = f.residual + m * f.residual_position;
      FASTCONV_UNROLL
      for (int v = 0; v < NV; ++v)
        sum[m][v] += load_lanes(from + v * lanes, 0, v < NV - 1 ? lanes : last, T(0));
    }
  }
  if (f.activation == FASTCONV_RELU) {
    FASTCONV_UNROLL
    for (int m = 0; m < MR; ++m) {
      FASTCONV_UNROLL
      for (int v = 0; v < NV; ++v) sum[m][v] = relu<T>(sum[m][v]);
    }
  }
  T* to = out;
  if (last < lanes) {
    FASTCONV_UNROLL
    for (int m = 0; m < MR; ++m, to += position) {
      FASTCONV_UNROLL
      for (int v = 0; v < NV - 1; ++v) store(to + v * lanes, sum[m][v]);
      store_lanes(to + (NV - 1) * lanes, sum[m][NV - 1], last);
    }
  } else if (whole_lines) {
    FASTCONV_UNROLL
    for (int m = 0; m < MR; ++m, to += position) {
      FASTCONV_UNROLL
      for (int v = 0; v < NV; ++v) stream(to + v * lanes, sum[m][v]);
    }
  } else {
    FASTCONV_UNROLL
    for (int m = 0; m < MR; ++m, to += position) {
      FASTCONV_UNROLL
      for (int v = 0; v < NV; ++v) store(to + v * lanes, sum[m][v]);
    }
  }
}

// What finish_rows will touch, a vector of all rows at a time; returns the end of the list.
template <class T, int MR, int NV>
FASTCONV_INLINE Fetch* fetch_finish(const Finish<T>& f, Fetch* to) {
  const auto add = [&](const T* first, int64_t position) {
    FASTCONV_UNROLL
    for (int v = 0; v < NV; ++v)
      *to++ = {reinterpret_cast<const char*>(first + v * kLanes<T>), position * int64_t{sizeof(T)},
               MR};
  };
  if (f.residual != nullptr) add(f.residual, f.residual_position);
  if (!f.streams) add(f.out + (f.far ? MR * f.out_position : 0), f.out_position);
  return to;
}

// The element at row m of rows `distance` bytes apart, odd[i] being 2 i + 1 times that.
template <int m>
FASTCONV_INLINE int64_t row_at(const int64_t* odd) {
  if constexpr (m == 0)
    return 0;
  else if constexpr (m % 2 == 1)
    return odd[m / 2];
  else
    return 2 * row_at<m / 2>(odd);
}

template <class T, int MR, int NV, int m>
FASTCONV_INLINE void multiply_rows(Vec<T> (&sum)[MR][NV], const Vec<T> (&b)[NV], const char* a,
                                   const int64_t* odd) {
  const Vec<T> a_m = broadcast(*reinterpret_cast<const T*>(a + row_at<m>(odd)));
  FASTCONV_UNROLL
  for (int v = 0; v < NV; ++v) sum[m][v] += a_m * b[v];
  if constexpr (m + 1 < MR) multiply_rows<T, MR, NV, m + 1>(sum, b, a, odd);
}

// Rows of `start` are start_row apart: the tile's own, or 0 where it is one row of biases. Where
// `finish` is null the sums go to the tile. Returns the first line from `ahead` on that was not
// fetched.
template <class T, int MR, int NV>
const char* rows_kernel(T* tile, const T* start, int64_t start_row, const Finish<T>* finish,
                        const T* a, int64_t distance, const T* b, const RowStep* steps,
                        int64_t count, const char* ahead) {
  constexpr int lanes = kLanes<T>;
  Vec<T> sum[MR][NV];
  FASTCONV_UNROLL
  for (int m = 0; m < MR; ++m) {
    FASTCONV_UNROLL
    for (int v = 0; v < NV; ++v) sum[m][v] = load(start + m * start_row + v * lanes);
  }
  int64_t odd[(MR + 1) / 2];
  FASTCONV_UNROLL
  for (int i = 0; i < (MR + 1) / 2; ++i) odd[i] = (2 * i + 1) * distance * int64_t{sizeof(T)};
  Fetch fetches[2 * NV + 1];
  Fetch *fetch = fetches, *const last = finish == nullptr
                                            ? fetches
                                            : fetch_finish<T, MR, NV>(*finish, fetches);
  *last = {ahead, kLineBytes, INT64_MAX};
  for (const RowStep* end = steps + count; steps != end; ++steps) {
    const char* a_k = reinterpret_cast<const char*>(a + steps->a);
    const T* b_k = b + steps->b * (NV * lanes);
    for (int64_t left = steps->k; left > 0;) {
      fetch += fetch->lines == 0;
      const int64_t now = min(left, fetch->lines);
      fetch->lines -= now;
      left -= now;
      const T* b_end = b_k + now * (NV * lanes);
      const char* line = fetch->at;
      const int64_t step = fetch->step;
      fetch->at += now * step;
      while (b_k != b_end) {
        Vec<T> b_kv[NV];
        FASTCONV_UNROLL
        for (int v = 0; v < NV; ++v) b_kv[v] = load(b_k + v * lanes);
        // Says that they may have changed: or compilers keep 2, 4, 8 times each beside them, in
        // memory, whose reloads wait for the streamed stores of the tile before (2.9 -> 4.9 ms).
        FASTCONV_UNROLL
        for (int i = 0; i < (MR + 1) / 2; ++i) __asm__("" : "+r"(odd[i]));
        __builtin_prefetch(line);
        FASTCONV_UNROLL
        for (int64_t i = 0; i < NV * lanes; i += kLineBytes / int64_t{sizeof(T)})
          __builtin_prefetch(b_k + kFilterRows * NV * lanes + i);
        multiply_rows<T, MR, NV, 0>(sum, b_kv, a_k, odd);
        line += step;
        a_k += sizeof(T);
        b_k += NV * lanes;
      }
    }
  }
  if (finish != nullptr) {
    finish_rows<T, MR, NV>(sum, *finish);
    return last->at;
  }
  FASTCONV_UNROLL
  for (int m = 0; m < MR; ++m) {
    FASTCONV_UNROLL
    for (int v = 0; v < NV; ++v) store(tile + (m * NV + v) * lanes, sum[m][v]);
  }
  return last->at;
}

template <class T>
using RowsKernel = const char* (*)(T* tile, const T* start, int64_t start_row,
                                   const Finish<T>* finish, const T* a, int64_t distance,
                                   const T* b, const RowStep* steps, int64_t count,
                                   const char* ahead);

// kRowsKernels<T>.at[vectors - 1][rows - 1]
template <class T>
struct RowsKernelTable {
  RowsKernel<T> at[kMaxVecs][kMaxRows];
};
template <class T, int NV, int MR = 1>
constexpr void fill_rows_kernels(RowsKernelTable<T>& table) {
  table.at[NV - 1][MR - 1] = &rows_kernel<T, MR, NV>;
  if constexpr (MR < kMaxRows) fill_rows_kernels<T, NV, MR + 1>(table);
}
template <class T>
constexpr RowsKernelTable<T> make_rows_kernels() {
  RowsKernelTable<T> table = {};
  fill_rows_kernels<T, 1>(table);
  fill_rows_kernels<T, 2>(table);
  return table;
}
template <class T>
constexpr RowsKernelTable<T> kRowsKernels = make_rows_kernels<T>();

}  // namespace
}  // namespace fastconv
