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

// Whether by Winograd, and then how.
template <class T>
bool choose_winograd(const ConvArgs<T>& args, WinogradCover* cover) {
  if constexpr (sizeof(T) != sizeof(float)) return false;
  return !args.exec.highest_precision && args.params->n > 0 &&
         choose_cover<T>(canonical(*args.params), false, cover);
}

template <class T>
void conv_backward_weight(const ConvArgs<T>& args) {
  WinogradCover cover;
  if (is_depthwise(*args.params)) {
    run_depthwise_weight(args);
    return;
  }
  if constexpr (sizeof(T) == sizeof(float))
    if (choose_winograd(args, &cover) && run_winograd_weight(args, cover)) return;
  run_direct_weight(args);
}

template <class T>
void conv_backward_weight_workspace(const ConvArgs<T>& args) {
  size_t size = is_depthwise(*args.params) ? DepthwisePlan<T>(args).total_bytes
                                           : DirectWeightPlan<T>(args).total_bytes;
  if constexpr (sizeof(T) == sizeof(float)) {
    WinogradCover cover;
    if (!is_depthwise(*args.params) && choose_winograd(args, &cover)) {
      const size_t winograd =
          WinogradWeightPlan<T>(args, canonical(*args.params), cover).total_bytes;
      size = winograd > size ? winograd : size;
    }
  }
  *args.workspace_size = size;
}

}  // namespace
}  // namespace fastconv

FASTCONV_EXPORT(conv_backward_weight, ConvArgs)
FASTCONV_EXPORT(conv_backward_weight_workspace, ConvArgs)
