// Elementwise functions.
//
//   relu:           out[i] = max(a[i], 0), NaN stays NaN
//   relu_backward:  out[i] = a[i] where b[i] > 0 or b[i] is NaN, else 0
//   5-D, any strides; out may be the same view as a or b
//
// One task owns a run of consecutive elements of the collapsed loops. Every element is
// computed alone, so no split changes a bit.
//
// There is nothing to do but move memory: the layouts are collapsed (collapse.h) until the
// inner loop is one long contiguous run in the usual case, and strided scalars otherwise.
// Results too large for the caches are stored past them: 56 instead of 36 GB/s on one core.
#include "dispatch/kernel_export.h"
#include "kernels/collapse.h"
#include "simd/parallel_for.h"
#include "simd/partial.h"
#include "simd/stream.h"

namespace fastconv {
namespace {

constexpr int64_t kTaskElements = 32768;  // some microseconds, against 0.1 to take a task
constexpr int kUnroll = 4;

// Functions of vectors and of scalars: f(a, b), with V either.
struct Relu {
  template <class V>
  static FASTCONV_INLINE V apply(V a, V) {
    return a < V{} ? V{} : a;
  }
};

struct ReluBackward {
  template <class V>
  static FASTCONV_INLINE V apply(V a, V b) {
    return b <= V{} ? V{} : a;
  }
};

// Stores kUnroll vectors at out.
template <class Function, bool kTwo, bool kStreams, class T>
FASTCONV_INLINE void map_vectors(T* out, const T* a, const T* b) {
  constexpr int L = kLanes<T>;
  Vec<T> y[kUnroll];
  FASTCONV_UNROLL
  for (int j = 0; j < kUnroll; ++j)
    y[j] = Function::apply(load(a + j * L), kTwo ? load(b + j * L) : Vec<T>{});
  FASTCONV_UNROLL
  for (int j = 0; j < kUnroll; ++j) {
    if constexpr (kStreams)
      stream(out + j * L, y[j]);
    else
      store(out + j * L, y[j]);
  }
}

template <class Function, bool kTwo, class T>
FASTCONV_INLINE void map_contiguous(T* out, const T* a, const T* b, int64_t count, bool streams) {
  constexpr int64_t kStep = kUnroll * kLanes<T>;
  int64_t i = 0;
  if (streams) {
    for (; i < count && !is_aligned(out + i); ++i)
      out[i] = Function::apply(a[i], kTwo ? b[i] : T{0});
    for (; i + kStep <= count; i += kStep) map_vectors<Function, kTwo, true>(out + i, a + i, b + i);
  }
  for (; i + kStep <= count; i += kStep) map_vectors<Function, kTwo, false>(out + i, a + i, b + i);
  for (; i < count; ++i) out[i] = Function::apply(a[i], kTwo ? b[i] : T{0});
}

// out = f(a) or, if kTwo, out = f(a, b).
template <class Function, bool kTwo, class T>
void map(const ElementwiseArgs<T>& args) {
  const int64_t* const strides[3] = {args.out_stride, args.a_stride,
                                     kTwo ? args.b_stride : args.a_stride};
  const Collapsed<3> loops = collapse<3>(args.extent, strides);
  const int inner = loops.ndim - 1;
  const int64_t out_step = loops.stride[0][inner], a_step = loops.stride[1][inner];
  const int64_t b_step = loops.stride[2][inner];
  const bool contiguous = out_step == 1 && a_step == 1 && b_step == 1;
  const int64_t total = count_elements(loops);
  const bool in_place = args.out == args.a || args.out == args.b;
  const bool streams = contiguous && !in_place && total * int64_t{sizeof(T)} >= kStreamBytes;
  const int64_t tasks = (total + kTaskElements - 1) / kTaskElements;
  parallel_for(tasks, args.exec.threads, [&](int64_t task, int) {
    int64_t left = clamp(total - task * kTaskElements, 0, kTaskElements);
    for (Cursor<3> cursor(loops, task * kTaskElements); left > 0;) {
      const int64_t count = clamp(cursor.left(), 0, left);
      T* out = args.out + cursor.offset[0];
      const T* a = args.a + cursor.offset[1];
      const T* b = kTwo ? args.b + cursor.offset[2] : a;
      if (contiguous)
        map_contiguous<Function, kTwo>(out, a, b, count, streams);
      else
        for (int64_t j = 0; j < count; ++j)
          out[j * out_step] = Function::apply(a[j * a_step], kTwo ? b[j * b_step] : T{0});
      cursor.advance(count);
      left -= count;
    }
    if (streams) end_stream();
  });
}

template <class T>
void relu(const ElementwiseArgs<T>& args) {
  map<Relu, false>(args);
}

template <class T>
void relu_backward(const ElementwiseArgs<T>& args) {
  map<ReluBackward, true>(args);
}

}  // namespace
}  // namespace fastconv

FASTCONV_EXPORT(relu, ElementwiseArgs)
FASTCONV_EXPORT(relu_backward, ElementwiseArgs)
