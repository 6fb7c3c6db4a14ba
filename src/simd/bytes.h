// Bytes and the 32-bit integers that their products are summed in: conversions, partial loads
// and stores, interleaving and transposes.
#pragma once

#include "simd/partial.h"

namespace fastconv {
namespace {

// As wide as the registers.
using Int32s = Mask<float>;
typedef uint32_t Uint32s __attribute__((vector_size(FASTCONV_VEC_BYTES)));
typedef uint8_t Bytes __attribute__((vector_size(FASTCONV_VEC_BYTES)));
constexpr int kByteLanes = FASTCONV_VEC_BYTES;
constexpr int kIntLanes = FASTCONV_VEC_BYTES / 4;

typedef uint8_t Bytes16 __attribute__((vector_size(16)));
// As many bytes as Int32s has lanes.
typedef uint8_t LaneBytes __attribute__((vector_size(kIntLanes)));

template <class V>
FASTCONV_INLINE V load_as(const void* p) {
  V v;
  __builtin_memcpy(&v, p, sizeof(v));
  return v;
}

template <class V>
FASTCONV_INLINE void store_as(void* p, V v) {
  __builtin_memcpy(p, &v, sizeof(v));
}

// The first `count` bytes, 0 <= count <= sizeof(V); the others are 0.
template <class V>
FASTCONV_INLINE V load_bytes(const uint8_t* p, int64_t count) {
  if (count == int64_t{sizeof(V)}) return load_as<V>(p);
#if defined(__AVX512BW__)
  if constexpr (sizeof(V) == 64) return (V)_mm512_maskz_loadu_epi8((uint64_t{1} << count) - 1, p);
#endif
  V v = {};
  for (int64_t i = 0; i < count; ++i) v[i] = p[i];
  return v;
}

template <class V>
FASTCONV_INLINE void store_bytes(uint8_t* p, V v, int64_t count) {
  if (count == int64_t{sizeof(V)}) return store_as(p, v);
#if defined(__AVX512BW__) && defined(__AVX512VL__)
  if constexpr (sizeof(V) == 16)
    return _mm_mask_storeu_epi8(p, static_cast<__mmask16>((1u << count) - 1), (__m128i)v);
  if constexpr (sizeof(V) == 64)
    return _mm512_mask_storeu_epi8(p, (uint64_t{1} << count) - 1, (__m512i)v);
#endif
  for (int64_t i = 0; i < count; ++i) p[i] = v[i];
}

// In every 16 bytes: the lower or the upper halves of a and b, interleaved by bytes or by pairs
// of bytes. The inverse of narrow(), below.
FASTCONV_INLINE Bytes zip_bytes_low(Bytes a, Bytes b) {
#if defined(__AVX512BW__)
  return (Bytes)_mm512_unpacklo_epi8((__m512i)a, (__m512i)b);
#elif defined(__AVX2__)
  return (Bytes)_mm256_unpacklo_epi8((__m256i)a, (__m256i)b);
#else
  return __builtin_shufflevector(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
#endif
}
FASTCONV_INLINE Bytes zip_bytes_high(Bytes a, Bytes b) {
#if defined(__AVX512BW__)
  return (Bytes)_mm512_unpackhi_epi8((__m512i)a, (__m512i)b);
#elif defined(__AVX2__)
  return (Bytes)_mm256_unpackhi_epi8((__m256i)a, (__m256i)b);
#else
  return __builtin_shufflevector(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15,
                                 31);
#endif
}
FASTCONV_INLINE Int32s zip_pairs_low(Bytes a, Bytes b) {
#if defined(__AVX512BW__)
  return (Int32s)_mm512_unpacklo_epi16((__m512i)a, (__m512i)b);
#elif defined(__AVX2__)
  return (Int32s)_mm256_unpacklo_epi16((__m256i)a, (__m256i)b);
#else
  return (Int32s)__builtin_shufflevector(a, b, 0, 1, 16, 17, 2, 3, 18, 19, 4, 5, 20, 21, 6, 7, 22,
                                         23);
#endif
}
FASTCONV_INLINE Int32s zip_pairs_high(Bytes a, Bytes b) {
#if defined(__AVX512BW__)
  return (Int32s)_mm512_unpackhi_epi16((__m512i)a, (__m512i)b);
#elif defined(__AVX2__)
  return (Int32s)_mm256_unpackhi_epi16((__m256i)a, (__m256i)b);
#else
  return (Int32s)__builtin_shufflevector(a, b, 8, 9, 24, 25, 10, 11, 26, 27, 12, 13, 28, 29, 14, 15,
                                         30, 31);
#endif
}

// quads[j] has in its lane d of the 16 bytes l the four bytes 16 l + 4 j + d of the rows.
FASTCONV_INLINE void zip_quads(Int32s (&quads)[4], Bytes a, Bytes b, Bytes c, Bytes d) {
  const Bytes ab_low = zip_bytes_low(a, b), ab_high = zip_bytes_high(a, b);
  const Bytes cd_low = zip_bytes_low(c, d), cd_high = zip_bytes_high(c, d);
  quads[0] = zip_pairs_low(ab_low, cd_low);
  quads[1] = zip_pairs_high(ab_low, cd_low);
  quads[2] = zip_pairs_low(ab_high, cd_high);
  quads[3] = zip_pairs_high(ab_high, cd_high);
}

// The byte that lane `lane` of quads[j] belongs to.
FASTCONV_INLINE int64_t quad_byte(int64_t j, int64_t lane) {
  return lane / 4 * 16 + 4 * j + lane % 4;
}

// Lanes of 0 to 255 in the order of zip_quads as bytes in their own.
FASTCONV_INLINE Bytes narrow(const Int32s (&lanes)[4]) {
#if defined(__AVX512BW__)
  return (Bytes)_mm512_packus_epi16(_mm512_packs_epi32((__m512i)lanes[0], (__m512i)lanes[1]),
                                    _mm512_packs_epi32((__m512i)lanes[2], (__m512i)lanes[3]));
#elif defined(__AVX2__)
  return (Bytes)_mm256_packus_epi16(_mm256_packs_epi32((__m256i)lanes[0], (__m256i)lanes[1]),
                                    _mm256_packs_epi32((__m256i)lanes[2], (__m256i)lanes[3]));
#elif defined(__SSE2__)
  return (Bytes)_mm_packus_epi16(_mm_packs_epi32((__m128i)lanes[0], (__m128i)lanes[1]),
                                 _mm_packs_epi32((__m128i)lanes[2], (__m128i)lanes[3]));
#else
  uint8_t bytes[kByteLanes];
  FASTCONV_UNROLL
  for (int j = 0; j < 4; ++j) store_as(bytes + 4 * j, __builtin_convertvector(lanes[j], LaneBytes));
  return load_as<Bytes>(bytes);
#endif
}

FASTCONV_INLINE Bytes16 zip_low16(Bytes16 a, Bytes16 b) {
  return __builtin_shufflevector(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
}
FASTCONV_INLINE Bytes16 zip_high16(Bytes16 a, Bytes16 b) {
  return __builtin_shufflevector(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15,
                                 31);
}

// Four perfect shuffles of 16 rows.
FASTCONV_INLINE void transpose_block(Bytes16 (&rows)[16]) {
  FASTCONV_UNROLL
  for (int round = 0; round < 4; ++round) {
    Bytes16 next[16];
    FASTCONV_UNROLL
    for (int i = 0; i < 8; ++i) {
      next[2 * i] = zip_low16(rows[i], rows[i + 8]);
      next[2 * i + 1] = zip_high16(rows[i], rows[i + 8]);
    }
    FASTCONV_UNROLL
    for (int i = 0; i < 16; ++i) rows[i] = next[i];
  }
}

// dst[j * dst_stride + i] = src[i * src_stride + j] ^ flip for i < rows, j < columns. Ragged ends
// are done with some of the block before once more, or with what lies between two rows: partial
// loads and stores of bytes take ten times as long as whole ones (Zen 5).
inline void transpose_bytes(uint8_t* dst, int64_t dst_stride, const uint8_t* src,
                            int64_t src_stride, int64_t rows, int64_t columns, uint8_t flip) {
  constexpr int64_t n = 16, kWorthwhile = 48;  // bytes, against the 64 shuffles of a block
  const uint8_t* last = src + (rows - 1) * src_stride + columns - n;  // of whole loads
  for (int64_t row = 0; row < rows; row += n) {
    const int64_t i = rows < n ? 0 : clamp(row, 0, rows - n), height = clamp(rows, 0, n);
    for (int64_t column = 0; column < columns; column += n) {
      const int64_t j = columns < n ? 0 : clamp(column, 0, columns - n);
      const int64_t width = clamp(columns, 0, n);
      const uint8_t* from = src + i * src_stride + j;
      uint8_t* to = dst + j * dst_stride + i;
      if (height * width < kWorthwhile) {
        for (int64_t r = 0; r < height; ++r)
          for (int64_t k = 0; k < width; ++k)
            to[k * dst_stride + r] = static_cast<uint8_t>(from[r * src_stride + k] ^ flip);
        continue;
      }
      Bytes16 block[n];
      if (height == n && (width == n || (src_stride > 0 && from + (n - 1) * src_stride <= last))) {
        FASTCONV_UNROLL
        for (int r = 0; r < n; ++r) block[r] = load_as<Bytes16>(from + r * src_stride) ^ flip;
      } else {
        FASTCONV_UNROLL
        for (int r = 0; r < n; ++r)
          block[r] =
              (r < height ? load_bytes<Bytes16>(from + r * src_stride, width) : Bytes16{}) ^ flip;
      }
      transpose_block(block);
      FASTCONV_UNROLL
      for (int r = 0; r < n; ++r)
        if (r < width) store_bytes(to + r * dst_stride, block[r], height);
    }
  }
}

// dst[i] = src[i] ^ flip
inline void copy_bytes(uint8_t* dst, const uint8_t* src, int64_t count, uint8_t flip) {
  int64_t i = 0;
  for (; i + kByteLanes <= count; i += kByteLanes)
    store_as(dst + i, load_as<Bytes>(src + i) ^ flip);
  for (; i < count; ++i) dst[i] = static_cast<uint8_t>(src[i] ^ flip);
}

inline void fill_bytes(uint8_t* dst, int64_t count, uint8_t value) {
  int64_t i = 0;
  for (; i + kByteLanes <= count; i += kByteLanes) store_as(dst + i, Bytes{} + value);
  for (; i < count; ++i) dst[i] = value;
}

}  // namespace
}  // namespace fastconv
