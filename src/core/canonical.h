// The same convolution with its spatial dimensions arranged as the kernels like them.
#pragma once

#include "core/params.h"

namespace fastconv {

// Kernels tile the last dimension, so a problem should have its positions there. Where no
// filter looks sideways (extent 1, stride 1, no padding: 1x1 convolutions and dense layers)
// neighbouring dimensions whose strides allow it become one, the batch included; and a
// height of many with a width of one (a Nx1 signal) changes places. What is summed for an
// output element, and in which order, stays as it is.
ConvParams canonical(const ConvParams& params);

}  // namespace fastconv
