#include "api/pool_call.h"

namespace fastconv {

void pooled_shape(const WindowParams& p, int spatial_ndim, int64_t shape[FASTCONV_MAX_NDIM]) {
  shape[0] = p.n;
  shape[1] = p.channels;
  for (int i = 0; i < spatial_ndim; ++i) shape[i + 2] = p.out[i + kSpatial - spatial_ndim];
}

fastconv_status make_pool(Argument x, Argument y, const fastconv_window_params* params,
                          WindowParams* p) {
  FASTCONV_TRY(make_window(x, params, true, p));
  int64_t shape[FASTCONV_MAX_NDIM];
  pooled_shape(*p, params->spatial_ndim, shape);
  FASTCONV_TRY(check_tensor(y, x->ndim, x->ndim));
  FASTCONV_TRY(check_same_dtype(y, x));
  FASTCONV_TRY(check_shape(y, shape, x->ndim, "from the other arguments"));
  spread_strides(*y.tensor, p->y_stride);
  return FASTCONV_OK;
}

fastconv_status check_outputs(Argument output, Argument other) {
  FASTCONV_TRY(check_output(output));
  return check_disjoint(output, other);
}

}  // namespace fastconv

using namespace fastconv;

fastconv_status fastconv_pool_output_shape(int64_t output_shape[FASTCONV_MAX_NDIM],
                                           const fastconv_tensor* input,
                                           const fastconv_window_params* params) {
  WindowParams p;
  FASTCONV_TRY(make_window({input, "input"}, params, true, &p));
  pooled_shape(p, params->spatial_ndim, output_shape);
  return FASTCONV_OK;
}
