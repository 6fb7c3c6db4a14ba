// Dropout and its gradient (N. Srivastava et al., 2014).
//
//   out = a * scale + shift where the random word of the element is at least `threshold`, of
//   2^32, and `dropped` elsewhere
//   5-D, any strides; out may be the same view as a
//
// The word is a function of the seed and the element's number, its row-major index whatever the
// layout (or that of its channel, where whole channels are dropped). So the mask is not kept:
// the backward call makes it again. One task owns a run of elements; no split changes a bit.
#include "dispatch/kernel_export.h"
#include "kernels/collapse.h"
#include "simd/parallel_for.h"
#include "simd/partial.h"
#include "simd/philox.h"

namespace fastconv {
namespace {

constexpr int64_t kDropoutElements = 16384;  // a task: 5 to 10 us

// Words as lanes of the width of T, to be compared with a threshold; the sign bit is turned
// round, as comparisons of 32-bit lanes are signed.
template <class T>
FASTCONV_INLINE Mask<T> kept(const uint32_t* words, uint64_t threshold) {
  if constexpr (sizeof(T) == 4) {
    Mask<T> lanes;
    __builtin_memcpy(&lanes, words, sizeof(lanes));
    const int32_t bound = static_cast<int32_t>(static_cast<uint32_t>(threshold) ^ 0x80000000u);
    return (lanes ^ static_cast<int32_t>(0x80000000u)) >= Mask<T>{} + bound;
  } else {
    HalfWords narrow;
    __builtin_memcpy(&narrow, words, sizeof(narrow));
    return __builtin_convertvector(narrow, Mask<T>) >= Mask<T>{} + static_cast<int64_t>(threshold);
  }
}

template <class T>
struct Dropout {
  static constexpr int L = kLanes<T>;
  const DropoutArgs<T>& args;
  int64_t out_step, a_step, number_step;

  FASTCONV_INLINE Vec<T> choose(Vec<T> a, Mask<T> keep) const {
    return keep ? a * static_cast<T>(args.scale) + static_cast<T>(args.shift)
                : broadcast(static_cast<T>(args.dropped));
  }

  FASTCONV_INLINE void vector(T* out, const T* a, int64_t n, const uint32_t* words) const {
    const Mask<T> keep = kept<T>(words, args.threshold);
    if (n == L && out_step == 1 && a_step == 1)
      store(out, choose(load(a), keep));
    else
      store_spaced(out, out_step,
                   choose(load_spaced_lanes<Step::kAny>(a, a_step, 0, n, T{0}), keep), n);
  }

  // Elements whose numbers follow one another from `number` on.
  void consecutive(T* out, const T* a, int64_t number, int64_t count) const {
    uint32_t words[kRandomBlock + 16] = {};  // a vector may read beyond, and ignores it
    for (int64_t i = 0; i < count;) {
      const int64_t e = number + i, skipped = e % kRandomBlock;
      const int64_t last = clamp(kRandomBlock - skipped, 0, count - i);
      random_block(words, static_cast<uint64_t>(e / kRandomBlock), args.seed);
      for (int64_t j = 0; j < last; j += L)
        vector(out + (i + j) * out_step, a + (i + j) * a_step, clamp(last - j, 0, L),
               words + skipped + j);
      i += last;
    }
  }

  void spaced(T* out, const T* a, int64_t number, int64_t count) const {
    uint32_t words[2 * kWordLanes] = {};
    for (int64_t i = 0; i < count; i += L) {
      if (i == 0 || number_step != 0)
        random_spaced(words, static_cast<uint64_t>(number + i * number_step),
                      static_cast<uint64_t>(number_step), args.seed);
      vector(out + i * out_step, a + i * a_step, clamp(count - i, 0, L), words);
    }
  }
};

template <class T>
void dropout(const DropoutArgs<T>& args) {
  const int64_t* const strides[3] = {args.out_stride, args.a_stride, args.number_stride};
  const Collapsed<3> loops = collapse<3>(args.extent, strides);
  const int inner = loops.ndim - 1;
  const Dropout<T> run = {args, loops.stride[0][inner], loops.stride[1][inner],
                          loops.stride[2][inner]};
  const int64_t total = count_elements(loops);
  const int64_t tasks = (total + kDropoutElements - 1) / kDropoutElements;
  parallel_for(tasks, args.exec.threads, [&](int64_t task, int) {
    int64_t left = clamp(total - task * kDropoutElements, 0, kDropoutElements);
    for (Cursor<3> cursor(loops, task * kDropoutElements); left > 0;) {
      const int64_t count = clamp(cursor.left(), 0, left);
      T* out = args.out + cursor.offset[0];
      const T* a = args.a + cursor.offset[1];
      if (run.number_step == 1)
        run.consecutive(out, a, cursor.offset[2], count);
      else
        run.spaced(out, a, cursor.offset[2], count);
      cursor.advance(count);
      left -= count;
    }
  });
}

}  // namespace
}  // namespace fastconv

FASTCONV_EXPORT(dropout, DropoutArgs)
