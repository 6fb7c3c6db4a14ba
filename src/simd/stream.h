// Stores past the caches, for outputs too large to be found there again: they save the read
// of every line that an ordinary store begins with, a third of the traffic of a copy.
#pragma once

#include "simd/vec.h"

#if defined(__SSE2__)
#include <immintrin.h>
#endif

namespace fastconv {
namespace {

// Outputs from this size on are streamed: the last-level cache of the machines measured.
constexpr int64_t kStreamBytes = int64_t{16} << 20;

// p is aligned to the vector. Ordinary stores where the ISA has no such thing.
template <class V>
FASTCONV_INLINE void stream(void* p, V v) {
  static_assert(sizeof(V) == FASTCONV_VEC_BYTES);
#if defined(__AVX512F__)
  _mm512_stream_si512(static_cast<__m512i*>(p), (__m512i)v);
#elif defined(__AVX__)
  _mm256_stream_si256(static_cast<__m256i*>(p), (__m256i)v);
#elif defined(__SSE2__)
  _mm_stream_si128(static_cast<__m128i*>(p), (__m128i)v);
#else
  __builtin_memcpy(p, &v, sizeof(v));
#endif
}

FASTCONV_INLINE bool is_aligned(const void* p) {
  return reinterpret_cast<uintptr_t>(p) % FASTCONV_VEC_BYTES == 0;
}

// Whether a kernel that computes a tile and stores it, in turns, had better stream it. To cores of
// Intel a streamed line is a fill buffer taken until memory has it, and the next tile's loads wait:
// lines that are fetched while the tile before is computed, and then stored to, are faster (first
// layer of VGG, 51 MB, two threads of Cascade Lake: 5.3 -> 3.9 ms; 26 MB of a 1x1 convolution 4.9 ->
// 3.6). Zen 5: 2.2 ms fetched by the stores themselves, 1.5 streamed.
FASTCONV_INLINE bool streams_tiles() {
#if defined(__x86_64__)
  return !__builtin_cpu_is("intel");
#else
  return true;
#endif
}

// At the end of a task that streamed: what other threads are told after it, they find done.
FASTCONV_INLINE void end_stream() {
#if defined(__SSE2__)
  _mm_sfence();
#endif
}

}  // namespace
}  // namespace fastconv
