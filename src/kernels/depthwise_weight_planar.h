// The gradient of depthwise filters on planar data with rows of no great length.
//
//   dweight[g, k] = sum over n, o of y[n, g, o] * x[n, g, o * stride - pad + k * dilation]
//
// Vectors along short rows are masked at both ends for every tap, and 7 columns fill half of
// one. So a vector's worth of channels is transposed in registers into L2, some rows at a time,
// and summed there with vectors along the channels (depthwise_weight_channels.h): a fifth of a
// cycle an element, which all taps share (8 x 512 x 14 x 14, 3x3: 2.6 -> 0.3 ms).
//
// Threads: a task owns a vector of channels for a piece of the rows of all images; the pieces are
// decided by the problem and added in order.
#pragma once

#include "kernels/depthwise_weight_channels.h"
#include "simd/transpose.h"

namespace fastconv {
namespace {

// Rows of x of one vector of channels: with those of y, half of 1 MiB of L2 and less.
constexpr int64_t kTransposedBytes = 192 << 10;
constexpr int64_t kTransposedMost = 4 << 20;  // of a volume, which is not cut
// From this length on rows are summed as they are.
constexpr int64_t kLongRow = 128;

template <class T>
struct TransposedWeightPlan {
  ConvParams p;
  ChannelWeightPlan<T> inner;                  // a vector of channels of one image
  int64_t blocks, chunks, chunk_rows, pieces;  // chunks of an image; tasks: blocks x pieces
  int64_t x_size, y_size;                      // of a chunk
  size_t worker_at, worker_bytes, total_bytes;
  bool applies;

  explicit TransposedWeightPlan(const ConvArgs<T>& args)
      : p(canonical(*args.params)), inner(transposed(p)) {
    constexpr int64_t L = kLanes<T>;
    blocks = ceil_div(p.groups, L);
    const int64_t height = p.out[0] * p.out[1];
    const auto bytes = [&](int64_t rows) {
      return rows_under(rows) * p.in[2] * L * static_cast<int64_t>(sizeof(T));
    };
    chunk_rows = height;
    while (p.in[0] == 1 && bytes(chunk_rows) > kTransposedBytes && chunk_rows > 4)
      chunk_rows = ceil_div(chunk_rows, 2);
    chunks = ceil_div(height, chunk_rows);
    x_size = rows_under(chunk_rows) * p.in[2] * L;
    y_size = chunk_rows * p.out[2] * L;
    pieces = max(1, min(p.n * chunks, ceil_div(ChannelWeightPlan<T>::kPieces, blocks)));
    const auto is_plane = [](const int64_t* stride, const int64_t* extent) {
      return stride[4] == 1 && (extent[1] == 1 || stride[3] == extent[2]) &&
             (extent[0] == 1 || stride[2] == extent[1] * extent[2]);
    };
    applies = p.out[2] < kLongRow && is_plane(p.x_stride, p.in) && is_plane(p.y_stride, p.out) &&
              bytes(chunk_rows) <= kTransposedMost;
    worker_at = static_cast<size_t>(blocks * pieces * inner.taps * L) * sizeof(T);
    worker_bytes =
        static_cast<size_t>(x_size + y_size) * sizeof(T) +
        static_cast<size_t>(round_up(inner.taps * static_cast<int64_t>(sizeof(Segment)), 64));
    total_bytes = worker_at + worker_bytes * static_cast<size_t>(args.exec.threads);
  }

  // Rows of x that so many rows of y see; of a volume, all.
  int64_t rows_under(int64_t rows) const {
    if (p.in[0] > 1 || p.out[0] > 1) return p.in[0] * p.in[1];
    return min(p.in[1], (rows - 1) * p.stride[1] + (p.kernel[1] - 1) * p.dilation[1] + 1);
  }
  static ConvParams transposed(ConvParams q) {
    constexpr int64_t L = kLanes<T>;
    q.n = 1;
    q.groups = q.in_channels = q.out_channels = L;
    const auto set = [](int64_t* stride, const int64_t* extent) {
      const int64_t strides[5] = {0, 1, extent[1] * extent[2] * L, extent[2] * L, L};
      for (int i = 0; i < 5; ++i) stride[i] = strides[i];
    };
    set(q.x_stride, q.in);
    set(q.y_stride, q.out);
    return q;
  }
};

// to[i][lane] = element i of `lanes` planes, for i in [0, count); lanes beyond are left as they are.
template <class T>
void transpose_planes(T* to, const T* from, int64_t plane, int64_t lanes, int64_t count) {
  constexpr int64_t L = kLanes<T>;
  constexpr int64_t kAhead = 256 / sizeof(T);  // of each plane
  if (lanes < L || count < L) return transpose_copy(to, L, from, plane, lanes, count);
  for (int64_t i = 0; i < count; i += L) {
    i = min(i, count - L);  // the last block overlaps the one before
    Vec<T> block[L];
    FASTCONV_UNROLL
    for (int64_t lane = 0; lane < L; ++lane) {
      block[lane] = load(from + lane * plane + i);
      __builtin_prefetch(from + lane * plane + i + kAhead);
    }
    transpose<T>(block);
    FASTCONV_UNROLL
    for (int64_t j = 0; j < L; ++j) store(to + (i + j) * L, block[j]);
  }
}

// Adds what chunk `unit` of the images gives channels [first, first + lanes).
template <class T>
void sum_chunk(const TransposedWeightPlan<T>& plan, const ConvArgs<T>& args, int64_t unit,
               int64_t first, int64_t lanes, T* sums, T* x, T* y, Segment* list) {
  constexpr int64_t L = kLanes<T>;
  const ConvParams& p = plan.p;
  const int64_t n = unit / plan.chunks, begin = unit % plan.chunks * plan.chunk_rows;
  const int64_t end = min(begin + plan.chunk_rows, p.out[0] * p.out[1]);
  int64_t low = 0, high = p.in[0] * p.in[1];
  if (p.in[0] == 1 && p.out[0] == 1) {
    low = clamp(begin * p.stride[1] - p.pad_before[1], 0, high);
    high = clamp((end - 1) * p.stride[1] - p.pad_before[1] + (p.kernel[1] - 1) * p.dilation[1] + 1,
                 low, high);
  }
  transpose_planes(x, args.x + n * p.x_stride[0] + first * p.x_stride[1] + low * p.in[2],
                   p.x_stride[1], lanes, (high - low) * p.in[2]);
  transpose_planes(y, args.y + n * p.y_stride[0] + first * p.y_stride[1] + begin * p.out[2],
                   p.y_stride[1], lanes, (end - begin) * p.out[2]);
  ConvArgs<T> inner = args;
  inner.x = x - low * p.in[2] * L;
  inner.y = y - begin * p.out[2] * L;
  for (int64_t row = begin; row < end; ++row)
    sum_row_weights(plan.inner, inner, row, false, {0, L}, sums, list);
}

template <class T>
void run_transposed_weight(const TransposedWeightPlan<T>& plan, const ConvArgs<T>& args) {
  constexpr int64_t L = kLanes<T>;
  const ConvParams& p = plan.p;
  char* workspace = static_cast<char*>(args.exec.workspace);
  T* all_sums = reinterpret_cast<T*>(workspace);
  const int64_t size = plan.inner.taps * L, units = p.n * plan.chunks;
  parallel_for(plan.blocks * plan.pieces, args.exec.threads, [&](int64_t task, int worker) {
    T* x = reinterpret_cast<T*>(workspace + plan.worker_at +
                                static_cast<size_t>(worker) * plan.worker_bytes);
    T* y = x + plan.x_size;
    Segment* list = reinterpret_cast<Segment*>(y + plan.y_size);
    T* sums = all_sums + task * size;
    for (int64_t i = 0; i < size; i += L) store(sums + i, Vec<T>{});
    const int64_t piece = task % plan.pieces, first = task / plan.pieces * L;
    for (int64_t unit = units * piece / plan.pieces; unit < units * (piece + 1) / plan.pieces;
         ++unit)
      sum_chunk(plan, args, unit, first, min(L, p.groups - first), sums, x, y, list);
  });
  for (int64_t g = 0; g < p.groups; ++g) {
    const T* sums = all_sums + g / L * plan.pieces * size + g % L;
    for (int64_t tap = 0; tap < plan.inner.taps; ++tap) {
      const int64_t kw = tap % p.kernel[2], kh = tap / p.kernel[2] % p.kernel[1];
      const int64_t kd = tap / p.kernel[2] / p.kernel[1];
      T total = sums[tap * L];
      for (int64_t piece = 1; piece < plan.pieces; ++piece) total += sums[piece * size + tap * L];
      args.weight[g * p.w_stride[0] + kd * p.w_stride[2] + kh * p.w_stride[3] +
                  kw * p.w_stride[4]] = total;
    }
  }
}

}  // namespace
}  // namespace fastconv
