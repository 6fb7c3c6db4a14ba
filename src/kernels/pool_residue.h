// Which taps of a row of windows land on which columns of the input, apart by stride.
#pragma once

#include "core/params.h"

namespace fastconv {
namespace {

// The taps of a row of windows that land on the columns iw = m * stride + residue: `tap`, whose
// output is m - shift, and then each `tap_step` before it, whose output is `shift_step` later.
struct Residue {
  int64_t tap, tap_step, shift, shift_step, count;
};

inline Residue residue_of(const WindowParams& p, int64_t residue) {
  const int64_t stride = p.stride[2], dilation = p.dilation[2], first = -p.pad_before[2] - residue;
  Residue r = {p.kernel[2] - 1, 0, 0, 0, 0};
  // Of `stride` taps in a row at most some qualify, at equal distances.
  int64_t before = -1;
  for (int64_t tap = p.kernel[2] - 1; tap >= 0 && tap >= p.kernel[2] - 2 * stride; --tap) {
    if ((tap * dilation + first) % stride != 0) continue;
    if (r.count == 0) {
      r.tap = tap;
      r.count = 1;
    } else if (before < 0) {
      before = tap;
    }
  }
  if (r.count == 0) return r;
  r.shift = (r.tap * dilation + first) / stride;
  if (before >= 0) {
    r.tap_step = r.tap - before;
    r.shift_step = r.tap_step * dilation / stride;
    r.count = r.tap / r.tap_step + 1;
  }
  return r;
}

}  // namespace
}  // namespace fastconv
