// Vectors of bfloat16 as float32 and back, with the rules of core/bfloat16.h. Integer arithmetic
// alone: the bits are the same on every instruction set and in every mode of the processor.
#pragma once

#include "core/bfloat16.h"
#include "simd/partial.h"

namespace fastconv {
namespace {

// As many 32-bit words as a vector of float32 has lanes.
typedef uint32_t Words __attribute__((vector_size(FASTCONV_VEC_BYTES)));
// A bfloat16 for each of them: the lower half of the register at most, all of it on paper.
typedef uint16_t Halves __attribute__((vector_size(FASTCONV_VEC_BYTES)));

#if FASTCONV_VEC_BYTES > 16
typedef uint16_t Narrow __attribute__((vector_size(FASTCONV_VEC_BYTES / 2)));
#endif

FASTCONV_INLINE Words broadcast_word(uint32_t a) { return Words{} + a; }

// The bits of kLanes<float> neighbours, in the lower halves of words.
FASTCONV_INLINE Words load_halves(const BFloat16* p) {
#if FASTCONV_VEC_BYTES == 16  // no vectors of 8 bytes without MMX registers
  typedef uint64_t Longs __attribute__((vector_size(16)));
  Longs bits = {};
  uint64_t first;
  __builtin_memcpy(&first, p, sizeof(first));
  bits[0] = first;
  return (Words)__builtin_shufflevector((Halves)bits, Halves{}, 0, 8, 1, 9, 2, 10, 3, 11);
#else
  Narrow bits;
  __builtin_memcpy(&bits, p, sizeof(bits));
  return __builtin_convertvector(bits, Words);
#endif
}

// Only the first `count` are read; the other lanes are 0.
FASTCONV_INLINE Words load_halves(const BFloat16* p, int64_t count) {
  if (count >= kLanes<float>) return load_halves(p);
#if defined(__AVX512BW__)
  const auto mask = static_cast<__mmask16>((1u << count) - 1);
  return __builtin_convertvector((Narrow)_mm256_maskz_loadu_epi16(mask, p), Words);
#else
  BFloat16 lanes[kLanes<float>] = {};
  for (int64_t i = 0; i < count; ++i) lanes[i] = p[i];
  return load_halves(lanes);
#endif
}

FASTCONV_INLINE void store_halves(BFloat16* p, Words halves) {
#if FASTCONV_VEC_BYTES == 16
  typedef uint64_t Longs __attribute__((vector_size(16)));
  const Longs bits =
      (Longs)__builtin_shufflevector((Halves)halves, (Halves)halves, 0, 2, 4, 6, 0, 2, 4, 6);
  const uint64_t first = bits[0];
  __builtin_memcpy(p, &first, sizeof(first));
#else
  const Narrow bits = __builtin_convertvector(halves, Narrow);
  __builtin_memcpy(p, &bits, sizeof(bits));
#endif
}

// The first `count` lanes.
FASTCONV_INLINE void store_halves(BFloat16* p, Words halves, int64_t count) {
  if (count >= kLanes<float>) return store_halves(p, halves);
#if defined(__AVX512BW__)
  const auto mask = static_cast<__mmask16>((1u << count) - 1);
  _mm256_mask_storeu_epi16(p, mask, (__m256i) __builtin_convertvector(halves, Narrow));
#else
  BFloat16 lanes[kLanes<float>];
  store_halves(lanes, halves);
  for (int64_t i = 0; i < count; ++i) p[i] = lanes[i];
#endif
}

FASTCONV_INLINE Vec<float> widen(Words halves) {
  const Words normal = (Words)((halves & 0x7f80u) != Words{});
  return (Vec<float>)((halves << 16) & (normal | 0x80000000u));
}

// To bits in the lower halves of words.
FASTCONV_INLINE Words round_to_halves(Vec<float> x) {
  const Words bits = (Words)x, upper = bits >> 16;
  const Words tiny = (Words)((bits & 0x7f800000u) == Words{});
  const Words nan = (Words)(x != x);
  const Words rounded = (bits + ((upper & 1u) + 0x7fffu)) >> 16;
  const Words number = (rounded & ~tiny) | (upper & 0x8000u & tiny);
  return (number & ~nan) | ((upper | 0x40u) & nan);
}

#if defined(__AVX512F__)
// Two vectors, one after the other, by the instruction that some of these processors have. It
// rounds as round_to_halves does: compared for all floats on Zen 5.
FASTCONV_INLINE Words round_by_instruction(Vec<float> low, Vec<float> high) {
  Words both;
  __asm__("vcvtne2ps2bf16 %1, %2, %0" : "=v"(both) : "v"(low), "v"(high));
  return both;
}
#endif

}  // namespace
}  // namespace fastconv
