// The gradient of a pool whose windows do not overlap, with lanes along the columns:
//
//   x[n, c, i] = term(o, k) of the one window o that sees i, at its tap k, or 0
//
// for strides that pool_gather_columns.h does not know. The columns of a vector of x belong to
// neighbouring outputs: those are one vector, whose lanes are repeated by a permutation. Which lane
// and which tap a column has depends on where in a window the vector begins, so there are as many
// permutations as the stride is long. Every x is written once.
//
// A Source is asked for a row of outputs: begin_row(od, oh, kd, kh); then
// values(ow, count), what the outputs [ow, ow + count) are worth, and, if kMasked, wins(taps, names
// of the outputs' lanes): see max_pool_argmax_backward.kernel.cpp.
//
// Threads: a task owns some rows of x.
#pragma once

#include "kernels/pool_gather.h"
#include "simd/permute.h"

namespace fastconv {
namespace {

constexpr int64_t kMostApart = 16;  // stride: as many permutations

// Whether windows are apart, and columns as the permutations want them.
inline bool windows_apart(const WindowParams& p) {
  for (int i = 0; i < kSpatial; ++i)
    if (p.dilation[i] != 1 || p.kernel[i] > p.stride[i]) return false;
  return kPermutes && !p.adaptive && p.stride[2] <= kMostApart;
}

template <class T>
struct ApartColumns {
  static constexpr int64_t kGap = -1;          // the tap of a column between two windows
  int64_t stride, whole, rest;                 // a vector further: so many outputs and columns
  int64_t seen;                                // outputs that a vector may see
  Mask<T> order[kMostApart], tap[kMostApart];  // of a vector that begins so far inside a window

  explicit ApartColumns(const WindowParams& p)
      : stride(p.stride[2]), whole(kLanes<T> / stride), rest(kLanes<T> % stride) {
    seen = (stride + kLanes<T> - 2) / stride + 1;
    for (int64_t begin = 0; begin < stride; ++begin) {
      int64_t lanes[kLanes<T>];
      for (int64_t i = 0; i < kLanes<T>; ++i) {
        lanes[i] = (begin + i) / stride;
        const int64_t kw = (begin + i) % stride;
        tap[begin][i] = static_cast<typename VecType<T>::integer>(kw < p.kernel[2] ? kw : kGap);
      }
      order[begin] = permute_order<T>(lanes);
    }
  }
};

// A row of x, of the row of outputs that the source has at hand.
template <class T, class Source>
FASTCONV_INLINE void spread_columns(const WindowParams& p, const ApartColumns<T>& apart,
                                    const Source& source, T* x) {
  constexpr int64_t L = kLanes<T>;
  const int64_t IW = p.in[2], OW = p.out[2];
  int64_t ow = p.pad_before[2] / apart.stride, begin = p.pad_before[2] % apart.stride;
  for (int64_t iw = 0; iw < IW; iw += L) {
    const int64_t count = ow + L <= OW ? L : clamp(OW - ow, 0, apart.seen);
    const Mask<T> order = apart.order[begin], tap = apart.tap[begin];
    Mask<T> wins = tap != broadcast_integer<T>(ApartColumns<T>::kGap);
    if constexpr (Source::kMasked) {
      const Mask<T> names = (Mask<T>)permute<T>((Vec<T>)source.names(ow, count), order);
      wins &= names == tap + broadcast_integer<T>(source.first_tap);
    }
    const Vec<T> value = permute<T>(source.values(ow, count), order);
    // As the sum of one term: a negative zero becomes a positive one.
    put(x + iw, Vec<T>{} + (wins ? value : Vec<T>{}), clamp(IW - iw, 0, L), false);
    ow += apart.whole;
    begin += apart.rest;
    if (begin >= apart.stride) begin -= apart.stride, ++ow;
  }
}

// All planes. source_of(n, c): of a plane.
template <class T, class SourceOf>
void spread_windows(const WindowParams& p, T* all_x, int threads, const SourceOf& source_of) {
  const ApartColumns<T> apart(p);
  const int64_t row_bytes = p.in[2] * static_cast<int64_t>(sizeof(T));
  for_each_input_row(p, p.channels, row_bytes, threads, false,
                     [&](int64_t n, int64_t c, int64_t id, int64_t ih, const Windows& depth,
                         const Windows& height) {
                       T* x = all_x + n * p.x_stride[0] + c * p.x_stride[1] + id * p.x_stride[2] +
                              ih * p.x_stride[3];
                       if (depth.count == 0 || height.count == 0) {
                         __builtin_memset(x, 0, static_cast<size_t>(row_bytes));
                         return;
                       }
                       auto source = source_of(n, c);
                       source.begin_row(p, depth.first, height.first, depth.tap, height.tap);
                       spread_columns(p, apart, source, x);
                     });
}

}  // namespace
}  // namespace fastconv
