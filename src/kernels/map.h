// out[i] = f(a[i]) or f(a[i], b[i]) over a 5-D extent with any strides; out may be the same
// view as a or b.
//
// One task owns a run of consecutive elements of the collapsed loops. Every element is
// computed alone, and by the same vector code wherever it lies, so no split changes a bit.
//
// For most functions there is nothing to do but move memory: the layouts are collapsed
// (collapse.h) until the inner loop is one long contiguous run in the usual case. Results too
// large for the caches are stored past them: 56 instead of 36 GB/s on one core.
#pragma once

#include "dispatch/args.h"
#include "kernels/collapse.h"
#include "simd/parallel_for.h"
#include "simd/partial.h"
#include "simd/stream.h"

namespace fastconv {
namespace {

constexpr int64_t kMapElements = 32768;  // a task: some microseconds, against 0.1 to take one

// kOperands is 2 or 3, out and what f reads; f(a, b) of vectors, b zero if it is not read.
// kUnroll vectors are in flight: 4 for functions of a few instructions, 1 for long ones.
template <int kOperands, int kUnroll, class T, class F>
struct Map {
  static constexpr int L = kLanes<T>;
  static constexpr bool kTwo = kOperands == 3;
  const F& f;

  template <bool kStreams>
  FASTCONV_INLINE void vectors(T* out, const T* a, const T* b) const {
    Vec<T> y[kUnroll];
    FASTCONV_UNROLL
    for (int j = 0; j < kUnroll; ++j) y[j] = f(load(a + j * L), kTwo ? load(b + j * L) : Vec<T>{});
    FASTCONV_UNROLL
    for (int j = 0; j < kUnroll; ++j) {
      if constexpr (kStreams)
        stream(out + j * L, y[j]);
      else
        store(out + j * L, y[j]);
    }
  }

  // The first `count` lanes.
  FASTCONV_INLINE void lanes(T* out, const T* a, const T* b, int64_t count) const {
    store_lanes(out,
                f(load_lanes(a, 0, count, T{0}), kTwo ? load_lanes(b, 0, count, T{0}) : Vec<T>{}),
                count);
  }

  FASTCONV_INLINE void contiguous(T* out, const T* a, const T* b, int64_t count,
                                  bool streams) const {
    constexpr int64_t kStep = kUnroll * L;
    int64_t i = 0;
    if (streams) {
      const int64_t past = reinterpret_cast<uintptr_t>(out) % FASTCONV_VEC_BYTES / sizeof(T);
      i = past == 0 ? 0 : clamp(L - past, 0, count);
      if (i > 0) lanes(out, a, b, i);
      if (is_aligned(out + i))
        for (; i + kStep <= count; i += kStep) vectors<true>(out + i, a + i, b + i);
    }
    for (; i + kStep <= count; i += kStep) vectors<false>(out + i, a + i, b + i);
    for (; i < count; i += L) lanes(out + i, a + i, b + i, clamp(count - i, 0, L));
  }

  FASTCONV_INLINE void spaced(T* out, int64_t out_step, const T* a, int64_t a_step, const T* b,
                              int64_t b_step, int64_t count) const {
    for (int64_t i = 0; i < count; i += L) {
      const int64_t n = clamp(count - i, 0, L);
      const Vec<T> first = load_spaced_lanes<Step::kAny>(a + i * a_step, a_step, 0, n, T{0});
      Vec<T> second = {};
      if constexpr (kTwo)
        second = load_spaced_lanes<Step::kAny>(b + i * b_step, b_step, 0, n, T{0});
      store_spaced(out + i * out_step, out_step, f(first, second), n);
    }
  }
};

template <int kOperands, int kUnroll, class T, class F>
FASTCONV_INLINE void map(const ElementwiseArgs<T>& args, const F& f) {
  const int64_t* strides[kOperands] = {args.out_stride, args.a_stride};
  if constexpr (kOperands == 3) strides[2] = args.b_stride;
  const Collapsed<kOperands> loops = collapse<kOperands>(args.extent, strides);
  const int inner = loops.ndim - 1;
  constexpr int kLast = kOperands - 1;  // b, or a where there is none
  const int64_t out_step = loops.stride[0][inner], a_step = loops.stride[1][inner];
  const int64_t b_step = loops.stride[kLast][inner];
  const bool contiguous = out_step == 1 && a_step == 1 && b_step == 1;
  const int64_t total = count_elements(loops);
  const bool in_place = args.out == args.a || args.out == args.b;
  const bool streams = contiguous && !in_place && total * int64_t{sizeof(T)} >= kStreamBytes;
  const int64_t tasks = (total + kMapElements - 1) / kMapElements;
  const Map<kOperands, kUnroll, T, F> run = {f};
  parallel_for(tasks, args.exec.threads, [&](int64_t task, int) {
    int64_t left = clamp(total - task * kMapElements, 0, kMapElements);
    for (Cursor<kOperands> cursor(loops, task * kMapElements); left > 0;) {
      const int64_t count = clamp(cursor.left(), 0, left);
      T* out = args.out + cursor.offset[0];
      const T* a = args.a + cursor.offset[1];
      const T* b = (kOperands == 3 ? args.b : args.a) + cursor.offset[kLast];
      if (contiguous)
        run.contiguous(out, a, b, count, streams);
      else
        run.spaced(out, out_step, a, a_step, b, b_step, count);
      cursor.advance(count);
      left -= count;
    }
    if (streams) end_stream();
  });
}

}  // namespace
}  // namespace fastconv
