// The register tile of direct_positions.h: up to 4 outputs x 8 vectors of a row of positions, or as
// many of up to 3 short rows.
//
//   sum[m, r, i] = bias[m] + sum over k of a[k, m] * b[r, offsets[k] + i]
//   k the channels and taps of a group
//
// The operands change sides: a row of the packed planar patch is the vector operand, one
// unaligned load a tap and channel, and the filters are broadcast. A row of 56 columns wastes half
// a vector in four.
//
// Sums are short here, and a tile's outputs many: their lines are fetched while the tile before is
// computed (first layer of VGG, planar, two threads of Cascade Lake: 5.5 -> 4.2 ms; of MNIST, data
// in memory: 0.92 -> 0.83).
#pragma once

#include "simd/partial.h"
#include "simd/stream.h"

namespace fastconv {
namespace {

#if FASTCONV_VEC_BYTES == 64 || defined(__aarch64__)
constexpr bool kManyRegisters = true;  // 32, else 16
#else
constexpr bool kManyRegisters = false;
#endif

constexpr int kMaxOutputs = 4;  // of a tile
// Vectors of a tile with that many outputs: accumulators, one register an output for the
// filter and one for the input.
template <int MR>
constexpr int kPositionVecs = MR == 1   ? 8
                              : MR == 4 ? (kManyRegisters ? 6 : 2)
                                        : (kManyRegisters ? 8 : 4);

// Or each of the MR products loads it for itself, across two cache lines.
template <class T>
FASTCONV_INLINE void keep_in_register(Vec<T>& v) {
#if defined(__AVX512F__)
  __asm__("" : "+v"(v));
#elif defined(__SSE2__)
  __asm__("" : "+x"(v));
#elif defined(__aarch64__)
  __asm__("" : "+w"(v));
#endif
}

// Where the sums go: finished outputs, or where `out` is null the tile.
template <class T>
struct PositionsFinish {
  T* out;                // of the first output at the first position; positions are 1 apart
  int64_t channel, row;  // strides
  int64_t last;          // lanes of a row's last vector that are positions
  bool relu, streams;
  const T* next;  // the outputs of a tile to come, to be fetched meanwhile, or null
};

template <class T, int MR, int NR, int NV>
FASTCONV_INLINE void finish_positions(Vec<T> (&sum)[MR][NR * NV], const PositionsFinish<T>& f) {
  constexpr int lanes = kLanes<T>;
  // Read once: no compiler sees that the stores leave `f` alone.
  const int64_t channel = f.channel, row = f.row, last = f.last;
  T* const out = f.out;
  const bool whole_lines = f.streams && last == lanes && is_aligned(out) && channel % lanes == 0 &&
                           (NR == 1 || row % lanes == 0);
  if (f.relu) {
    FASTCONV_UNROLL
    for (int m = 0; m < MR; ++m) {
      FASTCONV_UNROLL
      for (int i = 0; i < NR * NV; ++i) sum[m][i] = relu<T>(sum[m][i]);
    }
  }
  FASTCONV_UNROLL
  for (int m = 0; m < MR; ++m) {
    FASTCONV_UNROLL
    for (int r = 0; r < NR; ++r) {
      T* to = out + m * channel + r * row;
      FASTCONV_UNROLL
      for (int v = 0; v < NV; ++v) {
        const Vec<T> x = sum[m][r * NV + v];
        if (whole_lines)
          stream(to + v * lanes, x);
        else if (v < NV - 1 || last == lanes)
          store(to + v * lanes, x);
        else
          store_lanes(to + v * lanes, x, last);
      }
    }
  }
}

// The lines of the next tile's outputs, one fetched with every k.
template <class T, int MR, int NR, int NV>
class TileAhead {
 public:
  explicit TileAhead(const PositionsFinish<T>& f)
      : line_(f.next), row_(f.row), channel_(f.channel - (NR - 1) * f.row) {
    left_ = line_ != nullptr ? MR * NR * NV : 0;
  }
  FASTCONV_INLINE void fetch() {
    if (left_ == 0) return;
    --left_;
    __builtin_prefetch(line_ + v_ * kLanes<T>);
    if (++v_ < NV) return;
    v_ = 0;
    const bool more_rows = ++r_ < NR;
    if (!more_rows) r_ = 0;
    line_ += more_rows ? row_ : channel_;
  }

 private:
  const T* line_;
  int64_t row_, channel_;  // from a row to the next; to the next output, from its last row
  int64_t left_, v_ = 0, r_ = 0;
};

// sum[m, r, i] = bias[m] + sum over k in [0, count) of a[k, m] * b[r * row + offsets[k] + i]
template <class T, int MR, int NR, int NV>
void positions_kernel(T* tile, const PositionsFinish<T>& finish, const T* bias, const T* a,
                      const T* b, int64_t row, const int64_t* offsets, int64_t count) {
  constexpr int lanes = kLanes<T>;
  Vec<T> sum[MR][NR * NV];
  FASTCONV_UNROLL
  for (int m = 0; m < MR; ++m) {
    FASTCONV_UNROLL
    for (int i = 0; i < NR * NV; ++i) sum[m][i] = broadcast(bias[m]);
  }
  TileAhead<T, MR, NR, NV> ahead(finish);
  for (int64_t k = 0; k < count; ++k) {
    ahead.fetch();
    const T* b_k = b + offsets[k];
    Vec<T> a_k[MR];
    FASTCONV_UNROLL
    for (int m = 0; m < MR; ++m) a_k[m] = broadcast(a[k * MR + m]);
    FASTCONV_UNROLL
    for (int i = 0; i < NR * NV; ++i) {
      Vec<T> b_ki = load(b_k + i / NV * row + i % NV * lanes);
      keep_in_register<T>(b_ki);
      FASTCONV_UNROLL
      for (int m = 0; m < MR; ++m) sum[m][i] += a_k[m] * b_ki;
    }
  }
  if (finish.out != nullptr) return finish_positions<T, MR, NR, NV>(sum, finish);
  FASTCONV_UNROLL
  for (int m = 0; m < MR; ++m) {
    FASTCONV_UNROLL
    for (int i = 0; i < NR * NV; ++i) store(tile + (m * NR * NV + i) * lanes, sum[m][i]);
  }
}

template <class T>
using PositionsKernel = void (*)(T* tile, const PositionsFinish<T>& finish, const T* bias,
                                 const T* a, const T* b, int64_t row, const int64_t* offsets,
                                 int64_t count);

// Rows of a tile of so many outputs and vectors a row, at most. Short rows: one alone has not the
// sums that hide a multiply-add's latency, and a call takes as long as its sums.
template <int MR, int NV>
constexpr int kPositionRows = MR == 1 || NV > 3             ? 1
                              : NV * 3 <= kPositionVecs<MR> ? 3
                              : NV * 2 <= kPositionVecs<MR> ? 2
                                                            : 1;

// kPositionsKernels<T>.at[outputs - 1][vectors - 1][rows - 1], for as many as have registers.
template <class T>
struct PositionsTable {
  PositionsKernel<T> at[kMaxOutputs][8][3];
  int64_t vecs[kMaxOutputs], rows[kMaxOutputs][8];
};
template <class T, int MR = 1, int NV = 1, int NR = 1>
constexpr void fill_positions(PositionsTable<T>& table) {
  table.at[MR - 1][NV - 1][NR - 1] = &positions_kernel<T, MR, NR, NV>;
  table.vecs[MR - 1] = NV;
  table.rows[MR - 1][NV - 1] = NR;
  if constexpr (NR < kPositionRows<MR, NV>)
    fill_positions<T, MR, NV, NR + 1>(table);
  else if constexpr (NV < kPositionVecs<MR>)
    fill_positions<T, MR, NV + 1>(table);
  else if constexpr (MR < kMaxOutputs)
    fill_positions<T, MR + 1>(table);
}
template <class T>
constexpr PositionsTable<T> make_positions() {
  PositionsTable<T> table = {};
  fill_positions<T>(table);
  return table;
}
template <class T>
constexpr PositionsTable<T> kPositionsKernels = make_positions<T>();

// Outputs cut into tiles of no more than kMaxOutputs are 1, or of two sizes from 2 on; what is cut
// for the larger must have kernels of the smaller.
template <class T>
constexpr bool has_smaller(const PositionsTable<T>& table) {
  for (int m = 2; m < kMaxOutputs; ++m) {
    if (table.vecs[m - 1] < table.vecs[m]) return false;
    for (int v = 0; v < table.vecs[m]; ++v)
      if (table.rows[m - 1][v] < table.rows[m][v]) return false;
  }
  return true;
}
static_assert(has_smaller(kPositionsKernels<float>) && has_smaller(kPositionsKernels<double>));

}  // namespace
}  // namespace fastconv
