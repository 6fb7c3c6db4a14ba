// The gradient of depthwise filters: one input channel a group, and one output channel or, of data
// with consecutive columns, a few, one after the other.
//
//   dweight[g, k] = sum over n, o of y[n, g, o] * x[n, g, o * stride - pad + k * dilation]
//
// A product of two rows of an image for every tap, with nothing to reuse but the cache: it
// runs from the tensors as they are. Vectors run along the channels where those are
// consecutive (channels-last: depthwise_weight_channels.h) or the rows short
// (depthwise_weight_planar.h), else along the columns of a row; a tap's sum stays a vector until
// the end. Four partial sums hide the latency of the additions.
//
// Threads: a task owns a channel for a piece of the rows of all images; the pieces are decided
// by the problem and added in order.
#pragma once

#include "core/canonical.h"
#include "dispatch/args.h"
#include "kernels/brgemm.h"
#include "kernels/depthwise_weight_planar.h"
#include "simd/parallel_for.h"
#include "simd/partial.h"

namespace fastconv {
namespace {

inline bool across_channels(const ConvParams& p) {
  return p.x_stride[1] == 1 && p.y_stride[1] == 1;
}

template <class T>
struct DepthwisePlan {
  static constexpr int64_t kTasks = 24;  // that keep a machine busy and its cores evenly loaded

  ConvParams p;
  int64_t taps, rows;  // of all images
  int64_t pieces;      // of the rows of a channel
  size_t total_bytes;

  explicit DepthwisePlan(const ConvArgs<T>& args) : p(canonical(*args.params)) {
    taps = p.kernel[0] * p.kernel[1] * p.kernel[2];
    rows = p.n * p.out[0] * p.out[1];
    pieces = max(1, min(rows, ceil_div(kTasks, p.groups)));
    total_bytes = static_cast<size_t>(p.groups * pieces * taps * kLanes<T>) * sizeof(T);
    const TransposedWeightPlan<T> transposed(args);
    if (transposed.applies) total_bytes = transposed.total_bytes;
    if (across_channels(*args.params))
      total_bytes = ChannelWeightPlan<T>(canonical(*args.params)).total_bytes;
  }
};

// Output columns [begin, end) for which tap kw reads inside the image.
struct Columns {
  int64_t begin, end;
  Columns(const ConvParams& p, int64_t kw) {
    const int64_t first = kw * p.dilation[2] - p.pad_before[2];
    begin = first < 0 ? min(ceil_div(-first, p.stride[2]), p.out[2]) : 0;
    const int64_t inside = p.in[2] > first ? ceil_div(p.in[2] - first, p.stride[2]) : 0;
    end = max(begin, min(inside, p.out[2]));
  }
};

// The sum of vectors term(0) ... term(count - 1), as four sums of every fourth.
template <class T, class Term>
FASTCONV_INLINE Vec<T> sum_of(int64_t count, const Term& term) {
  Vec<T> sum[4] = {};
  int64_t i = 0;
  for (; i + 4 <= count; i += 4) {
    FASTCONV_UNROLL
    for (int j = 0; j < 4; ++j) sum[j] += term(i + j);
  }
  for (; i < count; ++i) sum[0] += term(i);
  return (sum[0] + sum[1]) + (sum[2] + sum[3]);
}

// One tap of one row; lanes are columns.
template <class T, Step kX, Step kY>
Vec<T> row_along_columns(const T* x, int64_t x_step, const T* y, int64_t y_step, int64_t count) {
  const int64_t full = count / kLanes<T>, rest = count % kLanes<T>;
  Vec<T> sum = sum_of<T>(full, [&](int64_t i) {
    const int64_t at = i * kLanes<T>;
    return load_spaced<kX>(x + at * x_step, x_step) * load_spaced<kY>(y + at * y_step, y_step);
  });
  if (rest > 0) {
    const int64_t at = full * kLanes<T>;
    sum += load_spaced_lanes<kX>(x + at * x_step, x_step, 0, rest, T(0)) *
           load_spaced_lanes<kY>(y + at * y_step, y_step, 0, rest, T(0));
  }
  return sum;
}

template <class T>
Vec<T> row_along_columns(const T* x, int64_t x_step, const T* y, int64_t y_step, int64_t count) {
  if (y_step == 1 && x_step == 1)
    return row_along_columns<T, Step::kOne, Step::kOne>(x, 1, y, 1, count);
  if (y_step == 1 && x_step == 2)
    return row_along_columns<T, Step::kTwo, Step::kOne>(x, 2, y, 1, count);
  return row_along_columns<T, Step::kAny, Step::kAny>(x, x_step, y, y_step, count);
}

// sums[tap][lane] of channel g over rows [begin, end).
template <class T>
void sum_rows(const DepthwisePlan<T>& plan, const ConvArgs<T>& args, int64_t g, int64_t begin,
              int64_t end, T* sums) {
  const ConvParams& p = plan.p;
  for (int64_t i = 0; i < plan.taps * kLanes<T>; ++i) sums[i] = T(0);
  const int64_t x_step = p.stride[2] * p.x_stride[4], y_step = p.y_stride[4];
  for (int64_t row = begin; row < end; ++row) {
    const int64_t oh = row % p.out[1], od = row / p.out[1] % p.out[0];
    const int64_t n = row / p.out[1] / p.out[0];
    const T* y =
        args.y + n * p.y_stride[0] + g * p.y_stride[1] + od * p.y_stride[2] + oh * p.y_stride[3];
    const T* x = args.x + n * p.x_stride[0] + g * p.x_stride[1];
    T* sum = sums;
    for (int64_t kd = 0; kd < p.kernel[0]; ++kd) {
      const int64_t id = od * p.stride[0] - p.pad_before[0] + kd * p.dilation[0];
      for (int64_t kh = 0; kh < p.kernel[1]; ++kh, sum += p.kernel[2] * kLanes<T>) {
        const int64_t ih = oh * p.stride[1] - p.pad_before[1] + kh * p.dilation[1];
        if (id < 0 || id >= p.in[0] || ih < 0 || ih >= p.in[1]) continue;
        const T* x_row = x + id * p.x_stride[2] + ih * p.x_stride[3];
        for (int64_t kw = 0; kw < p.kernel[2]; ++kw) {
          const Columns columns(p, kw);
          const int64_t count = columns.end - columns.begin;
          const int64_t iw = columns.begin * p.stride[2] - p.pad_before[2] + kw * p.dilation[2];
          const T* from_x = x_row + iw * p.x_stride[4];
          const T* from_y = y + columns.begin * y_step;
          T* to = sum + kw * kLanes<T>;
          store(to, load(to) + row_along_columns(from_x, x_step, from_y, y_step, count));
        }
      }
    }
  }
}

// Few outputs a group, for many are a matrix product; and with several, groups to fill vectors.
inline bool is_depthwise(const ConvParams& p) {
  constexpr int64_t kMostOutputs = 4, kFewestGroups = 8;
  if (p.in_channels != p.groups || p.out_channels > kMostOutputs * p.groups) return false;
  return p.out_channels == p.groups ||
         (p.groups >= kFewestGroups && p.x_stride[4] == 1 && p.y_stride[4] == 1);
}

// One output of every group alone.
inline ConvParams of_output(const ConvParams& params) {
  ConvParams p = params;
  const int64_t outputs = p.out_channels / p.groups;
  p.out_channels = p.groups;
  p.y_stride[1] *= outputs;
  p.w_stride[0] *= outputs;
  return p;
}

template <class T>
void run_one_output(const ConvArgs<T>& args) {
  if (across_channels(*args.params)) return run_channel_weight(args);
  const TransposedWeightPlan<T> transposed(args);
  if (transposed.applies) return run_transposed_weight(transposed, args);
  const DepthwisePlan<T> plan(args);
  const ConvParams& p = plan.p;
  T* all_sums = static_cast<T*>(args.exec.workspace);
  const int64_t size = plan.taps * kLanes<T>;
  parallel_for(p.groups * plan.pieces, args.exec.threads, [&](int64_t task, int) {
    const int64_t piece = task % plan.pieces;
    sum_rows(plan, args, task / plan.pieces, plan.rows * piece / plan.pieces,
             plan.rows * (piece + 1) / plan.pieces, all_sums + task * size);
  });
  for (int64_t g = 0; g < p.groups; ++g) {
    T* sums = all_sums + g * plan.pieces * size;
    for (int64_t piece = 1; piece < plan.pieces; ++piece)
      for (int64_t i = 0; i < size; ++i) sums[i] += sums[piece * size + i];
    for (int64_t tap = 0; tap < plan.taps; ++tap) {
      const int64_t kw = tap % p.kernel[2], kh = tap / p.kernel[2] % p.kernel[1];
      const int64_t kd = tap / p.kernel[2] / p.kernel[1];
      T total = 0;
      for (int i = 0; i < kLanes<T>; ++i) total += sums[tap * kLanes<T> + i];
      args.weight[g * p.w_stride[0] + kd * p.w_stride[2] + kh * p.w_stride[3] +
                  kw * p.w_stride[4]] = total;
    }
  }
}

template <class T>
void run_depthwise_weight(const ConvArgs<T>& args) {
  const ConvParams& p = *args.params;
  const ConvParams alone = of_output(p);
  ConvArgs<T> of_m = args;
  of_m.params = &alone;
  for (int64_t m = 0; m < p.out_channels / p.groups; ++m) {
    run_one_output(of_m);
    of_m.y += p.y_stride[1];
    of_m.weight += p.w_stride[0];
  }
}

template <class T>
size_t depthwise_weight_bytes(const ConvArgs<T>& args) {
  const ConvParams alone = of_output(*args.params);
  ConvArgs<T> of_m = args;
  of_m.params = &alone;
  return DepthwisePlan<T>(of_m).total_bytes;
}

}  // namespace
}  // namespace fastconv
