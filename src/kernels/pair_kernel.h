// The micro-kernel for bfloat16: a batch-reduce matrix product of pairs, as VDPBF16PS has it.
//
//   sum[m, j] = sum over steps s, k in [0, s.k) of a[...] . b[s.b + k][j]
//
// A pair is two bfloat16 in 32 bits, the first in the lower half, and its product with another
// adds to a float32 sum the product of the upper halves and then that of the lower ones, each in
// one fused operation rounded to nearest, denormal numbers being zeros (measured on Zen 5, all of
// 48 million lanes of random, huge, tiny and special numbers; so says Intel's manual). Where the
// instruction is missing, two fused float32 multiply-adds in that mode give the same bits, and
// where those are missing as well, arithmetic in float64: the product of two bfloat16 and a
// float32 plus that are so exact there that rounding the sum again to float32 loses nothing.
// Only which NaN comes out of several is not said.
//
// Either the rows of the broadcast operand are `distance` bytes apart and k runs along memory
// (a convolution), or the rows are neighbours and k runs in steps of `distance` (the gradient of
// the filters).
#pragma once

#include "kernels/rows_kernel.h"
#include "simd/bfloat16.h"
#include "simd/flush_denormals.h"

#if defined(__ARM_NEON)
#include <arm_neon.h>
#endif

namespace fastconv {
namespace {

enum class Rows { kApart, kNeighbours };

// What multiplies pairs: the instruction, or what stands in for it.
enum class Product { kInstruction, kEmulated };

// a * b + sum, rounded once.
FASTCONV_INLINE Vec<float> fused(Vec<float> a, Vec<float> b, Vec<float> sum) {
#if defined(__AVX512F__)
  return _mm512_fmadd_ps(a, b, sum);
#elif defined(__FMA__)
  return _mm256_fmadd_ps(a, b, sum);
#elif defined(__ARM_NEON)
  return (Vec<float>)vfmaq_f32((float32x4_t)sum, (float32x4_t)a, (float32x4_t)b);
#else
  typedef double Wide __attribute__((vector_size(2 * FASTCONV_VEC_BYTES)));
  const auto wide = [](Vec<float> x) { return __builtin_convertvector(x, Wide); };
  return __builtin_convertvector(wide(a) * wide(b) + wide(sum), Vec<float>);
#endif
}

FASTCONV_INLINE Words load_pairs(const uint32_t* p) {
  Words pairs;
  __builtin_memcpy(&pairs, p, sizeof(pairs));
  return pairs;
}

FASTCONV_INLINE Words broadcast_pair(const char* p) {
  uint32_t pair;
  __builtin_memcpy(&pair, p, sizeof(pair));  // need not be aligned
  return broadcast_word(pair);
}

template <Rows kRows, int m>
FASTCONV_INLINE Words pair_of_row(const char* a, const int64_t* odd) {
  if constexpr (kRows == Rows::kApart)
    return broadcast_pair(a + row_at<m>(odd));
  else
    return broadcast_pair(a + m * int64_t{sizeof(uint32_t)});
}

#if defined(__AVX512F__)
template <Rows kRows, int MR, int NV, int m = 0>
FASTCONV_INLINE void multiply_pairs(Vec<float> (&sum)[MR][NV], const Words (&b)[NV], const char* a,
                                    const int64_t* odd) {
  const Words a_m = pair_of_row<kRows, m>(a, odd);
  // By its name: the compiler may not use the extension anywhere else in this file.
  FASTCONV_UNROLL
  for (int v = 0; v < NV; ++v)
    __asm__("vdpbf16ps %1, %2, %0" : "+v"(sum[m][v]) : "v"(a_m), "v"(b[v]));
  if constexpr (m + 1 < MR) multiply_pairs<kRows, MR, NV, m + 1>(sum, b, a, odd);
}
#endif

// The upper or the lower halves of pairs as float32.
template <bool kUpper>
FASTCONV_INLINE Vec<float> half_of(Words pairs) {
  return (Vec<float>)(kUpper ? pairs & 0xffff0000u : pairs << 16);
}

template <Rows kRows, bool kUpper, int MR, int NV, int m = 0>
FASTCONV_INLINE void multiply_halves(Vec<float> (&sum)[MR][NV], const Vec<float> (&b)[NV],
                                     const char* a, const int64_t* odd) {
  const Vec<float> a_m = half_of<kUpper>(pair_of_row<kRows, m>(a, odd));
  FASTCONV_UNROLL
  for (int v = 0; v < NV; ++v) sum[m][v] = fused(a_m, b[v], sum[m][v]);
  if constexpr (m + 1 < MR) multiply_halves<kRows, kUpper, MR, NV, m + 1>(sum, b, a, odd);
}

template <bool kUpper, int NV>
FASTCONV_INLINE void load_half(Vec<float> (&half)[NV], const uint32_t* b) {
  FASTCONV_UNROLL
  for (int v = 0; v < NV; ++v) half[v] = half_of<kUpper>(load_pairs(b + v * kLanes<float>));
}

template <Product kProduct, Rows kRows, int MR, int NV>
FASTCONV_INLINE void sum_pairs(float* tile, bool accumulate, const char* a, int64_t distance,
                               const uint32_t* b, const RowStep* steps, int64_t count,
                               const char* ahead) {
  constexpr int lanes = kLanes<float>;
  constexpr int64_t kPair = sizeof(uint32_t);
  Vec<float> sum[MR][NV];
  FASTCONV_UNROLL
  for (int m = 0; m < MR; ++m) {
    FASTCONV_UNROLL
    for (int v = 0; v < NV; ++v)
      sum[m][v] = accumulate ? load(tile + (m * NV + v) * lanes) : Vec<float>{};
  }
  int64_t odd[(MR + 1) / 2];
  FASTCONV_UNROLL
  for (int i = 0; i < (MR + 1) / 2; ++i) odd[i] = (2 * i + 1) * distance;
  for (const RowStep* end = steps + count; steps != end; ++steps) {
    const char* a_k = a + steps->a * kPair;
    const uint32_t* b_k = b + steps->b * (NV * lanes);
    const uint32_t* b_end = b_k + steps->k * (NV * lanes);
    while (b_k != b_end) {
      if constexpr (kRows == Rows::kApart) {
        FASTCONV_UNROLL
        for (int i = 0; i < (MR + 1) / 2; ++i) __asm__("" : "+r"(odd[i]));  // see rows_kernel.h
        __builtin_prefetch(ahead);
        ahead += 64;
      }
#if defined(__AVX512F__)
      if constexpr (kProduct == Product::kInstruction) {
        Words b_kv[NV];
        FASTCONV_UNROLL
        for (int v = 0; v < NV; ++v) b_kv[v] = load_pairs(b_k + v * lanes);
        multiply_pairs<kRows, MR, NV>(sum, b_kv, a_k, odd);
      }
#endif
      if constexpr (kProduct == Product::kEmulated) {
        Vec<float> half[NV];
        load_half<true, NV>(half, b_k);
        multiply_halves<kRows, true, MR, NV>(sum, half, a_k, odd);
        load_half<false, NV>(half, b_k);
        multiply_halves<kRows, false, MR, NV>(sum, half, a_k, odd);
      }
      a_k += kRows == Rows::kApart ? kPair : distance;
      b_k += NV * lanes;
    }
  }
  FASTCONV_UNROLL
  for (int m = 0; m < MR; ++m) {
    FASTCONV_UNROLL
    for (int v = 0; v < NV; ++v) store(tile + (m * NV + v) * lanes, sum[m][v]);
  }
}

template <Product kProduct, Rows kRows, int MR, int NV>
void pair_kernel(float* tile, bool accumulate, const char* a, int64_t distance, const uint32_t* b,
                 const RowStep* steps, int64_t count, const char* ahead) {
  if constexpr (kProduct == Product::kEmulated) {
    const FlushDenormals flush;
    sum_pairs<kProduct, kRows, MR, NV>(tile, accumulate, a, distance, b, steps, count, ahead);
  } else {
    sum_pairs<kProduct, kRows, MR, NV>(tile, accumulate, a, distance, b, steps, count, ahead);
  }
}

// tile[MR][NV * lanes]; steps count pairs of `a` and rows of `b`; `ahead` as in rows_kernel.h.
using PairKernel = void (*)(float* tile, bool accumulate, const char* a, int64_t distance,
                            const uint32_t* b, const RowStep* steps, int64_t count,
                            const char* ahead);

// kPairKernels<...>.at[vectors - 1][rows - 1]
struct PairKernelTable {
  PairKernel at[kMaxVecs][kMaxRows];
};
template <Product kProduct, Rows kRows, int NV, int MR = 1>
constexpr void fill_pair_kernels(PairKernelTable& table) {
  table.at[NV - 1][MR - 1] = &pair_kernel<kProduct, kRows, MR, NV>;
  if constexpr (MR < kMaxRows) fill_pair_kernels<kProduct, kRows, NV, MR + 1>(table);
}
template <Product kProduct, Rows kRows>
constexpr PairKernelTable make_pair_kernels() {
  PairKernelTable table = {};
  fill_pair_kernels<kProduct, kRows, 1>(table);
  fill_pair_kernels<kProduct, kRows, 2>(table);
  return table;
}
template <Product kProduct, Rows kRows>
constexpr PairKernelTable kPairKernels = make_pair_kernels<kProduct, kRows>();

// The kernels of this instruction set for panels of so many vectors.
template <Rows kRows>
FASTCONV_INLINE const PairKernel* pair_kernels(const Exec& exec, int64_t vectors) {
#if defined(__AVX512F__)
  if (exec.has_avx512_bf16) return kPairKernels<Product::kInstruction, kRows>.at[vectors - 1];
#endif
  (void)exec;
  return kPairKernels<Product::kEmulated, kRows>.at[vectors - 1];
}

}  // namespace
}  // namespace fastconv
