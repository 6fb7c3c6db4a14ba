// Activations, functions of one element, and their derivatives: see fastconv_activation.
//
//   y = f(x),   dx = dy * f'(x)   from y where y determines f'(x), else from x
//
// The kind is a template argument here; who has it as a number calls with_activation once,
// outside its loops. Epilogues, whose loops do other work, call `activate`: the two kinds that
// every network has cost a comparison each, all others a call. Elements that are alone go
// through the same vector code, so that the bits do not depend on where an element falls.
//
// Largest errors measured against 40 digits, in units of the last place, in float32 and float64
// with and without fused operations: elu 1.0, softplus 1.5, sigmoid 2.2, silu 2.4, tanh 2.4,
// mish 2.7, gelu 10 (in float32 at x = -14, where it is 1e-44; 6.8 elsewhere). gelu_tanh rounds
// the argument of its exponential, |u| units of error: below 40 for |x| < 3.
#pragma once

#include "core/params.h"
#include "fastconv/fastconv.h"
#include "simd/special.h"

namespace fastconv {
namespace {

// G. Klambauer et al., Self-normalizing neural networks, 2017.
constexpr double kSeluScale = 1.0507009873554804934193349852946;
constexpr double kSeluAlpha = 1.6732632423543772848170429916717;

// 2 sqrt(2 / pi) (x + 0.044715 x^3) = x (kGeluA + kGeluB x^2): tanh(u) is 2 sigmoid(2 u) - 1.
constexpr double kGeluA = 1.5957691216057307, kGeluB = 0.044715 * kGeluA;

template <int kKind, class T>
FASTCONV_INLINE Vec<T> apply_activation(Vec<T> x, T alpha, T beta) {
  const Vec<T> zero = {};
  if constexpr (kKind == FASTCONV_RELU) {
    return relu<T>(x);
  } else if constexpr (kKind == FASTCONV_LEAKY_RELU) {
    return x < zero ? x * alpha : x;
  } else if constexpr (kKind == FASTCONV_CLIPPED_RELU) {
    return clip<T>(x, alpha, beta);
  } else if constexpr (kKind == FASTCONV_SIGMOID) {
    return Logistic<T>(x).value;
  } else if constexpr (kKind == FASTCONV_TANH) {
    return tanh<T>(x);
  } else if constexpr (kKind == FASTCONV_SILU) {
    return x * Logistic<T>(x).value;
  } else if constexpr (kKind == FASTCONV_GELU) {
    return x * Normal<T>(x).value;
  } else if constexpr (kKind == FASTCONV_GELU_TANH) {
    return x * Logistic<T>(x * (x * x * static_cast<T>(kGeluB) + static_cast<T>(kGeluA))).value;
  } else if constexpr (kKind == FASTCONV_ELU) {
    return x > zero ? x : expm1_of_negative<T>(x > zero ? zero : x) * alpha;
  } else if constexpr (kKind == FASTCONV_SELU) {
    const Vec<T> below = expm1_of_negative<T>(x > zero ? zero : x);
    return x > zero ? x * static_cast<T>(kSeluScale)
                    : below * static_cast<T>(kSeluScale * kSeluAlpha);
  } else if constexpr (kKind == FASTCONV_SOFTPLUS) {
    const Vec<T> z = x * alpha;
    const Vec<T> y = (relu<T>(z) + log1p_of_fraction<T>(exp<T>(-abs<T>(z)))) / alpha;
    return z > broadcast(beta) ? x : y;
  } else if constexpr (kKind == FASTCONV_HARD_SIGMOID) {
    return clip<T>(x + T{3}, 0, 6) * (T{1} / 6);
  } else if constexpr (kKind == FASTCONV_HARD_SWISH) {
    return x * (clip<T>(x + T{3}, 0, 6) * (T{1} / 6));
  } else if constexpr (kKind == FASTCONV_MISH) {
    // tanh(log(1 + a)) = ((1 + a)^2 - 1) / ((1 + a)^2 + 1), a = exp(x); divided by a^2 for x > 0.
    const Vec<T> e = exp<T>(-abs<T>(x)), small = e * (e + T{2}), large = e * T{2} + T{1};
    return x * (x < zero ? small / (small + T{2}) : large / (e * e * T{2} + large));
  } else {
    return x;
  }
}

// Beyond kFar every derivative is 0 or 1, and its terms are finite before it.
template <int kKind, class T>
FASTCONV_INLINE Vec<T> apply_gradient(Vec<T> dy, Vec<T> saved, T alpha, T beta) {
  const Vec<T> zero = {}, y = saved;
  constexpr T kFar = kKind == FASTCONV_GELU_TANH ? 24 : kKind == FASTCONV_GELU ? 40 : 800;
  if constexpr (kKind == FASTCONV_RELU) {
    return y <= zero ? zero : dy;
  } else if constexpr (kKind == FASTCONV_LEAKY_RELU) {
    return y <= zero ? dy * alpha : dy;
  } else if constexpr (kKind == FASTCONV_CLIPPED_RELU) {
    return (y <= broadcast(alpha)) | (y >= broadcast(beta)) ? zero : dy;
  } else if constexpr (kKind == FASTCONV_SIGMOID) {
    return dy * (y * (T{1} - y));
  } else if constexpr (kKind == FASTCONV_TANH) {
    return dy * (T{1} - y * y);
  } else if constexpr (kKind == FASTCONV_ELU) {
    return y <= zero ? dy * (y + alpha) : dy;
  } else if constexpr (kKind == FASTCONV_SELU) {
    return y <= zero ? dy * (y + static_cast<T>(kSeluScale * kSeluAlpha))
                     : dy * static_cast<T>(kSeluScale);
  } else if constexpr (kKind == FASTCONV_HARD_SIGMOID) {
    return (y <= zero) | (y >= broadcast(T{1})) ? zero : dy * (T{1} / 6);
  } else if constexpr (kKind == FASTCONV_SOFTPLUS) {
    const Vec<T> z = saved * alpha;
    return z > broadcast(beta) ? dy : dy * Logistic<T>(z).value;
  } else if constexpr (kKind == FASTCONV_HARD_SWISH) {
    const Vec<T> between = dy * (saved * (T{1} / 3) + static_cast<T>(0.5));
    return saved <= broadcast(T{-3}) ? zero : saved >= broadcast(T{3}) ? dy : between;
  } else if constexpr (kKind == FASTCONV_SILU) {
    const Vec<T> x = clip<T>(saved, -kFar, kFar);
    const Logistic<T> s(x);
    return dy * (x * s.value * s.rest + s.value);
  } else if constexpr (kKind == FASTCONV_GELU) {
    const Vec<T> x = clip<T>(saved, -kFar, kFar);
    const Normal<T> phi(x);
    return dy * (x * phi.bell * static_cast<T>(0.3989422804014327) + phi.value);
  } else if constexpr (kKind == FASTCONV_GELU_TANH) {
    const Vec<T> x = clip<T>(saved, -kFar, kFar), square = x * x;
    const Logistic<T> s(x * (square * static_cast<T>(kGeluB) + static_cast<T>(kGeluA)));
    const Vec<T> slope = square * static_cast<T>(3 * kGeluB) + static_cast<T>(kGeluA);
    return dy * (x * slope * (s.value * s.rest) + s.value);
  } else if constexpr (kKind == FASTCONV_MISH) {
    // t = N / D as in the function; 1 - t^2 = (D - N) (D + N) / D^2.
    const Vec<T> x = clip<T>(saved, -kFar, kFar), e = exp<T>(-abs<T>(x));
    const Mask<T> negative = x < zero;
    const Vec<T> above = negative ? e * (e + T{2}) : e * T{2} + T{1};
    const Vec<T> gap = negative ? broadcast(T{2}) : e * e * T{2};
    const Vec<T> inverse = T{1} / (above + gap), t = above * inverse;
    const Vec<T> sigmoid = (negative ? e : broadcast(T{1})) / (e + T{1});
    const Vec<T> bend = gap * inverse * ((above + above + gap) * inverse);
    return dy * (x * bend * sigmoid + t);
  } else {
    return dy;
  }
}

template <int k>
struct Kind {
  static constexpr int value = k;
};

// f(Kind<kind>{})
template <class F>
FASTCONV_INLINE void with_activation(int32_t kind, const F& f) {
  switch (kind) {
#define FASTCONV_CASE(name) \
  case FASTCONV_##name:     \
    return f(Kind<FASTCONV_##name>{});
    FASTCONV_CASE(RELU)
    FASTCONV_CASE(LEAKY_RELU)
    FASTCONV_CASE(CLIPPED_RELU)
    FASTCONV_CASE(SIGMOID)
    FASTCONV_CASE(TANH)
    FASTCONV_CASE(SILU)
    FASTCONV_CASE(GELU)
    FASTCONV_CASE(GELU_TANH)
    FASTCONV_CASE(ELU)
    FASTCONV_CASE(SELU)
    FASTCONV_CASE(SOFTPLUS)
    FASTCONV_CASE(HARD_SIGMOID)
    FASTCONV_CASE(HARD_SWISH)
    FASTCONV_CASE(MISH)
#undef FASTCONV_CASE
    default:
      return f(Kind<FASTCONV_IDENTITY>{});
  }
}

// A call, so that the loops that may make it are as short as without it.
template <class T>
__attribute__((noinline)) Vec<T> activate_by_call(Vec<T> x, const Activation& activation) {
  with_activation(activation.kind, [&](auto kind) {
    x = apply_activation<decltype(kind)::value, T>(x, static_cast<T>(activation.alpha),
                                                   static_cast<T>(activation.beta));
  });
  return x;
}

template <class T>
FASTCONV_INLINE Vec<T> activate(Vec<T> x, const Activation& activation) {
  if (activation.kind == FASTCONV_RELU) return relu<T>(x);
  if (__builtin_expect(activation.kind != FASTCONV_IDENTITY, 0))
    return activate_by_call<T>(x, activation);
  return x;
}

template <class T>
FASTCONV_INLINE T activate_element(T x, const Activation& activation) {
  return activate<T>(broadcast(x), activation)[0];
}

}  // namespace
}  // namespace fastconv
