// Convolution by its definition: see reference.h.
#include "reference/reference.h"
#include "reference/reference_activation.h"

namespace fastconv {
namespace {

// activation(sum + bias + residual), rounded to T once.
template <class T>
T epilogue(const ConvArgs<T>& args, double sum, int64_t channel, int64_t residual_offset) {
  const ConvParams& p = *args.params;
  if (args.bias) sum += value(args.bias[channel * p.bias_stride]);
  if (args.residual) sum += value(args.residual[residual_offset]);
  return rounded<T>(activate(sum, p.activation));
}

// y[n, oc, o] = activation(bias[oc] + residual[n, oc, o] + sum over ic of oc's group, k of
//               x[n, ic, o * stride - pad + k * dilation] * weight[oc, ic, k])
template <class T>
void conv_forward(const ConvArgs<T>& args) {
  const ConvParams& p = *args.params;
  const int64_t IC = p.in_channels / p.groups, OC = p.out_channels / p.groups;
  for (int64_t n = 0; n < p.n; ++n)
    for (int64_t oc = 0; oc < p.out_channels; ++oc)
      for (int64_t od = 0; od < p.out[0]; ++od)
        for (int64_t oh = 0; oh < p.out[1]; ++oh)
          for (int64_t ow = 0; ow < p.out[2]; ++ow) {
            double sum = 0;
            for (int64_t ic = 0; ic < IC; ++ic)
              for (int64_t kd = 0; kd < p.kernel[0]; ++kd)
                for (int64_t kh = 0; kh < p.kernel[1]; ++kh)
                  for (int64_t kw = 0; kw < p.kernel[2]; ++kw) {
                    const int64_t id = od * p.stride[0] - p.pad_before[0] + kd * p.dilation[0];
                    const int64_t ih = oh * p.stride[1] - p.pad_before[1] + kh * p.dilation[1];
                    const int64_t iw = ow * p.stride[2] - p.pad_before[2] + kw * p.dilation[2];
                    if (!inside(id, p.in[0]) || !inside(ih, p.in[1]) || !inside(iw, p.in[2]))
                      continue;
                    const int64_t group = oc / OC;
                    const T x = args.x[at(p.x_stride, n, group * IC + ic, id, ih, iw)];
                    const T weight = args.weight[at(p.w_stride, oc, ic, kd, kh, kw)];
                    sum += value(x) * value(weight);
                  }
            args.y[at(p.y_stride, n, oc, od, oh, ow)] =
                epilogue(args, sum, oc, at(p.residual_stride, n, oc, od, oh, ow));
          }
}

// The output position whose tap k reads input position i, or -1 if there is none:
// o * stride - pad + k * dilation = i.
inline int64_t output_of(const ConvParams& p, int dimension, int64_t i, int64_t k) {
  const int64_t strided = i + p.pad_before[dimension] - k * p.dilation[dimension];
  if (strided < 0 || strided % p.stride[dimension] != 0) return -1;
  const int64_t o = strided / p.stride[dimension];
  return o < p.out[dimension] ? o : -1;
}

// x[n, ic, i] = activation(bias[ic] + residual[n, ic, i] + sum over oc of ic's group, k and
//               the o with o * stride - pad + k * dilation = i of
//               y[n, oc, o] * weight[oc, ic, k])
template <class T>
void conv_backward_input(const ConvArgs<T>& args) {
  const ConvParams& p = *args.params;
  const int64_t IC = p.in_channels / p.groups, OC = p.out_channels / p.groups;
  for (int64_t n = 0; n < p.n; ++n)
    for (int64_t ic = 0; ic < p.in_channels; ++ic)
      for (int64_t id = 0; id < p.in[0]; ++id)
        for (int64_t ih = 0; ih < p.in[1]; ++ih)
          for (int64_t iw = 0; iw < p.in[2]; ++iw) {
            double sum = 0;
            for (int64_t oc = ic / IC * OC; oc < (ic / IC + 1) * OC; ++oc)
              for (int64_t kd = 0; kd < p.kernel[0]; ++kd)
                for (int64_t kh = 0; kh < p.kernel[1]; ++kh)
                  for (int64_t kw = 0; kw < p.kernel[2]; ++kw) {
                    const int64_t od = output_of(p, 0, id, kd);
                    const int64_t oh = output_of(p, 1, ih, kh);
                    const int64_t ow = output_of(p, 2, iw, kw);
                    if (od < 0 || oh < 0 || ow < 0) continue;
                    const T y = args.y[at(p.y_stride, n, oc, od, oh, ow)];
                    const T weight = args.weight[at(p.w_stride, oc, ic % IC, kd, kh, kw)];
                    sum += value(y) * value(weight);
                  }
            args.x[at(p.x_stride, n, ic, id, ih, iw)] =
                epilogue(args, sum, ic, at(p.residual_stride, n, ic, id, ih, iw));
          }
}

// weight[oc, ic, k] = sum over n, o of y[n, oc, o] * x[n, ic, o * stride - pad + k * dilation]
template <class T>
void conv_backward_weight(const ConvArgs<T>& args) {
  const ConvParams& p = *args.params;
  const int64_t IC = p.in_channels / p.groups, OC = p.out_channels / p.groups;
  for (int64_t oc = 0; oc < p.out_channels; ++oc)
    for (int64_t ic = 0; ic < IC; ++ic)
      for (int64_t kd = 0; kd < p.kernel[0]; ++kd)
        for (int64_t kh = 0; kh < p.kernel[1]; ++kh)
          for (int64_t kw = 0; kw < p.kernel[2]; ++kw) {
            double sum = 0;
            for (int64_t n = 0; n < p.n; ++n)
              for (int64_t od = 0; od < p.out[0]; ++od)
                for (int64_t oh = 0; oh < p.out[1]; ++oh)
                  for (int64_t ow = 0; ow < p.out[2]; ++ow) {
                    const int64_t id = od * p.stride[0] - p.pad_before[0] + kd * p.dilation[0];
                    const int64_t ih = oh * p.stride[1] - p.pad_before[1] + kh * p.dilation[1];
                    const int64_t iw = ow * p.stride[2] - p.pad_before[2] + kw * p.dilation[2];
                    if (!inside(id, p.in[0]) || !inside(ih, p.in[1]) || !inside(iw, p.in[2]))
                      continue;
                    const int64_t group = oc / OC;
                    const T x = args.x[at(p.x_stride, n, group * IC + ic, id, ih, iw)];
                    const T y = args.y[at(p.y_stride, n, oc, od, oh, ow)];
                    sum += value(x) * value(y);
                  }
            args.weight[at(p.w_stride, oc, ic, kd, kh, kw)] = rounded<T>(sum);
          }
}

// The loops need no scratch, pack nothing and are all there is.
template <class T>
void naive_plan(const ConvArgs<T>& args) {
  if (args.algorithm != kByModel && args.algorithm != kNaive) return;
  const ConvParams& p = *args.params;
  int64_t multiplications = p.in_channels / p.groups * p.out_channels;
  for (int i = 0; i < kSpatial; ++i) multiplications *= p.out[i] * p.kernel[i];
  args.plan->algorithm = kNaive;
  args.plan->relative_cost = 1;
  args.plan->multiplications = args.plan->direct_multiplications = multiplications;
}

template <class T>
void conv_forward_plan(const ConvArgs<T>& args) {
  naive_plan(args);
}
template <class T>
void conv_backward_input_plan(const ConvArgs<T>& args) {
  naive_plan(args);
}
template <class T>
void conv_backward_weight_plan(const ConvArgs<T>& args) {
  naive_plan(args);
}
template <class T>
void conv_forward_pack_weight(const ConvArgs<T>&) {}
template <class T>
void conv_backward_input_pack_weight(const ConvArgs<T>&) {}

}  // namespace
}  // namespace fastconv

FASTCONV_EXPORT(conv_forward, ConvArgs)
FASTCONV_EXPORT(conv_forward_plan, ConvArgs)
FASTCONV_EXPORT(conv_forward_pack_weight, ConvArgs)
FASTCONV_EXPORT(conv_backward_input, ConvArgs)
FASTCONV_EXPORT(conv_backward_input_plan, ConvArgs)
FASTCONV_EXPORT(conv_backward_input_pack_weight, ConvArgs)
FASTCONV_EXPORT(conv_backward_weight, ConvArgs)
FASTCONV_EXPORT(conv_backward_weight_plan, ConvArgs)
FASTCONV_EXPORT_BF16(conv_forward, ConvArgs)
FASTCONV_EXPORT_BF16(conv_forward_plan, ConvArgs)
FASTCONV_EXPORT_BF16(conv_forward_pack_weight, ConvArgs)
FASTCONV_EXPORT_BF16(conv_backward_input, ConvArgs)
FASTCONV_EXPORT_BF16(conv_backward_input_plan, ConvArgs)
FASTCONV_EXPORT_BF16(conv_backward_input_pack_weight, ConvArgs)
FASTCONV_EXPORT_BF16(conv_backward_weight, ConvArgs)
FASTCONV_EXPORT_BF16(conv_backward_weight_plan, ConvArgs)
