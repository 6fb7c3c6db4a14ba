// A vector of T as wide as the instruction set's registers, from GCC/Clang vector
// extensions. Kernel files are written against this and nothing below it; what an
// instruction set changes is FASTCONV_VEC_BYTES and the compiler flags beside it.
#pragma once

#include <cstddef>
#include <cstdint>

#ifndef FASTCONV_VEC_BYTES
#error "FASTCONV_VEC_BYTES comes with the instruction set: see src/cmake/isa.cmake"
#endif

#if defined(__clang__)
#define FASTCONV_UNROLL _Pragma("clang loop unroll(full)")
#else
#define FASTCONV_UNROLL _Pragma("GCC unroll 32")
#endif
#define FASTCONV_INLINE inline __attribute__((always_inline))

namespace fastconv {
namespace {

template <class T>
struct VecType;
template <>
struct VecType<float> {
  typedef float type __attribute__((vector_size(FASTCONV_VEC_BYTES)));
  typedef int32_t mask __attribute__((vector_size(FASTCONV_VEC_BYTES)));
  typedef int32_t integer;
};
template <>
struct VecType<double> {
  typedef double type __attribute__((vector_size(FASTCONV_VEC_BYTES)));
  typedef int64_t mask __attribute__((vector_size(FASTCONV_VEC_BYTES)));
  typedef int64_t integer;
};

// Arithmetic, comparison (giving a Mask of 0 / -1 lanes) and `mask ? a : b` are the
// extensions' own operators; a scalar operand is broadcast.
template <class T>
using Vec = typename VecType<T>::type;
template <class T>
using Mask = typename VecType<T>::mask;
template <class T>
constexpr int kLanes = FASTCONV_VEC_BYTES / sizeof(T);

template <class T>
FASTCONV_INLINE Vec<T> load(const T* p) {
  Vec<T> v;
  __builtin_memcpy(&v, p, sizeof(v));
  return v;
}

template <class T>
FASTCONV_INLINE void store(T* p, Vec<T> v) {
  __builtin_memcpy(p, &v, sizeof(v));
}

// Subtracting +0 changes nothing, signed zeros included, so this is the broadcast alone;
// adding it would be an addition, since it turns -0 into +0.
template <class T>
FASTCONV_INLINE Vec<T> broadcast(T a) {
  return a - Vec<T>{};
}

template <class V>
FASTCONV_INLINE V max(V a, V b) {  // the second operand where they compare unordered
  return a > b ? a : b;
}

// max(x, 0) that keeps NaN: x < 0 is false for it.
template <class T>
FASTCONV_INLINE Vec<T> relu(Vec<T> x) {
  return x < Vec<T>{} ? Vec<T>{} : x;
}

}  // namespace
}  // namespace fastconv
