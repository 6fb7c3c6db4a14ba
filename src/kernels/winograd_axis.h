// How Winograd's transforms cover one axis of a convolution.
//
// The taps of an axis are runs: arithmetic progressions that see the input at stride 1 once it
// is sub-sampled. A filter with stride s has s of them, one a residue of its taps modulo s, all
// summed into the same outputs; the gradient of the input has one for each residue of the
// output ("phase"), summed into different ones; a dilated filter has one, for outputs a
// dilation apart. A run is cut into pieces no longer than a transform's taps.
//
//   tile      m outputs `out_step` apart
//   window    what a transform reads for it: n inputs `in_step` apart, from `offset` on
//   piece     up to r taps of one phase, and the window they look at
//
// Tiles of a dilated filter interleave: a unit is as many tiles as fill m * out_step outputs.
#pragma once

#include "kernels/conv_taps.h"
#include "kernels/winograd_transform.h"

namespace fastconv {
namespace {

constexpr int kMostPieces = 8, kMostPhases = 4;

// Taps of one phase in ascending order of what they read: tap j reads, for output q of the
// phase, input q * stride + offset + j * in_step, and is kernel index kernel + j * kernel_step.
struct Run {
  int64_t phase, offset, taps, kernel, kernel_step;
};

struct Runs {
  Run at[kMostPieces];
  int count;  // 0 if the axis is none that Winograd can do
  int64_t in_step, out_step, interleave, phases, most_taps;
  int64_t span;  // taps of a window that sees what all runs see
  bool even;     // all of the same number of taps
};

inline Runs make_runs(const ConvParams& p, int i, bool backward) {
  const int64_t stride = p.stride[i], dilation = p.dilation[i];
  Runs runs = {};
  if ((stride > 1 && dilation > 1) || stride > kMostPhases) return runs;
  runs.in_step = backward ? dilation : max(stride, dilation);
  runs.out_step = backward ? max(stride, dilation) : dilation;
  runs.interleave = dilation;
  runs.phases = backward ? min(stride, p.in[i]) : 1;
  if (backward) {
    for (int64_t phase = 0; phase < runs.phases; ++phase) {
      const Axis axis = backward_axis(p, i, phase);
      if (axis.taps == 0) return Runs{};
      runs.at[runs.count++] = {phase, axis.lowest(), axis.taps,
                               axis.first_kernel + (axis.taps - 1) * axis.kernel_step,
                               -axis.kernel_step};
    }
  } else {
    for (int64_t f = 0; f < min(stride, p.kernel[i]); ++f)
      runs.at[runs.count++] = {0, f - p.pad_before[i], ceil_div(p.kernel[i] - f, stride), f,
                               stride};
  }
  runs.even = true;
  int64_t low = runs.at[0].offset, high = low;
  for (int j = 0; j < runs.count; ++j) {
    runs.most_taps = max(runs.most_taps, runs.at[j].taps);
    runs.even &= runs.at[j].taps == runs.at[0].taps;
    low = min(low, runs.at[j].offset);
    high = max(high, runs.at[j].offset + (runs.at[j].taps - 1) * runs.in_step);
  }
  runs.span = (high - low) / runs.in_step + 1;
  return runs;
}

template <class T>
struct Window {
  const Transform<T>* transform;
  int64_t offset;
  int kind, rank;  // which of the axis' transforms; which of its windows
};

struct Piece {
  int window;
  int64_t phase, lead, taps;  // the window's taps [lead, lead + taps) are the piece's
  int64_t kernel, kernel_step;

  // Kernel index of a tap of the window, or -1.
  FASTCONV_INLINE int64_t tap(int64_t i) const {
    return i >= lead && i < lead + taps ? kernel + (i - lead) * kernel_step : -1;
  }
};

template <class T>
struct TiledAxis {
  Window<T> windows[kMostPieces];
  Piece pieces[kMostPieces];
  int window_count = 0, piece_count = 0, kinds = 0;  // piece_count 0: no such cover
  const Transform<T>* kind[2];
  int windows_of[2] = {0, 0};  // of each kind
  int64_t m, out, in_step, out_step, interleave, phases, units, lowest, reach;

  // All runs by F(m, r), or for r = 0 each by a transform of its own length.
  TiledAxis(const Runs& runs, int64_t outputs, int64_t tile, int64_t r) : m(tile), out(outputs) {
    in_step = runs.in_step;
    out_step = runs.out_step;
    interleave = runs.interleave;
    phases = runs.phases;
    units = ceil_div(out, m * out_step);
    // Phases whose taps all fit one window share its data.
    int64_t low = runs.at[0].offset;
    for (int j = 0; j < runs.count; ++j) low = min(low, runs.at[j].offset);
    const bool shared = phases > 1 && runs.span <= r;
    for (int j = 0; j < runs.count; ++j) {
      const Run& run = runs.at[j];
      const Transform<T>* transform = find_transform<T>(m, r > 0 ? r : run.taps);
      const int64_t most = transform != nullptr ? transform->r : 1;
      if (transform == nullptr || ceil_div(run.taps, most) > kMostPieces - piece_count) {
        piece_count = 0;
        return;
      }
      for (int64_t tap = 0; tap < run.taps; tap += most) {
        const int64_t offset = shared ? low : run.offset + tap * in_step;
        if (!shared || window_count == 0) add_window(transform, offset);
        pieces[piece_count++] = {window_count - 1,
                                 run.phase,
                                 shared ? (run.offset - low) / in_step : 0,
                                 min(most, run.taps - tap),
                                 run.kernel + tap * run.kernel_step,
                                 run.kernel_step};
      }
    }
    lowest = low;
    reach = 0;
    for (int j = 0; j < window_count; ++j)
      reach = max(reach, windows[j].offset - low + (windows[j].transform->n - 1) * in_step);
  }

  void add_window(const Transform<T>* transform, int64_t offset) {
    int k = 0;
    while (k < kinds && kind[k] != transform) ++k;
    if (k == kinds) kind[kinds++] = transform;
    windows[window_count++] = {transform, offset, k, windows_of[k]++};
  }

  int64_t tiles() const { return units * interleave; }
  int64_t unit_in() const { return m * in_step; }
  int64_t unit_out() const { return m * out_step; }
  // Inputs under `count` units, from the first window's first on.
  int64_t extent(int64_t count) const { return (count - 1) * unit_in() + interleave + reach; }
  // Transformed values of a tile: of its inputs, multiplied, and summed into outputs.
  int64_t data_values() const {
    int64_t sum = 0;
    for (int j = 0; j < window_count; ++j) sum += windows[j].transform->n;
    return sum;
  }
  int64_t products() const {
    int64_t sum = 0;
    for (int j = 0; j < piece_count; ++j) sum += windows[pieces[j].window].transform->n;
    return sum;
  }
  int64_t sum_values() const {
    int64_t sum = 0;
    for (int64_t phase = 0; phase < phases; ++phase)
      for (int k = 0; k < kinds; ++k)
        if (has(phase, k)) sum += kind[k]->n;
    return sum;
  }
  bool has(int64_t phase, int k) const {
    for (int j = 0; j < piece_count; ++j)
      if (pieces[j].phase == phase && windows[pieces[j].window].kind == k) return true;
    return false;
  }
};

}  // namespace
}  // namespace fastconv
