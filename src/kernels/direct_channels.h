// Direct convolution with vectors along the groups: depthwise (one input and one output
// channel a group) on channels-last data.
//
//   out[n, g, q] = activation(sum over taps t of in[n, g, q * step + offset(t)] * weight[g, t]
//                             + bias[g] + residual[n, g, q])
//
// Nothing is packed but the filters, as [tap][g]: neighbouring channels are neighbours in
// memory, and a load a multiply-add is still several times faster than memory delivers.
// Eight positions share each filter load. Taps outside the image are left out of the sum.
//
// Threads: a task owns one output row of one image.
#pragma once

#include "kernels/conv_blocks.h"
#include "simd/parallel_for.h"
#include "simd/partial.h"

namespace fastconv {
namespace {

constexpr int64_t kChannelPositions = 8;

template <class T>
bool along_channels(const Operands<T>& op) {
  return op.channels == 1 && op.outputs == 1 && op.in_stride[1] == 1 && op.out_stride[1] == 1 &&
         (op.residual == nullptr || op.residual_stride[1] == 1);
}

template <class T>
struct ChannelsPlan : Blocking<T> {
  using Blocking<T>::op;
  int64_t pitch;  // of a tap's filters
  size_t phase_at, weight_at, bias_at, tap_at, total_bytes;

  ChannelsPlan(const ConvArgs<T>& args, bool is_backward) : Blocking<T>(args, is_backward) {
    constexpr int64_t item = sizeof(T);
    const int64_t* kernel = this->p.kernel;
    pitch = round_up(op.groups, kLanes<T>);
    Regions regions;
    phase_at = regions.reserve(this->all_phases * static_cast<int64_t>(sizeof(Phase)));
    weight_at = regions.reserve(pitch * kernel[0] * kernel[1] * kernel[2] * item);
    bias_at = regions.reserve(pitch * item);
    tap_at = regions.end;
    total_bytes = tap_at + tap_bytes() * static_cast<size_t>(args.exec.threads);
  }
  // Of one worker's list of the taps inside the image.
  size_t tap_bytes() const {
    return static_cast<size_t>(
        round_up(this->max_taps * 2 * static_cast<int64_t>(sizeof(int64_t)), 64));
  }
};

// A tap that reads inside the image: where, from the first position on, and its filters.
struct InsideTap {
  int64_t in, weight;
};

// P neighbouring positions, all channels.
template <class T, int P>
void channels_kernel(const Operands<T>& op, const InsideTap* taps, int64_t count, const T* in,
                     int64_t in_step, const T* weight, const T* bias, Strided<const T> residual,
                     Strided<T> out) {
  for (int64_t g = 0; g < op.groups; g += kLanes<T>) {
    const int64_t lanes = min(kLanes<T>, op.groups - g);
    Vec<T> sum[P] = {};
    const auto add_taps = [&](const auto& load_in) {
      for (int64_t t = 0; t < count; ++t) {
        const Vec<T> weight_t = load(weight + taps[t].weight + g);
        const T* from = in + taps[t].in + g;
        FASTCONV_UNROLL
        for (int i = 0; i < P; ++i) sum[i] += load_in(from + i * in_step) * weight_t;
      }
    };
    if (lanes == kLanes<T>)
      add_taps([](const T* from) { return load(from); });
    else
      add_taps([&](const T* from) { return load_lanes(from, 0, lanes, T(0)); });
    FASTCONV_UNROLL
    for (int i = 0; i < P; ++i) {
      Vec<T> x = sum[i] + load(bias + g);
      if (residual.data != nullptr)
        x += load_lanes(residual.data + i * residual.position + g, 0, lanes, T(0));
      put(out, out.data + i * out.position + g, activate<T>(x, op.activation), lanes);
    }
  }
}

template <class T>
void run_row(const ChannelsPlan<T>& plan, const Phase& phase, const Block& row, const T* weights,
             const T* bias, InsideTap* taps) {
  const Operands<T>& op = plan.op;
  const Axis* axis = phase.axis;
  const int64_t in_step = axis[2].step * op.in_stride[4];
  const T* in = op.in + row.n * op.in_stride[0];
  const T* weight = weights + phase.weight_offset;
  Strided<const T> residual = plan.residual_row(phase, row, 0, 0);
  Strided<T> out = plan.out_row(phase, row, 0, 0);
  // Taps that are inside for all positions [ow, ow + positions); for a single one, those that
  // are at all. Returns false when some tap is inside for a part of the positions only.
  int64_t count = 0;
  const auto collect = [&](int64_t ow, int64_t positions) {
    count = 0;
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
          if (first < 0 || last >= axis[2].in) return false;
          const int64_t tap = (kd * axis[1].taps + kh) * axis[2].taps + kw;
          taps[count++] = {id * op.in_stride[2] + ih * op.in_stride[3] + first * op.in_stride[4],
                           tap * plan.pitch};
        }
      }
    }
    return true;
  };
  for (int64_t ow = 0; ow < axis[2].out;) {
    const bool eight = ow + kChannelPositions <= axis[2].out && collect(ow, kChannelPositions);
    if (eight) {
      channels_kernel<T, kChannelPositions>(op, taps, count, in, in_step, weight, bias, residual,
                                            out);
    } else {
      collect(ow, 1);
      channels_kernel<T, 1>(op, taps, count, in, in_step, weight, bias, residual, out);
    }
    const int64_t done = eight ? kChannelPositions : 1;
    ow += done;
    out.data += done * out.position;
    if (residual.data != nullptr) residual.data += done * residual.position;
  }
  if (plan.streams) end_stream();
}

template <class T>
void run_channels(const ConvArgs<T>& args, bool backward) {
  const ChannelsPlan<T> plan(args, backward);
  const Operands<T>& op = plan.op;
  char* workspace = static_cast<char*>(args.exec.workspace);
  Phase* phases = reinterpret_cast<Phase*>(workspace + plan.phase_at);
  T* weights = reinterpret_cast<T*>(workspace + plan.weight_at);
  T* bias = reinterpret_cast<T*>(workspace + plan.bias_at);
  plan.make_phases(phases, plan.pitch);
  plan.op.copy_bias(bias, plan.pitch, 0, op.groups);
  for (int64_t i = 0; i < plan.all_phases; ++i) {
    const Axis* axis = phases[i].axis;
    for (int64_t tap = 0; tap < phases[i].taps(); ++tap) {
      const int64_t index[kSpatial] = {tap / axis[2].taps / axis[1].taps,
                                       tap / axis[2].taps % axis[1].taps, tap % axis[2].taps};
      const T* from = op.weight;
      for (int j = 0; j < kSpatial; ++j)
        from += (axis[j].first_kernel + index[j] * axis[j].kernel_step) * op.weight_stride[j + 2];
      T* to = weights + phases[i].weight_offset + tap * plan.pitch;
      for (int64_t g = 0; g < plan.pitch; ++g)
        to[g] = g < op.groups ? from[g * op.weight_group_stride] : T(0);
    }
  }
  // All phases have at most as many rows as the first.
  const int64_t rows = phases[0].axis[1].out, depth = phases[0].axis[0].out;
  const int64_t tasks = op.n * depth * rows;
  parallel_for(plan.all_phases * tasks, args.exec.threads, [&](int64_t task, int worker) {
    const Phase& phase = phases[task / tasks];
    const int64_t index = task % tasks;
    const Block row = {index / rows / depth, 0, index / rows % depth, index % rows, 0, 1,
                       phase.axis[2].out};
    if (row.od >= phase.axis[0].out || row.oh >= phase.axis[1].out) return;
    run_row(plan, phase, row, weights, bias,
            reinterpret_cast<InsideTap*>(workspace + plan.tap_at +
                                         static_cast<size_t>(worker) * plan.tap_bytes()));
  });
}

}  // namespace
}  // namespace fastconv
