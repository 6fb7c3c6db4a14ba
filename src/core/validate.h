// From what a caller hands in to a problem the kernels may trust: every check, the only
// output-size formula, and overflow. Functions return FASTCONV_OK or fail() with a sentence
// that names the argument.
#pragma once

#include "core/params.h"
#include "fastconv/fastconv.h"

namespace fastconv {

#define FASTCONV_TRY(expression)                                                              \
  do {                                                                                        \
    if (const fastconv_status status_ = (expression); status_ != FASTCONV_OK) return status_; \
  } while (false)

// A tensor and the name its user knows it by.
struct Argument {
  const fastconv_tensor* tensor;
  const char* name;
  const fastconv_tensor* operator->() const { return tensor; }
};

// Fields, rank, non-negative extents, and that byte offsets fit 63 bits.
fastconv_status check_tensor(Argument argument, int min_ndim, int max_ndim);
fastconv_status check_float(Argument argument);
fastconv_status check_conv_dtype(Argument argument);  // bfloat16, too
fastconv_status check_int64(Argument argument);
fastconv_status check_uint8(Argument argument);
fastconv_status check_int32(Argument argument);
fastconv_status check_float32(Argument argument);
fastconv_status check_quantized(Argument argument);  // uint8 or int8
fastconv_status check_same_dtype(Argument argument, Argument like);
fastconv_status check_shape(Argument argument, const int64_t* shape, int ndim, const char* why);
// Every element of an output has a place of its own, apart from the bytes of `other`.
fastconv_status check_output(Argument output);
fastconv_status check_disjoint(Argument output, Argument other);
// Outputs that may be computed in place: apart from `other`, or exactly the same view.
fastconv_status check_disjoint_or_same(Argument output, Argument other);

// ceil_mode keeps a last partial window, unless it would begin beyond the input and its
// left padding. Fails (false) when nothing fits or a product overflows.
struct WindowAxis {
  int64_t in, kernel, stride, dilation, pad_before, pad_after;
};
bool window_output(const WindowAxis& axis, bool ceil_mode, int64_t* out);

// x (N, C, spatial), weight and y as in the forward direction. Fills everything but the
// epilogue's fields. `y` may be null: then p->out says what its spatial shape has to be.
fastconv_status make_conv(Argument x, Argument weight, Argument y,
                          const fastconv_conv_params* params, ConvParams* p);
// The same of uint8 and int8 tensors, each of either type.
fastconv_status make_quantized_conv(Argument x, Argument weight, Argument y,
                                    const fastconv_conv_params* params, ConvParams* p);
// A known function whose parameters are numbers it is defined for.
fastconv_status check_activation(int32_t kind, double alpha, double beta, Activation* activation);
fastconv_status set_epilogue(const fastconv_epilogue* epilogue, Argument output, ConvParams* p);

// Window problem over x (N, C, spatial); p->out is computed. is_pool also limits the padding
// to half a window, as PyTorch does.
fastconv_status make_window(Argument x, const fastconv_window_params* params, bool is_pool,
                            WindowParams* p);

// Adaptive pooling from x to y, which have batch and channels in common. Where the windows are
// all alike, p says so like any other.
fastconv_status make_adaptive(Argument x, Argument y, WindowParams* p);

// Spreads the strides (and extents) of a tensor of spatial_ndim dimensions over N, C, D, H, W.
void spread_strides(const fastconv_tensor& tensor, int64_t strides[5]);
void spread_shape(const fastconv_tensor& tensor, int64_t shape[5]);

// exec's precision; its size is checked by choose_threads, before or after.
fastconv_status check_precision(const fastconv_exec* exec);
// Threads for a call of about `work` multiply-adds or elements, `grain` of which are worth
// waking one more thread.
fastconv_status choose_threads(const fastconv_exec* exec, double work, double grain, int* threads);

}  // namespace fastconv
