// The gradient of depthwise filters with vectors along the channels, for channels-last data.
//
//   dweight[g, k] = sum over n, o of y[n, g, o] * x[n, g, o * stride - pad + k * dilation]
//
// The forward tile turned round (depthwise_tile.h): a vector of x under seven or eight positions
// of y is loaded once for all taps of a row of the filter, whose sums are in registers. A tile's
// sums are made from zero and then added to those of the task, so that rounding errors grow
// with the number of tiles, not of positions. Memory is read in order: all channels of a tile
// before the next one.
//
// Threads: a task owns a piece of the rows of all images; the pieces are decided by the problem,
// and added in order.
#pragma once

#include "core/canonical.h"
#include "kernels/depthwise_tile.h"
#include "simd/parallel_for.h"

namespace fastconv {
namespace {

template <class T>
struct ChannelWeightPlan {
  // Enough to keep a machine busy and its cores evenly loaded.
  static constexpr int64_t kPieces = 24;

  ConvParams p;
  int64_t taps, rows;  // of all images
  int64_t pieces, pitch, block_groups, run, positions;
  bool asks;                    // for rows ahead
  size_t list_at, total_bytes;  // lists: one a piece

  explicit ChannelWeightPlan(const ConvParams& params) : p(params) {
    constexpr int64_t L = kLanes<T>;
    taps = p.kernel[0] * p.kernel[1] * p.kernel[2];
    rows = p.n * p.out[0] * p.out[1];
    const int64_t positions_in = p.n * p.in[0] * p.in[1] * p.in[2];
    asks = p.groups * (positions_in + rows * p.out[2]) * static_cast<int64_t>(sizeof(T)) >=
           kAskedBytes;
    pieces = max(1, min(rows, kPieces));
    pitch = round_up(p.groups, L);
    // As forward: sums and rows of many taps in L1, else all channels of a position in order.
    block_groups = p.kernel[1] * p.kernel[2] >= 25 ? 4 * L : pitch;
    run = segment_taps(p.kernel[2], false, p.stride[2], p.dilation[2]);
    positions = ceil_div(p.out[2], 7) * 7 <= ceil_div(p.out[2], 8) * 8 ? 7 : 8;
    list_at = static_cast<size_t>(pieces * taps * pitch) * sizeof(T);
    total_bytes = list_at + static_cast<size_t>(pieces * taps) * sizeof(Segment);
  }
};

// Neighbouring positions of y, and the runs of taps that they have under them in x.
template <class T>
struct WeightTile {
  const T *x, *y;
  T* sums;
  const Segment* segments;          // in: of x, weight: of the sums
  int64_t count;                    // of segments
  int64_t column, y_step, pitch;    // strides of a column of x, of a position of y, of a tap
  int64_t step;                     // columns from one position to the next
  int64_t first, width, positions;  // the tile's first column; of the image's; of the tile
  Groups groups;
  RowsAhead<T> x_ahead, y_ahead;  // under and from the tile's first position
};

template <class T, int KW, int S, int P, bool kInside>
[[gnu::noinline]] void sum_weights(const WeightTile<T>& tile, Groups groups) {
  constexpr int L = kLanes<T>;
  constexpr int kColumns = (P - 1) * S + KW;
  const int64_t columns = KW == 1 ? tile.step : 1, x_step = columns * tile.column;
  const int64_t seen = kInside ? kColumns : (tile.positions - 1) * S + KW;
  for (int64_t g = groups.begin; g < groups.end; g += L) {
    const int64_t lanes = min(L, groups.end - g);
    tile.x_ahead.ask(g, KW == 1 ? P * tile.step : P * S);
    tile.y_ahead.ask(g, P);
    Vec<T> y[P];
    FASTCONV_UNROLL
    for (int i = 0; i < P; ++i) {
      const T* from = tile.y + i * tile.y_step + g;
      if constexpr (kInside)
        y[i] = load(from);
      else
        y[i] = i < tile.positions ? load_lanes(from, 0, lanes, T(0)) : Vec<T>{};
    }
    for (const Segment *s = tile.segments, *last = s + tile.count; s != last; ++s) {
      Vec<T> sum[KW] = {};
      const T* from = tile.x + s->in + g;
      int64_t at = tile.first + s->column;
      FASTCONV_UNROLL
      for (int j = 0; j < kColumns; ++j, from += x_step, at += columns) {
        if constexpr (!kInside)
          if (j >= seen || at < 0 || at >= tile.width) continue;
        Vec<T> x = kInside ? load(from) : load_lanes(from, 0, lanes, T(0));
        if constexpr (KW > 1) hold(x);
        FASTCONV_UNROLL
        for (int k = 0; k < KW; ++k) {
          const int i = (j - k) / S;
          if (j >= k && (j - k) % S == 0 && i < P)
            if (kInside || i < tile.positions) sum[k] += x * y[i];
        }
      }
      T* to = tile.sums + s->weight + g;
      FASTCONV_UNROLL
      for (int k = 0; k < KW; ++k, to += tile.pitch) store(to, load(to) + sum[k]);
    }
  }
}

template <class T, int KW, int S, int P>
void sum_weights(const WeightTile<T>& tile) {
  if (tile.count == 0) return;
  const int64_t low = tile.first + tile.segments[0].column;
  const int64_t high =
      tile.first + tile.segments[tile.count - 1].column + (P - 1) * (KW == 1 ? tile.step : S) + KW;
  const bool inside = low >= 0 && high <= tile.width && tile.positions == P;
  Groups whole = tile.groups, rest = tile.groups;
  whole.end = inside ? whole.end - (whole.end - whole.begin) % kLanes<T> : whole.begin;
  rest.begin = whole.end;
  if (whole.begin < whole.end) sum_weights<T, KW, S, P, true>(tile, whole);
  if (rest.begin < rest.end) sum_weights<T, KW, S, P, false>(tile, rest);
}

template <class T, int P>
void sum_weights(const WeightTile<T>& tile, int64_t run) {
  const bool two = tile.step == 2;
  if (run == 3)
    two ? sum_weights<T, 3, 2, P>(tile) : sum_weights<T, 3, 1, P>(tile);
  else if (run == 5)
    two ? sum_weights<T, 5, 2, P>(tile) : sum_weights<T, 5, 1, P>(tile);
  else if (run == 7)
    two ? sum_weights<T, 7, 2, P>(tile) : sum_weights<T, 7, 1, P>(tile);
  else
    sum_weights<T, 1, 1, P>(tile);
}

// One row of y, for a block of channels; asks for what the next row reads if `asks`.
template <class T>
void sum_row_weights(const ChannelWeightPlan<T>& plan, const ConvArgs<T>& args, int64_t row,
                     bool asks, Groups groups, T* sums, Segment* list) {
  const ConvParams& p = plan.p;
  const int64_t oh = row % p.out[1], od = row / p.out[1] % p.out[0];
  const int64_t n = row / p.out[1] / p.out[0];
  int64_t tap = 0, count = 0;
  for (int64_t kd = 0; kd < p.kernel[0]; ++kd) {
    const int64_t id = od * p.stride[0] - p.pad_before[0] + kd * p.dilation[0];
    for (int64_t kh = 0; kh < p.kernel[1]; ++kh, tap += p.kernel[2]) {
      const int64_t ih = oh * p.stride[1] - p.pad_before[1] + kh * p.dilation[1];
      if (id < 0 || id >= p.in[0] || ih < 0 || ih >= p.in[1]) continue;
      for (int64_t kw = 0; kw < p.kernel[2]; kw += plan.run) {
        const int64_t column = kw * p.dilation[2] - p.pad_before[2];
        list[count++] = {id * p.x_stride[2] + ih * p.x_stride[3] + column * p.x_stride[4],
                         (tap + kw) * plan.pitch, column};
      }
    }
  }
  WeightTile<T> tile;
  tile.sums = sums;
  tile.segments = list;
  tile.count = count;
  tile.column = p.x_stride[4];
  tile.y_step = p.y_stride[4];
  tile.pitch = plan.pitch;
  tile.step = p.stride[2];
  tile.width = p.in[2];
  tile.groups = groups;
  const T* x = args.x + n * p.x_stride[0];
  const T* y = args.y + n * p.y_stride[0] + od * p.y_stride[2] + oh * p.y_stride[3];
  // Beyond the image: its successor, in all likelihood.
  const int64_t below = oh * p.stride[1] - p.pad_before[1] + (p.kernel[1] - 1) * p.dilation[1] + 1;
  if (asks) {
    tile.x_ahead = {p.stride[1], p.x_stride[3], p.x_stride[4], plan.positions * p.stride[2],
                    groups};
    tile.y_ahead = {1, 0, p.y_stride[4], plan.positions, groups};
  }
  for (int64_t ow = 0; ow < p.out[2]; ow += plan.positions) {
    tile.first = ow * p.stride[2];
    tile.x = x + tile.first * tile.column;
    tile.y = y + ow * tile.y_step;
    tile.positions = min(plan.positions, p.out[2] - ow);
    tile.x_ahead.first = tile.x + below * p.x_stride[3];
    tile.y_ahead.first = tile.y + p.y_stride[3];
    plan.positions == 7 ? sum_weights<T, 7>(tile, plan.run) : sum_weights<T, 8>(tile, plan.run);
  }
}

template <class T>
void run_channel_weight(const ConvArgs<T>& args) {
  const ChannelWeightPlan<T> plan(canonical(*args.params));
  const ConvParams& p = plan.p;
  T* all_sums = static_cast<T*>(args.exec.workspace);
  Segment* lists =
      reinterpret_cast<Segment*>(static_cast<char*>(args.exec.workspace) + plan.list_at);
  const int64_t size = plan.taps * plan.pitch;
  parallel_for(plan.pieces, args.exec.threads, [&](int64_t piece, int) {
    T* sums = all_sums + piece * size;
    for (int64_t i = 0; i < size; i += kLanes<T>) store(sums + i, Vec<T>{});
    const int64_t begin = plan.rows * piece / plan.pieces;
    const int64_t end = plan.rows * (piece + 1) / plan.pieces;
    for (int64_t g = 0; g < p.groups; g += plan.block_groups)
      for (int64_t row = begin; row < end; ++row)
        sum_row_weights(plan, args, row, plan.asks, {g, min(g + plan.block_groups, p.groups)}, sums,
                        lists + piece * plan.taps);
  });
  parallel_for(plan.taps, args.exec.threads, [&](int64_t tap, int) {
    T* sums = all_sums + tap * plan.pitch;
    for (int64_t piece = 1; piece < plan.pieces; ++piece)
      for (int64_t i = 0; i < plan.pitch; i += kLanes<T>)
        store(sums + i, load(sums + i) + load(sums + piece * size + i));
    const int64_t kw = tap % p.kernel[2], kh = tap / p.kernel[2] % p.kernel[1];
    const int64_t kd = tap / p.kernel[2] / p.kernel[1];
    T* to = args.weight + kd * p.w_stride[2] + kh * p.w_stride[3] + kw * p.w_stride[4];
    for (int64_t g = 0; g < p.groups; ++g) to[g * p.w_stride[0]] = sums[g];
  });
}

}  // namespace
}  // namespace fastconv
