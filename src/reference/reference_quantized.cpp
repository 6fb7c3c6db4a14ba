// Quantized convolution by its definition: see reference.h. Sums are exact, then modulo 2^32.
#include "reference/reference.h"

namespace fastconv {
namespace {

int64_t value(const uint8_t* data, int64_t offset, bool is_signed) {
  return is_signed ? static_cast<int8_t>(data[offset]) : data[offset];
}

// y[n, oc, o] = saturate(round(x_scale * w_scale[oc] / y_scale * (bias[oc] + sum over ic, k of
//               (x[n, ic, o * stride - pad + k * dilation] - x_zero) *
//               (weight[oc, ic, k] - w_zero[oc]))) + y_zero)
void conv_quantized(const QuantizedConvArgs& args) {
  const ConvParams& p = *args.params;
  const int64_t IC = p.in_channels / p.groups, OC = p.out_channels / p.groups;
  const int64_t extent[5] = {p.n, p.out_channels, p.out[0], p.out[1], p.out[2]};
  for_each(extent, [&](int64_t n, int64_t oc, int64_t od, int64_t oh, int64_t ow) {
    const int64_t w_zero =
        args.w_zero != nullptr ? value(args.w_zero, oc * args.w_zero_stride, args.w_signed) : 0;
    int64_t sum = args.bias != nullptr ? args.bias[oc * p.bias_stride] : 0;
    const int64_t taps[5] = {1, IC, p.kernel[0], p.kernel[1], p.kernel[2]};
    for_each(taps, [&](int64_t, int64_t ic, int64_t kd, int64_t kh, int64_t kw) {
      const int64_t id = od * p.stride[0] - p.pad_before[0] + kd * p.dilation[0];
      const int64_t ih = oh * p.stride[1] - p.pad_before[1] + kh * p.dilation[1];
      const int64_t iw = ow * p.stride[2] - p.pad_before[2] + kw * p.dilation[2];
      if (!inside(id, p.in[0]) || !inside(ih, p.in[1]) || !inside(iw, p.in[2])) return;
      const int64_t x =
          value(args.x, at(p.x_stride, n, oc / OC * IC + ic, id, ih, iw), args.x_signed);
      const int64_t w = value(args.weight, at(p.w_stride, oc, ic, kd, kh, kw), args.w_signed);
      sum += (x - args.x_zero) * (w - w_zero);
    });
    const float factor = args.x_scale * args.w_scale[oc * args.w_scale_stride] / args.y_scale;
    const int low = args.y_signed ? -128 : 0, high = args.y_signed ? 127 : 255;
    const float scaled = static_cast<float>(static_cast<int32_t>(sum)) * factor;
    double y = __builtin_nearbyint(static_cast<double>(scaled)) + args.y_zero;
    y = y > low ? y : low;  // also of NaN
    y = y < high ? y : high;
    args.y[at(p.y_stride, n, oc, od, oh, ow)] = static_cast<uint8_t>(static_cast<int>(y));
  });
}

void conv_quantized_workspace(const QuantizedConvArgs& args) { *args.workspace_size = 0; }

}  // namespace
}  // namespace fastconv

FASTCONV_EXPORT_I8(conv_quantized, QuantizedConvArgs)
FASTCONV_EXPORT_I8(conv_quantized_workspace, QuantizedConvArgs)
