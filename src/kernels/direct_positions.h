// Direct convolution of groups of few outputs. Many groups on channels-last data have their own
// way (direct_groups.h); here vectors lie along the output positions: the
// input gradient of a first layer (3 of them), depthwise convolutions (1), LeNet's 6. Vectors
// along the outputs would be mostly empty there.
//
// The operands change sides: a row of the packed planar patch is the vector operand, one
// unaligned load a tap and channel, and the filters are broadcast. A tile is up to 4 outputs
// x 8 vectors of one row, so a row of 56 columns wastes half a vector in four.
//
// Threads: a task owns a block of positions for all outputs of its group; the order of a sum
// is channels, then taps, whatever the blocking.
#pragma once

#include "kernels/conv_blocks.h"
#include "kernels/direct_groups.h"
#include "simd/parallel_for.h"
#include "simd/partial.h"

namespace fastconv {
namespace {

#if FASTCONV_VEC_BYTES == 64 || defined(__aarch64__)
constexpr bool kManyRegisters = true;  // 32, else 16
#else
constexpr bool kManyRegisters = false;
#endif

constexpr int kMaxOutputs = 4;  // of a tile
// Vectors of a tile with that many outputs: accumulators, one register an output for the
// filter and one for the input.
template <int MR>
constexpr int kPositionVecs = MR == 1   ? 8
                              : MR == 4 ? (kManyRegisters ? 6 : 2)
                                        : (kManyRegisters ? 8 : 4);

// Or each of the MR products loads it for itself, across two cache lines.
template <class T>
FASTCONV_INLINE void keep_in_register(Vec<T>& v) {
#if defined(__AVX512F__)
  __asm__("" : "+v"(v));
#elif defined(__SSE2__)
  __asm__("" : "+x"(v));
#elif defined(__aarch64__)
  __asm__("" : "+w"(v));
#endif
}

// tile[m, i] = sum over k in [0, count) of a[k, m] * b[offsets[k] + i]
template <class T, int MR, int NV>
void positions_kernel(T* tile, const T* a, const T* b, const int64_t* offsets, int64_t count) {
  constexpr int lanes = kLanes<T>;
  Vec<T> sum[MR][NV] = {};
  for (int64_t k = 0; k < count; ++k) {
    const T* b_k = b + offsets[k];
    Vec<T> a_k[MR];
    FASTCONV_UNROLL
    for (int m = 0; m < MR; ++m) a_k[m] = broadcast(a[k * MR + m]);
    FASTCONV_UNROLL
    for (int v = 0; v < NV; ++v) {
      Vec<T> b_kv = load(b_k + v * lanes);
      keep_in_register<T>(b_kv);
      FASTCONV_UNROLL
      for (int m = 0; m < MR; ++m) sum[m][v] += a_k[m] * b_kv;
    }
  }
  FASTCONV_UNROLL
  for (int m = 0; m < MR; ++m) {
    FASTCONV_UNROLL
    for (int v = 0; v < NV; ++v) store(tile + (m * NV + v) * lanes, sum[m][v]);
  }
}

template <class T>
using PositionsKernel = void (*)(T* tile, const T* a, const T* b, const int64_t* offsets,
                                 int64_t count);

// kPositionsKernels<T>.at[outputs - 1][vectors - 1], for as many vectors as have registers.
template <class T>
struct PositionsTable {
  PositionsKernel<T> at[kMaxOutputs][8];
  int64_t vecs[kMaxOutputs];
};
template <class T, int MR = 1, int NV = 1>
constexpr void fill_positions(PositionsTable<T>& table) {
  table.at[MR - 1][NV - 1] = &positions_kernel<T, MR, NV>;
  table.vecs[MR - 1] = NV;
  if constexpr (NV < kPositionVecs<MR>)
    fill_positions<T, MR, NV + 1>(table);
  else if constexpr (MR < kMaxOutputs)
    fill_positions<T, MR + 1, 1>(table);
}
template <class T>
constexpr PositionsTable<T> make_positions() {
  PositionsTable<T> table = {};
  fill_positions<T>(table);
  return table;
}
template <class T>
constexpr PositionsTable<T> kPositionsKernels = make_positions<T>();

template <class T>
struct PositionsPlan : Blocking<T> {
  using Blocking<T>::op;
  using Blocking<T>::p;
  int64_t chunks;  // of up to kMaxOutputs outputs
  // What all phases of a block of positions read, where they read much the same: one patch for
  // all of them (11x11 with stride 4 and its 16 phases: 49 -> 33 ms, one thread).
  Phase whole;
  bool shares_patch;
  size_t phase_at, weight_at, worker_at, worker_bytes, total_bytes;

  PositionsPlan(const ConvArgs<T>& args, bool is_backward) : Blocking<T>(args, is_backward) {
    constexpr int64_t item = sizeof(T);
    const int64_t* kernel = p.kernel;
    chunks = ceil_div(op.outputs, kMaxOutputs);
    shares_patch = this->all_phases > 1 && this->blocks >= min(3 * args.exec.threads, 16);
    for (int i = 0; i < kSpatial; ++i) shares_patch &= share_axis(i);
    Regions regions;
    phase_at = regions.reserve(this->all_phases * static_cast<int64_t>(sizeof(Phase)));
    weight_at = regions.reserve(op.groups * op.outputs * op.channels * kernel[0] * kernel[1] *
                                kernel[2] * item);
    worker_at = regions.end;
    worker_bytes = static_cast<size_t>(
        this->patch_size * item +
        round_up(this->max_taps * op.channels * static_cast<int64_t>(sizeof(int64_t)), 64));
    total_bytes = worker_at + worker_bytes * static_cast<size_t>(args.exec.threads);
    if (across_groups(args, is_backward))
      total_bytes = GroupsPlan<T>(args, is_backward).total_bytes;
  }

  // Makes `whole` along an axis as dense as its phases together are, if no phase alone needs a
  // smaller patch.
  bool share_axis(int i) {
    Axis& axis = whole.axis[i];
    axis = this->axis(i, 0);
    if (this->phases[i] == 1) return true;
    int64_t most_taps = 0, low = INT64_MAX, high = INT64_MIN;
    for (int64_t f = 0; f < this->phases[i]; ++f) {
      const Axis one = this->axis(i, f);
      most_taps = max(most_taps, one.taps);
      for (int64_t tap = 0; tap < one.taps; ++tap) {
        low = min(low, one.offset(tap));
        high = max(high, one.offset(tap));
      }
    }
    axis.taps = most_taps;
    axis.first_offset = low;
    axis.offset_step = 1;
    return most_taps > 0 && high - low < most_taps;
  }
  // The tap of `whole` that reads what a phase's tap reads.
  int64_t whole_tap(const Phase& phase, int i, int64_t tap) const {
    return shares_patch && this->phases[i] > 1
               ? phase.axis[i].offset(tap) - whole.axis[i].first_offset
               : tap;
  }
};

// Filters of outputs [first, first + count) as [c][tap][output].
template <class T>
void pack_filters(const PositionsPlan<T>& plan, const Phase& phase, int64_t g, int64_t first,
                  int64_t count, T* to) {
  const Operands<T>& op = plan.op;
  const int64_t* stride = op.weight_stride;
  const auto kernel = [&](int i, int64_t tap) {
    return (phase.axis[i].first_kernel + tap * phase.axis[i].kernel_step) * stride[i + 2];
  };
  const T* from = op.weight + g * op.weight_group_stride + first * stride[0];
  for (int64_t c = 0; c < op.channels; ++c)
    for (int64_t kd = 0; kd < phase.axis[0].taps; ++kd)
      for (int64_t kh = 0; kh < phase.axis[1].taps; ++kh)
        for (int64_t kw = 0; kw < phase.axis[2].taps; ++kw)
          for (int64_t m = 0; m < count; ++m)
            *to++ =
                from[m * stride[0] + c * stride[1] + kernel(0, kd) + kernel(1, kh) + kernel(2, kw)];
}

template <class T>
void make_offsets(const PositionsPlan<T>& plan, const Phase& phase, const Axis* packed,
                  const PatchLayout& layout, int64_t* offsets) {
  for (int64_t c = 0; c < plan.op.channels; ++c)
    for (int64_t kd = 0; kd < phase.axis[0].taps; ++kd)
      for (int64_t kh = 0; kh < phase.axis[1].taps; ++kh)
        for (int64_t kw = 0; kw < phase.axis[2].taps; ++kw)
          *offsets++ = c * layout.plane + layout.tap_offset(packed, plan.whole_tap(phase, 0, kd),
                                                            plan.whole_tap(phase, 1, kh),
                                                            plan.whole_tap(phase, 2, kw));
}

// out[m, i] = activation(tile[m][i] + bias[m] + residual[m, i])
template <class T>
void store_positions(const T* tile, int64_t pitch, int64_t outputs, int64_t positions,
                     const T* bias, Strided<const T> residual, Strided<T> out,
                     const Activation& activation) {
  for (int64_t m = 0; m < outputs; ++m) {
    const T* from = tile + m * pitch;
    const T* add = residual.data != nullptr ? residual.data + m * residual.channel : nullptr;
    T* to = out.data + m * out.channel;
    for (int64_t i = 0; i < positions; i += kLanes<T>) {
      const int64_t count = min(kLanes<T>, positions - i);
      Vec<T> x = load(from + i) + bias[m];
      if (add != nullptr)
        x += residual.position == 1
                 ? load_lanes(add + i, 0, count, T(0))
                 : load_spaced_lanes<Step::kAny, T>(add + i * residual.position, residual.position,
                                                    0, count, T(0));
      put_spaced(out, to + i * out.position, activate<T>(x, activation), count);
    }
  }
}

// One phase of a block, whose patch was packed for the axes `packed`.
template <class T>
void run_block(const PositionsPlan<T>& plan, const Phase& phase, const Axis* packed,
               const PatchLayout& layout, const Block& block, const T* weights, const T* patch,
               int64_t* offsets) {
  const Operands<T>& op = plan.op;
  make_offsets(plan, phase, packed, layout, offsets);
  const int64_t count = op.channels * phase.taps();
  const int64_t vecs = ceil_div(block.columns, kLanes<T>);
  alignas(64) T tile[kMaxOutputs * 8 * kLanes<T>];
  for (int64_t chunk = 0; chunk < plan.chunks; ++chunk) {
    const int64_t first = op.outputs * chunk / plan.chunks;
    const int64_t outputs = op.outputs * (chunk + 1) / plan.chunks - first;
    const int64_t channel = block.g * op.outputs + first;
    const int64_t tiles = ceil_div(vecs, kPositionsKernels<T>.vecs[outputs - 1]);
    const T* a = weights + phase.weight_offset + (block.g * op.outputs + first) * count;
    T bias[kMaxOutputs];
    plan.op.copy_bias(bias, kMaxOutputs, channel, outputs);
    for (int64_t row = 0; row < block.rows; ++row) {
      const T* b = patch + layout.row_offset(packed, row);
      Strided<const T> residual = plan.residual_row(phase, block, channel, row);
      Strided<T> out = plan.out_row(phase, block, channel, row);
      for (int64_t i = 0; i < tiles; ++i) {
        const int64_t begin = vecs * i / tiles, end = vecs * (i + 1) / tiles;
        const int64_t at = begin * kLanes<T>;
        kPositionsKernels<T>.at[outputs - 1][end - begin - 1](tile, a, b + at, offsets, count);
        const Strided<const T> add = {
            residual.data != nullptr ? residual.data + at * residual.position : nullptr,
            residual.channel, residual.position};
        store_positions(tile, (end - begin) * kLanes<T>, outputs,
                        min(end * kLanes<T>, block.columns) - at, bias, add,
                        {out.data + at * out.position, out.channel, out.position, out.streams},
                        op.activation);
      }
    }
  }
}

template <class T>
void run_positions(const ConvArgs<T>& args, bool backward) {
  if (across_groups(args, backward)) return run_groups(args, backward);
  const PositionsPlan<T> plan(args, backward);
  const Operands<T>& op = plan.op;
  char* workspace = static_cast<char*>(args.exec.workspace);
  Phase* phases = reinterpret_cast<Phase*>(workspace + plan.phase_at);
  T* weights = reinterpret_cast<T*>(workspace + plan.weight_at);
  plan.make_phases(phases, op.groups * op.outputs * op.channels);
  for (int64_t i = 0; i < plan.all_phases; ++i) {
    const int64_t count = op.channels * phases[i].taps();
    for (int64_t g = 0; g < op.groups; ++g) {
      for (int64_t chunk = 0; chunk < plan.chunks; ++chunk) {
        const int64_t first = op.outputs * chunk / plan.chunks;
        pack_filters(plan, phases[i], g, first, op.outputs * (chunk + 1) / plan.chunks - first,
                     weights + phases[i].weight_offset + (g * op.outputs + first) * count);
      }
    }
  }
  const int64_t patches = plan.shares_patch ? 1 : plan.all_phases;
  parallel_for(patches * plan.blocks, args.exec.threads, [&](int64_t task, int worker) {
    T* patch = reinterpret_cast<T*>(workspace + plan.worker_at +
                                    static_cast<size_t>(worker) * plan.worker_bytes);
    int64_t* offsets = reinterpret_cast<int64_t*>(patch + plan.patch_size);
    const Phase* own = phases + task / plan.blocks;
    const Phase& packed = plan.shares_patch ? plan.whole : *own;
    const Block all = plan.block(packed, task % plan.blocks);
    if (all.rows < 1) return;
    const PatchLayout layout(packed.axis, all.rows, all.columns, sizeof(T));
    plan.pack_block(packed, layout, all, patch);
    for (const Phase* end = own + plan.all_phases / patches; own != end; ++own) {
      const Block block = plan.block(*own, task % plan.blocks);
      if (block.rows > 0)
        run_block(plan, *own, packed.axis, layout, block, weights, patch, offsets);
    }
    if (plan.streams) end_stream();
  });
}

}  // namespace
}  // namespace fastconv
