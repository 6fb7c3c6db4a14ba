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

// A window of the whole image, a dense layer written as a convolution, is one of a pixel whose
// channels are the elements of the image, where those lie as the filters' do. Its gradient of the
// input is then no longer multiplied with the padding around its one output, nor is it, or a
// forward call, an image at a time (8 images of 7x7, 512 channels and 1024 filters, two threads of
// Cascade Lake: forward 42 -> 7.6 ms, gradient of the input 213 -> 14). Not for transposed
// convolutions, whose epilogue is of channels of `x`.
void fold_window(ConvParams* p);

}  // namespace fastconv
