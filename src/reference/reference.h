// What the reference files share. They are the oracle the fast kernels are tested against:
// the equation as loops, sums in double whatever the dtype, one thread, no tricks. They
// form an instruction set of their own, called reference, with the same exports.
#pragma once

#define FASTCONV_ISA reference

#include <cstdint>

#include "dispatch/kernel_export.h"

namespace fastconv {
namespace {

// The element (n, c, d, h, w) of a tensor with these strides.
inline int64_t at(const int64_t stride[5], int64_t n, int64_t c, int64_t d, int64_t h, int64_t w) {
  return n * stride[0] + c * stride[1] + d * stride[2] + h * stride[3] + w * stride[4];
}

inline bool inside(int64_t position, int64_t extent) { return position >= 0 && position < extent; }

}  // namespace
}  // namespace fastconv
