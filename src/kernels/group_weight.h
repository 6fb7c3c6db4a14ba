// The gradient of the filters of many small groups on channels-last data, vectors along the outputs
// of all of them: direct_groups.h turned round.
//
//   dweight[g * M + m, c, k] = sum over n, o of y[n, g * M + m, o] *
//                              x[n, g * C + c, o * stride - pad + k * dilation]
//
// Lane j of a vector of y meets channel (j / M) * C + c of the inputs beside each other, one
// permutation of one vector. Along a row of positions the sums of up to three columns of the filter
// and all c stay in registers. Positions whose tap is in the padding are left out.
//
// Threads: a task owns a piece of the rows of all images, and walks through them with all vectors of
// outputs, so that memory is read in its order. How many pieces is decided by the problem; their
// sums are added in order.
#pragma once

#include "kernels/direct_groups.h"
#include "kernels/pack_positions.h"

namespace fastconv {
namespace {

template <class T>
bool across_groups_weight(const ConvArgs<T>& args) {
  const ConvParams& p = *args.params;
  return p.n > 0 && p.y_stride[1] == 1 && p.x_stride[1] == 1 &&
         fits_permutation<T>(p.groups, p.in_channels / p.groups, p.out_channels / p.groups);
}

template <class T>
struct GroupWeightPlan {
  static constexpr int64_t kPieces = 24;  // keep a machine busy and its cores evenly loaded
  int64_t channels, outputs, taps, vectors, rows, pieces, sum_size;
  size_t order_at, total_bytes;

  explicit GroupWeightPlan(const ConvParams& p) {
    channels = p.in_channels / p.groups;
    outputs = p.out_channels / p.groups;
    taps = p.kernel[0] * p.kernel[1] * p.kernel[2];
    vectors = ceil_div(p.out_channels, kLanes<T>);
    rows = p.n * p.out[0] * p.out[1];
    pieces = min(rows, kPieces);
    sum_size = taps * channels * kLanes<T>;
    Regions regions;
    regions.reserve(pieces * vectors * sum_size * int64_t{sizeof(T)});
    order_at = regions.reserve(vectors * channels * static_cast<int64_t>(sizeof(Mask<T>)));
    total_bytes = regions.end;
  }
};

// What the rows of a task have in common: x and y of its channels, lanes of them that exist.
template <class T>
struct GroupRows {
  const T *x, *y;
  int64_t x_step, y_step, x_lanes, y_lanes;
};

// sums[tap][c] += sum over i in [0, count) of y[i] * x[i + tap * tap_step][order[c]].
template <class T, int C, int kTaps, bool kWhole>
void group_weight_kernel(T* sums, const GroupRows<T>& r, int64_t tap_step, const Mask<T>* order,
                         int64_t count) {
  Vec<T> sum[kTaps][C];
  Mask<T> lanes[C];
  FASTCONV_UNROLL
  for (int c = 0; c < C; ++c) {
    lanes[c] = order[c];
    FASTCONV_UNROLL
    for (int t = 0; t < kTaps; ++t) sum[t][c] = load(sums + (t * C + c) * kLanes<T>);
  }
  const auto load_from = [](const T* p, int64_t lanes_there) {
    if constexpr (kWhole)
      return load(p);
    else
      return load_lanes(p, 0, lanes_there, T(0));
  };
  const T *x = r.x, *y = r.y;
  for (int64_t i = 0; i < count; ++i, x += r.x_step, y += r.y_step) {
    const Vec<T> y_i = load_from(y, r.y_lanes);
    FASTCONV_UNROLL
    for (int t = 0; t < kTaps; ++t) {
      const Vec<T> x_t = load_from(x + t * tap_step, r.x_lanes);
      FASTCONV_UNROLL
      for (int c = 0; c < C; ++c) sum[t][c] += permute<T>(x_t, lanes[c]) * y_i;
    }
  }
  FASTCONV_UNROLL
  for (int t = 0; t < kTaps; ++t) {
    FASTCONV_UNROLL
    for (int c = 0; c < C; ++c) store(sums + (t * C + c) * kLanes<T>, sum[t][c]);
  }
}

// Taps of a row that are summed together: three where 32 registers hold them.
template <int C>
constexpr int kRowTaps = FASTCONV_VEC_BYTES == 64 && C <= 4 ? 3 : 1;

// One row of y against one row of x: all columns of the filter. r.x and r.y are at column 0.
template <class T, int C, bool kWhole>
void add_group_row(const ConvParams& p, const GroupRows<T>& r, const Mask<T>* order, T* sums) {
  const int64_t stride = p.stride[2], tap_step = p.dilation[2] * p.x_stride[4];
  // Positions [first, last) for which column kw of the filter is inside the image.
  const auto first_of = [&](int64_t kw) {
    return min(p.out[2], ceil_div(max(0, p.pad_before[2] - kw * p.dilation[2]), stride));
  };
  const auto last_of = [&](int64_t kw) {
    const int64_t end = p.in[2] + p.pad_before[2] - kw * p.dilation[2];
    return end < 1 ? 0 : min(p.out[2], ceil_div(end, stride));
  };
  const auto add = [&](auto kernel, int64_t kw, int64_t first, int64_t last) {
    if (first >= last) return;
    GroupRows<T> at = r;
    at.x += (first * stride - p.pad_before[2]) * p.x_stride[4] + kw * tap_step;
    at.y += first * r.y_step;
    kernel(sums + kw * C * kLanes<T>, at, tap_step, order, last - first);
  };
  constexpr int kTaps = kRowTaps<C>;
  for (int64_t kw = 0; kw < p.kernel[2];) {
    if (kTaps > 1 && kw + kTaps <= p.kernel[2]) {
      // What is inside for all of them at once; then the ends of each.
      const int64_t first = first_of(kw), last = max(first, last_of(kw + kTaps - 1));
      add(group_weight_kernel<T, C, kTaps, kWhole>, kw, first, last);
      for (int t = 0; t < kTaps; ++t) {
        add(group_weight_kernel<T, C, 1, kWhole>, kw + t, first_of(kw + t),
            min(first, last_of(kw + t)));
        add(group_weight_kernel<T, C, 1, kWhole>, kw + t, max(last, first_of(kw + t)),
            last_of(kw + t));
      }
      kw += kTaps;
    } else {
      add(group_weight_kernel<T, C, 1, kWhole>, kw, first_of(kw), last_of(kw));
      ++kw;
    }
  }
}

// Adds rows [first, last) of all images to sums[vector][tap][c].
template <class T, int C>
void add_group_rows(const ConvArgs<T>& args, const GroupWeightPlan<T>& plan, const Mask<T>* orders,
                    int64_t first, int64_t last, T* sums) {
  const ConvParams& p = *args.params;
  zero(sums, plan.vectors * plan.sum_size);
  for (int64_t row = first; row < last; ++row) {
    const int64_t oh = row % p.out[1], od = row / p.out[1] % p.out[0],
                  n = row / p.out[1] / p.out[0];
    const T* x = args.x + n * p.x_stride[0];
    const T* y = args.y + n * p.y_stride[0] + od * p.y_stride[2] + oh * p.y_stride[3];
    for (int64_t kd = 0; kd < p.kernel[0]; ++kd) {
      const int64_t id = od * p.stride[0] - p.pad_before[0] + kd * p.dilation[0];
      if (id < 0 || id >= p.in[0]) continue;
      for (int64_t kh = 0; kh < p.kernel[1]; ++kh) {
        const int64_t ih = oh * p.stride[1] - p.pad_before[1] + kh * p.dilation[1];
        if (ih < 0 || ih >= p.in[1]) continue;
        T* sum = sums + (kd * p.kernel[1] + kh) * p.kernel[2] * C * kLanes<T>;
        for (int64_t v = 0; v < plan.vectors; ++v, sum += plan.sum_size) {
          const int64_t m = v * kLanes<T>, channel = m / plan.outputs * C;
          const GroupRows<T> r = {x + channel + id * p.x_stride[2] + ih * p.x_stride[3],
                                  y + m,
                                  p.stride[2] * p.x_stride[4],
                                  p.y_stride[4],
                                  min(kLanes<T>, p.in_channels - channel),
                                  min(kLanes<T>, p.out_channels - m)};
          if (min(r.x_lanes, r.y_lanes) == kLanes<T>)
            add_group_row<T, C, true>(p, r, orders + v * C, sum);
          else
            add_group_row<T, C, false>(p, r, orders + v * C, sum);
        }
      }
    }
  }
}

// kGroupRows<T>[channels - 1]
template <class T>
using AddGroupRows = void (*)(const ConvArgs<T>& args, const GroupWeightPlan<T>& plan,
                              const Mask<T>* orders, int64_t first, int64_t last, T* sums);
template <class T>
constexpr AddGroupRows<T> kGroupRows[] = {
    &add_group_rows<T, 1>, &add_group_rows<T, 2>, &add_group_rows<T, 3>, &add_group_rows<T, 4>,
    &add_group_rows<T, 5>, &add_group_rows<T, 6>, &add_group_rows<T, 7>, &add_group_rows<T, 8>};

template <class T>
void run_group_weight(const ConvArgs<T>& args) {
  const ConvParams& p = *args.params;
  const GroupWeightPlan<T> plan(p);
  char* workspace = static_cast<char*>(args.exec.workspace);
  T* all_sums = reinterpret_cast<T*>(workspace);
  Mask<T>* orders = reinterpret_cast<Mask<T>*>(workspace + plan.order_at);
  make_orders<T>(plan.vectors, plan.outputs, plan.channels, orders);
  const auto sums_of = [&](int64_t piece, int64_t vector) {
    return all_sums + (piece * plan.vectors + vector) * plan.sum_size;
  };
  parallel_for(plan.pieces, args.exec.threads, [&](int64_t piece, int) {
    kGroupRows<T>[plan.channels - 1](args, plan, orders, plan.rows* piece / plan.pieces,
                                     plan.rows*(piece + 1) / plan.pieces, sums_of(piece, 0));
  });
  for (int64_t vector = 0; vector < plan.vectors; ++vector) {
    T* sums = sums_of(0, vector);
    for (int64_t piece = 1; piece < plan.pieces; ++piece)
      for (int64_t i = 0; i < plan.sum_size; ++i) sums[i] += sums_of(piece, vector)[i];
    for (int64_t tap = 0; tap < plan.taps; ++tap) {
      const int64_t kw = tap % p.kernel[2], kh = tap / p.kernel[2] % p.kernel[1];
      const int64_t kd = tap / p.kernel[2] / p.kernel[1];
      T* to = args.weight + vector * kLanes<T> * p.w_stride[0] + kd * p.w_stride[2] +
              kh * p.w_stride[3] + kw * p.w_stride[4];
      const int64_t outputs = min(kLanes<T>, p.out_channels - vector * kLanes<T>);
      for (int64_t c = 0; c < plan.channels; ++c, sums += kLanes<T>)
        for (int64_t m = 0; m < outputs; ++m) to[m * p.w_stride[0] + c * p.w_stride[1]] = sums[m];
    }
  }
}

}  // namespace
}  // namespace fastconv
