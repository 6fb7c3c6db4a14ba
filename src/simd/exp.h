// exp and log of vectors, without libm: the same bits whatever the C library, and 16 lanes at
// a time. Both round-to-nearest only, as everything else here.
#pragma once

#include "simd/vec.h"

#if defined(__AVX512F__)
#include <immintrin.h>
#endif

namespace fastconv {
namespace {

template <class T>
struct FloatFormat;
template <>
struct FloatFormat<float> {
  typedef uint32_t bits __attribute__((vector_size(FASTCONV_VEC_BYTES)));
  static constexpr int kMantissa = 23, kBias = 127;
  // log 2 in two parts; the first has so many zero bits at its end that multiples of it by
  // an exponent are exact even without fused operations.
  static constexpr float kLog2Hi = 0.693145751953125f, kLog2Lo = 1.42860677e-6f;
  // Below kUnderflow exp is less than half the smallest subnormal, above kOverflow infinite.
  static constexpr float kUnderflow = -104.0f, kOverflow = 89.0f;
  // exp(r) = 1 + r + r^2 q(r) on |r| <= log(2) / 2: minimax in relative error, 2^-28.3.
  static constexpr float kExp[] = {0.49999994f, 0.166665211f, 0.041668389f, 0.00836874545f,
                                   0.00138145406f};
  // log((1 + s) / (1 - s)) = 2 s + s z p(z), z = s^2, s <= 0.1716: relative error 2^-30.2.
  static constexpr float kLog[] = {0.666667759f, 0.399776071f, 0.298705488f};
  // The bits of sqrt(1 / 2).
  static constexpr uint32_t kSqrtHalf = 0x3f3504f3;
};
template <>
struct FloatFormat<double> {
  typedef uint64_t bits __attribute__((vector_size(FASTCONV_VEC_BYTES)));
  static constexpr int kMantissa = 52, kBias = 1023;
  static constexpr double kLog2Hi = 0.693147180559663, kLog2Lo = 2.8235290563031577e-13;
  static constexpr double kUnderflow = -746.0, kOverflow = 710.0;
  // Relative errors 2^-57.9 and 2^-59.5.
  static constexpr double kExp[] = {0.50000000000000111,    0.1666666666666641,
                                    0.041666666666529725,   0.0083333333334949765,
                                    0.0013888888943759984,  0.00019841269505773806,
                                    2.4801492949617071e-05, 2.7557586803847071e-06,
                                    2.7630306255647857e-07, 2.5000018853083341e-08};
  static constexpr double kLog[] = {0.66666666666667307, 0.39999999999433428, 0.28571428739024285,
                                    0.22222198861256356, 0.18183551578521379, 0.15314331594176209,
                                    0.14793509827181556};
  static constexpr uint64_t kSqrtHalf = 0x3fe6a09e667f3bcd;
};

// c[0] + c[1] x + ... by Horner's rule.
template <class T, int kTerms>
FASTCONV_INLINE Vec<T> polynomial(const T (&c)[kTerms], Vec<T> x) {
  Vec<T> sum = broadcast(c[kTerms - 1]);
  FASTCONV_UNROLL
  for (int i = kTerms - 2; i >= 0; --i) sum = sum * x + c[i];
  return sum;
}

// x = n log 2 + r with n the nearest integer, as a number and in the lowest bits of `shifted`.
template <class T>
struct Reduced {
  Vec<T> n, r;
  typename FloatFormat<T>::bits integer;  // n modulo 2^mantissa

  FASTCONV_INLINE explicit Reduced(Vec<T> x) {
    using F = FloatFormat<T>;
    using Bits = typename F::bits;
    // Adding 1.5 * 2^mantissa leaves no fraction bits, and the integer in the lowest ones.
    const Vec<T> shift = broadcast(static_cast<T>(int64_t{3} << (F::kMantissa - 1)));
    const Vec<T> shifted = x * static_cast<T>(1.4426950408889634) + shift;
    n = shifted - shift;
    r = (x - n * F::kLog2Hi) - n * F::kLog2Lo;
    integer = reinterpret_cast<Bits>(shifted) - reinterpret_cast<Bits>(shift);
  }
};

// exp(x) = 2^n exp(r), n the integer nearest to x / log 2 and r = x - n log 2. exp(-inf) is 0,
// exp(inf) and all beyond the range inf, exp(NaN) NaN, and subnormal results are rounded once.
// Measured, with and without fused operations: at most 1.01 ulp in float32 (every float) and
// 1.04 in float64 (2e7 random numbers). kLow: of x + low, where |low| is at most 0.1, so that
// an x known to more digits than fit its type does not lose them.
template <class T, bool kLow = false>
FASTCONV_INLINE Vec<T> exp(Vec<T> x, Vec<T> low = Vec<T>{}) {
  using F = FloatFormat<T>;
  x = max(broadcast(F::kUnderflow), x);  // NaN stays
  x = x > broadcast(F::kOverflow) ? broadcast(F::kOverflow) : x;
  const Reduced<T> reduced(x);
  const Vec<T> r = kLow ? reduced.r + low : reduced.r;
  const Vec<T> power = (r * r * polynomial<T>(F::kExp, r) + r) + T{1};
#if defined(__AVX512F__)
  if constexpr (sizeof(T) == 4)
    return _mm512_maskz_scalef_ps(0xffff, power, reduced.n);
  else
    return _mm512_maskz_scalef_pd(0xff, power, reduced.n);
#else
  using Bits = typename F::bits;
  // 2^n in two factors that are both normal numbers: 2^n itself may be neither that nor finite.
  // Sums of exponents are kept positive, for want of a 64-bit arithmetic shift in AVX2.
  const Bits biased = reduced.integer + 2 * F::kBias;
  const Bits half = biased >> 1;
  return power * reinterpret_cast<Vec<T>>(half << F::kMantissa) *
         reinterpret_cast<Vec<T>>((biased - half) << F::kMantissa);
#endif
}

// e log 2 + log(1 + f) for 1 + f in [sqrt(1/2), sqrt(2)] and an integer e, with
// log(1 + f) = log((1 + s) / (1 - s)), s = f / (2 + f); summed so that the large terms come
// last, as fdlibm does.
template <class T>
FASTCONV_INLINE Vec<T> log_sum(Vec<T> e, Vec<T> f) {
  using F = FloatFormat<T>;
  const Vec<T> s = f / (f + T{2});
  const Vec<T> z = s * s;
  const Vec<T> half_square = f * f * static_cast<T>(0.5);
  const Vec<T> tail = s * (half_square + z * polynomial<T>(F::kLog, z)) + e * F::kLog2Lo;
  return e * F::kLog2Hi - ((half_square - tail) - f);
}

// log(x) for x > 0 that is not subnormal; inf gives inf, NaN gives NaN. x = 2^e (1 + f).
// Measured: at most 0.84 ulp in float32 (every normal number), 0.83 in float64 (2e7 random).
template <class T>
FASTCONV_INLINE Vec<T> log(Vec<T> x) {
  using F = FloatFormat<T>;
  using Bits = typename F::bits;
  constexpr auto kOne = decltype(F::kSqrtHalf){F::kBias} << F::kMantissa;
  const Bits bits = reinterpret_cast<Bits>(x) + (kOne - F::kSqrtHalf);
  // An integer below 2^mantissa becomes a number by giving it the exponent of 2^mantissa.
  const Vec<T> magic = broadcast(static_cast<T>(int64_t{1} << F::kMantissa));
  const Vec<T> e =
      reinterpret_cast<Vec<T>>((bits >> F::kMantissa) | reinterpret_cast<Bits>(magic)) -
      (magic + static_cast<T>(F::kBias));
  const Vec<T> f =
      reinterpret_cast<Vec<T>>((bits & ((decltype(kOne){1} << F::kMantissa) - 1)) + F::kSqrtHalf) -
      T{1};
  const Vec<T> result = log_sum<T>(e, f);
  return x - x == Vec<T>{} ? result : x;
}

}  // namespace
}  // namespace fastconv
