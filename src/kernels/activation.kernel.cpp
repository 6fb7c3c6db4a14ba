// Activations and their gradients over whole arrays: the functions are in activation.h.
//
//   activation:           out[i] = f(a[i])
//   activation_backward:  out[i] = a[i] * f'(x[i]), from b[i], which is f(x[i]) or x[i]
//   5-D, any strides; out may be the same view as a or b
//
// Tasks, layouts and bits: map.h.
#include "kernels/activation.h"

#include "dispatch/kernel_export.h"
#include "kernels/map.h"

namespace fastconv {
namespace {

// Functions of a few instructions wait for memory, of which more must be under way.
constexpr int unroll(int kind) {
  return kind <= FASTCONV_CLIPPED_RELU || kind == FASTCONV_HARD_SIGMOID ||
                 kind == FASTCONV_HARD_SWISH
             ? 4
             : 2;
}

template <class T>
void activation(const ElementwiseArgs<T>& args) {
  const T alpha = static_cast<T>(args.activation.alpha),
          beta = static_cast<T>(args.activation.beta);
  with_activation(args.activation.kind, [&](auto kind) {
    constexpr int kKind = decltype(kind)::value;
    map<2, unroll(kKind), T>(
        args, [&](Vec<T> x, Vec<T>) { return apply_activation<kKind, T>(x, alpha, beta); });
  });
}

template <class T>
void activation_backward(const ElementwiseArgs<T>& args) {
  const T alpha = static_cast<T>(args.activation.alpha),
          beta = static_cast<T>(args.activation.beta);
  with_activation(args.activation.kind, [&](auto kind) {
    constexpr int kKind = decltype(kind)::value;
    map<3, unroll(kKind), T>(args, [&](Vec<T> dy, Vec<T> saved) {
      return apply_gradient<kKind, T>(dy, saved, alpha, beta);
    });
  });
}

}  // namespace
}  // namespace fastconv

FASTCONV_EXPORT(activation, ElementwiseArgs)
FASTCONV_EXPORT(activation_backward, ElementwiseArgs)
