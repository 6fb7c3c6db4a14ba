// Convolution, forward and backward_input, for every shape, stride and layout.
//
//   out[n, m, q] = activation(sum over taps t, c of in[n, c, q * step + offset(t)] *
//                             weight[m, c, t] + bias[m] + residual[n, m, q])
//   in (N, G * C, spatial)   weight, per group (M, C, taps)   out (N, G * M, spatial)
//
// conv_taps.h says how both directions are this sum. It is computed by
//   conv_winograd.h     3x3 filters with stride 1 in float32, unless precision is "highest"
//   direct_channels.h   depthwise on channels-last data: vectors along the channels
//   depthwise_transposed.h  depthwise on planar data with short rows: the same on a transposed copy
//   depthwise_planar.h  one input channel a group, on other data: vectors along the columns
//   direct_positions.h  groups of few outputs: vectors along the positions
//   direct_outputs.h    all else: vectors along the outputs
// Which is decided by the problem, its element type and its layout, never by the batch or the
// threads.
#include "dispatch/kernel_export.h"
#include "kernels/conv_winograd.h"
#include "kernels/depthwise_planar.h"
#include "kernels/depthwise_transposed.h"
#include "kernels/direct_channels.h"
#include "kernels/direct_outputs.h"
#include "kernels/direct_positions.h"

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
  // A first layer on planar data: its sums are so short that transposing the results would
  // take as long as making them (5.5 -> 3.7 ms on vgg.conv1_1, one thread).
  constexpr int64_t kShortSum = 32;
  const int64_t channels = (backward ? p.out_channels : p.in_channels) / p.groups;
  const int64_t sum = channels * p.kernel[0] * p.kernel[1] * p.kernel[2];
  const int64_t* out_stride = backward ? p.x_stride : p.y_stride;
  if (sum <= kShortSum && row >= 4 * lanes && out_stride[axis + 2] == 1 && out_stride[1] != 1)
    return true;
  return outputs <= min(kMostOutputs, lanes) &&
         row * round_up(outputs, lanes) > outputs * round_up(row, lanes);
}

template <class T>
bool along_channels(const ConvArgs<T>& args, bool backward) {
  return along_channels(backward ? backward_operands(args, *args.params)
                                 : forward_operands(args, *args.params));
}

enum class Algorithm { kWinograd, kChannels, kTransposed, kPlanar, kPositions, kOutputs };

template <class T>
Algorithm choose(const ConvArgs<T>& args, bool backward, WinogradCover* cover) {
  if constexpr (sizeof(T) == sizeof(float)) {
    if (!args.exec.highest_precision && choose_cover<T>(canonical(*args.params), backward, cover))
      return Algorithm::kWinograd;
  }
  if (along_channels(args, backward)) return Algorithm::kChannels;
  if (along_columns(args))
    return TransposedPlan<T>(args, backward).applies ? Algorithm::kTransposed : Algorithm::kPlanar;
  if (along_positions<T>(*args.params, backward)) return Algorithm::kPositions;
  return Algorithm::kOutputs;
}

template <class T>
void run(const ConvArgs<T>& args, bool backward) {
  if (args.params->n == 0) return;
  WinogradCover cover;
  switch (choose(args, backward, &cover)) {
    case Algorithm::kWinograd:
      if constexpr (sizeof(T) == sizeof(float)) run_winograd(args, backward, cover);
      break;
    case Algorithm::kChannels:
      run_channels(args, backward);
      break;
    case Algorithm::kTransposed:
      run_transposed(TransposedPlan<T>(args, backward), args);
      break;
    case Algorithm::kPlanar:
      run_planar(args, backward);
      break;
    case Algorithm::kPositions:
      run_positions(args, backward);
      break;
    case Algorithm::kOutputs:
      run_outputs(args, backward);
      break;
  }
}

template <class T>
size_t workspace_size(const ConvArgs<T>& args, bool backward) {
  if (args.params->n == 0) return 0;
  WinogradCover cover;
  switch (choose(args, backward, &cover)) {
    case Algorithm::kWinograd:
      if constexpr (sizeof(T) == sizeof(float))
        return ConvWinogradPlan<T>(args, canonical(*args.params), backward, cover).total_bytes;
      break;
    case Algorithm::kChannels:
      return ChannelsPlan<T>(args, backward).total_bytes;
    case Algorithm::kTransposed:
      return TransposedPlan<T>(args, backward).total_bytes;
    case Algorithm::kPlanar:
      return PlanarPlan<T>(args, backward).total_bytes;
    case Algorithm::kPositions:
      return PositionsPlan<T>(args, backward).total_bytes;
    case Algorithm::kOutputs:
      break;
  }
  return OutputsPlan<T>(args, backward).total_bytes;
}

template <class T>
void answer_workspace(const ConvArgs<T>& args, bool backward) {
  *args.workspace_size = workspace_size(args, backward);
}

template <class T>
void conv_forward(const ConvArgs<T>& args) {
  run(args, false);
}
template <class T>
void conv_forward_workspace(const ConvArgs<T>& args) {
  answer_workspace(args, false);
}
template <class T>
void conv_backward_input(const ConvArgs<T>& args) {
  run(args, true);
}
template <class T>
void conv_backward_input_workspace(const ConvArgs<T>& args) {
  answer_workspace(args, true);
}

}  // namespace
}  // namespace fastconv

FASTCONV_EXPORT(conv_forward, ConvArgs)
FASTCONV_EXPORT(conv_forward_workspace, ConvArgs)
FASTCONV_EXPORT(conv_backward_input, ConvArgs)
FASTCONV_EXPORT(conv_backward_input_workspace, ConvArgs)
