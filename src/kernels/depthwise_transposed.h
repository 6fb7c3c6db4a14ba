// Depthwise convolution of planar data with rows of no great length, through a transposed copy.
//
//   out[n, g, q] = activation(sum over taps t of in[n, g, q * step + offset(t)] * weight[g, t]
//                             + bias[g] + residual[n, g, q])
//
// Rows of 7 or 14 columns leave most lanes of a vector along them idle, and rows of 56 still cost
// more to set up than to sum. So some rows of a vector's worth of planes are transposed in
// registers,
//
//   patch[row][column][lane], zeros outside the image
//
// summed with vectors along the channels by the tile of channels-last data (depthwise_tile.h),
// and transposed back on the way out. Memory is read and written once, in order of the planes. The
// zeros spare the tile its edges, and make one list of taps serve all rows.
//
// Threads: a task owns some rows of a few vectors of channels of one image.
#pragma once

#include "kernels/depthwise_pair.h"
#include "kernels/depthwise_transposed_plan.h"

namespace fastconv {
namespace {

// The taps of every phase as segments of the patch, phases[i].weight_offset / pitch being the first
// of its taps. Returns how many.
template <class T>
void list_patch_segments(const TransposedPlan<T>& plan, const Phase* phases, Segment* list) {
  for (int64_t i = 0; i < plan.all_phases; ++i) {
    const Axis* axis = phases[i].axis;
    const int64_t run = segment_of(axis[2], plan.run);
    Segment* next = list + phases[i].weight_offset / plan.pitch;
    for (int64_t kh = 0; kh < axis[1].taps; ++kh)
      for (int64_t kw = 0; kw < axis[2].taps; kw += run) {
        const int64_t row = axis[1].offset(kh) - plan.reach[1].low;
        const int64_t column = axis[2].offset(kw) - plan.reach[2].low;
        *next++ = {(row * plan.patch_columns + column) * kLanes<T>,
                   (kh * axis[2].taps + kw) * plan.pitch, 0};
      }
  }
}

// to[place[i]] = element i of `lanes` planes, for i in [0, count).
template <class T>
void pack_run_of_planes(T* to, const int32_t* place, const T* from, int64_t plane, int64_t lanes,
                        int64_t count) {
  constexpr int64_t L = kLanes<T>;
  constexpr int64_t kAhead = 256 / sizeof(T);  // of each plane
  for (int64_t i = 0; i < count; i += L) {
    if (count >= L) i = min(i, count - L);  // the last block overlaps the one before
    const int64_t rest = min(L, count - i);
    Vec<T> block[L];
    if (lanes == L && rest == L) {
      FASTCONV_UNROLL
      for (int64_t lane = 0; lane < L; ++lane) {
        block[lane] = load(from + lane * plane + i);
        __builtin_prefetch(from + lane * plane + i + kAhead);
      }
    } else {
      FASTCONV_UNROLL
      for (int64_t lane = 0; lane < L; ++lane)
        block[lane] = lane < lanes ? load_lanes(from + lane * plane + i, 0, rest, T(0)) : Vec<T>{};
    }
    transpose<T>(block);
    if (rest == L) {
      FASTCONV_UNROLL
      for (int64_t j = 0; j < L; ++j) store(to + place[i + j], block[j]);
    } else {
      FASTCONV_UNROLL
      for (int64_t j = 0; j < L; ++j)
        if (j < rest) store(to + place[i + j], block[j]);
    }
  }
}

// Rows of zeros, or columns of them.
template <class T>
FASTCONV_INLINE void zero_positions(T* to, int64_t pitch, int64_t rows, int64_t columns) {
  for (int64_t row = 0; row < rows; ++row, to += pitch)
    for (int64_t i = 0; i < columns; ++i) store(to + i * kLanes<T>, Vec<T>{});
}

// The patch under `rows` rows from row `first` of the first phase on, its zeros only if `frame`. `in`
// at the first plane.
template <class T>
void pack_patch_of_planes(const TransposedPlan<T>& plan, const Phase& phase, int64_t first,
                          int64_t rows, const T* in, int64_t lanes, const int32_t* place,
                          bool frame, T* patch) {
  constexpr int64_t L = kLanes<T>;
  const int64_t* stride = plan.op.in_stride;
  const int64_t IH = phase.axis[1].in, IW = phase.axis[2].in, pitch = plan.patch_columns * L;
  const int64_t all_rows = plan.reach[1].extent(rows);
  const int64_t ih = first * plan.reach[1].step + plan.reach[1].low;
  const int64_t top = clamp(-ih, 0, all_rows), bottom = clamp(IH - ih, top, all_rows);
  const int64_t left = clamp(-plan.reach[2].low, 0, plan.patch_columns);
  const int64_t right = clamp(IW - plan.reach[2].low, left, plan.patch_columns);
  const int64_t inside = bottom - top;
  T* to = patch + top * pitch;
  if (frame) {
    zero_positions(patch, pitch, top, plan.patch_columns);
    zero_positions(patch + bottom * pitch, pitch, all_rows - bottom, plan.patch_columns);
    zero_positions(to, pitch, inside, left);
    zero_positions(to + right * L, pitch, inside, plan.patch_columns - right);
  }
  const int64_t column = max(plan.reach[2].low, 0), count = right - left;
  const T* from = in + (ih + top) * stride[3] + column * stride[4];
  to += left * L;
  if (count == IW && plan.in_joined)
    return pack_run_of_planes(to, place, from, stride[1], lanes, inside * IW);
  for (int64_t row = 0; row < inside; ++row, from += stride[3], to += pitch)
    pack_run_of_planes(to, place, from, stride[1], lanes, count);
}

// As many pairs of rows as there are; returns how many rows that was.
template <class T>
int64_t sum_pairs(const TransposedPlan<T>& plan, int64_t rows, const T* patch, const T* weights,
                  const T* bias, T* sums) {
  constexpr int64_t L = kLanes<T>;
  const int64_t pitch = plan.patch_columns * L, sums_pitch = plan.width * L;
  const int64_t last = (plan.width - 1) / plan.positions * plan.positions;
  int64_t row = 0;
  for (; row + 2 <= rows; row += 2)
    // From right to left: the last tile of the first row reaches into the second.
    for (int64_t ow = last; ow >= 0; ow -= plan.positions) {
      const T* from = patch + row * pitch + ow * L;
      T* to = sums + row * sums_pitch + ow * L;
      if (plan.positions == 7)
        sum_pair<T, 7>(from, pitch, weights, plan.pitch, bias, to, sums_pitch);
      else
        sum_pair<T, 8>(from, pitch, weights, plan.pitch, bias, to, sums_pitch);
    }
  return row;
}

// The sums of the rows, of all phases, to sums[row][column][lane].
template <class T>
void sum_patch(const TransposedPlan<T>& plan, const Phase* phases, const Segment* list,
               int64_t first, int64_t rows, const T* patch, const T* weights, const T* bias,
               T* sums) {
  constexpr int64_t L = kLanes<T>;
  const Activation identity = {FASTCONV_IDENTITY, 0, 0};  // until the sums are turned
  Tile<T> tile(identity);
  tile.column = L;
  tile.pitch = plan.pitch;
  tile.first = 0;
  tile.width = INT64_MAX;  // the patch has all columns
  tile.positions = plan.positions;
  tile.bias = bias;
  tile.groups = {0, L};
  tile.residual = {nullptr, 0, 0};
  int64_t row = 0;
  if (kPairs && plan.pairs) row = sum_pairs(plan, rows, patch, weights, bias, sums);
  // In the order of the rows of the output: what a row's last tile writes beyond it, the next
  // one writes over.
  for (; row < rows; ++row)
    for (int64_t i = 0; i < plan.all_phases; ++i) {
      const Phase& phase = phases[i];
      const Axis* axis = phase.axis;
      if (first + row >= axis[1].out) continue;
      const int64_t out_row = row * axis[1].out_step + axis[1].out_first;
      tile.segments = list + phase.weight_offset / plan.pitch;
      const int64_t run = segment_of(axis[2], plan.run);
      tile.count = phase.taps() / run;
      tile.step = axis[2].step;
      tile.weight = weights + phase.weight_offset;
      tile.out = {sums + (out_row * plan.width + axis[2].out_first) * L, 1, axis[2].out_step * L};
      tile.in = patch + row * plan.reach[1].step * plan.patch_columns * L;
      for (int64_t ow = 0; ow < axis[2].out; ow += plan.positions) {
        run_tile(tile, run, plan.positions);
        tile.in += plan.positions * tile.step * L;
        tile.out.data += plan.positions * tile.out.position;
      }
    }
}

// out[lane * plane + i] = activation(sums[i][lane] + residual) for i in [0, count).
template <class T>
void finish_run_of_planes(const T* sums, int64_t lanes, int64_t count, const Strided<T>& out,
                          const Strided<const T>& residual, const Bounded<T>& activate_sum) {
  constexpr int64_t L = kLanes<T>;
  constexpr int64_t kFew = 2;  // of a plane that are stored one by one: 49 = 3 * 16 + 1
  const bool plain = lanes == L && residual.data == nullptr;
  int64_t i = 0;
  for (; i < count && (count - i > kFew || !plain); i += L) {
    const int64_t rest = min(L, count - i);
    Vec<T> block[L];
    FASTCONV_UNROLL
    for (int64_t j = 0; j < L; ++j) block[j] = load(sums + (i + j) * L);
    transpose<T>(block);
    if (plain && rest == L) {
      FASTCONV_UNROLL
      for (int64_t lane = 0; lane < L; ++lane)
        put(out, out.data + lane * out.channel + i, activate_sum(block[lane]), L);
      continue;
    }
    FASTCONV_UNROLL
    for (int64_t lane = 0; lane < L; ++lane) {
      if (lane >= lanes) break;
      Vec<T> x = block[lane];
      if (residual.data != nullptr)
        x += load_lanes(residual.data + lane * residual.channel + i, 0, rest, T(0));
      x = activate_sum(x);
      put(out, out.data + lane * out.channel + i, x, rest);
    }
  }
  for (; i < count; ++i)
    for (int64_t lane = 0; lane < L; ++lane) {
      const T x = sums[i * L + lane];
      out.data[lane * out.channel + i] = activate_sum(broadcast(x))[0];
    }
}

template <class T>
void finish_planes(const TransposedPlan<T>& plan, int64_t n, int64_t od, int64_t oh, int64_t first,
                   int64_t lanes, int64_t rows, const T* sums) {
  const Operands<T>& op = plan.op;
  const auto at = [&](const int64_t* stride) {
    return n * stride[0] + first * stride[1] + od * stride[2] + oh * stride[3];
  };
  const Bounded<T> activate_sum(op.activation);
  Strided<T> out = {op.out + at(op.out_stride), op.out_stride[1], 1, plan.streams};
  Strided<const T> residual = {nullptr, 0, 0};
  if (op.residual != nullptr)
    residual = {op.residual + at(op.residual_stride), op.residual_stride[1], 1};
  if (plan.out_joined)
    return finish_run_of_planes(sums, lanes, rows * plan.width, out, residual, activate_sum);
  for (int64_t row = 0; row < rows; ++row) {
    finish_run_of_planes(sums, lanes, plan.width, out, residual, activate_sum);
    sums += plan.width * kLanes<T>;
    out.data += op.out_stride[3];
    if (op.residual != nullptr) residual.data += op.residual_stride[3];
  }
}

template <class T>
void run_transposed(const TransposedPlan<T>& plan, const ConvArgs<T>& args) {
  constexpr int64_t L = kLanes<T>;
  char* workspace = static_cast<char*>(args.exec.workspace);
  Phase* phases = reinterpret_cast<Phase*>(workspace + plan.phase_at);
  T* weights = reinterpret_cast<T*>(workspace + plan.weight_at);
  T* bias = reinterpret_cast<T*>(workspace + plan.bias_at);
  Segment* list = reinterpret_cast<Segment*>(workspace + plan.list_at);
  int32_t* place = reinterpret_cast<int32_t*>(workspace + plan.place_at);
  const Operands<T>& op = plan.op;
  pack_channels(plan, phases, weights);
  op.copy_bias(bias, plan.pitch, 0, op.groups);
  list_patch_segments(plan, phases, list);
  const int64_t most_rows = min(phases[0].axis[1].in, plan.reach[1].extent(plan.piece_rows));
  for (int64_t row = 0, i = 0; row < most_rows; ++row)
    for (int64_t column = 0; column < plan.places; ++column, ++i)
      place[i] = static_cast<int32_t>((row * plan.patch_columns + column) * L);
  parallel_for(plan.tasks, args.exec.threads, [&](int64_t task, int worker) {
    T* patch = reinterpret_cast<T*>(workspace + plan.worker_at +
                                    plan.worker_bytes * static_cast<size_t>(worker));
    T* sums = patch + plan.patch_bytes / sizeof(T);
    const int64_t first = task % plan.pieces * plan.piece_rows;
    task /= plan.pieces;
    const int64_t block = task % plan.block_tasks * plan.run_blocks;
    const int64_t od = task / plan.block_tasks % plan.out_depth,
                  n = task / plan.block_tasks / plan.out_depth;
    const int64_t rows = min(plan.piece_rows, phases[0].axis[1].out - first);
    const int64_t oh = first * plan.phases[1];
    for (int64_t i = block; i < min(block + plan.run_blocks, plan.blocks); ++i) {
      const int64_t g = i * L, lanes = min(L, op.groups - g);
      const T* in = op.in + n * op.in_stride[0] + g * op.in_stride[1] + od * op.in_stride[2];
      pack_patch_of_planes(plan, phases[0], first, rows, in, lanes, place, i == block, patch);
      sum_patch(plan, phases, list, first, rows, patch, weights + g, bias + g, sums);
      finish_planes(plan, n, od, oh, g, lanes, min(rows * plan.phases[1], plan.height - oh), sums);
    }
    if (plan.streams) end_stream();
  });
}

}  // namespace
}  // namespace fastconv
