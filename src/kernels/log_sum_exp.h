// The pieces of softmax and cross-entropy, in two shapes: along a contiguous row, with lanes
// along it, and for many positions at once whose axis is strided, with a position a lane.
//
// A maximum ignores NaN; the NaN comes back from exp(NaN - max). With an infinite maximum
// exp(inf - inf) is NaN too, so such a row is NaN throughout, as in PyTorch. Sums gather at
// most kDepth terms before those are added to the total, which keeps the rounding error of
// long rows near that of short ones.
#pragma once

#include "simd/exp.h"
#include "simd/partial.h"

namespace fastconv {
namespace {

constexpr int kDepth = 64;

template <class T>
constexpr T kLowest = -static_cast<T>(__builtin_inf());

template <class T>
FASTCONV_INLINE T sum_lanes(Vec<T> v) {
  T lanes[kLanes<T>];
  store(lanes, v);
  FASTCONV_UNROLL
  for (int width = kLanes<T> / 2; width > 0; width /= 2)
    for (int i = 0; i < width; ++i) lanes[i] += lanes[i + width];
  return lanes[0];
}

template <class T>
FASTCONV_INLINE T max_lanes(Vec<T> v) {
  T lanes[kLanes<T>];
  store(lanes, v);
  FASTCONV_UNROLL
  for (int width = kLanes<T> / 2; width > 0; width /= 2)
    for (int i = 0; i < width; ++i)
      lanes[i] = lanes[i] > lanes[i + width] ? lanes[i] : lanes[i + width];
  return lanes[0];
}

// ---- rows: `count` contiguous elements

// Calls body(i, lanes) for every vector of a row; `lanes` is kLanes but for the last.
template <class T, class Body>
FASTCONV_INLINE void for_each_vector(int64_t count, const Body& body) {
  constexpr int L = kLanes<T>;
  int64_t i = 0;
  for (; i + L <= count; i += L) body(i, L);
  if (i < count) body(i, count - i);
}

template <class T>
FASTCONV_INLINE Vec<T> load_row(const T* p, int64_t lanes, T fill) {
  return lanes == kLanes<T> ? load(p) : load_lanes(p, 0, lanes, fill);
}

template <class T>
FASTCONV_INLINE void store_row(T* p, Vec<T> v, int64_t lanes) {
  if (lanes == kLanes<T>)
    store(p, v);
  else
    store_lanes(p, v, lanes);
}

template <class T>
FASTCONV_INLINE T row_max(const T* a, int64_t count) {
  Vec<T> largest = broadcast(kLowest<T>);
  for_each_vector<T>(count, [&](int64_t i, int64_t lanes) {
    largest = max(load_row(a + i, lanes, kLowest<T>), largest);
  });
  return max_lanes<T>(largest);
}

// The sum over i of term(i, lanes), a vector of terms with zeros beyond `lanes`.
template <class T, class Term>
FASTCONV_INLINE T row_sum(int64_t count, const Term& term) {
  Vec<T> total = {};
  for (int64_t first = 0; first < count; first += kDepth * kLanes<T>) {
    Vec<T> chain = {};
    for_each_vector<T>(clamp(count - first, 0, kDepth * kLanes<T>),
                       [&](int64_t i, int64_t lanes) { chain += term(first + i, lanes); });
    total += chain;
  }
  return sum_lanes<T>(total);
}

// exp(a - max), in lanes beyond the row 0.
template <class T>
FASTCONV_INLINE Vec<T> row_exp(const T* a, int64_t lanes, T max) {
  return exp<T>(load_row(a, lanes, kLowest<T>) - max);
}

template <class T>
FASTCONV_INLINE T log_scalar(T x) {
  return log<T>(broadcast(x))[0];
}

// ---- positions: vectors of positions, the axis strided

// How the positions of a vector lie in memory.
enum class Spread {
  kFull,  // adjacent, all lanes count
  kPart,  // adjacent, the first few lanes count
  kApart  // `step` elements apart, the first few or all lanes count
};

template <Spread kSpread, class T>
FASTCONV_INLINE Vec<T> load_positions(const T* p, int64_t step, int64_t count) {
  if constexpr (kSpread == Spread::kFull)
    return load(p);
  else if constexpr (kSpread == Spread::kPart)
    return load_lanes(p, 0, count, T{0});
  else
    return load_spaced_lanes<Step::kAny>(p, step, 0, count, T{0});
}

template <Spread kSpread, class T>
FASTCONV_INLINE void store_positions(T* p, int64_t step, Vec<T> v, int64_t count) {
  if constexpr (kSpread == Spread::kFull)
    store(p, v);
  else if constexpr (kSpread == Spread::kPart)
    store_lanes(p, v, count);
  else
    store_spaced(p, step, v, count);
}

// Where an operand's positions and their axes lie.
template <class T>
struct Axis {
  T* data;
  int64_t stride;  // along the axis
  int64_t step;    // from position to position
};

template <Spread kSpread, class T, class U>
FASTCONV_INLINE Vec<T> load_axis(const Axis<U>& axis, int64_t c, int vector, int64_t count) {
  return load_positions<kSpread, T>(axis.data + c * axis.stride + vector * kLanes<T> * axis.step,
                                    axis.step, count);
}

template <Spread kSpread, class T>
FASTCONV_INLINE void store_axis(const Axis<T>& axis, int64_t c, int vector, Vec<T> v,
                                int64_t count) {
  store_positions<kSpread, T>(axis.data + c * axis.stride + vector * kLanes<T> * axis.step,
                              axis.step, v, count);
}

// kVectors vectors of positions.
template <class T, int kVectors>
struct Block {
  Vec<T> v[kVectors];
};

template <Spread kSpread, int kVectors, class T>
FASTCONV_INLINE Block<T, kVectors> axis_max(const Axis<const T>& a, int64_t classes,
                                            int64_t count) {
  Block<T, kVectors> largest;
  FASTCONV_UNROLL
  for (int j = 0; j < kVectors; ++j) largest.v[j] = broadcast(kLowest<T>);
  for (int64_t c = 0; c < classes; ++c) {
    FASTCONV_UNROLL
    for (int j = 0; j < kVectors; ++j)
      largest.v[j] = max(load_axis<kSpread, T>(a, c, j, count), largest.v[j]);
  }
  return largest;
}

// The sums over c of term(c, vector).
template <class T, int kVectors, class Term>
FASTCONV_INLINE Block<T, kVectors> axis_sum(int64_t classes, const Term& term) {
  Block<T, kVectors> total = {};
  for (int64_t first = 0; first < classes; first += kDepth) {
    Block<T, kVectors> chain = {};
    const int64_t last = clamp(first + kDepth, 0, classes);
    for (int64_t c = first; c < last; ++c) {
      FASTCONV_UNROLL
      for (int j = 0; j < kVectors; ++j) chain.v[j] += term(c, j);
    }
    FASTCONV_UNROLL
    for (int j = 0; j < kVectors; ++j) total.v[j] += chain.v[j];
  }
  return total;
}

// Runs body.run<kSpread, kVectors>(first, count) over `count` positions: in blocks of
// kVectors vectors, then single vectors, then what is left.
template <int kVectors, class T, class Body>
FASTCONV_INLINE void for_each_block(int64_t count, bool adjacent, const Body& body) {
  constexpr int L = kLanes<T>;
  int64_t i = 0;
  if (!adjacent) {
    for (; i < count; i += L) body.template run<Spread::kApart, 1>(i, clamp(count - i, 0, L));
    return;
  }
  for (; i + kVectors * L <= count; i += kVectors * L)
    body.template run<Spread::kFull, kVectors>(i, L);
  for (; i + L <= count; i += L) body.template run<Spread::kFull, 1>(i, L);
  if (i < count) body.template run<Spread::kPart, 1>(i, count - i);
}

}  // namespace
}  // namespace fastconv
