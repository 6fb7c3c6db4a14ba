// Convolution, forward and backward_input, for every shape, stride and layout.
//
//   out[n, m, q] = activation(sum over taps t, c of in[n, c, q * step + offset(t)] *
//                             weight[m, c, t] + bias[m] + residual[n, m, q])
//   in (N, G * C, spatial)   weight, per group (M, C, taps)   out (N, G * M, spatial)
//
// conv_taps.h says how both directions are this sum. It is computed by
//   conv_winograd.h     in float32, unless precision is "highest", where a cover pays
//   direct_channels.h   depthwise on channels-last data: vectors along the channels
//   depthwise_transposed.h  depthwise on planar data with short rows: the same on a transposed copy
//   depthwise_planar.h  one input channel a group, on other data: vectors along the columns
//   direct_positions.h  groups of few outputs, and short sums on planar data: vectors along the
//                       positions, or along the outputs of many groups of channels-last data
//                       (direct_groups.h)
//   direct_outputs.h    all else: vectors along the outputs
// Which is decided by `choose`, for the plan, the workspace and the run alike, from the problem,
// its element type and its layout, never from the batch or the threads. A plan's answer is
// handed to the kernel that runs (ConvArgs::algorithm), so that it need not search again.
#include "dispatch/kernel_export.h"
#include "kernels/conv_winograd.h"
#include "kernels/depthwise_planar.h"
#include "kernels/depthwise_transposed.h"
#include "kernels/direct_channels.h"
#include "kernels/direct_outputs.h"
#include "kernels/direct_positions.h"
#include "kernels/winograd_form.h"

namespace fastconv {
namespace {

// Whether more lanes are busy along a row of positions than along the outputs. The row is
// the image's own: in the canonical problem the batch may have been folded into it.
template <class T>
bool along_positions(const ConvParams& p, bool backward) {
  constexpr int64_t kMostOutputs = 8;  // each reads the patch again, four at a time
  const int64_t outputs = (backward ? p.in_channels : p.out_channels) / p.groups;
  const int axis = p.in[2] == 1 && p.out[2] == 1 ? 1 : 2;
  const int64_t row = backward ? ceil_div(p.in[axis], p.stride[axis]) : p.out[axis];
  const int64_t lanes = kLanes<T>;
  // Short sums on planar data, of a first layer or a narrow 1x1 one: transposing the results would
  // take as long as making them (two threads of Cascade Lake: 3 to 64 channels, 3x3, at 224x224
  // 5.9 -> 3.8 ms; 1 to 32, 5x5, at 28x28 1.05 -> 0.57; 64 products as many as 1.8 times as fast,
  // 144 about the same). Unless too many lanes are idle.
  constexpr int64_t kShortSum = 64;
  const int64_t channels = (backward ? p.out_channels : p.in_channels) / p.groups;
  const int64_t sum = channels * p.kernel[0] * p.kernel[1] * p.kernel[2];
  const int64_t* out_stride = backward ? p.x_stride : p.y_stride;
  if (sum <= kShortSum && 4 * row >= 3 * round_up(row, lanes) && out_stride[axis + 2] == 1 &&
      out_stride[1] != 1)
    return true;
  return outputs <= min(kMostOutputs, lanes) &&
         row * round_up(outputs, lanes) > outputs * round_up(row, lanes);
}

template <class T>
bool along_channels(const ConvArgs<T>& args, bool backward) {
  return along_channels(backward ? backward_operands(args, *args.params)
                                 : forward_operands(args, *args.params));
}

// What computes the problem: by the model, or the algorithm asked for if it applies, else 0.
template <class T>
int32_t choose(const ConvArgs<T>& args, bool backward, WinogradCover* cover) {
  constexpr int64_t kMostAlongPositions = 64;  // outputs: each reads the patch again
  const int32_t wanted = args.algorithm;
  const ConvParams& p = *args.params;
  switch (wanted) {
    case kByModel:
      break;
    case kDirect:
      return kDirect;
    case kPositions:
      return (backward ? p.in_channels : p.out_channels) / p.groups <= kMostAlongPositions ||
                     along_positions<T>(p, backward)
                 ? kPositions
                 : 0;
    case kDepthwise:
      return along_channels(args, backward) ? kDepthwise : 0;
    case kColumns:
      return along_columns(args) ? kColumns : 0;
    default:
      if (wanted < kFirstCover) return 0;
  }
  if constexpr (sizeof(T) == sizeof(float)) {
    if (!args.exec.highest_precision &&
        choose_cover<T>(canonical(p), backward, cover, wanted - kFirstCover))
      return kFirstCover + cover->number;
  }
  if (wanted != kByModel) return 0;
  if (along_channels(args, backward)) return kDepthwise;
  // A multiplier on channels-last data: direct_groups.h.
  if (along_columns(args)) return across_groups(args, backward) ? kPositions : kColumns;
  return along_positions<T>(p, backward) ? kPositions : kDirect;
}

// Short rows are transposed first; both have their lanes along planar data.
template <class T>
void run_columns(const ConvArgs<T>& args, bool backward) {
  const TransposedPlan<T> transposed(args, backward);
  if (transposed.applies)
    run_transposed(transposed, args);
  else
    run_planar(args, backward);
}

template <class T>
void run(const ConvArgs<T>& args, bool backward) {
  if (args.params->n == 0) return;
  WinogradCover cover;
  switch (choose(args, backward, &cover)) {
    case kDirect:
      run_outputs(args, backward);
      break;
    case kPositions:
      run_positions(args, backward);
      break;
    case kDepthwise:
      run_channels(args, backward);
      break;
    case kColumns:
      run_columns(args, backward);
      break;
    default:
      if constexpr (sizeof(T) == sizeof(float)) run_winograd(args, backward, cover);
  }
}

template <class T>
void make_plan(const ConvArgs<T>& args, bool backward) {
  ConvPlan* plan = args.plan;
  WinogradCover cover;
  plan->algorithm = choose(args, backward, &cover);
  if (plan->algorithm == 0) return;
  if (plan->full) {
    plan->multiplications = plan->direct_multiplications =
        direct_multiplications(*args.params, backward);
    plan->relative_cost = 1;
  } else if (args.params->n == 0) {
    return;  // nothing will run
  }
  if (plan->algorithm >= kFirstCover) {
    if constexpr (sizeof(T) == sizeof(float)) {
      const ConvWinogradPlan<T> winograd(args, canonical(*args.params), backward, cover);
      plan->workspace = winograd.total_bytes;
      if (!plan->full) return;
      describe_winograd(winograd, cover, plan);
      const size_t transformed = static_cast<size_t>(winograd.filters_size()) * sizeof(T);
      const size_t taps = static_cast<size_t>(winograd.packed_taps()) * sizeof(T);
      plan->packed = winograd.prefers_taps ? taps : transformed;
      plan->other_packed = winograd.prefers_taps ? transformed : taps;
      plan->packed_form = (filter_form(winograd) & ~kTapsForm) | winograd.prefers_taps;
    }
  } else if (plan->algorithm == kDirect) {
    const OutputsPlan<T> outputs(args, backward);
    plan->workspace = outputs.total_bytes;
    if (!plan->full) return;
    plan->packed = static_cast<size_t>(outputs.filters_size()) * sizeof(T);
    plan->packed_form = outputs.filter_form() & ~kTapsForm;
  } else if (plan->algorithm == kPositions) {
    plan->workspace = PositionsPlan<T>(args, backward).total_bytes;
  } else if (plan->algorithm == kColumns) {
    const TransposedPlan<T> transposed(args, backward);
    plan->workspace =
        transposed.applies ? transposed.total_bytes : PlanarPlan<T>(args, backward).total_bytes;
  } else {
    plan->workspace = ChannelsPlan<T>(args, backward).total_bytes;
  }
}

// Only for problems whose plan has a packed form.
template <class T>
void pack(const ConvArgs<T>& args, bool backward) {
  WinogradCover cover;
  if (choose(args, backward, &cover) == kDirect)
    pack_outputs(args, backward);
  else if constexpr (sizeof(T) == sizeof(float))
    pack_winograd(args, backward, cover);
}

template <class T>
void conv_forward(const ConvArgs<T>& args) {
  run(args, false);
}
template <class T>
void conv_forward_plan(const ConvArgs<T>& args) {
  make_plan(args, false);
}
template <class T>
void conv_forward_pack_weight(const ConvArgs<T>& args) {
  pack(args, false);
}
template <class T>
void conv_backward_input(const ConvArgs<T>& args) {
  run(args, true);
}
template <class T>
void conv_backward_input_plan(const ConvArgs<T>& args) {
  make_plan(args, true);
}
template <class T>
void conv_backward_input_pack_weight(const ConvArgs<T>& args) {
  pack(args, true);
}

}  // namespace
}  // namespace fastconv

FASTCONV_EXPORT(conv_forward, ConvArgs)
FASTCONV_EXPORT(conv_forward_plan, ConvArgs)
FASTCONV_EXPORT(conv_forward_pack_weight, ConvArgs)
FASTCONV_EXPORT(conv_backward_input, ConvArgs)
FASTCONV_EXPORT(conv_backward_input_plan, ConvArgs)
FASTCONV_EXPORT(conv_backward_input_pack_weight, ConvArgs)
