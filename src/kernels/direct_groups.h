// Direct convolution of many small groups on channels-last data, vectors along the outputs of
// all of them: ResNeXt's 32 groups of 4 or 8 channels, depthwise with a multiplier.
//
//   out[n, g * M + m, q] = activation(sum over taps t, c of in[n, g * C + c, q * step + offset(t)]
//                                     * weight[g * M + m, c, t] + bias + residual)
//
// A vector of outputs belongs to several groups, whose inputs are neighbours too: lane j takes
// channel (j / M) * C + c of them, which is one permutation of one vector as long as those fit it. No
// lane is empty and nothing is packed but the filters, as [tap][c][g * M + m]. Taps outside the image are
// left out of the sum. The order of a sum is taps, then channels.
//
// Threads: a task owns one output row of one image.
#pragma once

#include "kernels/conv_blocks.h"
#include "simd/parallel_for.h"
#include "simd/partial.h"
#include "simd/permute.h"

namespace fastconv {
namespace {

// Whether the channels that a vector of outputs looks at fit a vector: more of them where it may
// begin within a group. Wider groups fill the vectors of direct_outputs.h.
template <class T>
bool fits_permutation(int64_t groups, int64_t channels, int64_t outputs) {
  const int64_t lanes = kLanes<T>;
  if (!kPermutes || groups < 2 || outputs < 2 || outputs > min(8, lanes - 1)) return false;
  const int64_t begin = lanes % outputs != 0 ? outputs - 1 : 0;
  return ((begin + lanes - 1) / outputs + 1) * channels <= lanes;
}

template <class T>
bool across_groups(const ConvArgs<T>& args, bool backward) {
  const Operands<T> op =
      backward ? backward_operands(args, *args.params) : forward_operands(args, *args.params);
  return fits_permutation<T>(op.groups, op.channels, op.outputs) && op.in_stride[1] == 1 &&
         op.out_stride[1] == 1 && (op.residual == nullptr || op.residual_stride[1] == 1);
}

// A tap that reads inside the image: where, from the first position on, and its filters.
struct GroupTap {
  int64_t in, weight;
};

template <class T>
struct GroupsPlan : Blocking<T> {
  using Blocking<T>::op;
  int64_t pitch, vectors;  // of the outputs of all groups
  size_t phase_at, weight_at, bias_at, order_at, tap_at, total_bytes;

  GroupsPlan(const ConvArgs<T>& args, bool is_backward) : Blocking<T>(args, is_backward) {
    constexpr int64_t item = sizeof(T);
    const int64_t* kernel = this->p.kernel;
    pitch = round_up(op.groups * op.outputs, kLanes<T>);
    vectors = pitch / kLanes<T>;
    Regions regions;
    phase_at = regions.reserve(this->all_phases * static_cast<int64_t>(sizeof(Phase)));
    weight_at = regions.reserve(pitch * op.channels * kernel[0] * kernel[1] * kernel[2] * item);
    bias_at = regions.reserve(pitch * item);
    order_at = regions.reserve(vectors * op.channels * static_cast<int64_t>(sizeof(Mask<T>)));
    tap_at = regions.end;
    total_bytes = tap_at + tap_bytes() * static_cast<size_t>(args.exec.threads);
  }
  // Of one worker's list of the taps inside the image.
  size_t tap_bytes() const {
    return static_cast<size_t>(
        round_up(this->max_taps * static_cast<int64_t>(sizeof(GroupTap)), 64));
  }
};

// P neighbouring positions, all outputs. weight: [tap][c][pitch]; order: [vector][c].
template <class T, int P>
void groups_kernel(const GroupsPlan<T>& plan, const GroupTap* taps, int64_t count, const T* in,
                   int64_t in_step, const T* weight, const T* bias, const Mask<T>* order,
                   Strided<const T> residual, Strided<T> out) {
  const Operands<T>& op = plan.op;
  const int64_t all_outputs = op.groups * op.outputs, all_channels = op.groups * op.channels;
  for (int64_t m = 0; m < all_outputs; m += kLanes<T>, order += op.channels) {
    const int64_t lanes = min(kLanes<T>, all_outputs - m);
    const int64_t channel = m / op.outputs * op.channels;
    const int64_t in_lanes = min(kLanes<T>, all_channels - channel);
    Vec<T> sum[P] = {};
    const auto add_taps = [&](const auto& load_in) {
      for (int64_t t = 0; t < count; ++t) {
        const T* from = in + taps[t].in + channel;
        Vec<T> x[P];
        FASTCONV_UNROLL
        for (int i = 0; i < P; ++i) x[i] = load_in(from + i * in_step);
        const T* weight_t = weight + taps[t].weight + m;
        for (int64_t c = 0; c < op.channels; ++c) {
          const Vec<T> weight_c = load(weight_t + c * plan.pitch);
          const Mask<T> order_c = order[c];
          FASTCONV_UNROLL
          for (int i = 0; i < P; ++i) sum[i] += permute<T>(x[i], order_c) * weight_c;
        }
      }
    };
    if (in_lanes == kLanes<T>)
      add_taps([](const T* from) { return load(from); });
    else
      add_taps([&](const T* from) { return load_lanes(from, 0, in_lanes, T(0)); });
    FASTCONV_UNROLL
    for (int i = 0; i < P; ++i) {
      Vec<T> x = sum[i] + load(bias + m);
      if (residual.data != nullptr)
        x += load_lanes(residual.data + i * residual.position + m, 0, lanes, T(0));
      put(out, out.data + i * out.position + m, activate<T>(x, op.activation), lanes);
    }
  }
}

// The taps that are inside for all positions [ow, ow + positions) of a row; returns how many, or
// -1 when one is inside for a part of the positions only.
template <class T>
int64_t taps_inside(const GroupsPlan<T>& plan, const Phase& phase, const Block& row, int64_t ow,
                    int64_t positions, GroupTap* taps) {
  const Operands<T>& op = plan.op;
  const Axis* axis = phase.axis;
  int64_t count = 0;
  for (int64_t kd = 0; kd < axis[0].taps; ++kd) {
    const int64_t id = row.od * axis[0].step + axis[0].offset(kd);
    if (id < 0 || id >= axis[0].in) continue;
    for (int64_t kh = 0; kh < axis[1].taps; ++kh) {
      const int64_t ih = row.oh * axis[1].step + axis[1].offset(kh);
      if (ih < 0 || ih >= axis[1].in) continue;
      for (int64_t kw = 0; kw < axis[2].taps; ++kw) {
        const int64_t first = ow * axis[2].step + axis[2].offset(kw);
        const int64_t last = first + (positions - 1) * axis[2].step;
        if (last < 0 || first >= axis[2].in) continue;
        if (first < 0 || last >= axis[2].in) return -1;
        const int64_t tap = (kd * axis[1].taps + kh) * axis[2].taps + kw;
        taps[count++] = {id * op.in_stride[2] + ih * op.in_stride[3] + first * op.in_stride[4],
                         tap * op.channels * plan.pitch};
      }
    }
  }
  return count;
}

template <class T>
void run_groups_row(const GroupsPlan<T>& plan, const Phase& phase, const Block& row,
                    const T* weights, const T* bias, const Mask<T>* order, GroupTap* taps) {
  const Operands<T>& op = plan.op;
  const int64_t in_step = phase.axis[2].step * op.in_stride[4], columns = phase.axis[2].out;
  const T* in = op.in + row.n * op.in_stride[0];
  const T* weight = weights + phase.weight_offset;
  Strided<const T> residual = plan.residual_row(phase, row, 0, 0);
  Strided<T> out = plan.out_row(phase, row, 0, 0);
  for (int64_t ow = 0, done; ow < columns; ow += done) {
    // Fewer positions at a time where the padding begins.
    int64_t count = -1;
    for (done = 8; done > 0; done /= 2)
      if (ow + done <= columns && (count = taps_inside(plan, phase, row, ow, done, taps)) >= 0)
        break;
    const auto kernel = done == 8   ? &groups_kernel<T, 8>
                        : done == 4 ? &groups_kernel<T, 4>
                        : done == 2 ? &groups_kernel<T, 2>
                                    : &groups_kernel<T, 1>;
    kernel(plan, taps, count, in, in_step, weight, bias, order, residual, out);
    out.data += done * out.position;
    if (residual.data != nullptr) residual.data += done * residual.position;
  }
  if (plan.streams) end_stream();
}

// Filters as [tap][c][output of any group].
template <class T>
void pack_groups(const GroupsPlan<T>& plan, const Phase& phase, T* to) {
  const Operands<T>& op = plan.op;
  const Axis* axis = phase.axis;
  for (int64_t tap = 0; tap < phase.taps(); ++tap) {
    const int64_t index[kSpatial] = {tap / axis[2].taps / axis[1].taps,
                                     tap / axis[2].taps % axis[1].taps, tap % axis[2].taps};
    const T* from = op.weight;
    for (int j = 0; j < kSpatial; ++j)
      from += (axis[j].first_kernel + index[j] * axis[j].kernel_step) * op.weight_stride[j + 2];
    for (int64_t c = 0; c < op.channels; ++c, to += plan.pitch) {
      for (int64_t m = 0; m < plan.pitch; ++m)
        to[m] = m < op.groups * op.outputs
                    ? from[m / op.outputs * op.weight_group_stride +
                           m % op.outputs * op.weight_stride[0] + c * op.weight_stride[1]]
                    : T(0);
    }
  }
}

// order[vector][c]: which lane of the input each output's lane takes.
template <class T>
void make_orders(int64_t vectors, int64_t outputs, int64_t channels, Mask<T>* order) {
  for (int64_t v = 0; v < vectors; ++v) {
    const int64_t m = v * kLanes<T>;
    for (int64_t c = 0; c < channels; ++c) {
      int64_t lanes[kLanes<T>];
      for (int64_t j = 0; j < kLanes<T>; ++j)
        lanes[j] = ((m + j) / outputs - m / outputs) * channels + c;
      *order++ = permute_order<T>(lanes);
    }
  }
}

template <class T>
void run_groups(const ConvArgs<T>& args, bool backward) {
  const GroupsPlan<T> plan(args, backward);
  const Operands<T>& op = plan.op;
  char* workspace = static_cast<char*>(args.exec.workspace);
  Phase* phases = reinterpret_cast<Phase*>(workspace + plan.phase_at);
  T* weights = reinterpret_cast<T*>(workspace + plan.weight_at);
  T* bias = reinterpret_cast<T*>(workspace + plan.bias_at);
  Mask<T>* order = reinterpret_cast<Mask<T>*>(workspace + plan.order_at);
  plan.make_phases(phases, plan.pitch * op.channels);
  op.copy_bias(bias, plan.pitch, 0, op.groups * op.outputs);
  make_orders<T>(plan.vectors, op.outputs, op.channels, order);
  for (int64_t i = 0; i < plan.all_phases; ++i)
    pack_groups(plan, phases[i], weights + phases[i].weight_offset);
  // All phases have at most as many rows as the first.
  const int64_t rows = phases[0].axis[1].out, depth = phases[0].axis[0].out;
  const int64_t tasks = op.n * depth * rows;
  parallel_for(plan.all_phases * tasks, args.exec.threads, [&](int64_t task, int worker) {
    const Phase& phase = phases[task / tasks];
    const int64_t index = task % tasks;
    const Block row = {index / rows / depth, 0, index / rows % depth, index % rows, 0, 1,
                       phase.axis[2].out};
    if (row.od >= phase.axis[0].out || row.oh >= phase.axis[1].out) return;
    run_groups_row(plan, phase, row, weights, bias, order,
                   reinterpret_cast<GroupTap*>(workspace + plan.tap_at +
                                               static_cast<size_t>(worker) * plan.tap_bytes()));
  });
}

}  // namespace
}  // namespace fastconv
