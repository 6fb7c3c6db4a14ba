// How a planar depthwise convolution is cut into pieces whose copies stay in L1, and the scratch
// that a piece takes. All phases of a strided gradient read the same copy: it covers what any of
// them reads.
#pragma once

#include "kernels/conv_blocks.h"
#include "kernels/depthwise_rows.h"
#include "kernels/direct_channels.h"

namespace fastconv {
namespace {

// The patch; the sums take as much again, of 48 KiB of L1 (32 on older cores).
constexpr int64_t kPieceBytes = 16 << 10;
constexpr int64_t kPieceColumns = 1024;  // a row is cut in pieces of no less

// What positions along one axis read in all phases: from `low`, relative to a position's `step`
// columns, to `reach` further.
struct AxisReach {
  int64_t low = 0, reach = 0, step = 1;

  AxisReach() = default;
  template <class T>
  AxisReach(const Blocking<T>& blocking, int i) {
    int64_t high = 0;
    bool found = false;
    for (int64_t f = 0; f < blocking.phases[i]; ++f) {
      Axis axis = blocking.axis(i, f);
      ascend(axis);
      step = axis.step;
      if (axis.taps == 0) continue;
      low = found ? min(low, axis.first_offset) : axis.first_offset;
      high = found ? max(high, axis.offset(axis.taps - 1)) : axis.offset(axis.taps - 1);
      found = true;
    }
    reach = high - low;
  }
  // Rows or columns under that many positions.
  int64_t extent(int64_t positions) const { return (positions - 1) * step + 1 + reach; }
};

struct PlanePiece {
  int64_t od, oh, ow, rows, columns;
};

template <class T>
struct SegmentList {
  const ColumnSegment<T>* begin;
  int64_t count;
};

// Of one worker.
template <class T>
struct PlanarScratch {
  T *patch, *sums, *weights;  // weights: of the channel at hand, in the order of the lists
  int64_t *taps, *tap_count;  // where in the filter those are
  ColumnSegment<T>* segments;
  SegmentList<T>* lists;  // of each phase
};

template <class T>
struct PlanarPlan : Blocking<T> {
  using Blocking<T>::op;
  using Blocking<T>::phases;
  int64_t low[kSpatial], reach[kSpatial], step[kSpatial];  // lowest offset of any phase; span
  int64_t width, height;                                   // positions of the first phase
  bool flat;                                               // pieces are summed as one run
  bool joined;                                             // the rows of the output are a run
  int64_t run;                                             // taps of a segment
  int64_t piece_rows, piece_columns;                       // positions
  int64_t residue_pitch, pitch;                            // of the patch
  int64_t patch_size, sums_pitch, sums_size;
  int64_t batch;  // groups whose pieces are in L1 together
  int64_t row_pieces, column_pieces, depth_tasks, group_run, group_tasks, tasks;
  size_t phase_at, worker_at, patch_at, sums_at, weight_at, tap_at, segment_at, list_at;
  size_t worker_bytes, total_bytes;

  PlanarPlan(const ConvArgs<T>& args, bool is_backward) : Blocking<T>(args, is_backward) {
    constexpr int64_t item = sizeof(T), L = kLanes<T>;
    const ConvParams& problem = this->p;
    for (int i = 0; i < kSpatial; ++i) {
      const AxisReach all(*this, i);
      low[i] = all.low;
      reach[i] = all.reach;
      step[i] = all.step;
    }
    const Phase first = this->phase(0);
    width = first.axis[2].out;
    height = first.axis[1].out;

    // A row of the patch costs as many vectors as it is cut into, and a run of single taps half
    // as many loads again.
    const int64_t flat_row = ceil_div(patch_extent(2, width), step[2]) * step[2];
    flat = height == 1 || (step[1] == 1 && 3 * flat_row < 2 * round_up(width, L));
    run =
        flat ? 1
             : segment_taps(problem.kernel[1], is_backward, problem.stride[1], problem.dilation[1]);

    const auto patch_bytes = [&](int64_t high, int64_t wide) {
      return op.channels * problem.kernel[0] * patch_extent(1, high) * patch_extent(2, wide) * item;
    };
    piece_columns = width;
    while (patch_bytes(1, piece_columns) > kPieceBytes && piece_columns > kPieceColumns)
      piece_columns = ceil_div(piece_columns, 2);
    piece_columns = min(width, round_up(piece_columns, L));
    piece_rows = height;
    while (patch_bytes(piece_rows, piece_columns) > kPieceBytes && piece_rows > 8)
      piece_rows = ceil_div(piece_rows, 2);
    piece_rows = min(height, round_up(piece_rows, 8));
    row_pieces = ceil_div(height, piece_rows);
    column_pieces = ceil_div(width, piece_columns);

    residue_pitch = ceil_div(patch_extent(2, piece_columns), step[2]);
    // What a row's last vector writes beyond it, the next row writes over. That is in order where
    // the rows of one residue follow each other.
    if (!flat || step[2] > 1) residue_pitch = round_up(residue_pitch, L);
    pitch = residue_pitch * step[2];
    // A tile may have rows, and a vector lanes, beyond the piece: they are read and not used.
    const int64_t beyond = flat ? 8 * L : 8 * step[1] * pitch + L;
    patch_size = round_up(problem.kernel[0] * patch_extent(1, piece_rows) * pitch + beyond, L);
    sums_pitch = flat ? pitch : round_up(piece_columns, L);
    sums_size = (piece_rows + (flat ? 0 : 8)) * sums_pitch + 8 * L;

    batch = clamp(kPieceBytes / (op.channels * patch_size * item), 1, 8);
    const auto joins = [&](const int64_t* stride) { return stride[4] == 1 && stride[3] == width; };
    joined = !flat && phases[1] == 1 && phases[2] == 1 && column_pieces == 1 &&
             joins(op.out_stride) && (op.residual == nullptr || joins(op.residual_stride));
    // As for channels-last data, see direct_channels.h.
    const int64_t positions_in = first.axis[0].in * first.axis[1].in * first.axis[2].in;
    const int64_t positions_out = this->all_phases * first.axis[0].out * height * width;
    this->streams |=
        op.n * op.groups * (op.channels * positions_in + op.outputs * positions_out) * item >=
        kBothStreamBytes;

    depth_tasks = first.axis[0].out * phases[0];
    const int64_t pieces = op.n * depth_tasks * row_pieces * column_pieces;
    group_run = clamp(pieces * op.groups / (16 * args.exec.threads), 1, 16);
    group_tasks = ceil_div(op.groups, group_run);
    tasks = pieces * group_tasks;

    const int64_t all_taps =
        problem.kernel[0] * problem.kernel[1] * problem.kernel[2] * op.channels;
    Regions regions;
    phase_at = regions.reserve(this->all_phases * static_cast<int64_t>(sizeof(Phase)));
    worker_at = regions.end;
    Regions worker;
    patch_at = worker.reserve(batch * patch_size * op.channels * item);
    sums_at = worker.reserve(batch * sums_size * phases[2] * item);
    weight_at = worker.reserve(all_taps * item);
    tap_at = worker.reserve((all_taps + 1) * static_cast<int64_t>(sizeof(int64_t)));
    segment_at = worker.reserve(all_taps * static_cast<int64_t>(sizeof(ColumnSegment<T>)));
    list_at = worker.reserve(this->all_phases * static_cast<int64_t>(sizeof(SegmentList<T>)));
    worker_bytes = worker.end;
    total_bytes = worker_at + worker_bytes * static_cast<size_t>(args.exec.threads);
  }

  // Rows or columns of the patch under that many positions.
  int64_t patch_extent(int i, int64_t positions) const {
    return (positions - 1) * step[i] + 1 + reach[i];
  }
  PlanarScratch<T> scratch(char* workspace, int worker) const {
    char* own = workspace + worker_at + worker_bytes * static_cast<size_t>(worker);
    int64_t* taps = reinterpret_cast<int64_t*>(own + tap_at);
    return {reinterpret_cast<T*>(own + patch_at),
            reinterpret_cast<T*>(own + sums_at),
            reinterpret_cast<T*>(own + weight_at),
            taps + 1,
            taps,
            reinterpret_cast<ColumnSegment<T>*>(own + segment_at),
            reinterpret_cast<SegmentList<T>*>(own + list_at)};
  }
};

}  // namespace
}  // namespace fastconv
