// The gradient of pools with one output a plane: global pooling, and adaptive pooling to one output.
//
//   x[n, c, i] = y[n, c] if indices[n, c] = i, else 0; added to 0 (-0 becomes 0) or stored
//   y, indices (N, C) -> x (N, C, P), each plane one run; y and indices of any strides
//
// A plane is filled with zeros and one element stored, where the scatter of max_pool_backward
// would look for bounds and chunks first: 32 x 512 planes of 49 take it 20 times as long.
// Threads: as pool_plane.h splits.
#pragma once

#include "dispatch/args.h"
#include "kernels/pool_plane.h"
#include "kernels/scatter_run.h"

namespace fastconv {
namespace {

// Remembers the largest index that names no position, of all that any task finds.
inline void report_index(uint64_t index, uint64_t* largest) {
  uint64_t before = __atomic_load_n(largest, __ATOMIC_RELAXED);
  while (before < index && !__atomic_compare_exchange_n(largest, &before, index, true,
                                                        __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
  }
}

inline bool has_single_outputs(const WindowParams& p, const Plane& plane) {
  return p.out[0] * p.out[1] * p.out[2] == 1 && plane.dense &&
         (plane.unit == 1 || p.in[0] * p.in[1] * p.in[2] == 1);
}

template <Store kStore, class T>
void scatter_single_outputs(const PoolArgs<T>& args) {
  WindowParams p = *args.params;
  const int64_t positions = p.in[0] * p.in[1] * p.in[2];
  p.in[0] = p.in[1] = 1;
  p.in[2] = positions;
  const bool streamed = streams_planes<T>(p);
  for_each_block_of_planes<T>(p, args.exec.threads, [&](int64_t n, int64_t c, int64_t count) {
    T* x = args.x + n * p.x_stride[0] + c * p.x_stride[1];
    const T* y = args.y + n * p.y_stride[0] + c * p.y_stride[1];
    const int64_t* indices = args.indices + n * p.index_stride[0] + c * p.index_stride[1];
    for (int64_t i = 0; i < count; ++i) {
      T* plane = x + i * p.x_stride[1];
      fill_run(plane, positions, Vec<T>{}, streamed);
      const int64_t index = indices[i * p.index_stride[1]];
      if (static_cast<uint64_t>(index) < static_cast<uint64_t>(positions))
        plane[index] = (kStore == Store::kAdd ? T{0} : T{-0.0}) + y[i * p.y_stride[1]];
      else
        report_index(static_cast<uint64_t>(index), args.largest_index);
    }
    if (streamed) end_stream();
  });
}

}  // namespace
}  // namespace fastconv
