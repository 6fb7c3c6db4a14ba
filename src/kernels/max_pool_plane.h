// Maxima of whole planes, and where they are: pool_plane.h says how. A block of planes that has a
// NaN is gone over again one element after the other.
#pragma once

#include "kernels/max_pool_channels.h"
#include "kernels/pool_plane.h"

namespace fastconv {
namespace {

// The largest elements seen, and the positions of the first of them.
template <class T, Report kReport>
struct PlaneMax {
  Vec<T> value;
  Mask<T> offset;

  static FASTCONV_INLINE PlaneMax larger(const PlaneMax& a, const PlaneMax& b) {
    if constexpr (kReport == Report::kNothing) return {max(a.value, b.value), a.offset};
    const Mask<T> b_wins = (b.value > a.value) | ((b.value == a.value) & (b.offset < a.offset));
    return {b_wins ? b.value : a.value, b_wins ? b.offset : a.offset};
  }
  static FASTCONV_INLINE PlaneMax folded(const PlaneMax& a, const PlaneMax& b) {
    return larger({zip_low(a.value, b.value), zip_low(a.offset, b.offset)},
                  {zip_high(a.value, b.value), zip_high(a.offset, b.offset)});
  }
};

// Of x[0, count). *sum becomes NaN if there was one.
template <class T, Report kReport>
FASTCONV_INLINE PlaneMax<T, kReport> max_lanes(const T* x, int64_t count, Vec<T>* sum) {
  constexpr int L = kLanes<T>, kChains = 4;  // of comparisons: one waits for the last
  Winner<T, kReport, Pass::kFast> winner[kChains];
  FASTCONV_UNROLL
  for (int chain = 0; chain < kChains; ++chain) winner[chain].offset = Mask<T>{};
  int64_t i = 0;
  for (; i + kChains * L <= count; i += kChains * L) {
    FASTCONV_UNROLL
    for (int chain = 0; chain < kChains; ++chain)
      winner[chain].meet(load(x + i + chain * L), i + chain * L);
  }
  for (; i + L <= count; i += L) winner[0].meet(load(x + i), i);
  if (i < count) winner[1].meet(load_lanes(x + i, 0, count - i, kLowest<T>), i);
  *sum += (winner[0].sum + winner[1].sum) + (winner[2].sum + winner[3].sum);
  const auto of = [&](int chain) {
    return PlaneMax<T, kReport>{winner[chain].value, winner[chain].offset + lane_numbers<T>()};
  };
  using Max = PlaneMax<T, kReport>;
  return Max::larger(Max::larger(of(0), of(1)), Max::larger(of(2), of(3)));
}

// y and places of every plane. `plane`: as merge_whole_plane leaves p.
template <Report kReport, class T>
void max_planes(const Problem& p, const WindowParams& plane, const T* all_x, T* all_y,
                Place<kReport>* all_places, int threads) {
  constexpr int L = kLanes<T>;
  for_each_block_of_planes<T>(plane, threads, [&](int64_t n, int64_t c, int64_t count) {
    const T* x = all_x + n * p.x_stride[0] + c * p.x_stride[1];
    T* y = all_y + n * p.y_stride[0] + c * p.y_stride[1];
    Place<kReport>* places = all_places;
    if constexpr (kReport != Report::kNothing)
      places += n * p.index_stride[0] + c * p.index_stride[1];
    PlaneMax<T, kReport> part[L] = {};
    Vec<T> sum = {};
    for (int64_t i = 0; i < count; ++i)
      part[i] = max_lanes<T, kReport>(x + i * p.x_stride[1], plane.in[kSpatial - 1], &sum);
    if (any<T>(sum != sum)) {
      for (int64_t i = 0; i < count; ++i) {
        Place<kReport>* place = places;
        if constexpr (kReport != Report::kNothing) place += i * p.index_stride[1];
        pool_rows_one_by_one<T, kReport>(p, x + i * p.x_stride[1], y + i * p.y_stride[1], place,
                                         find_taps(p, 0, 0), 0, 1);
      }
      return;
    }
    const PlaneMax<T, kReport> all = fold_planes<T>(part);
    store_spaced(y, p.y_stride[1], all.value, count);
    if constexpr (kReport == Report::kIndices)
      store_indices<T>(places, p.index_stride[1], 0, all.offset, count, false);
    if constexpr (kReport == Report::kArgmax)
      store_argmax<T>(places, p.index_stride[1], all.offset, count);
  });
}

}  // namespace
}  // namespace fastconv
