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

// The same over (N, C, ...), with dbias[c] = sum of out over n and the positions.
template <class T>
void activation_backward_bias(const NormArgs<T>& args) {
  int64_t extent[5] = {args.extent[0], 1, args.extent[2], args.extent[3], args.extent[4]};
  for (int64_t c = 0; c < args.extent[1]; ++c) {
    double sum = 0;
    for_each(extent, [&](int64_t n, int64_t, int64_t d, int64_t h, int64_t w) {
      const T dy = args.dy[at(args.dy_stride, n, c, d, h, w)];
      const T x = args.x[at(args.x_stride, n, c, d, h, w)];
      const double slope = activation_slope(static_cast<double>(x), args.activation);
      const T g = slope == 0 ? T{0} : static_cast<T>(static_cast<double>(dy) * slope);
      args.out[at(args.out_stride, n, c, d, h, w)] = g;
      sum += static_cast<double>(g);
    });
    args.dbias[c * args.dbias_stride] = static_cast<T>(sum);
  }
}

template <class T>
void activation_backward_bias_workspace(const NormArgs<T>& args) {
  *args.workspace_size = 0;
}

}  // namespace
}  // namespace fastconv

FASTCONV_EXPORT(activation_backward_bias, NormArgs)
FASTCONV_EXPORT(activation_backward_bias_workspace, NormArgs)
FASTCONV_EXPORT(activation, ElementwiseArgs)
FASTCONV_EXPORT(activation_backward, ElementwiseArgs)
