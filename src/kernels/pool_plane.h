// Pools whose one window is the whole plane: global pooling, and adaptive pooling to one output.
//
//   y[n, c] = sum (or max) over i of x[n, c, i]     x (N, C, P), each plane one run -> y (N, C)
//
// Lanes run along a plane. What is left of it is then a vector, and adding up its lanes takes
// longer than a small plane (49 elements: 4 loads). So as many planes as a vector has lanes are
// finished together, by folding: halves of two vectors, interleaved and combined, are one vector
// of both, and after log2(lanes) rounds lane i is the result of plane i. That is two shuffles a
// plane, and one store for all. Every plane meets the same sequence of combinations, so its
// result does not depend on its place among the others.
//
// Threads: a task owns some blocks of kLanes planes of an image.
#pragma once

#include "kernels/pool_span.h"
#include "simd/parallel_for.h"
#include "simd/stream.h"
#include "simd/transpose.h"

namespace fastconv {
namespace {

// Whether, after merge_whole_plane, the one window is a run of x.
inline bool is_whole_plane(const WindowParams& p) {
  const int w = kSpatial - 1;
  for (int i = 0; i < kSpatial; ++i)
    if (p.out[i] != 1 || p.kernel[i] != p.in[i] || p.pad_before[i] != 0 || p.pad_after[i] != 0 ||
        (i < w && p.in[i] != 1))
      return false;
  return p.in[w] == 1 || p.x_stride[w + 2] == 1;
}

// body(n, c, count) for blocks of `count` planes from (n, c) on, of `plane_bytes` each.
template <class T, class Body>
void for_each_block_of_planes(const WindowParams& p, int threads, const Body& body) {
  constexpr int64_t kBytes = 65536;  // of x a task: microseconds, against 0.1 to take it
  constexpr int64_t L = kLanes<T>;
  const int64_t blocks = (p.channels + L - 1) / L, all = p.n * blocks;
  const int64_t per_task = kBytes / static_cast<int64_t>(sizeof(T)) / L / p.in[kSpatial - 1] + 1;
  parallel_for((all + per_task - 1) / per_task, threads, [&](int64_t task, int) {
    const int64_t end = clamp((task + 1) * per_task, 0, all);
    for (int64_t block = task * per_task; block < end; ++block) {
      const int64_t c = block % blocks * L;
      body(block / blocks, c, clamp(p.channels - c, 0, L));
    }
  });
}

// Lane i of the result is plane i, all lanes combined.
template <class T, class Part>
FASTCONV_INLINE Part fold_planes(Part (&part)[kLanes<T>]) {
  FASTCONV_UNROLL
  for (int n = kLanes<T> / 2; n >= 1; n /= 2) {
    FASTCONV_UNROLL
    for (int i = 0; i < n; ++i) part[i] = Part::folded(part[i], part[i + n]);
  }
  return part[0];
}

// Whether a gradient that fills planes goes past the caches.
template <class T>
inline bool streams_planes(const WindowParams& p) {
  constexpr int64_t kShort = 1024;  // bytes: most of a shorter run would be its two ends
  const int64_t bytes = p.in[kSpatial - 1] * static_cast<int64_t>(sizeof(T));
  return bytes >= kShort && p.n * p.channels >= kStreamBytes / bytes;
}

// x[0, count) = v.
template <class T>
FASTCONV_INLINE void fill_run(T* x, int64_t count, Vec<T> v, bool streamed) {
  constexpr int L = kLanes<T>;
  if (count < L) return store_lanes(x, v, count);
  int64_t i = 0;
  if (streamed) {
    const int64_t past =
        static_cast<int64_t>(reinterpret_cast<uintptr_t>(x) % FASTCONV_VEC_BYTES / sizeof(T));
    i = past == 0 ? 0 : L - past;
    if (i > 0) store(x, v);
    if (is_aligned(x + i))
      for (; i + L <= count; i += L) stream(x + i, v);
  }
  for (; i + L <= count; i += L) store(x + i, v);
  store(x + count - L, v);
}

}  // namespace
}  // namespace fastconv
