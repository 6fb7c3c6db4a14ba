// Convolution of bfloat16 and its gradients, summed in float32 and rounded once.
//
//   forward, backward_input, backward_weight as in conv.kernel.cpp and
//   conv_backward_weight.kernel.cpp, all operands bfloat16 (core/bfloat16.h)
//
// They are computed by
//   pair_outputs.h, pair_weight.h   products of pairs, with precision "highest" wherever both
//                                   operands have pairs to multiply
//   widened.h                       the float32 kernels, where they need so much fewer products
//                                   that copies of the data and half the rate do not matter; and
//                                   for all else
// As in float32, `choose` alone decides, from the problem, its layout and the instruction set.
// Whether the processor has the instruction for pairs takes no part: with and without it a problem
// has the same algorithm and the same bits.
#include "dispatch/kernel_export.h"
#include "kernels/pair_outputs.h"
#include "kernels/pair_weight.h"
#include "kernels/widened.h"

namespace fastconv {
namespace {

// The cost of direct summation over pairs, relative to that in float32. By the count of products
// it were a half; what the float32 kernels are told first, and their copies, cost some as well.
constexpr double kPairCost = 0.55;

// With fewer outputs most lanes of the products would be idle, with one channel half of each.
constexpr int64_t kLeastOutputs = 8;

inline bool has_pairs(const ConvParams& p, Computation computation) {
  const int64_t in = p.in_channels / p.groups, out = p.out_channels / p.groups;
  if (computation == Computation::kBackwardInput) return in >= kLeastOutputs && out >= 2;
  return out >= kLeastOutputs && in >= 2;
}

// What computes the problem: by the model, or the algorithm asked for if it applies, else 0.
// kPairs is multiplied here, any other by the float32 kernels.
inline int32_t choose(const ConvArgs<BFloat16>& args, Computation computation) {
  // Two multiply-adds in float32 cost more than one that has no pairs to take apart.
  constexpr bool kPairsAreFast = FASTCONV_VEC_BYTES == 64;
  const bool pairs = has_pairs(*args.params, computation);
  if (args.algorithm == kPairs) return pairs ? kPairs : 0;
  if (args.algorithm == kByModel && pairs && args.exec.highest_precision) return kPairs;
  const ConvPlan wide = WidenedPlan(args, computation, args.algorithm).inner;
  if (args.algorithm != kByModel || !pairs || !kPairsAreFast) return wide.algorithm;
  return wide.algorithm >= kFirstCover && wide.relative_cost < kPairCost ? wide.algorithm : kPairs;
}

inline void run(const ConvArgs<BFloat16>& args, Computation computation) {
  if (args.params->n == 0 && computation != Computation::kBackwardWeight) return;
  const int32_t algorithm = choose(args, computation);
  if (algorithm != kPairs) return run_widened(args, computation, algorithm);
  if (computation == Computation::kBackwardWeight) return run_pair_weight(args);
  run_pairs(args, computation == Computation::kBackwardInput);
}

inline void make_plan(const ConvArgs<BFloat16>& args, Computation computation) {
  ConvPlan* plan = args.plan;
  plan->algorithm = choose(args, computation);
  if (plan->algorithm == 0) return;
  const bool backward = computation == Computation::kBackwardInput;
  if (plan->algorithm != kPairs) {
    const ConvPlan before = *plan;
    const WidenedPlan widened(args, computation, plan->algorithm);
    *plan = widened.inner;
    plan->full = before.full;
    plan->asked = before.asked;
    plan->widened = true;
    plan->workspace = args.params->n == 0 && computation != Computation::kBackwardWeight
                          ? 0
                          : widened.total_bytes;
    return;
  }
  plan->multiplications = plan->direct_multiplications =
      direct_multiplications(*args.params, backward);
  plan->relative_cost = 1;
  if (computation == Computation::kBackwardWeight) {
    plan->workspace = PairWeightPlan(args).total_bytes;
  } else if (args.params->n > 0) {
    const PairOutputsPlan outputs(args, backward);
    plan->workspace = outputs.total_bytes;
    plan->packed = static_cast<size_t>(outputs.filters_size());
    plan->packed_form = outputs.filter_form() & ~kTapsForm;
  }
}

inline void pack(const ConvArgs<BFloat16>& args, Computation computation) {
  const int32_t algorithm = choose(args, computation);
  if (algorithm == kPairs)
    pack_pairs_beforehand(args, computation == Computation::kBackwardInput);
  else
    pack_widened(args, computation, algorithm);
}

inline void conv_forward(const ConvArgs<BFloat16>& args) { run(args, Computation::kForward); }
inline void conv_forward_plan(const ConvArgs<BFloat16>& args) {
  make_plan(args, Computation::kForward);
}
inline void conv_forward_pack_weight(const ConvArgs<BFloat16>& args) {
  pack(args, Computation::kForward);
}
inline void conv_backward_input(const ConvArgs<BFloat16>& args) {
  run(args, Computation::kBackwardInput);
}
inline void conv_backward_input_plan(const ConvArgs<BFloat16>& args) {
  make_plan(args, Computation::kBackwardInput);
}
inline void conv_backward_input_pack_weight(const ConvArgs<BFloat16>& args) {
  pack(args, Computation::kBackwardInput);
}
inline void conv_backward_weight(const ConvArgs<BFloat16>& args) {
  run(args, Computation::kBackwardWeight);
}
inline void conv_backward_weight_plan(const ConvArgs<BFloat16>& args) {
  make_plan(args, Computation::kBackwardWeight);
}

}  // namespace
}  // namespace fastconv

FASTCONV_EXPORT_BF16(conv_forward, ConvArgs)
FASTCONV_EXPORT_BF16(conv_forward_plan, ConvArgs)
FASTCONV_EXPORT_BF16(conv_forward_pack_weight, ConvArgs)
FASTCONV_EXPORT_BF16(conv_backward_input, ConvArgs)
FASTCONV_EXPORT_BF16(conv_backward_input_plan, ConvArgs)
FASTCONV_EXPORT_BF16(conv_backward_input_pack_weight, ConvArgs)
FASTCONV_EXPORT_BF16(conv_backward_weight, ConvArgs)
FASTCONV_EXPORT_BF16(conv_backward_weight_plan, ConvArgs)
