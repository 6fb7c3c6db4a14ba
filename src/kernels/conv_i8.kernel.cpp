// Quantized convolution, forward, of uint8 and int8 operands for every shape, stride and layout.
//
//   y[n, m, o] = saturate(round(factor[m] * (bias[m] + sum over c of the group, k of
//                (x[n, c, o * stride - pad + k * dilation] - x_zero) * (w[m, c, k] - w_zero[m])))
//                + y_zero),   factor[m] = x_scale * w_scale[m] / y_scale
//   x (N, IC, spatial)   weight (OC, IC / groups, kernel)   y (N, OC, out)
//
// Sums are 32-bit integers modulo 2^32; factor and its product with the sum are rounded to float32,
// and then to integers, ties to even. Every way of computing this has the same bits.
//   i8_depthwise.h  one filter a channel: vectors along the channels
//   i8_rows.h       all else: vectors along the outputs
#include "dispatch/kernel_export.h"
#include "kernels/i8_depthwise.h"
#include "kernels/i8_rows.h"

namespace fastconv {
namespace {

// Calls body(product), the best there is.
template <class Body>
void with_product(const QuantizedConvArgs& args, const Body& body) {
#if defined(__AVX512F__)
  if (args.vnni) return body(Vnni{});
#else
  (void)args;
#endif
  body(Widened{});
}

void conv_quantized(const QuantizedConvArgs& args) {
  if (args.params->n == 0) return;
  with_product(args, [&](auto product) {
    if (is_depthwise(*args.params))
      run_byte_depthwise<decltype(product)>(args);
    else
      run_byte_rows<decltype(product)>(args);
  });
}

void conv_quantized_workspace(const QuantizedConvArgs& args) {
  with_product(args, [&](auto product) {
    typedef decltype(product) Product;
    *args.workspace_size = is_depthwise(*args.params)
                               ? QuantizedDepthwisePlan<Product>(args).total_bytes
                               : QuantizedPlan<Product>(args).total_bytes;
  });
}

}  // namespace
}  // namespace fastconv

FASTCONV_EXPORT_I8(conv_quantized, QuantizedConvArgs)
FASTCONV_EXPORT_I8(conv_quantized_workspace, QuantizedConvArgs)
