// Depthwise convolution with vectors along the columns: planar data, and any other strides.
//
//   out[n, g * M + m, q] = activation(bias + residual +
//                          sum over c, taps t of in[n, g * C + c, q * step + offset(t)] *
//                                                weight[g, m, c, t])
//   C = 1 forward, M = 1 for the gradient of the input; the other is the channel multiplier
//
// A task copies a piece of a plane into L1, with zeros for the padding and the columns of a
// stride sorted by residue: then every tap of every position is at a constant distance, and
// neither edges nor strides nor layout are seen in the inner loop (depthwise_rows.h). The
// copy is read by all phases of a strided gradient, and their sums are interleaved on the way
// out, so that memory is read and written once, in order.
//
// Rows narrower than a vector would leave lanes idle. With step 1 the piece is then summed as
// one run, the gap between the rows included.
//
// Threads: a task owns a piece of the positions of a few channels of one image.
#pragma once

#include "kernels/depthwise_pack.h"
#include "simd/parallel_for.h"

namespace fastconv {
namespace {

// One input channel a group, and few outputs of it: many are a matrix product.
template <class T>
bool along_columns(const ConvArgs<T>& args) {
  constexpr int64_t kMostOutputs = 4;
  const ConvParams& p = *args.params;
  return p.in_channels == p.groups && p.out_channels <= kMostOutputs * p.groups;
}

template <class T>
struct RowOut {
  T* data;
  const T* residual;
  int64_t step, residual_step;  // strides of a column
  Bounded<T> activate;
  bool streams;
};

// out[i] = activation(sums[i] + residual[i]), consecutive.
template <class T>
FASTCONV_INLINE void finish_run(const T* sums, int64_t count, const RowOut<T>& out) {
  constexpr int L = kLanes<T>;
  int64_t i = 0;
  const auto finish = [&](int64_t lanes) {
    Vec<T> x = load(sums + i);
    if (out.residual != nullptr) x += load_lanes(out.residual + i, 0, lanes, T(0));
    return out.activate(x);
  };
  if (out.streams) {
    const int64_t past = static_cast<int64_t>(reinterpret_cast<uintptr_t>(out.data) %
                                              FASTCONV_VEC_BYTES / sizeof(T));
    if (past > 0) {
      const int64_t head = min(L - past, count);
      store_lanes(out.data, finish(head), head);
      i = head;
    }
    if (is_aligned(out.data + i))
      for (; i + L <= count; i += L) stream(out.data + i, finish(L));
  }
  for (; i + L <= count; i += L) store(out.data + i, finish(L));
  if (i < count) store_lanes(out.data + i, finish(count - i), count - i);
}

// Columns of the row, of which phase f has every phases-th from f on, at sums + f * pitch.
template <class T>
void finish_row(const T* sums, int64_t pitch, int64_t phases, int64_t count, const RowOut<T>& out) {
  constexpr int L = kLanes<T>;
  const bool consecutive = out.step == 1 && (out.residual == nullptr || out.residual_step == 1);
  if (consecutive && phases == 1) return finish_run(sums, count, out);
  if (consecutive && phases == 2) {
    const auto finish = [&](int64_t i, Vec<T> x) {
      const int64_t lanes = min(L, count - i);
      if (out.residual != nullptr) x += load_lanes(out.residual + i, 0, lanes, T(0));
      x = out.activate(x);
      if (lanes == L)
        store(out.data + i, x);
      else
        store_lanes(out.data + i, x, lanes);
    };
    for (int64_t i = 0; i < count; i += 2 * L) {
      const Vec<T> even = load(sums + i / 2), odd = load(sums + pitch + i / 2);
      finish(i, zip_low(even, odd));
      if (i + L < count) finish(i + L, zip_high(even, odd));
    }
    return;
  }
  for (int64_t i = 0; i < count; ++i) {
    T x = sums[i % phases * pitch + i / phases];
    if (out.residual != nullptr) x += out.residual[i * out.residual_step];
    out.data[i * out.step] = out.activate(broadcast(x))[0];
  }
}

// The sums of all column phases of `rows` rows to the output.
template <class T>
void finish_piece(const PlanarPlan<T>& plan, const Phase* row_phase, const PlanePiece& piece,
                  int64_t n, int64_t channel, int64_t rows, const T* sums) {
  const Operands<T>& op = plan.op;
  const int64_t phases = plan.phases[2], first = piece.ow * phases;
  int64_t total = 0;  // columns of the output
  for (int64_t f = 0; f < phases; ++f) total += row_phase[f].axis[2].out;
  const int64_t count = min(piece.columns * phases, total - first);
  const Axis* axis = row_phase[0].axis;
  const auto at = [&](const int64_t* stride) {
    return n * stride[0] + channel * stride[1] +
           (axis[0].out_first + piece.od * axis[0].out_step) * stride[2] +
           (axis[1].out_first + piece.oh * axis[1].out_step) * stride[3] + first * stride[4];
  };
  RowOut<T> out = {op.out + at(op.out_stride), nullptr,     op.out_stride[4], 0,
                   Bounded<T>(op.activation),  plan.streams};
  if (op.residual != nullptr) {
    out.residual = op.residual + at(op.residual_stride);
    out.residual_step = op.residual_stride[4];
  }
  if (plan.joined) return finish_run(sums, rows * count, out);
  for (int64_t row = 0; row < rows; ++row) {
    finish_row(sums, plan.sums_size, phases, count, out);
    sums += plan.sums_pitch;
    out.data += axis[1].out_step * op.out_stride[3];
    if (out.residual != nullptr) out.residual += axis[1].out_step * op.residual_stride[3];
  }
}

// The sums of output channel m of group g, in one phase of the rows.
template <class T>
void sum_piece(const PlanarPlan<T>& plan, const Phase* row_phase, const SegmentList<T>* lists,
               const PlanePiece& piece, int64_t g, int64_t m, int64_t rows, const T* patch, T* sums,
               const PlanarScratch<T>& scratch) {
  const Operands<T>& op = plan.op;
  const T* weight = op.weight + g * op.weight_group_stride + m * op.weight_stride[0];
  for (int64_t i = 0; i < *scratch.tap_count; ++i) scratch.weights[i] = weight[scratch.taps[i]];
  ColumnTile<T> tile;
  tile.in = patch;
  plan.op.copy_bias(&tile.bias, 1, g * op.outputs + m, 1);
  for (int64_t f = 0; f < plan.phases[2]; ++f) {
    const int64_t columns = min(piece.columns, row_phase[f].axis[2].out - piece.ow);
    if (columns < 1) continue;
    tile.in_step = plan.flat ? kLanes<T> : plan.run > 1 ? plan.pitch : plan.step[1] * plan.pitch;
    tile.out = sums + f * plan.sums_size;
    tile.out_step = plan.flat ? kLanes<T> : plan.joined ? columns : plan.sums_pitch;
    tile.segments = lists[f].begin;
    tile.count = lists[f].count;
    if (plan.flat)
      sum_run(tile, (rows - 1) * plan.pitch + columns);
    else
      sum_rows(tile, plan.run, plan.step[1], rows, columns);
  }
}

// A piece of the planes of groups [first, last). Of small pieces several are taken at a time: what
// was just stored would stall the loads that want it in other pieces.
template <class T>
void run_piece(const PlanarPlan<T>& plan, const Phase* phases, const PlanePiece& piece, int64_t n,
               int64_t first, int64_t last, const PlanarScratch<T>& scratch) {
  const Operands<T>& op = plan.op;
  const int64_t patch_size = op.channels * plan.patch_size;
  const int64_t sums_size = plan.phases[2] * plan.sums_size;
  for (int64_t g = first; g < last; ++g)
    for (int64_t c = 0; c < op.channels; ++c)
      pack_piece(plan, phases[0].axis, piece,
                 op.in + n * op.in_stride[0] + (g * op.channels + c) * op.in_stride[1],
                 scratch.patch + (g - first) * patch_size + c * plan.patch_size);
  for (int64_t m = 0; m < op.outputs; ++m) {
    for (int64_t row_phase = 0; row_phase < plan.phases[1]; ++row_phase) {
      const int64_t at = row_phase * plan.phases[2];
      const Phase* row = phases + at;
      const int64_t rows = min(piece.rows, row[0].axis[1].out - piece.oh);
      if (rows < 1) continue;
      for (int64_t g = first; g < last; ++g)
        sum_piece(plan, row, scratch.lists + at, piece, g, m, rows,
                  scratch.patch + (g - first) * patch_size, scratch.sums + (g - first) * sums_size,
                  scratch);
      for (int64_t g = first; g < last; ++g)
        finish_piece(plan, row, piece, n, g * op.outputs + m, rows,
                     scratch.sums + (g - first) * sums_size);
    }
  }
}

template <class T>
void run_planar(const ConvArgs<T>& args, bool backward) {
  const PlanarPlan<T> plan(args, backward);
  char* workspace = static_cast<char*>(args.exec.workspace);
  Phase* phases = reinterpret_cast<Phase*>(workspace + plan.phase_at);
  plan.make_phases(phases, 0);
  for (int64_t i = 0; i < plan.all_phases; ++i)
    for (int j = 0; j < kSpatial; ++j) ascend(phases[i].axis[j]);
  parallel_for(plan.tasks, args.exec.threads, [&](int64_t task, int worker) {
    const int64_t ow = task % plan.column_pieces * plan.piece_columns;
    task /= plan.column_pieces;
    const int64_t oh = task % plan.row_pieces * plan.piece_rows;
    task /= plan.row_pieces;
    const int64_t depth = task % plan.depth_tasks;
    task /= plan.depth_tasks;
    const int64_t first = task % plan.group_tasks * plan.group_run, n = task / plan.group_tasks;
    const Phase* of_depth = phases + depth % plan.phases[0] * plan.phases[1] * plan.phases[2];
    const PlanePiece piece = {depth / plan.phases[0], oh, ow,
                              min(plan.piece_rows, plan.height - oh),
                              min(plan.piece_columns, plan.width - ow)};
    if (piece.od >= of_depth[0].axis[0].out) return;
    const PlanarScratch<T> scratch = plan.scratch(workspace, worker);
    list_segments(plan, of_depth, piece, scratch);
    const int64_t last = min(first + plan.group_run, plan.op.groups);
    for (int64_t g = first; g < last; g += plan.batch)
      run_piece(plan, of_depth, piece, n, g, min(g + plan.batch, last), scratch);
    if (plan.streams) end_stream();
  });
}

}  // namespace
}  // namespace fastconv
