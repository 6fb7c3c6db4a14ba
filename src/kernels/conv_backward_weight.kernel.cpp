// The gradient of the filters, for every shape, stride and layout.
//
//   dweight[m, c, k] = sum over n, o of y[n, m, o] * x[n, c, o * stride - pad + k * dilation]
//   x (N, IC, spatial)   y (N, OC, out)   dweight (OC, IC / G, kernel)
//
// It is computed by
//   winograd_weight.h    in float32, unless precision is "highest", where a cover pays
//   depthwise_weight.h   one input channel a group, one output or, of planar data, a few
//   direct_weight.h      all else
#include "dispatch/kernel_export.h"
#include "kernels/depthwise_weight.h"
#include "kernels/direct_weight.h"
#include "kernels/winograd_form.h"
#include "kernels/winograd_weight.h"

namespace fastconv {
namespace {

// A transformed gradient is a multiple of the gradient's memory, and each of its vectors is
// multiplied with a lane of the data for every channel, or column run of one: fewer do not pay for
// the transform. Direct and Winograd, ms, two threads of Cascade Lake: 8 lanes (8 channels, 5x5,
// 56x56) 1.4, 1.9; 6 (3 channels, 7x7 stride 2, 224x224) 8.9, 12.6; 12 (12 channels, 5x5) 2.8, 2.1;
// 12 (3 channels, 11x11 stride 4) 8.0, 5.0.
constexpr int64_t kFewestLanes = 12;

// What computes the problem: by the model, or the algorithm asked for if it applies, else 0.
template <class T>
int32_t choose(const ConvArgs<T>& args, WinogradCover* cover) {
  const int32_t wanted = args.algorithm;
  const ConvParams& p = *args.params;
  if (wanted == kDirect) return kDirect;
  if (is_depthwise(p) && (wanted == kByModel || wanted == kDepthwise)) return kDepthwise;
  if (wanted != kByModel && wanted < kFirstCover) return 0;
  if constexpr (sizeof(T) == sizeof(float)) {
    if (!args.exec.highest_precision &&
        choose_cover<T>(canonical(p), false, cover, wanted - kFirstCover) &&
        (wanted >= kFirstCover || cover->lanes >= kFewestLanes))
      return kFirstCover + cover->number;
  }
  return wanted == kByModel ? kDirect : 0;
}

template <class T>
void conv_backward_weight(const ConvArgs<T>& args) {
  WinogradCover cover;
  const int32_t algorithm = choose(args, &cover);
  if (algorithm == kDepthwise) return run_depthwise_weight(args);
  if constexpr (sizeof(T) == sizeof(float)) {
    if (algorithm >= kFirstCover && args.params->n > 0 && run_winograd_weight(args, cover)) return;
  }
  run_direct_weight(args);
}

template <class T>
void conv_backward_weight_plan(const ConvArgs<T>& args) {
  ConvPlan* plan = args.plan;
  const ConvParams& p = *args.params;
  WinogradCover cover;
  plan->algorithm = choose(args, &cover);
  if (plan->algorithm == 0) return;
  if (plan->full) {
    plan->multiplications = plan->direct_multiplications = direct_multiplications(p, false);
    plan->relative_cost = 1;
  }
  if (plan->algorithm == kDepthwise) {
    plan->workspace = depthwise_weight_bytes(args);
    return;
  }
  // Also for Winograd, which leaves what is not finite to direct summation.
  plan->workspace = DirectWeightPlan<T>(args).total_bytes;
  if constexpr (sizeof(T) == sizeof(float)) {
    if (plan->algorithm < kFirstCover || p.n == 0) return;
    const WinogradWeightPlan<T> winograd(args, canonical(p), cover);
    plan->workspace = max(plan->workspace, winograd.total_bytes);
    if (plan->full) describe_winograd(winograd, cover, plan);
  }
}

}  // namespace
}  // namespace fastconv

FASTCONV_EXPORT(conv_backward_weight, ConvArgs)
FASTCONV_EXPORT(conv_backward_weight_plan, ConvArgs)
