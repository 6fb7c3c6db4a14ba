// Activations and their derivatives in double: the equations of fastconv_activation.
#pragma once

#include "core/params.h"
#include "fastconv/fastconv.h"

namespace fastconv {
namespace {

inline double sigmoid(double x) { return 1 / (1 + __builtin_exp(-x)); }
inline double normal(double x) { return 0.5 * __builtin_erfc(-x * __builtin_sqrt(0.5)); }
inline double softplus(double x) {
  return __builtin_fmax(x, 0) + __builtin_log1p(__builtin_exp(-__builtin_fabs(x)));
}

// sqrt(2 / pi), and what SELU's authors derive for its two constants.
constexpr double kRootTwoOverPi = 0.79788456080286535588;
constexpr double kSeluScale = 1.0507009873554804934193349852946;
constexpr double kSeluAlpha = 1.6732632423543772848170429916717;

inline double clip(double x, double lo, double hi) { return x < lo ? lo : x > hi ? hi : x; }

inline double activate(double x, const Activation& f) {
  switch (f.kind) {
    case FASTCONV_RELU:
      return x < 0 ? 0 : x;
    case FASTCONV_LEAKY_RELU:
      return x < 0 ? f.alpha * x : x;
    case FASTCONV_CLIPPED_RELU:
      return clip(x, f.alpha, f.beta);
    case FASTCONV_SIGMOID:
      return sigmoid(x);
    case FASTCONV_TANH:
      return __builtin_tanh(x);
    case FASTCONV_SILU:
      return x * sigmoid(x);
    case FASTCONV_GELU:
      return x * normal(x);
    case FASTCONV_GELU_TANH:  // (1 + tanh(u)) / 2 is sigmoid(2 u), which does not cancel
      return x * sigmoid(2 * kRootTwoOverPi * (x + 0.044715 * x * x * x));
    case FASTCONV_ELU:
      return x > 0 ? x : f.alpha * __builtin_expm1(x);
    case FASTCONV_SELU:
      return kSeluScale * (x > 0 ? x : kSeluAlpha * __builtin_expm1(x));
    case FASTCONV_SOFTPLUS:
      return f.alpha * x > f.beta ? x : softplus(f.alpha * x) / f.alpha;
    case FASTCONV_HARD_SIGMOID:
      return clip(x + 3, 0, 6) / 6;
    case FASTCONV_HARD_SWISH:
      return x * clip(x + 3, 0, 6) / 6;
    case FASTCONV_MISH:
      return x * __builtin_tanh(softplus(x));
    default:
      return x;
  }
}

// The derivative, from the result y where the header says so and else from x.
inline double activation_slope(double saved, const Activation& f) {
  const double y = saved, x = clip(saved, -800, 800);  // x: no infinity times 0
  switch (f.kind) {
    case FASTCONV_RELU:
      return y <= 0 ? 0 : 1;
    case FASTCONV_LEAKY_RELU:
      return y <= 0 ? f.alpha : 1;
    case FASTCONV_CLIPPED_RELU:
      return y <= f.alpha || y >= f.beta ? 0 : 1;
    case FASTCONV_SIGMOID:
      return y * (1 - y);
    case FASTCONV_TANH:
      return 1 - y * y;
    case FASTCONV_SILU:
      return sigmoid(x) * (1 + x * sigmoid(-x));
    case FASTCONV_GELU:
      return normal(x) + x * __builtin_exp(-x * x / 2) * kRootTwoOverPi / 2;
    case FASTCONV_GELU_TANH: {
      const double u = 2 * kRootTwoOverPi * (x + 0.044715 * x * x * x);
      const double slope = 2 * kRootTwoOverPi * (1 + 3 * 0.044715 * x * x);
      return sigmoid(u) * (1 + x * slope * sigmoid(-u));
    }
    case FASTCONV_ELU:
      return y <= 0 ? y + f.alpha : 1;
    case FASTCONV_SELU:
      return y <= 0 ? y + kSeluScale * kSeluAlpha : kSeluScale;
    case FASTCONV_SOFTPLUS:
      return f.alpha * saved > f.beta ? 1 : sigmoid(f.alpha * saved);
    case FASTCONV_HARD_SIGMOID:
      return y <= 0 || y >= 1 ? 0 : 1.0 / 6;
    case FASTCONV_HARD_SWISH:
      return saved <= -3 ? 0 : saved >= 3 ? 1 : saved / 3 + 0.5;
    case FASTCONV_MISH: {
      const double t = __builtin_tanh(softplus(x));
      return t + x * (1 - t * t) * sigmoid(x);
    }
    default:
      return 1;
  }
}

}  // namespace
}  // namespace fastconv
