// Sums of four products of bytes in every 32-bit lane:
//
//   sum[lane] += x[0] * w[lane][0] + x[1] * w[lane][1] + x[2] * w[lane][2] + x[3] * w[lane][3]
//   x: unsigned    w: signed
//
// All sums are modulo 2^32, so their order does not matter and every way of making them gives the
// same bits. AVX512-VNNI has one instruction for a vector of them. Elsewhere bytes are widened to
// 16 bits, whose products by pairs are exact (pmaddwd); the products of bytes by pairs that x86
// has had before (pmaddubsw) saturate.
#pragma once

#include "simd/bytes.h"

#if defined(__aarch64__)
#include <arm_neon.h>
#endif

namespace fastconv {
namespace {

// Modulo 2^32: a + b, and a - b * c.
FASTCONV_INLINE Int32s plus(Int32s a, Int32s b) { return (Int32s)((Uint32s)a + (Uint32s)b); }
FASTCONV_INLINE Int32s minus_product(Int32s a, Int32s b, Int32s c) {
  return (Int32s)((Uint32s)a - (Uint32s)b * (Uint32s)c);
}

#if defined(__AVX512F__)
struct Vnni {
  // Register tile: 28 sums, two vectors of weights and a broadcast of 32 registers.
  static constexpr int kRows = 14;
  static constexpr int kParts = 1;  // vectors of weights for a quad of k
  struct Weight {
    Int32s quads;
  };
  typedef Int32s Input;

  static FASTCONV_INLINE Input spread(Int32s quads) { return quads; }
  static FASTCONV_INLINE Weight load(const int32_t* w) { return {load_as<Int32s>(w)}; }
  // By name, since the file is compiled for every CPU with AVX-512.
  static FASTCONV_INLINE Int32s add(Int32s sum, Input x, const Weight& w) {
    __asm__("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(x), "v"(w.quads));
    return sum;
  }
  static FASTCONV_INLINE void store(int32_t* to, Int32s quads) { store_as(to, quads); }
};
#endif

struct Widened {
#if FASTCONV_VEC_BYTES == 64
  static constexpr int kRows = 10;  // 20 sums, 4 weights, 2 inputs, 2 products, a mask
#elif defined(__aarch64__)
  static constexpr int kRows = 8;
#else
  static constexpr int kRows = 4;  // 8 sums, 2 inputs, 2 products; weights stay in L1
#endif
  static constexpr int kParts = 2;
  struct Weight {
    Int32s even, odd;  // 16 bits each: k = 0 and 2, 1 and 3
  };
  struct Input {
    Int32s even, odd;
  };

  static FASTCONV_INLINE Input spread(Int32s quads) {
    typedef uint16_t Words __attribute__((vector_size(FASTCONV_VEC_BYTES)));
    return {quads & 0x00ff00ff, (Int32s)((Words)quads >> 8)};
  }
  static FASTCONV_INLINE Weight load(const int32_t* w) {
    return {load_as<Int32s>(w), load_as<Int32s>(w + kIntLanes)};
  }
  // In every lane the sum of two products of 16-bit integers.
  static FASTCONV_INLINE Int32s multiply(Int32s a, Int32s b) {
#if defined(__AVX512BW__)
    return (Int32s)_mm512_madd_epi16((__m512i)a, (__m512i)b);
#elif defined(__AVX2__)
    return (Int32s)_mm256_madd_epi16((__m256i)a, (__m256i)b);
#elif defined(__SSE2__)
    return (Int32s)_mm_madd_epi16((__m128i)a, (__m128i)b);
#elif defined(__aarch64__)
    const int16x8_t a16 = (int16x8_t)a, b16 = (int16x8_t)b;
    return (Int32s)vpaddq_s32(vmull_s16(vget_low_s16(a16), vget_low_s16(b16)),
                              vmull_high_s16(a16, b16));
#else
    return (a & 0xffff) * (b << 16 >> 16) + (a >> 16) * (b >> 16);
#endif
  }
  static FASTCONV_INLINE Int32s add(Int32s sum, const Input& x, const Weight& w) {
    return plus(sum, multiply(x.even, w.even) + multiply(x.odd, w.odd));
  }
  static FASTCONV_INLINE void store(int32_t* to, Int32s quads) {
    typedef int16_t Words __attribute__((vector_size(FASTCONV_VEC_BYTES)));
    store_as(to, (Words)quads << 8 >> 8);
    store_as(to + kIntLanes, (Words)quads >> 8);
  }
};

// y = saturate(round(sum * factor) + zero), ties to even: what ONNX Runtime computes, in its order.
struct Requantize {
  float low, high;  // what `zero` is added to, at its limits
  int32_t zero;     // of the output as unsigned bytes
  uint8_t flip;     // unsigned bytes to the output's

  Requantize(int32_t y_zero, bool is_signed)
      : low(static_cast<float>((is_signed ? -128 : 0) - y_zero)),
        high(static_cast<float>((is_signed ? 127 : 255) - y_zero)),
        zero(y_zero + (is_signed ? 128 : 0)),
        flip(is_signed ? 0x80 : 0) {}

  // The unsigned bytes, one in each lane.
  FASTCONV_INLINE Int32s operator()(Int32s sum, Vec<float> factor) const {
    // Adding 1.5 * 2^23 leaves no bits below 1, and the integer in those that are left.
    constexpr float kMagic = 12582912;
    constexpr int32_t kMagicBits = 0x4b400000;
    Vec<float> y = __builtin_convertvector(sum, Vec<float>) * factor;
    // NaN, of an infinite factor and a sum of 0, becomes the lower limit.
#if defined(__AVX512F__)
    // The masked forms: the others leave GCC 12 with an undefined vector that it warns about.
    y = _mm512_maskz_min_ps(0xffff, _mm512_maskz_max_ps(0xffff, y, broadcast(low)),
                            broadcast(high));
#else
    y = max(y, broadcast(low));
    y = y < broadcast(high) ? y : broadcast(high);
#endif
    return (Int32s)(y + kMagic) + (zero - kMagicBits);
  }
};

}  // namespace
}  // namespace fastconv
