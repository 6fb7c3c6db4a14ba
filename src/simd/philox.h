// Philox4x32-10 (J. K. Salmon, M. A. Moraes, R. O. Dror, D. E. Shaw, Parallel random numbers: as
// easy as 1, 2, 3, SC 2011): four 32-bit random words from a counter and a key, ten rounds.
// Without a state, any element's bits are computed alone.
#pragma once

#include "simd/partial.h"

namespace fastconv {
namespace {

// Counters and words in 64-bit lanes, of which the upper halves mean nothing.
typedef uint64_t Words __attribute__((vector_size(FASTCONV_VEC_BYTES)));
constexpr int kWordLanes = FASTCONV_VEC_BYTES / 8;

// The product of the lower halves.
FASTCONV_INLINE Words multiply_low_halves(Words a, Words b) {
#if defined(__AVX512F__)
  return (Words)_mm512_maskz_mul_epu32(0xff, (__m512i)a, (__m512i)b);
#elif defined(__AVX2__)
  return (Words)_mm256_mul_epu32((__m256i)a, (__m256i)b);
#else
  return (a & 0xffffffff) * (b & 0xffffffff);
#endif
}

struct Philox {
  Words word[4];

  FASTCONV_INLINE Philox(Words counter, uint64_t seed) {
    const Words even = Words{} + 0xD2511F53u, odd = Words{} + 0xCD9E8D57u;
    Words a = counter, b = counter >> 32, c = {}, d = {};
    uint32_t key0 = static_cast<uint32_t>(seed), key1 = static_cast<uint32_t>(seed >> 32);
    FASTCONV_UNROLL
    for (int round = 0; round < 10; ++round) {
      const Words first = multiply_low_halves(a, even), second = multiply_low_halves(c, odd);
      a = (second >> 32) ^ b ^ key0;
      b = second;
      c = (first >> 32) ^ d ^ key1;
      d = first;
      key0 += 0x9E3779B9u;
      key1 += 0xBB67AE85u;
    }
    word[0] = a;
    word[1] = b;
    word[2] = c;
    word[3] = d;
  }
};

// Element e of a sequence has word (e % 64) / 16 of counter e / 64 * 16 + e % 16, so that sixteen
// counters make 64 words whose neighbours are neighbours.
constexpr int64_t kRandomBlock = 64;

FASTCONV_INLINE Words word_lanes() {
  Words lanes = {};
  FASTCONV_UNROLL
  for (int i = 0; i < kWordLanes; ++i) lanes[i] = static_cast<uint64_t>(i);
  return lanes;
}

typedef uint32_t HalfWords __attribute__((vector_size(FASTCONV_VEC_BYTES / 2)));

FASTCONV_INLINE void store_words(uint32_t* to, Words words) {
  const HalfWords narrow = __builtin_convertvector(words, HalfWords);
  __builtin_memcpy(to, &narrow, sizeof(narrow));
}

// Elements [64 * block, 64 * block + 64).
FASTCONV_INLINE void random_block(uint32_t* to, uint64_t block, uint64_t seed) {
  FASTCONV_UNROLL
  for (int i = 0; i < 16; i += kWordLanes) {
    const Philox random(word_lanes() + (block * 16 + static_cast<uint64_t>(i)), seed);
    FASTCONV_UNROLL
    for (int j = 0; j < 4; ++j) store_words(to + j * 16 + i, random.word[j]);
  }
}

// The elements first, first + step, ... as many as a vector of 32-bit lanes has.
FASTCONV_INLINE void random_spaced(uint32_t* to, uint64_t first, uint64_t step, uint64_t seed) {
  FASTCONV_UNROLL
  for (int i = 0; i < 2 * kWordLanes; i += kWordLanes) {
    const Words e = (word_lanes() + static_cast<uint64_t>(i)) * step + first;
    const Philox random((e >> 6) * 16 + (e & 15), seed);
    const Words which = (e >> 4) & 3;
    const Words low = (which & 1) == 0 ? random.word[0] : random.word[1];
    const Words high = (which & 1) == 0 ? random.word[2] : random.word[3];
    store_words(to + i, which < 2 ? low : high);
  }
}

}  // namespace
}  // namespace fastconv
