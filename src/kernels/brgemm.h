// The micro-kernel under forward, backward_input, backward_weight and the dense layer: a
// batch-reduce matrix product (Georganas et al., arXiv 1906.06440) in registers.
//
//   tile[m, j] = sum over steps s, k in [0, s.k) of a[s.offset + k * a_stride + m * kRow] * b[...]
//   a: broadcast operand, rows kRow apart    b: packed, [total k][NV * lanes]
//   tile: [MR][NV * lanes]
//
// One step is one tap of a filter over a run of channels (or one row of an image, for weight
// gradients): its operands lie at an arbitrary offset, so a convolution is a list of steps
// over one packed patch of the input and no im2col matrix exists. That the distance of the MR
// broadcast elements is known to the compiler (1, or a block of channels) makes every address
// base + constant, which leaves the load ports with nothing but the loads themselves.
//
// The order of summation is that of the list, whatever MR, NV or how a caller cuts the list
// (an accumulating call continues where the last one stopped, in the same precision): the
// bits of an element do not depend on the blocking around it.
//
// Lines are fetched between the products, which wait for nothing but memory. One a k from `ahead`
// on, into L2: what the caller multiplies next. And into L1, where rows are lines apart, those of
// the next step: as many as the tile has rows, and a step has no fewer k. An operand in L3 held
// products of Winograd's up by half, the more where another thread shares the core: two threads of
// Cascade Lake, ms without either, with `ahead` and with both, (4, 512, 28, 512) 3x3: 32.1, 29.1,
// 24.7; (8, 128, 56, 128) stride 2: 9.2, 8.0, 7.4.
#pragma once

#include "kernels/integers.h"

namespace fastconv {
namespace {

struct BatchStep {
  int64_t offset, k;
};

constexpr int64_t kLineBytes = 64;

// Register tile, rows x vectors: MR * NV accumulators, NV for b, one for the broadcast where
// the instruction set cannot take it from memory.
#if FASTCONV_VEC_BYTES == 64
constexpr int kMaxRows = 14;  // 28 + 2 of 32 registers: AVX-512 broadcasts from memory
#elif FASTCONV_VEC_BYTES == 32
constexpr int kMaxRows = 6;  // 12 + 2 + 1 of 16
#elif defined(__aarch64__)
constexpr int kMaxRows = 12;  // 24 + 2 + 3 vectors of elements of 32
#else
constexpr int kMaxRows = 4;  // 8 + 2 + 2 of 16: without FMA a product needs a register as well
#endif
constexpr int kMaxVecs = 2;

template <class T>
constexpr int kPanel = kMaxVecs * kLanes<T>;  // columns of a full tile

template <class T, int kRow, int MR, int NV>
void micro_kernel(T* tile, bool accumulate, const T* a, int64_t a_stride, const T* b,
                  const BatchStep* steps, int64_t count, const void* ahead) {
  constexpr int lanes = kLanes<T>;
  constexpr bool rows_are_lines = kRow * int64_t{sizeof(T)} >= kLineBytes;
  Vec<T> sum[MR][NV];
  FASTCONV_UNROLL
  for (int m = 0; m < MR; ++m) {
    FASTCONV_UNROLL
    for (int v = 0; v < NV; ++v)
      sum[m][v] = accumulate ? load(tile + (m * NV + v) * lanes) : Vec<T>{};
  }
  const char* line = static_cast<const char*>(ahead);
  const T* const next_tile = a + (count > 0 ? steps->offset : 0) + MR * kRow;
  for (const BatchStep* end = steps + count; steps != end; ++steps) {
    const T* a_k = a + steps->offset;
    const T* a_next = steps + 1 != end ? a + steps[1].offset : next_tile;
    for (int64_t k = steps->k; k > 0; --k) {
      __builtin_prefetch(line, 0, 2);
      line += kLineBytes;
      if constexpr (rows_are_lines) {
        __builtin_prefetch(a_next);
        a_next += kRow;
      }
      Vec<T> b_k[NV];
      FASTCONV_UNROLL
      for (int v = 0; v < NV; ++v) b_k[v] = load(b + v * lanes);
      FASTCONV_UNROLL
      for (int m = 0; m < MR; ++m) {
        const Vec<T> a_mk = broadcast(a_k[m * kRow]);
        FASTCONV_UNROLL
        for (int v = 0; v < NV; ++v) sum[m][v] += a_mk * b_k[v];
      }
      a_k += a_stride;
      b += NV * lanes;
    }
  }
  FASTCONV_UNROLL
  for (int m = 0; m < MR; ++m) {
    FASTCONV_UNROLL
    for (int v = 0; v < NV; ++v) store(tile + (m * NV + v) * lanes, sum[m][v]);
  }
}

template <class T>
using MicroKernel = void (*)(T* tile, bool accumulate, const T* a, int64_t a_stride, const T* b,
                             const BatchStep* steps, int64_t count, const void* ahead);

// kMicroKernels<T, kRow>.at[vectors - 1][rows - 1]
template <class T>
struct MicroKernelTable {
  MicroKernel<T> at[kMaxVecs][kMaxRows];
};
template <class T, int kRow, int NV, int MR = 1>
constexpr void fill_rows(MicroKernelTable<T>& table) {
  table.at[NV - 1][MR - 1] = &micro_kernel<T, kRow, MR, NV>;
  if constexpr (MR < kMaxRows) fill_rows<T, kRow, NV, MR + 1>(table);
}
template <class T, int kRow>
constexpr MicroKernelTable<T> make_micro_kernels() {
  MicroKernelTable<T> table = {};
  fill_rows<T, kRow, 1>(table);
  fill_rows<T, kRow, 2>(table);
  return table;
}
template <class T, int kRow = 1>
constexpr MicroKernelTable<T> kMicroKernels = make_micro_kernels<T, kRow>();

// Positions cut into tiles, never much smaller than MR: 15 positions are 8 + 7, not 14 + 1. Divided
// once: a division takes up to 90 cycles (Cascade Lake), and the least of tiles a few hundred.
struct Tiling {
  int64_t tiles, size, rest;
  FASTCONV_INLINE explicit Tiling(int64_t positions, int64_t most = kMaxRows)
      : tiles(ceil_div(positions, most)),
        size(tiles > 0 ? divide(positions, tiles).quotient : 0),
        rest(positions - tiles * size) {}
  FASTCONV_INLINE int64_t most() const { return size + (rest > 0); }

  // visit(first position, positions) of each tile: tile i begins at positions * i / tiles.
  template <class Visit>
  FASTCONV_INLINE void for_each(const Visit& visit) const {
    for (int64_t i = 0, begin = 0, carried = 0; i < tiles; ++i) {
      carried += rest;
      const int64_t more = carried >= tiles;
      carried -= more * tiles;
      visit(begin, size + more);
      begin += size + more;
    }
  }
};

// Columns of the panel that begins at output `first`: the last one may be half as wide.
FASTCONV_INLINE int64_t panel_width(int64_t outputs, int64_t first, int64_t lanes) {
  return outputs - first > lanes ? kMaxVecs * lanes : lanes;
}

}  // namespace
}  // namespace fastconv
