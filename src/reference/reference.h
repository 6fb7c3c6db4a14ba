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

// Calls body(n, c, d, h, w) over a 5-D extent.
template <class Body>
void for_each(const int64_t extent[5], const Body& body) {
  for (int64_t n = 0; n < extent[0]; ++n)
    for (int64_t c = 0; c < extent[1]; ++c)
      for (int64_t d = 0; d < extent[2]; ++d)
        for (int64_t h = 0; h < extent[3]; ++h)
          for (int64_t w = 0; w < extent[4]; ++w) body(n, c, d, h, w);
}

}  // namespace
}  // namespace fastconv
