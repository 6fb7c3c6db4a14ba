// Scattering along indices that are flat positions of a plane: the inner loop of max pooling
// backward and of unpooling.
#pragma once

#include "core/params.h"
#include "simd/vec.h"

namespace fastconv {
namespace {

enum class Store { kAdd, kReplace };

// Where a flat position of the plane lies in memory.
struct Plane {
  bool dense;  // at position * unit
  int64_t unit;
  int64_t IH, IW;
  int64_t d_stride, h_stride, w_stride;

  explicit Plane(const WindowParams& p)
      : dense(true),
        unit(0),
        IH(p.in[1]),
        IW(p.in[2]),
        d_stride(p.x_stride[2]),
        h_stride(p.x_stride[3]),
        w_stride(p.x_stride[4]) {
    int64_t positions = 1;
    for (int i = kSpatial - 1; i >= 0; --i) {
      if (p.in[i] == 1) continue;
      if (positions == 1)
        unit = p.x_stride[i + 2];
      else
        dense &= p.x_stride[i + 2] == unit * positions;
      positions *= p.in[i];
    }
  }

  FASTCONV_INLINE int64_t offset(int64_t position) const {
    if (dense) return position * unit;
    const int64_t row = position / IW;
    return position % IW * w_stride + row % IH * h_stride + row / IH * d_stride;
  }
};

// `count` elements that lie x_step, y_step and index_step apart, those that point into
// [lo, hi) only if kFilter.
template <class T>
struct Run {
  T* x;
  const T* y;
  const int64_t* indices;
  int64_t count, x_step, y_step, index_step, lo, hi;
};

// What the compiler is told of the steps.
enum class Path {
  kPlane,     // y and indices contiguous, positions of x too
  kChannels,  // x, y and indices contiguous along channels
  kAny
};

template <Store kStore, bool kFilter, Path kPath, class T>
FASTCONV_INLINE void scatter_run(const Run<T>& run, const Plane& plane) {
  const uint64_t length = static_cast<uint64_t>(run.hi - run.lo);
  const int64_t x_step = kPath == Path::kAny ? run.x_step : kPath == Path::kPlane ? 0 : 1;
  const int64_t y_step = kPath == Path::kAny ? run.y_step : 1;
  const int64_t index_step = kPath == Path::kAny ? run.index_step : 1;
  T elsewhere[kFilter ? 16 : 1];  // several, for stores to one would wait for each other
  if (kFilter) __builtin_memset(elsewhere, 0, sizeof(elsewhere));
  for (int64_t i = 0; i < run.count; ++i) {
    const int64_t index = run.indices[i * index_step];
    const int64_t offset = kPath == Path::kPlane      ? index
                           : kPath == Path::kChannels ? index * plane.unit
                                                      : plane.offset(index);
    T* x = run.x + offset + i * x_step;
    if (kFilter) {
      // Not `?:`, of which GCC makes a branch: which side of a chunk's end the largest element
      // of a window lies on cannot be predicted.
      const uintptr_t inside = -uintptr_t{static_cast<uint64_t>(index - run.lo) < length};
      const uintptr_t other = reinterpret_cast<uintptr_t>(elsewhere + i % 16);
      x = reinterpret_cast<T*>(other ^ ((reinterpret_cast<uintptr_t>(x) ^ other) & inside));
    }
    const T y = run.y[i * y_step];
    *x = kStore == Store::kAdd ? *x + y : y;
  }
}

}  // namespace
}  // namespace fastconv
