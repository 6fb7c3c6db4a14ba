// How a planar depthwise convolution is cut into pieces whose transposed copies stay in L2, and
// whether it is computed so: see depthwise_transposed.h.
#pragma once

#include "kernels/depthwise_plan.h"

namespace fastconv {
namespace {

// The patch and the sums, of 1 MiB of L2 (256 KiB on older cores).
constexpr int64_t kTransposedPieceBytes = 128 << 10;
// Rows from this length on are summed as they are: depthwise_planar.h.
constexpr int64_t kTransposedRow = 256;

template <class T>
struct TransposedPlan : Blocking<T> {
  using Blocking<T>::op;
  using Blocking<T>::phases;
  AxisReach reach[kSpatial];
  bool applies;
  bool pairs;                  // of rows are summed together
  int64_t pitch;               // of a tap's filters
  int64_t run;                 // taps of a segment
  int64_t positions;           // of a tile: 7 or 8
  int64_t height, width;       // of the output
  int64_t patch_columns;       // of the patch
  int64_t places;              // of a row of the image in the patch
  int64_t piece_rows, pieces;  // rows of the first phase; of an image
  int64_t out_depth, blocks, run_blocks, block_tasks, tasks;  // vectors of channels; of a task
  bool in_joined, out_joined;                                 // rows are a run in memory
  size_t phase_at, weight_at, bias_at, list_at, place_at, worker_at;
  size_t patch_bytes, worker_bytes, total_bytes;

  TransposedPlan(const ConvArgs<T>& args, bool is_backward) : Blocking<T>(args, is_backward) {
    constexpr int64_t item = sizeof(T), L = kLanes<T>;
    const ConvParams& problem = this->p;
    for (int i = 0; i < kSpatial; ++i) reach[i] = AxisReach(*this, i);
    const Phase first = this->phase(0);
    const Axis& rows_axis = first.axis[1];
    const Axis& columns_axis = first.axis[2];
    const int64_t* out_extent = is_backward ? problem.in : problem.out;
    out_depth = out_extent[0];
    height = out_extent[1];
    width = out_extent[2];
    patch_columns = reach[2].extent(columns_axis.out);
    const int64_t step = max(reach[2].step, columns_axis.out_step);
    applies = max(width, patch_columns) < kTransposedRow && reach[1].reach < kTransposedRow &&
              step < kTransposedRow;
    if (!applies) return;
    pitch = round_up(op.groups, L);
    run = segment_taps(problem.kernel[2], is_backward, problem.stride[2], problem.dilation[2]);
    positions = ceil_div(columns_axis.out, 7) * 7 <= ceil_div(columns_axis.out, 8) * 8 ? 7 : 8;

    pairs = run == 3 && problem.kernel[1] == 3 && problem.dilation[1] == 1 &&
            problem.stride[1] == 1 && problem.stride[2] == 1;
    const auto bytes = [&](int64_t count) {
      return (reach[1].extent(count) * patch_columns + count * phases[1] * width) * L * item;
    };
    piece_rows = rows_axis.out;
    while (bytes(piece_rows) > kTransposedPieceBytes && piece_rows > 1)
      piece_rows = ceil_div(piece_rows, 2);
    pieces = ceil_div(rows_axis.out, piece_rows);
    // A tile may have positions beyond the row: they are read and written, and not used.
    const int64_t beyond = max(8 * step, L) * L;
    blocks = ceil_div(op.groups, L);
    run_blocks = clamp(op.n * out_depth * blocks * pieces / (16 * args.exec.threads), 1, 8);
    block_tasks = ceil_div(blocks, run_blocks);
    tasks = op.n * out_depth * block_tasks * pieces;

    const auto runs = [](const int64_t* stride, int64_t extent) {
      return extent == 1 || stride[4] == 1;
    };
    const auto joins = [](const int64_t* stride, int64_t row) { return stride[3] == row; };
    in_joined = joins(op.in_stride, columns_axis.in);
    out_joined =
        joins(op.out_stride, width) && (op.residual == nullptr || joins(op.residual_stride, width));
    const bool flat = problem.kernel[0] == 1 && problem.stride[0] == 1 &&
                      problem.pad_before[0] == 0 && problem.in[0] == problem.out[0];
    const bool pointwise = problem.kernel[1] * problem.kernel[2] == 1;
    applies = op.channels == 1 && op.outputs == 1 && flat && !pointwise &&
              runs(op.in_stride, columns_axis.in) && runs(op.out_stride, width) &&
              (op.residual == nullptr || runs(op.residual_stride, width)) &&
              2 * pitch <= 3 * op.groups && bytes(piece_rows) <= kTransposedPieceBytes;
    // As for channels-last data, see direct_channels.h.
    const int64_t in_positions = first.axis[0].in * rows_axis.in * columns_axis.in;
    this->streams |=
        op.n * op.groups * (in_positions + out_depth * height * width) * item >= kBothStreamBytes;

    places = min(columns_axis.in, patch_columns);
    Regions regions;
    phase_at = regions.reserve(this->all_phases * static_cast<int64_t>(sizeof(Phase)));
    const int64_t taps = problem.kernel[0] * problem.kernel[1] * problem.kernel[2];
    weight_at = regions.reserve(pitch * taps * item);
    bias_at = regions.reserve(pitch * item);
    list_at = regions.reserve(taps * static_cast<int64_t>(sizeof(Segment)));
    place_at = regions.reserve(min(rows_axis.in, reach[1].extent(piece_rows)) * places *
                               static_cast<int64_t>(sizeof(int32_t)));
    worker_at = regions.end;
    Regions worker;
    worker.reserve((reach[1].extent(piece_rows) * patch_columns * L + beyond) * item);
    patch_bytes = worker.end;
    worker.reserve((piece_rows * phases[1] * width * L + beyond) * item);
    worker_bytes = worker.end;
    total_bytes = worker_at + worker_bytes * static_cast<size_t>(args.exec.threads);
  }
};

}  // namespace
}  // namespace fastconv
