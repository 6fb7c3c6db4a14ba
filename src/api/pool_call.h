// What the pools share: operands and their checks.
#pragma once

#include "api/call.h"

namespace fastconv {

// The shape of a pool's result.
void pooled_shape(const WindowParams& p, int spatial_ndim, int64_t shape[FASTCONV_MAX_NDIM]);

// The window of a pool from x to y, which has to have the shape that follows.
fastconv_status make_pool(Argument x, Argument y, const fastconv_window_params* params,
                          WindowParams* p);

// An output that shares no memory with another operand.
fastconv_status check_outputs(Argument output, Argument other);

}  // namespace fastconv
