// What operations over tensors of one shape and any rank begin with.
#pragma once

#include <initializer_list>

#include "api/call.h"

namespace fastconv {

// Elementwise and softmax views of any rank line their dimensions up at the end.
inline void align_right(const fastconv_tensor& tensor, int64_t shape[5], int64_t strides[5]) {
  const int skipped = FASTCONV_MAX_NDIM - tensor.ndim;
  for (int i = 0; i < FASTCONV_MAX_NDIM; ++i) {
    shape[i] = i < skipped ? 1 : tensor.shape[i - skipped];
    strides[i] = shape[i] > 1 ? tensor.strides[i - skipped] : 0;
  }
}

inline fastconv_status check_elementwise(Argument output, Argument a, Argument b) {
  FASTCONV_TRY(check_tensor(a, 0, FASTCONV_MAX_NDIM));
  FASTCONV_TRY(check_float(a));
  for (const Argument other : {b, output}) {
    if (other.tensor == nullptr && other.name == b.name) continue;
    FASTCONV_TRY(check_tensor(other, 0, FASTCONV_MAX_NDIM));
    FASTCONV_TRY(check_same_dtype(other, a));
    FASTCONV_TRY(check_shape(other, a->shape, a->ndim, ""));
  }
  FASTCONV_TRY(check_output(output));
  FASTCONV_TRY(check_disjoint_or_same(output, a));
  return b.tensor != nullptr ? check_disjoint_or_same(output, b) : FASTCONV_OK;
}

}  // namespace fastconv
