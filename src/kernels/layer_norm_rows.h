// The rows of layer normalisation: how many, and the loops over the elements of one.
//
//   x (rows, columns): the dimensions before `axis`, and those from it on
//
// All rows have the same strides, so the loops over a row's elements are collapsed once for all of
// them, and over all operands together.
#pragma once

#include "kernels/collapse.h"

namespace fastconv {
namespace {

// kOperands arrays over the elements of one row.
template <int kOperands>
struct Rows {
  Collapsed<kOperands> loops;
  int64_t rows, columns;

  // Null strides are of arrays that are not there: as good as those of operand 0.
  Rows(const int64_t extent[5], int axis, const int64_t* (&strides)[kOperands]) {
    int64_t inner[5];
    rows = 1;
    for (int i = 0; i < 5; ++i) {
      inner[i] = i < axis ? 1 : extent[i];
      if (i < axis) rows *= extent[i];
    }
    for (const int64_t*& stride : strides)
      if (stride == nullptr) stride = strides[0];
    loops = collapse<kOperands>(inner, strides);
    columns = count_elements(loops);
  }
  int64_t step(int operand) const { return loops.stride[operand][loops.ndim - 1]; }
};

}  // namespace
}  // namespace fastconv
