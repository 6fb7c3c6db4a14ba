// What the two directions of a normalisation with statistics of channels share.
//
//   y[n, c, p] = (x[n, c, p] - mean) * invstd * weight[c] + bias[c],   p the positions
//
// mean and invstd = 1 / sqrt(variance + eps) are those of a set of elements: of a channel in
// all samples (batch_norm), or of a group of neighbouring channels in one sample (group_norm,
// instance_norm with groups of one). Both are one loop nest: `batches` is 1 or N, positions are
// all else, and sums are made for each (batch, channel) and then put together in groups.
//
// Sums of a (batch, channel) are split into pieces by the number of elements alone; a piece is
// one task's, and pieces are added in their order: bits depend on neither threads nor, but for
// batch_norm, on the batch.
//
// Lanes are positions where those are adjacent in memory, and channels where channels are.
// Planar channels that fit the caches go through all steps one after the other: the second
// time, x comes from a cache, which saves a third of the traffic.
#pragma once

#include "dispatch/args.h"
#include "kernels/map.h"
#include "kernels/moments.h"

namespace fastconv {
namespace {

constexpr int64_t kNormPiece = 65536;         // elements: microseconds of work
constexpr int64_t kNormPieces = 32;           // of a channel at most
constexpr int64_t kNormRows = 64;             // positions at a time where lanes are channels
constexpr int64_t kNormCacheBytes = 3 << 20;  // of a core's share of the last-level cache

FASTCONV_INLINE int64_t padded(int64_t channels) { return (channels + 63) / 64 * 64; }

// kOperands arrays, the first one written: out and x, or dx, x and dy.
template <int kOperands, class T>
struct ChannelNorm {
  const NormArgs<T>& args;
  int64_t batches, channels, pitch, positions, pieces;
  bool channels_last, streams;
  Collapsed<kOperands> loops;      // over positions, in the order of the result
  Collapsed<kOperands - 1> reads;  // over positions, in the order of x
  int64_t batch_stride[kOperands], channel_stride[kOperands];

  // The scratch: sums by [batch][piece][2][channel], coefficients by [which][batch][channel].
  double* sums;
  T* coefficients;
  static constexpr int kCoefficients = kOperands == 2 ? 3 : 6;

  explicit ChannelNorm(const NormArgs<T>& from) : args(from) {
    const int64_t* e = from.extent;
    const int64_t* all[3] = {from.out_stride, from.x_stride, from.dy_stride};
    const int64_t* strides[kOperands];
    const int64_t* read_strides[kOperands - 1];
    if (from.out == nullptr) all[0] = from.x_stride;
    for (int i = 0; i < kOperands; ++i) {
      strides[i] = all[i];
      if (i > 0) read_strides[i - 1] = all[i];
      batch_stride[i] = from.per_sample ? all[i][0] : 0;
      channel_stride[i] = all[i][1];
    }
    const int64_t extent[5] = {from.per_sample ? 1 : e[0], 1, e[2], e[3], e[4]};
    loops = collapse<kOperands>(extent, strides);
    reads = collapse<kOperands - 1>(extent, read_strides);
    batches = from.per_sample ? e[0] : 1;
    channels = e[1];
    pitch = padded(channels);
    positions = count_elements(reads);
    channels_last = channels > 1;
    for (int i = 0; i < kOperands; ++i) channels_last &= channel_stride[i] == 1;
    const int64_t elements = positions * (channels_last ? channels : 1);
    pieces = clamp(elements / kNormPiece, 1, kNormPieces);
    streams = from.out != from.x && from.out != from.dy &&
              positions * channels * batches * int64_t{sizeof(T)} >= kStreamBytes;
    char* workspace = static_cast<char*>(from.exec.workspace);
    sums = reinterpret_cast<double*>(workspace);
    coefficients = reinterpret_cast<T*>(workspace + sum_bytes());
  }

  size_t sum_bytes() const {
    return static_cast<size_t>(batches * pieces * 2 * pitch) * sizeof(double);
  }
  size_t workspace_bytes() const {
    return sum_bytes() + static_cast<size_t>(kCoefficients * batches * pitch) * sizeof(T);
  }

  double* sum(int64_t b, int64_t piece, int which) const {
    return sums + ((b * pieces + piece) * 2 + which) * pitch;
  }
  T* coefficient(int which, int64_t b) const {
    return coefficients + (which * batches + b) * pitch;
  }
  int64_t piece_begin(int64_t piece) const { return positions * piece / pieces; }
  T weight(int64_t c) const {
    return args.weight != nullptr ? args.weight[c * args.weight_stride] : T{1};
  }
  T bias(int64_t c) const { return args.bias != nullptr ? args.bias[c * args.bias_stride] : T{0}; }
  T& mean(int64_t b, int64_t g) const {
    return args.mean[b * args.mean_stride[0] + g * args.mean_stride[1]];
  }
  T& invstd(int64_t b, int64_t g) const {
    return args.invstd[b * args.invstd_stride[0] + g * args.invstd_stride[1]];
  }

  // The first element of a (batch, channel) in operand 0, 1 or 2.
  int64_t at(int operand, int64_t b, int64_t c) const {
    return b * batch_stride[operand] + c * channel_stride[operand];
  }

  // Calls f(run of positions) for [begin, end) by at most kNormRows.
  template <class F>
  FASTCONV_INLINE void each_chunk(int64_t begin, int64_t end, const F& f) const {
    for (; begin < end; begin += kNormRows) f(begin, clamp(begin + kNormRows, 0, end));
  }

  // f(first channel, lanes, Kind<vectors>) over all channels, kVectors vectors at a time.
  template <int kVectors, class F>
  FASTCONV_INLINE void each_block(const F& f) const {
    constexpr int L = kLanes<T>;
    int64_t c = 0;
    for (; c + kVectors * L <= channels; c += kVectors * L) f(c, L, Count<kVectors>{});
    for (; c < channels; c += L) f(c, clamp(channels - c, 0, L), Count<1>{});
  }
  template <int k>
  struct Count {
    static constexpr int value = k;
  };

  // Runs the three steps: Sums of a piece, Coefficients of a group, Map of a (batch, channel) or
  // of rows of positions.
  template <class Steps>
  void run(const Steps& steps) const {
    const int threads = args.exec.threads;
    const int64_t groups = args.groups, size = channels / groups;
    const int64_t group_bytes = positions * size * (kOperands - 1) * int64_t{sizeof(T)};
    if (steps.needs_sums() && !channels_last && group_bytes <= kNormCacheBytes &&
        batches * groups >= threads) {
      parallel_for(batches * groups, threads, [&](int64_t task, int) {
        const int64_t b = task / groups, g = task % groups;
        for (int64_t c = g * size; c < (g + 1) * size; ++c)
          for (int64_t piece = 0; piece < pieces; ++piece) steps.sum_positions(b, c, piece);
        steps.finish(b, g);
        for (int64_t c = g * size; c < (g + 1) * size; ++c) steps.map_positions(b, c, 0, positions);
        if (streams) end_stream();
      });
      return;
    }
    const int64_t rows = channels_last ? 1 : channels;
    if (steps.needs_sums())
      parallel_for(batches * pieces * rows, threads, [&](int64_t task, int) {
        const int64_t piece = task % pieces, b = task / pieces / rows;
        if (channels_last)
          steps.sum_channels(b, piece);
        else
          steps.sum_positions(b, task / pieces % rows, piece);
      });
    for (int64_t b = 0; b < batches; ++b)
      for (int64_t g = 0; g < groups; ++g) steps.finish(b, g);
    // In the order of memory: whole runs of positions, and the channels of one after the other.
    const int64_t run_length = channels_last ? 1 : loops.extent[loops.ndim - 1];
    const int64_t least = channels_last ? clamp(kMapElements / channels, 1, kMapElements) : 4096;
    const int64_t part_size = (least + run_length - 1) / run_length * run_length;
    const int64_t parts = (positions + part_size - 1) / part_size;
    parallel_for(batches * parts * rows, threads, [&](int64_t task, int) {
      const int64_t part = task / rows % parts, b = task / rows / parts;
      const int64_t begin = part * part_size, end = clamp(begin + part_size, 0, positions);
      if (channels_last)
        steps.map_channels(b, begin, end);
      else
        steps.map_positions(b, task % rows, begin, end);
      if (streams) end_stream();
    });
  }
};

// Stores `lanes` lanes, past the caches if told to and aligned.
template <class T>
FASTCONV_INLINE void store_normalized(T* to, Vec<T> y, int64_t lanes, bool streams) {
  if (lanes < kLanes<T>)
    store_lanes(to, y, lanes);
  else if (streams && is_aligned(to))
    stream(to, y);
  else
    store(to, y);
}

}  // namespace
}  // namespace fastconv
