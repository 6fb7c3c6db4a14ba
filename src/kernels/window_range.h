// Which outputs of a window meet the input: shared by im2col and col2im.
#pragma once

#include "simd/partial.h"

namespace fastconv {
namespace {

struct Range {
  int64_t begin, end;
};

// The outputs o in [0, OW) whose tap at `offset` = k * dilation - pad is inside [0, extent).
FASTCONV_INLINE Range outputs_inside(int64_t offset, int64_t stride, int64_t extent, int64_t OW) {
  const int64_t begin = offset < 0 ? (-offset - 1) / stride + 1 : 0;
  const int64_t end = offset < extent ? (extent - offset - 1) / stride + 1 : 0;
  return {clamp(begin, 0, OW), clamp(end, 0, OW)};
}

}  // namespace
}  // namespace fastconv
