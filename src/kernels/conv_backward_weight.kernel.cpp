// The gradient of the filters, for every shape, stride and layout.
//
//   dweight[m, c, k] = sum over n, o of y[n, m, o] * x[n, c, o * stride - pad + k * dilation]
//   x (N, IC, spatial)   y (N, OC, out)   dweight (OC, IC / G, kernel)
//
// It is computed by
//   winograd_weight.h    3x3 filters with stride 1 in float32, unless precision is "highest"
//   depthwise_weight.h   one input and one output channel a group
//   direct_weight.h      all else
#include "dispatch/kernel_export.h"
#include "kernels/depthwise_weight.h"
#include "kernels/direct_weight.h"
#include "kernels/winograd_weight.h"

namespace fastconv {
namespace {

template <class T>
void run_winograd_or_direct(const ConvArgs<T>& args) {
  const ConvParams& p = *args.params;
  const int64_t outputs = p.out_channels / p.groups, channels = p.in_channels / p.groups;
  const auto store = [&](const T* sums, int64_t panel, int64_t g) {
    const int64_t first = panel * kPanel<T>;
    const int64_t width = panel_width(outputs, first, kLanes<T>);
    store_weight(p, sums, width, min(width, outputs - first), channels,
                 args.weight + (g * outputs + first) * p.w_stride[0]);
  };
  if (!run_winograd_weight(args, store)) run_direct_weight(args);
}

template <class T>
void conv_backward_weight(const ConvArgs<T>& args) {
  if (is_depthwise(*args.params))
    run_depthwise_weight(args);
  else if (args.params->n > 0 && winograd_applies(args, false))
    run_winograd_or_direct(args);
  else
    run_direct_weight(args);
}

template <class T>
void conv_backward_weight_workspace(const ConvArgs<T>& args) {
  size_t size = is_depthwise(*args.params) ? DepthwisePlan<T>(args).total_bytes
                                           : DirectWeightPlan<T>(args).total_bytes;
  if (args.params->n > 0 && winograd_applies(args, false)) {
    const size_t winograd = WinogradWeightPlan<T>(args).total_bytes;
    size = winograd > size ? winograd : size;
  }
  *args.workspace_size = size;
}

}  // namespace
}  // namespace fastconv

FASTCONV_EXPORT(conv_backward_weight, ConvArgs)
FASTCONV_EXPORT(conv_backward_weight_workspace, ConvArgs)
