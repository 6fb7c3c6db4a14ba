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
