// Convolution of quantized tensors.
#include <cinttypes>
#include <initializer_list>

#include "api/call.h"
#include "dispatch/cpu_features.h"

namespace fastconv {
namespace {

// Four times as many multiply-adds a second as in float32.
constexpr double kByteMacsPerThread = 4 * kMacsPerThread;

// How a tensor is quantized, and the names of its two parts.
struct Quantization {
  const fastconv_quantization* given;
  Argument tensor, scale, zero_point;
};

// One element or, where `channels` is more than 1, as many.
fastconv_status check_parameter(Argument argument, int64_t channels) {
  FASTCONV_TRY(check_tensor(argument, 0, 1));
  if (argument->ndim == 0 || argument->shape[0] == 1 || argument->shape[0] == channels)
    return FASTCONV_OK;
  if (channels > 1)
    return fail(FASTCONV_INVALID_ARGUMENT,
                "%s: expected one element, or %" PRId64 " (output channels), got %" PRId64,
                argument.name, channels, argument->shape[0]);
  return fail(FASTCONV_INVALID_ARGUMENT, "%s: expected one element, got %" PRId64, argument.name,
              argument->shape[0]);
}

int64_t parameter_stride(const fastconv_tensor& tensor) {
  return tensor.ndim == 1 && tensor.shape[0] > 1 ? tensor.strides[0] : 0;
}

fastconv_status check_quantization(const Quantization& q, int64_t channels) {
  if (q.given == nullptr || q.given->struct_size < sizeof(fastconv_quantization))
    return fail(FASTCONV_INVALID_ARGUMENT,
                "%s: expected a fastconv_quantization with its struct_size set", q.scale.name);
  FASTCONV_TRY(check_parameter(q.scale, channels));
  FASTCONV_TRY(check_float32(q.scale));
  const int64_t stride = parameter_stride(*q.scale.tensor);
  for (int64_t i = 0; i < (stride != 0 ? channels : 1); ++i) {
    const float scale = static_cast<const float*>(q.scale->data)[i * stride];
    if (!(scale > 0) || scale - scale != 0)
      return fail(FASTCONV_INVALID_ARGUMENT, "%s: expected positive, finite numbers, got %g",
                  q.scale.name, static_cast<double>(scale));
  }
  if (q.zero_point.tensor == nullptr) return FASTCONV_OK;
  FASTCONV_TRY(check_parameter(q.zero_point, channels));
  return check_same_dtype(q.zero_point, q.tensor);
}

float scale_of(const Quantization& q) { return *static_cast<const float*>(q.scale->data); }

int32_t zero_point_of(const Quantization& q) {
  if (q.zero_point.tensor == nullptr) return 0;
  return q.tensor->dtype == FASTCONV_INT8 ? *static_cast<const int8_t*>(q.zero_point->data)
                                          : *static_cast<const uint8_t*>(q.zero_point->data);
}

Quantization named(const fastconv_quantization* given, Argument tensor, const char* scale,
                   const char* zero_point) {
  return {given,
          tensor,
          {given != nullptr ? given->scale : nullptr, scale},
          {given != nullptr ? given->zero_point : nullptr, zero_point}};
}

}  // namespace
}  // namespace fastconv

using namespace fastconv;

fastconv_status fastconv_conv_quantized_output_shape(int64_t output_shape[FASTCONV_MAX_NDIM],
                                                     const fastconv_tensor* input,
                                                     const fastconv_tensor* weight,
                                                     const fastconv_conv_params* params) {
  ConvParams p;
  FASTCONV_TRY(
      make_quantized_conv({input, "input"}, {weight, "weight"}, {nullptr, ""}, params, &p));
  output_shape[0] = p.n;
  output_shape[1] = p.out_channels;
  for (int i = 0; i < params->spatial_ndim; ++i)
    output_shape[i + 2] = p.out[i + kSpatial - params->spatial_ndim];
  return FASTCONV_OK;
}

fastconv_status fastconv_conv_quantized_forward(
    const fastconv_tensor* output, const fastconv_tensor* input, const fastconv_tensor* weight,
    const fastconv_tensor* bias, const fastconv_quantization* output_quantization,
    const fastconv_quantization* input_quantization,
    const fastconv_quantization* weight_quantization, const fastconv_conv_params* params,
    const fastconv_exec* exec) {
  const Argument x = {input, "input"}, w = {weight, "weight"}, y = {output, "out"};
  const Argument b = {bias, "bias"};
  ConvParams p;
  FASTCONV_TRY(check_tensor(y, 0, FASTCONV_MAX_NDIM));
  FASTCONV_TRY(make_quantized_conv(x, w, y, params, &p));
  const Quantization yq = named(output_quantization, y, "output_scale", "output_zero_point");
  const Quantization xq = named(input_quantization, x, "input_scale", "input_zero_point");
  const Quantization wq = named(weight_quantization, w, "weight_scale", "weight_zero_point");
  FASTCONV_TRY(check_quantization(xq, 1));
  FASTCONV_TRY(check_quantization(wq, p.out_channels));
  FASTCONV_TRY(check_quantization(yq, 1));
  FASTCONV_TRY(check_output(y));
  for (const Argument& other :
       {x, w, xq.scale, xq.zero_point, wq.scale, wq.zero_point, yq.scale, yq.zero_point})
    if (other.tensor != nullptr) FASTCONV_TRY(check_disjoint(y, other));
  if (bias != nullptr) {
    FASTCONV_TRY(check_tensor(b, 1, 1));
    FASTCONV_TRY(check_int32(b));
    FASTCONV_TRY(check_shape(b, &p.out_channels, 1, "(output channels)"));
    FASTCONV_TRY(check_disjoint(y, b));
    p.bias_stride = p.out_channels > 1 ? bias->strides[0] : 0;
  }
  int threads;
  FASTCONV_TRY(choose_threads(exec, macs(p), kByteMacsPerThread, &threads));
  const InstructionSet* isa = active_isa();
  if (isa == nullptr) return FASTCONV_UNAVAILABLE;
  const auto bytes = [](Argument argument) {
    return argument.tensor != nullptr ? static_cast<uint8_t*>(argument->data) : nullptr;
  };
  QuantizedConvArgs args = {};
  args.params = &p;
  args.x = bytes(x);
  args.weight = bytes(w);
  args.y = bytes(y);
  args.x_signed = input->dtype == FASTCONV_INT8;
  args.w_signed = weight->dtype == FASTCONV_INT8;
  args.y_signed = output->dtype == FASTCONV_INT8;
  args.x_zero = zero_point_of(xq);
  args.y_zero = zero_point_of(yq);
  args.x_scale = scale_of(xq);
  args.y_scale = scale_of(yq);
  args.w_scale = static_cast<const float*>(wq.scale->data);
  args.w_scale_stride = parameter_stride(*wq.scale.tensor);
  args.w_zero = bytes(wq.zero_point);
  args.w_zero_stride = args.w_zero != nullptr ? parameter_stride(*wq.zero_point.tensor) : 0;
  args.bias = bias != nullptr ? static_cast<const int32_t*>(bias->data) : nullptr;
  args.vnni = cpu_has(Extension::avx512_vnni);
  args.exec = {threads, nullptr};
  return run_with_scratch(isa->i8.conv_quantized_workspace, isa->i8.conv_quantized, args);
}
