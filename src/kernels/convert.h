// Whole tensors of bfloat16 as float32 and back, in any layouts.
//
//   to[i] = from[i] over a 5-D extent
//
// One task owns a run of consecutive elements of the collapsed loops.
#pragma once

#include "kernels/collapse.h"
#include "kernels/store_bfloat16.h"
#include "simd/parallel_for.h"

namespace fastconv {
namespace {

constexpr int64_t kConvertElements = 32768;  // a task: some microseconds

FASTCONV_INLINE void convert_lanes(float* to, int64_t to_step, const BFloat16* from,
                                   int64_t from_step, int64_t count) {
  store_spaced(to, to_step, load_widened(from, from_step, count), count);
}

FASTCONV_INLINE void convert_lanes(BFloat16* to, int64_t to_step, const float* from,
                                   int64_t from_step, int64_t count) {
  const Vec<float> x = from_step == 1
                           ? load_lanes(from, 0, count, 0.0f)
                           : load_spaced_lanes<Step::kAny>(from, from_step, 0, count, 0.0f);
  store_rounded(to, to_step, x, count);
}

template <class To, class From>
void convert(To* to, const int64_t* to_stride, const From* from, const int64_t* from_stride,
             const int64_t* extent, int threads) {
  constexpr int n = kLanes<float>;
  const int64_t* const strides[] = {to_stride, from_stride};
  const Collapsed<2> loops = collapse<2>(extent, strides);
  const int inner = loops.ndim - 1;
  const int64_t to_step = loops.stride[0][inner], from_step = loops.stride[1][inner];
  const int64_t total = count_elements(loops);
  parallel_for(ceil_div(total, kConvertElements), threads, [&](int64_t task, int) {
    int64_t left = min(total - task * kConvertElements, kConvertElements);
    for (Cursor<2> cursor(loops, task * kConvertElements); left > 0;) {
      const int64_t count = min(cursor.left(), left);
      To* run_to = to + cursor.offset[0];
      const From* run_from = from + cursor.offset[1];
      int64_t i = 0;
      if (to_step == 1 && from_step == 1)
        for (; i + n <= count; i += n) convert_lanes(run_to + i, 1, run_from + i, 1, n);
      for (; i < count; i += n)
        convert_lanes(run_to + i * to_step, to_step, run_from + i * from_step, from_step,
                      min(n, count - i));
      cursor.advance(count);
      left -= count;
    }
  });
}

// Strides of a tensor without gaps: channels-last where the channels of `like` are adjacent,
// else planar. Returns the number of elements.
inline int64_t dense_strides(int64_t* stride, const int64_t* extent, const int64_t* like) {
  const bool channels_last = extent[1] > 1 && like[1] == 1;
  int64_t count = 1;
  if (channels_last) {
    stride[1] = 1;
    count = extent[1];
  }
  for (int i = 4; i >= 0; --i) {
    if (channels_last && i == 1) continue;
    stride[i] = count;
    count *= extent[i];
  }
  return count;
}

}  // namespace
}  // namespace fastconv
