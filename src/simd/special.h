// Functions of vectors made of exp and log: what activations need. Each is written so that
// nothing cancels, which keeps the relative error small where the result is, too.
// The errors measured are in kernels/activation.h.
#pragma once

#include "simd/exp.h"

namespace fastconv {
namespace {

template <class T>
using Bits = typename FloatFormat<T>::bits;

template <class T>
FASTCONV_INLINE Bits<T> sign_bits() {
  return reinterpret_cast<Bits<T>>(broadcast(static_cast<T>(-0.0)));
}

template <class T>
FASTCONV_INLINE Vec<T> abs(Vec<T> x) {
  return reinterpret_cast<Vec<T>>(reinterpret_cast<Bits<T>>(x) & ~sign_bits<T>());
}

// The size of a with the sign of b.
template <class T>
FASTCONV_INLINE Vec<T> with_sign(Vec<T> a, Vec<T> b) {
  const Bits<T> sign = sign_bits<T>();
  return reinterpret_cast<Vec<T>>((reinterpret_cast<Bits<T>>(a) & ~sign) |
                                  (reinterpret_cast<Bits<T>>(b) & sign));
}

template <class T>
FASTCONV_INLINE Vec<T> square_root(Vec<T> x) {
#if defined(__AVX512F__)
  if constexpr (sizeof(T) == 4)
    return _mm512_maskz_sqrt_ps(0xffff, x);
  else
    return _mm512_maskz_sqrt_pd(0xff, x);
#else
  FASTCONV_UNROLL
  for (int i = 0; i < kLanes<T>; ++i) {
    if constexpr (sizeof(T) == 4)
      x[i] = __builtin_sqrtf(x[i]);
    else
      x[i] = __builtin_sqrt(x[i]);
  }
  return x;
#endif
}

// min(max(x, lo), hi); NaN stays.
template <class T>
FASTCONV_INLINE Vec<T> clip(Vec<T> x, T lo, T hi) {
  x = x < broadcast(lo) ? broadcast(lo) : x;
  return x > broadcast(hi) ? broadcast(hi) : x;
}

// exp(x) - 1 for x <= 0: with x = n log 2 + r it is 2^n (exp(r) - 1) + (2^n - 1), whose second
// term is exact. Below kLeast it is -1 to the last bit, and 2^n stays a normal number.
template <class T>
FASTCONV_INLINE Vec<T> expm1_of_negative(Vec<T> x) {
  using F = FloatFormat<T>;
  constexpr T kLeast = sizeof(T) == 4 ? -32 : -64;
  const Reduced<T> reduced(max(broadcast(kLeast), x));
  const Vec<T> r = reduced.r, less_one = r * r * polynomial<T>(F::kExp, r) + r;
  const Vec<T> power = reinterpret_cast<Vec<T>>((reduced.integer + F::kBias) << F::kMantissa);
  return power * less_one + (power - T{1});
}

// log(1 + e) for 0 <= e <= 1, to the last bits of e as well.
template <class T>
FASTCONV_INLINE Vec<T> log1p_of_fraction(Vec<T> e) {
  const Mask<T> large = e > broadcast(static_cast<T>(0.41421356));
  return log_sum<T>(large ? broadcast(T{1}) : Vec<T>{},
                    large ? (e - T{1}) * static_cast<T>(0.5) : e);
}

// tanh(x) = -m / (2 + m), m = exp(-2 |x|) - 1, with the sign of x.
template <class T>
FASTCONV_INLINE Vec<T> tanh(Vec<T> x) {
  const Vec<T> m = expm1_of_negative<T>(abs<T>(x) * T{-2});
  return with_sign<T>(-m / (m + T{2}), x);
}

// 1 / (1 + exp(-x)) and 1 minus that, from e = exp(-|x|) <= 1.
template <class T>
struct Logistic {
  Vec<T> value, rest;
  FASTCONV_INLINE explicit Logistic(Vec<T> x) {
    const Vec<T> e = exp<T>(-abs<T>(x)), inverse = T{1} / (e + T{1});
    const Mask<T> negative = x < Vec<T>{};
    value = negative ? e * inverse : inverse;
    rest = negative ? inverse : e * inverse;
  }
};

// R((t - k) / (t + k)) = (1 + t / k) exp(t^2 / 2) Phi(-t), Phi the normal distribution: minimax
// in relative error, 2^-30 up to t = 14.6 and 2^-57.8 up to 39.5, where Phi(-t) ends.
template <class T>
struct NormalTail;
template <>
struct NormalTail<float> {
  static constexpr float kCentre = 3, kEnd = 15;
  static constexpr uint32_t kHighBits = 0xfffff000;
  static constexpr float kRatio[] = {0.729083717f,    -0.509332001f,  0.230017707f,
                                     -0.0472626872f,  -0.0104625188f, 0.00696930476f,
                                     0.0010247766f,   -0.0010325372f, -0.000244748866f,
                                     0.000131273759f, 5.44641189e-5f};
};
template <>
struct NormalTail<double> {
  static constexpr double kCentre = 6, kEnd = 40;
  static constexpr uint64_t kHighBits = 0xfffffffff8000000;
  static constexpr double kRatio[] = {
      0.7773517718933622,      -0.7010090295908655,     0.568968891814784,
      -0.4139035857755905,     0.26797424584163465,     -0.15268023206449208,
      0.07517191566947436,     -0.030985315507572116,   0.010029820633601791,
      -0.002131605210833902,   3.287007281660153e-05,   0.00018136042344090166,
      -6.47522613367089e-05,   1.0755696300818455e-06,  6.797196788065494e-06,
      -1.7996229918922827e-06, -4.313103178121666e-07,  3.1018406403476775e-07,
      9.991345073858441e-09,   -4.2857242736208184e-08, 5.9415272894926346e-12,
      4.679977300990759e-09,   6.794297621452468e-10};
};

// Phi(x) = 1/2 (1 + erf(x / sqrt 2)) and its derivative without the factor 1 / sqrt(2 pi).
// exp(-t^2 / 2) takes t^2 in two parts, the first of them exact: rounded to one, its error
// would be that of the exponential, 50 ulp at t = 10.
template <class T>
struct Normal {
  Vec<T> value, bell;
  FASTCONV_INLINE explicit Normal(Vec<T> x) {
    using N = NormalTail<T>;
    Vec<T> t = abs<T>(x);
    t = t > broadcast(N::kEnd) ? broadcast(N::kEnd) : t;
    const Vec<T> high = reinterpret_cast<Vec<T>>(reinterpret_cast<Bits<T>>(t) & N::kHighBits);
    const T half = static_cast<T>(-0.5);
    bell = exp<T, true>(high * high * half, (t - high) * (t + high) * half);
    const Vec<T> inverse = T{1} / (t + N::kCentre);
    const Vec<T> tail = bell * inverse * polynomial<T>(N::kRatio, (t - N::kCentre) * inverse);
    value = x < Vec<T>{} ? tail : T{1} - tail;
  }
};

}  // namespace
}  // namespace fastconv
