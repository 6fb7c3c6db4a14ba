// The register tile of direct_positions.h: up to 4 outputs x 8 vectors of one row of positions.
//
//   tile[m, i] = bias[m] + sum over k of a[k, m] * b[offsets[k] + i]
//   k the channels and taps of a group
//
// The operands change sides: a row of the packed planar patch is the vector operand, one
// unaligned load a tap and channel, and the filters are broadcast. A row of 56 columns wastes half
// a vector in four.
#pragma once

#include "simd/vec.h"

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

// tile[m, i] = bias[m] + sum over k in [0, count) of a[k, m] * b[offsets[k] + i]
template <class T, int MR, int NV>
void positions_kernel(T* tile, const T* bias, const T* a, const T* b, const int64_t* offsets,
                      int64_t count) {
  constexpr int lanes = kLanes<T>;
  Vec<T> sum[MR][NV];
  FASTCONV_UNROLL
  for (int m = 0; m < MR; ++m) {
    FASTCONV_UNROLL
    for (int v = 0; v < NV; ++v) sum[m][v] = broadcast(bias[m]);
  }
  for (int64_t k = 0; k < count; ++k) {
    const T* b_k = b + offsets[k];
    Vec<T> a_k[MR];
    FASTCONV_UNROLL
    for (int m = 0; m < MR; ++m) a_k[m] = broadcast(a[k * MR + m]);
    FASTCONV_UNROLL
    for (int v = 0; v < NV; ++v) {
      Vec<T> b_kv = load(b_k + v * lanes);
      keep_in_register<T>(b_kv);
      FASTCONV_UNROLL
      for (int m = 0; m < MR; ++m) sum[m][v] += a_k[m] * b_kv;
    }
  }
  FASTCONV_UNROLL
  for (int m = 0; m < MR; ++m) {
    FASTCONV_UNROLL
    for (int v = 0; v < NV; ++v) store(tile + (m * NV + v) * lanes, sum[m][v]);
  }
}

template <class T>
using PositionsKernel = void (*)(T* tile, const T* bias, const T* a, const T* b,
                                 const int64_t* offsets, int64_t count);

// kPositionsKernels<T>.at[outputs - 1][vectors - 1], for as many vectors as have registers.
template <class T>
struct PositionsTable {
  PositionsKernel<T> at[kMaxOutputs][8];
  int64_t vecs[kMaxOutputs];
};
template <class T, int MR = 1, int NV = 1>
constexpr void fill_positions(PositionsTable<T>& table) {
  table.at[MR - 1][NV - 1] = &positions_kernel<T, MR, NV>;
  table.vecs[MR - 1] = NV;
  if constexpr (NV < kPositionVecs<MR>)
    fill_positions<T, MR, NV + 1>(table);
  else if constexpr (MR < kMaxOutputs)
    fill_positions<T, MR + 1, 1>(table);
}
template <class T>
constexpr PositionsTable<T> make_positions() {
  PositionsTable<T> table = {};
  fill_positions<T>(table);
  return table;
}
template <class T>
constexpr PositionsTable<T> kPositionsKernels = make_positions<T>();

}  // namespace
}  // namespace fastconv
