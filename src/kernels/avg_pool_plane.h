// Averages of whole planes: pool_plane.h says how.
#pragma once

#include "kernels/pool_plane.h"
#include "kernels/sum_run.h"

namespace fastconv {
namespace {

template <class T>
struct PlaneSum {
  Vec<T> value;

  static FASTCONV_INLINE PlaneSum folded(const PlaneSum& a, const PlaneSum& b) {
    return {zip_low(a.value, b.value) + zip_high(a.value, b.value)};
  }
};

// Up to so many elements a lane sums no more than kTerms of each of its four chains.
template <class T>
constexpr int64_t kMostSummed = int64_t{kTerms} * 4 * kLanes<T>;

// The sum of x[0, count), spread over the lanes.
template <class T>
FASTCONV_INLINE Vec<T> sum_lanes(const T* x, int64_t count) {
  constexpr int L = kLanes<T>;
  Vec<T> sum[4] = {};
  int64_t i = 0;
  for (; i + 4 * L <= count; i += 4 * L) {
    FASTCONV_UNROLL
    for (int chain = 0; chain < 4; ++chain) sum[chain] += load(x + i + chain * L);
  }
  for (; i + L <= count; i += L) sum[0] += load(x + i);
  if (i < count) sum[1] += load_lanes(x + i, 0, count - i, T{0});
  return (sum[0] + sum[1]) + (sum[2] + sum[3]);
}

// y = sum of x / divisor for every plane.
template <class T>
void average_planes(const WindowParams& p, const T* all_x, T* all_y, T divisor, int threads) {
  constexpr int L = kLanes<T>;
  const int64_t plane = p.in[kSpatial - 1];
  for_each_block_of_planes<T>(p, threads, [&](int64_t n, int64_t c, int64_t count) {
    const T* x = all_x + n * p.x_stride[0] + c * p.x_stride[1];
    T* y = all_y + n * p.y_stride[0] + c * p.y_stride[1];
    if (plane > kMostSummed<T>) {
      for (int64_t i = 0; i < count; ++i)
        y[i * p.y_stride[1]] =
            static_cast<T>(sum_run(x + i * p.x_stride[1], 1, plane) / static_cast<double>(divisor));
      return;
    }
    PlaneSum<T> part[L] = {};
    for (int64_t i = 0; i < count; ++i) part[i].value = sum_lanes(x + i * p.x_stride[1], plane);
    store_spaced(y, p.y_stride[1], fold_planes<T>(part).value / broadcast(divisor), count);
  });
}

// x = y / divisor all over every plane.
template <class T>
void spread_planes(const WindowParams& p, T* all_x, const T* all_y, T divisor, int threads) {
  const T scale = T{1} / divisor;
  const bool streamed = streams_planes<T>(p);
  for_each_block_of_planes<T>(p, threads, [&](int64_t n, int64_t c, int64_t count) {
    T* x = all_x + n * p.x_stride[0] + c * p.x_stride[1];
    const T* y = all_y + n * p.y_stride[0] + c * p.y_stride[1];
    for (int64_t i = 0; i < count; ++i)
      fill_run(x + i * p.x_stride[1], p.in[kSpatial - 1], broadcast(y[i * p.y_stride[1]] * scale),
               streamed);
    if (streamed) end_stream();
  });
}

}  // namespace
}  // namespace fastconv
