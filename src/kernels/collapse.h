// Loops over several strided operands at once, made as few and as long as their layouts allow.
#pragma once

#include "simd/vec.h"

namespace fastconv {
namespace {

// A loop nest over kOperands arrays. Only what does not depend on the order of the elements
// may use it: dimensions come out sorted by the strides of operand 0, the innermost last, and
// neighbours that are one contiguous run in every operand are merged. Planar and channels-last
// tensors alike become a single dimension of stride 1.
template <int kOperands>
struct Collapsed {
  int ndim;
  int64_t extent[5];
  int64_t stride[kOperands][5];
  int64_t shift[kOperands];  // from where the caller's pointer points to where the loops begin
};

// extent and strides are those of 5-D operands. A dimension in which operand 0 runs backwards
// is turned round in all of them. ndim is 1 for a scalar; an extent may be 0.
template <int kOperands>
inline Collapsed<kOperands> collapse(const int64_t extent[5],
                                     const int64_t* const (&strides)[kOperands]) {
  Collapsed<kOperands> out = {};
  for (int i = 0; i < 5; ++i) {
    if (extent[i] == 1) continue;
    int64_t stride[kOperands];
    for (int operand = 0; operand < kOperands; ++operand) stride[operand] = strides[operand][i];
    if (stride[0] < 0)
      for (int operand = 0; operand < kOperands; ++operand) {
        out.shift[operand] += stride[operand] * (extent[i] - 1);
        stride[operand] = -stride[operand];
      }
    int at = out.ndim++;
    for (; at > 0 && out.stride[0][at - 1] < stride[0]; --at) {
      out.extent[at] = out.extent[at - 1];
      for (int operand = 0; operand < kOperands; ++operand)
        out.stride[operand][at] = out.stride[operand][at - 1];
    }
    out.extent[at] = extent[i];
    for (int operand = 0; operand < kOperands; ++operand) out.stride[operand][at] = stride[operand];
  }
  int kept = 0;
  for (int i = 1; i < out.ndim; ++i) {
    bool joins = true;
    for (int operand = 0; operand < kOperands; ++operand)
      joins &= out.stride[operand][kept] == out.stride[operand][i] * out.extent[i];
    kept += joins ? 0 : 1;
    out.extent[kept] = joins ? out.extent[kept] * out.extent[i] : out.extent[i];
    for (int operand = 0; operand < kOperands; ++operand)
      out.stride[operand][kept] = out.stride[operand][i];
  }
  if (out.ndim == 0) {
    out.extent[0] = 1;
    for (int operand = 0; operand < kOperands; ++operand) out.stride[operand][0] = 1;
  }
  out.ndim = kept + 1;
  return out;
}

// Where element `index` of the dimensions [0, ndim), in row-major order, lies in an operand.
inline int64_t offset_of(int64_t index, int ndim, const int64_t* extent, const int64_t* stride) {
  int64_t offset = 0;
  for (int i = ndim - 1; i >= 0 && index > 0; --i) {
    offset += index % extent[i] * stride[i];
    index /= extent[i];
  }
  return offset;
}

// Walks the elements of the loops in order, without a division a step.
template <int kOperands>
struct Cursor {
  const Collapsed<kOperands>& loops;
  int64_t index[5];
  int64_t offset[kOperands];

  Cursor(const Collapsed<kOperands>& over, int64_t first) : loops(over) {
    for (int operand = 0; operand < kOperands; ++operand)
      offset[operand] =
          over.shift[operand] + offset_of(first, over.ndim, over.extent, over.stride[operand]);
    for (int i = over.ndim - 1; i >= 0; --i) {
      index[i] = first > 0 ? first % over.extent[i] : 0;
      first = first > 0 ? first / over.extent[i] : 0;
    }
  }

  // How many steps the innermost dimension has left, this element included.
  FASTCONV_INLINE int64_t left() const {
    return loops.extent[loops.ndim - 1] - index[loops.ndim - 1];
  }

  // Moves on by `count` elements, at most left().
  FASTCONV_INLINE void advance(int64_t count) {
    int i = loops.ndim - 1;
    index[i] += count;
    for (int operand = 0; operand < kOperands; ++operand)
      offset[operand] += count * loops.stride[operand][i];
    for (; i > 0 && index[i] == loops.extent[i]; --i) {
      index[i] = 0;
      ++index[i - 1];
      for (int operand = 0; operand < kOperands; ++operand)
        offset[operand] +=
            loops.stride[operand][i - 1] - loops.extent[i] * loops.stride[operand][i];
    }
  }
};

// The number of elements in all loops.
template <int kOperands>
inline int64_t count_elements(const Collapsed<kOperands>& loops) {
  int64_t count = 1;
  for (int i = 0; i < loops.ndim; ++i) count *= loops.extent[i];
  return count;
}

}  // namespace
}  // namespace fastconv
