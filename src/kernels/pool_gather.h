// The gradient of a pool as a sum over the windows that see an input:
//
//   x[n, c, i] = sum over the windows o that see i, at their tap k, of term(o, k)
//
// in row-major order of o. Every x is written once: nothing is cleared first, nothing is read
// back, and no two tasks meet, however much the windows overlap. A Term says what the gradient
// of an output is worth at a tap: all or nothing (maximum) or a share (average).
#pragma once

#include "kernels/pool_span.h"
#include "kernels/pool_store.h"
#include "simd/parallel_for.h"
#include "simd/transpose.h"

namespace fastconv {
namespace {

constexpr int64_t kTaskBytes = 65536;  // of x: microseconds, against 0.1 to take a task

// Calls body(row) for the rows of outputs whose windows see a row of x, in row-major order.
template <class Term, class Body>
FASTCONV_INLINE void for_each_row(const Term& term, const Windows& depth, const Windows& height,
                                  const Body& body) {
  for (int64_t a = 0; a < depth.count; ++a)
    for (int64_t b = 0; b < height.count; ++b)
      body(term.row(depth.first + a * depth.step, height.first + b * height.step,
                    depth.tap - a * depth.tap_step, height.tap - b * height.tap_step));
}

// As many windows are summed at once; where more see an element, their sums are taken up from x
// again. 3x3 windows of stride 1 are 9.
constexpr int kMostTerms = 16;

// The channels [c, c + kVectors * kLanes) of one position of x, or the first `count` lanes.
template <class T, int kVectors, class Position>
FASTCONV_INLINE void gather_channels(const Position* terms, int64_t count_terms, T* x, int64_t c,
                                     int64_t count, bool more, bool streamed) {
  constexpr int L = kLanes<T>;
  Vec<T> sum[kVectors] = {};
  if (more) {
    FASTCONV_UNROLL
    for (int i = 0; i < kVectors; ++i)
      sum[i] = count == L ? load(x + c + i * L) : load_lanes(x + c, 0, count, T{0});
  }
  for (int64_t term = 0; term < count_terms; ++term) {
    FASTCONV_UNROLL
    for (int i = 0; i < kVectors; ++i) terms[term].add(&sum[i], c + i * L, count);
  }
  FASTCONV_UNROLL
  for (int i = 0; i < kVectors; ++i) put(x + c + i * L, sum[i], count, streamed);
}

// All channels of one position of x.
template <class T, class Position>
FASTCONV_INLINE void gather_position(const Position* terms, int64_t count, T* x, int64_t channels,
                                     bool more, bool streamed) {
  constexpr int L = kLanes<T>, kVectors = 4;
  int64_t c = 0;
  for (; c + kVectors * L <= channels; c += kVectors * L)
    gather_channels<T, kVectors>(terms, count, x, c, L, more, streamed);
  for (; c < channels; c += L)
    gather_channels<T, 1>(terms, count, x, c, clamp(channels - c, 0, L), more, streamed);
}

// A row (id, ih) of x whose channels are adjacent in memory, with lanes along them. x and the
// Term's operands at the first channel of the image.
template <class T, class Term>
void gather_row_of_channels(const WindowParams& p, const Term& term, T* x, const Windows& depth,
                            const Windows& height, bool streamed) {
  Walk walk(p, 2, 0);
  for (int64_t iw = 0; iw < p.in[2]; ++iw, walk.next()) {
    const Windows width = walk.now();
    T* at = x + iw * p.x_stride[4];
    typename Term::Position terms[kMostTerms];
    int64_t count = 0;
    bool more = false;
    for_each_row(term, depth, height, [&](const auto& row) {
      for (int64_t e = 0; e < width.count; ++e) {
        if (count == kMostTerms) {
          gather_position(terms, count, at, p.channels, more, false);
          more = true;
          count = 0;
        }
        terms[count++] = row.position(width.first + e * width.step, width.tap - e * width.tap_step);
      }
    });
    gather_position(terms, count, at, p.channels, more, streamed);
  }
}

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

// The sums that are in x already, apart by residue.
template <class T, int kStride>
FASTCONV_INLINE void load_residues(Vec<T> (&sum)[kStride], const T* x, int64_t count) {
  constexpr int L = kLanes<T>;
  const Vec<T> low = load_lanes(x, 0, clamp(count, 0, L), T{0});
  if constexpr (kStride == 1) {
    sum[0] = low;
  } else {
    const Vec<T> high = load_lanes(x + L, 0, clamp(count - L, 0, L), T{0});
    sum[0] = even_lanes<T>(low, high);
    sum[1] = odd_lanes<T>(low, high);
  }
}

// kLanes * kStride columns of a row of x from column m * kStride on. kInside: all of their
// windows exist.
template <class T, int kStride, bool kInside, class Column>
FASTCONV_INLINE void gather_columns(const WindowParams& p,
                                    const Column (&terms)[kStride][kMostTerms],
                                    const int64_t (&counts)[kStride], T* x, int64_t m, bool more,
                                    bool streamed) {
  constexpr int L = kLanes<T>;
  Vec<T> sum[kStride] = {};
  if (more) load_residues<T, kStride>(sum, x + m * kStride, p.in[2] - m * kStride);
  FASTCONV_UNROLL
  for (int r = 0; r < kStride; ++r)
    for (int64_t i = 0; i < counts[r]; ++i) {
      const Column& term = terms[r][i];
      if constexpr (kInside) {
        term.add(&sum[r], m, 0, L);
      } else {
        const int64_t ow = m - term.shift;
        term.add(&sum[r], m, clamp(-ow, 0, L), clamp(p.out[2] - ow, 0, L));
      }
    }
  T* to = x + m * kStride;
  const int64_t count = p.in[2] - m * kStride;
  if constexpr (kStride == 1) {
    put(to, sum[0], kInside ? L : clamp(count, 0, L), streamed);
  } else {
    put(to, zip_low(sum[0], sum[1]), kInside ? L : clamp(count, 0, L), streamed);
    put(to + L, zip_high(sum[0], sum[1]), kInside ? L : clamp(count - L, 0, L), streamed);
  }
}

// The residues of a problem, and how far outputs lie from the columns they are added to.
template <int kStride>
struct Residues {
  Residue residue[kStride];
  int64_t lowest, highest;  // shifts

  explicit Residues(const WindowParams& p) : lowest(INT64_MAX / 2), highest(INT64_MIN / 2) {
    for (int i = 0; i < kStride; ++i) {
      const Residue r = residue[i] = residue_of(p, i);
      if (r.count == 0) continue;
      const int64_t last = r.shift - (r.count - 1) * r.shift_step;
      highest = r.shift > highest ? r.shift : highest;
      lowest = last < lowest ? last : lowest;
    }
  }
};

// A row (id, ih) of x whose columns are adjacent in memory, as are those of the Term's operands,
// with lanes along them: those of one residue modulo the stride have the same taps.
template <class T, int kStride, class Term>
void gather_row_of_columns(const WindowParams& p, const Residues<kStride>& residues,
                           const Term& term, T* x, const Windows& depth, const Windows& height,
                           bool streamed) {
  constexpr int L = kLanes<T>;
  typename Term::Column terms[kStride][kMostTerms];
  int64_t counts[kStride] = {};
  bool more = false;
  const auto flush = [&](bool stream_it) {
    for (int64_t m = 0; m * kStride < p.in[2]; m += L) {
      const bool inside = m - residues.highest >= 0 && m - residues.lowest + L <= p.out[2] &&
                          (m + L) * kStride <= p.in[2];
      if (inside)
        gather_columns<T, kStride, true>(p, terms, counts, x, m, more, stream_it);
      else
        gather_columns<T, kStride, false>(p, terms, counts, x, m, more, stream_it);
    }
    more = true;
    for (int64_t& count : counts) count = 0;
  };
  for_each_row(term, depth, height, [&](const auto& row) {
    for (int r = 0; r < kStride; ++r) {
      const Residue& residue = residues.residue[r];
      for (int64_t j = 0; j < residue.count; ++j) {
        if (counts[r] == kMostTerms) flush(false);
        terms[r][counts[r]++] =
            row.column(residue.shift - j * residue.shift_step, residue.tap - j * residue.tap_step);
      }
    }
  });
  flush(streamed);
}

// The tasks of a gradient: body(n, c, id, ih, depth, height) for every row of x, `planes` of them an
// image, depth and height being the windows that see it.
template <class Body>
void for_each_input_row(const WindowParams& p, int64_t planes, int64_t row_bytes, int threads,
                        bool streamed, const Body& body) {
  const int64_t ID = p.in[0], IH = p.in[1], rows = p.n * planes * ID * IH;
  const int64_t per_task = kTaskBytes / row_bytes + 1;
  parallel_for((rows + per_task - 1) / per_task, threads, [&](int64_t task, int) {
    const int64_t end = clamp((task + 1) * per_task, 0, rows);
    for (int64_t row = task * per_task; row < end;) {
      int64_t ih = row % IH;
      const int64_t id = row / IH % ID, c = row / IH / ID % planes, n = row / IH / ID / planes;
      const Windows depth = windows_of(p, 0, id);
      Walk walk(p, 1, ih);
      for (; ih < IH && row < end; ++ih, ++row, walk.next()) body(n, c, id, ih, depth, walk.now());
    }
    if (streamed) end_stream();
  });
}

}  // namespace
}  // namespace fastconv
