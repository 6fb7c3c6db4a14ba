// What the reference files share. They are the oracle the fast kernels are tested against:
// the equation as loops, sums in double whatever the dtype, one thread, no tricks. They
// form an instruction set of their own, called reference, with the same exports.
#pragma once

#define FASTCONV_ISA reference

#include <cstdint>

#include "dispatch/kernel_export.h"

namespace fastconv {
namespace {

// The element (n, c, d, h, w) of a tensor with these strides.
inline int64_t at(const int64_t stride[5], int64_t n, int64_t c, int64_t d, int64_t h, int64_t w) {
  return n * stride[0] + c * stride[1] + d * stride[2] + h * stride[3] + w * stride[4];
}

// A number in double, with the rules of core/bfloat16.h where it is one.
inline double value(double x) { return x; }
inline double value(BFloat16 x) {
  const bool denormal = (x.bits & 0x7f80) == 0;
  const uint32_t bits = uint32_t{denormal ? x.bits & 0x8000u : x.bits} << 16;
  float wide;
  __builtin_memcpy(&wide, &bits, sizeof(wide));
  return static_cast<double>(wide);
}

// The nearest T.
template <class T>
T rounded(double x) {
  if constexpr (sizeof(T) != sizeof(BFloat16)) {
    return static_cast<T>(x);
  } else {
    const uint16_t sign = __builtin_signbit(x) ? 0x8000 : 0;
    if (x != x) return {static_cast<uint16_t>(sign | 0x7fc0)};
    constexpr int kBias = 127, kMantissa = 7;
    int exponent;
    const double fraction = __builtin_frexp(x < 0 ? -x : x, &exponent);  // [0.5, 1) 2^exponent
    if (x - x != 0 || exponent > kBias + 1) return {static_cast<uint16_t>(sign | 0x7f80)};
    if (x == 0 || exponent + kBias - 1 < 1) return {sign};  // below 2^-126
    const double mantissa = __builtin_nearbyint(__builtin_ldexp(fraction, kMantissa + 1));
    // A carry out of the mantissa is one in the exponent, up to that of infinity.
    const int bits = ((exponent + kBias - 2) << kMantissa) + static_cast<int>(mantissa);
    return {static_cast<uint16_t>(sign | bits)};
  }
}

inline bool inside(int64_t position, int64_t extent) { return position >= 0 && position < extent; }

// Calls body(n, c, d, h, w) over a 5-D extent.
template <class Body>
void for_each(const int64_t extent[5], const Body& body) {
  for (int64_t n = 0; n < extent[0]; ++n)
    for (int64_t c = 0; c < extent[1]; ++c)
      for (int64_t d = 0; d < extent[2]; ++d)
        for (int64_t h = 0; h < extent[3]; ++h)
          for (int64_t w = 0; w < extent[4]; ++w) body(n, c, d, h, w);
}

}  // namespace
}  // namespace fastconv
