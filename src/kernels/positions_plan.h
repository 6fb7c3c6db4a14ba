// How direct_positions.h is cut up: blocks of positions, and one patch for all phases of a strided
// gradient where they read much the same.
#pragma once

#include "kernels/direct_groups.h"
#include "kernels/positions_kernel.h"

namespace fastconv {
namespace {

template <class T>
struct PositionsPlan : Blocking<T> {
  using Blocking<T>::op;
  using Blocking<T>::p;
  // What all phases of a block of positions read, where they read much the same: one patch for
  // all of them (11x11 with stride 4 and its 16 phases: 49 -> 33 ms, one thread).
  Phase whole;
  bool shares_patch;
  size_t phase_at, weight_at, worker_at, worker_bytes, total_bytes;

  PositionsPlan(const ConvArgs<T>& args, bool is_backward) : Blocking<T>(args, is_backward) {
    constexpr int64_t item = sizeof(T);
    const int64_t* kernel = p.kernel;
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

}  // namespace
}  // namespace fastconv
