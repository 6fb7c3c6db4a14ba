// Activations and their gradients over arrays: see reference.h.
#include "reference/reference_activation.h"

#include "reference/reference.h"

namespace fastconv {
namespace {

// out = f(a)
template <class T>
void activation(const ElementwiseArgs<T>& args) {
  for_each(args.extent, [&](int64_t n, int64_t c, int64_t d, int64_t h, int64_t w) {
    const T a = args.a[at(args.a_stride, n, c, d, h, w)];
    args.out[at(args.out_stride, n, c, d, h, w)] =
        static_cast<T>(activate(static_cast<double>(a), args.activation));
  });
}

// out = a * f'(x) from b; a is the gradient. Nothing is multiplied where f' is 0 or 1, so that
// an infinite gradient does not become NaN there.
template <class T>
void activation_backward(const ElementwiseArgs<T>& args) {
  for_each(args.extent, [&](int64_t n, int64_t c, int64_t d, int64_t h, int64_t w) {
    const T a = args.a[at(args.a_stride, n, c, d, h, w)];
    const T b = args.b[at(args.b_stride, n, c, d, h, w)];
    const double slope = activation_slope(static_cast<double>(b), args.activation);
    args.out[at(args.out_stride, n, c, d, h, w)] =
        slope == 0 ? T{0} : static_cast<T>(static_cast<double>(a) * slope);
  });
}

}  // namespace
}  // namespace fastconv

FASTCONV_EXPORT(activation, ElementwiseArgs)
FASTCONV_EXPORT(activation_backward, ElementwiseArgs)
