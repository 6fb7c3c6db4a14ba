// A register tile of a depthwise convolution on channels-last data: neighbouring positions of a
// row, one vector of channels after the other.
//
//   sum[i] = sum over segments s, k of in[s.in + (i * S + k) * column + g] * weight[s.weight, k, g]
//
// A segment is a run of taps that read neighbouring columns. Their filters are held in registers
// and every input vector is loaded once for all positions that it reaches: a 3x3 filter on seven
// positions needs 36 loads for 63 multiply-adds, so the multiply-adds are the limit, not the
// loads. Where no such run exists (dilation) a segment is one tap. Seven positions or eight,
// whichever leaves fewer of a row over; as many chains of sums hide the latency of a multiply-add.
#pragma once

#include "kernels/conv_taps.h"
#include "kernels/store_tile.h"

namespace fastconv {
namespace {

struct Segment {
  int64_t in, weight;  // offsets of its first tap's operands
  int64_t column;      // of its first tap, relative to the position's
};

struct Groups {
  int64_t begin, end;
};

// From so many bytes of input and output on: less is found in a cache of 32 MiB, and asking for it
// costs a tenth of the time (8 x 7 x 7 x 960, filters: 0.091 -> 0.103 ms).
constexpr int64_t kAskedBytes = int64_t{8} << 20;

// Rows of which the next row of positions will be the first to read, or no rows. They are asked for
// a row of positions early: what the sums of a vector of channels read lies a position apart, which
// the processor does not foresee, and it fetches lines that are asked for in their order twice
// as fast as those (one thread, 8 x 56 x 56 x 192, 3x3: 2.4 -> 0.77 ms; filters 3.5 -> 1.6).
template <class T>
struct RowsAhead {
  const T* first = nullptr;  // under the first column
  int64_t rows = 0, pitch = 0;
  int64_t column = 0, channel = 0;  // from one to the next of those asked for

  RowsAhead() = default;
  // Of `columns` columns, in the order of memory where their channels are all that lies there.
  RowsAhead(int64_t row_count, int64_t row_pitch, int64_t column_pitch, int64_t columns,
            Groups groups)
      : rows(row_count), pitch(row_pitch), column(column_pitch), channel(1) {
    if (groups.begin == 0 && column_pitch - groups.end < kLanes<T>) {
      column = kLanes<T>;
      channel = columns;
    }
  }

  // For `count` columns of the vector of channels at g.
  FASTCONV_INLINE void ask(int64_t g, int64_t count) const {
    const T* at = first + g * channel;
    for (int64_t row = 0; row < rows; ++row, at += pitch)
      for (int64_t i = 0; i < count; ++i) {
        __builtin_prefetch(at + i * column, 0, 2);  // into L2
        asm volatile("");                           // or GCC removes the loop as one without effect
      }
  }
};

// The activation: none and ReLU as a lower bound (which keeps NaN), all others by a call.
template <class T>
struct Bounded {
  T least;
  const Activation* other;

  explicit Bounded(const Activation& activation)
      : least(activation.kind == FASTCONV_RELU ? T(0) : -static_cast<T>(__builtin_inff())),
        other(activation.kind == FASTCONV_RELU || activation.kind == FASTCONV_IDENTITY
                  ? nullptr
                  : &activation) {}
  FASTCONV_INLINE Vec<T> operator()(Vec<T> x) const {
    x = x < least ? broadcast(least) : x;
    return __builtin_expect(other != nullptr, 0) ? activate_by_call<T>(x, *other) : x;
  }
};

template <class T>
struct Tile {
  const T *in, *weight, *bias;
  const Segment* segments;
  int64_t count;                    // of segments
  int64_t column;                   // stride of a column of the input
  int64_t step;                     // columns from one position to the next
  int64_t pitch;                    // of the filters of a tap
  int64_t first, width, positions;  // the tile's first column; of the image's; of the tile
  RowsAhead<T> ahead;               // under the tile's first column
  Groups groups;
  Strided<const T> residual;
  Strided<T> out;
  Bounded<T> activate;

  explicit Tile(const Activation& activation) : activate(activation) {}
};

// Keeps the compiler from loading x anew for each of its uses.
template <class V>
FASTCONV_INLINE void hold(V& x) {
#if defined(__x86_64__)
  asm("" : "+v"(x));
#else
  asm("" : "+w"(x));
#endif
}

// kInside: all channels of the vectors exist, and all columns that the tile reads.
template <class T, int KW, int S, int P, bool kInside>
[[gnu::noinline]] void sum_tile(const Tile<T>& tile, Groups groups) {
  constexpr int L = kLanes<T>;
  const int64_t column = tile.column;
  const int64_t step = KW == 1 ? tile.step * column : column;
  const int64_t columns = KW == 1 ? tile.step : 1;
  constexpr int kColumns = (P - 1) * S + KW;
  for (int64_t g = groups.begin; g < groups.end; g += L) {
    const int64_t lanes = min(L, groups.end - g);
    tile.ahead.ask(g, KW == 1 ? P * tile.step : P * S);
    Vec<T> sum[P];
    FASTCONV_UNROLL
    for (int i = 0; i < P; ++i) sum[i] = load(tile.bias + g);
    for (const Segment *s = tile.segments, *last = s + tile.count; s != last; ++s) {
      Vec<T> weight[KW];
      FASTCONV_UNROLL
      for (int k = 0; k < KW; ++k) weight[k] = load(tile.weight + s->weight + k * tile.pitch + g);
      const T* in = tile.in + s->in + g;
      int64_t at = tile.first + s->column;
      FASTCONV_UNROLL
      for (int j = 0; j < kColumns; ++j, in += step, at += columns) {
        if constexpr (!kInside)
          if (at < 0 || at >= tile.width) continue;
        Vec<T> x = kInside ? load(in) : load_lanes(in, 0, lanes, T(0));
        if constexpr (KW > 1) hold(x);
        FASTCONV_UNROLL
        for (int k = 0; k < KW; ++k)
          if (j >= k && (j - k) % S == 0 && (j - k) / S < P) sum[(j - k) / S] += x * weight[k];
      }
    }
    const int64_t stored = kInside ? P : tile.positions;
    if (tile.residual.data != nullptr) {
      FASTCONV_UNROLL
      for (int i = 0; i < P; ++i)
        if (i < stored)
          sum[i] += load_lanes(tile.residual.data + i * tile.residual.position + g, 0, lanes, T(0));
    }
    FASTCONV_UNROLL
    for (int i = 0; i < P; ++i) sum[i] = tile.activate(sum[i]);
    T* out = tile.out.data + g;
    if (kInside && tile.out.streams) {
      FASTCONV_UNROLL
      for (int i = 0; i < P; ++i) stream(out + i * tile.out.position, sum[i]);
    } else {
      FASTCONV_UNROLL
      for (int i = 0; i < P; ++i)
        if (i < stored)
          kInside ? store(out + i * tile.out.position, sum[i])
                  : put(tile.out, out + i * tile.out.position, sum[i], lanes);
    }
  }
}

template <class T, int KW, int S, int P>
void run_tile(const Tile<T>& tile) {
  int64_t low = tile.first, high = tile.first;
  if (tile.count > 0) {
    // Segments of a row begin at ascending columns, and every row has the same ones.
    low += tile.segments[0].column;
    high += tile.segments[tile.count - 1].column;
  }
  high += (KW == 1 ? (P - 1) * tile.step : (P - 1) * S) + KW;
  Groups whole = tile.groups, rest = tile.groups;
  if (low >= 0 && high <= tile.width && tile.positions == P)
    whole.end -= (whole.end - whole.begin) % kLanes<T>;
  else
    whole.end = whole.begin;
  rest.begin = whole.end;
  if (whole.begin < whole.end) sum_tile<T, KW, S, P, true>(tile, whole);
  if (rest.begin < rest.end) sum_tile<T, KW, S, P, false>(tile, rest);
}

// How many neighbouring taps make a segment: those of a whole row of the filter, or one.
inline int64_t segment_taps(int64_t kernel, bool backward, int64_t stride, int64_t dilation) {
  const bool dense = dilation == 1 && stride <= (backward ? 1 : 2);
  return dense && (kernel == 3 || kernel == 5 || kernel == 7) ? kernel : 1;
}

// The same of a phase, `run` being segment_taps: the two or three taps of a row that a phase of a
// strided gradient has are neighbours (5x5, stride 2, 8 x 144 x 56 x 56: 0.65 -> 0.44 ms).
inline int64_t segment_of(const Axis& columns, int64_t run) {
  const bool dense = columns.offset_step == 1 && columns.step == 1;
  return run == 1 && dense && (columns.taps == 2 || columns.taps == 3) ? columns.taps : run;
}

template <class T, int P>
FASTCONV_INLINE void run_tile(const Tile<T>& tile, int64_t run) {
  const bool two = tile.step == 2;
  if (run == 2)
    run_tile<T, 2, 1, P>(tile);
  else if (run == 3)
    two ? run_tile<T, 3, 2, P>(tile) : run_tile<T, 3, 1, P>(tile);
  else if (run == 5)
    two ? run_tile<T, 5, 2, P>(tile) : run_tile<T, 5, 1, P>(tile);
  else if (run == 7)
    two ? run_tile<T, 7, 2, P>(tile) : run_tile<T, 7, 1, P>(tile);
  else
    run_tile<T, 1, 1, P>(tile);
}

template <class T>
FASTCONV_INLINE void run_tile(const Tile<T>& tile, int64_t run, int64_t positions) {
  positions == 7 ? run_tile<T, 7>(tile, run) : run_tile<T, 8>(tile, run);
}

}  // namespace
}  // namespace fastconv
