// im2col and col2im.
#include "api/call.h"

namespace fastconv {
namespace {

void columns_shape(const WindowParams& p, int64_t shape[3]) {
  shape[0] = p.n;
  shape[1] = p.channels * p.kernel[0] * p.kernel[1] * p.kernel[2];
  shape[2] = p.out[0] * p.out[1] * p.out[2];
}

fastconv_status check_columns(Argument cols, Argument x, WindowParams* p) {
  int64_t shape[3];
  columns_shape(*p, shape);
  FASTCONV_TRY(check_tensor(cols, 3, 3));
  FASTCONV_TRY(check_same_dtype(cols, x));
  FASTCONV_TRY(check_shape(cols, shape, 3, "(N, channels * window, positions)"));
  for (int i = 0; i < 3; ++i) p->cols_stride[i] = cols->shape[i] > 1 ? cols->strides[i] : 0;
  return FASTCONV_OK;
}

template <class Select>
fastconv_status run_columns(const fastconv_tensor& x, const fastconv_tensor& cols,
                            const WindowParams& p, const fastconv_exec* exec,
                            const Select& select) {
  int threads;
  FASTCONV_TRY(choose_threads(exec, count(cols), kElementsPerThread, &threads));
  return with_kernels(x.dtype, [&](const auto& table, auto zero) {
    using T = decltype(zero);
    select(table)(ColumnsArgs<T>{
        &p, static_cast<T*>(x.data), static_cast<T*>(cols.data), {threads, nullptr}});
    return FASTCONV_OK;
  });
}

}  // namespace
}  // namespace fastconv

using namespace fastconv;

fastconv_status fastconv_im2col_output_shape(int64_t cols_shape[FASTCONV_MAX_NDIM],
                                             const fastconv_tensor* input,
                                             const fastconv_window_params* params) {
  WindowParams p = {};
  FASTCONV_TRY(make_window({input, "input"}, params, false, &p));
  columns_shape(p, cols_shape);
  return FASTCONV_OK;
}

fastconv_status fastconv_im2col(const fastconv_tensor* cols, const fastconv_tensor* input,
                                const fastconv_window_params* params, const fastconv_exec* exec) {
  const Argument x = {input, "input"}, columns = {cols, "out"};
  WindowParams p = {};
  FASTCONV_TRY(make_window(x, params, false, &p));
  FASTCONV_TRY(check_columns(columns, x, &p));
  FASTCONV_TRY(check_output(columns));
  FASTCONV_TRY(check_disjoint(columns, x));
  return run_columns(*input, *cols, p, exec, [](const auto& table) { return table.im2col; });
}

fastconv_status fastconv_col2im(const fastconv_tensor* output, const fastconv_tensor* cols,
                                const fastconv_window_params* params, const fastconv_exec* exec) {
  const Argument x = {output, "out"}, columns = {cols, "input"};
  WindowParams p = {};
  FASTCONV_TRY(make_window(x, params, false, &p));
  FASTCONV_TRY(check_columns(columns, x, &p));
  FASTCONV_TRY(check_output(x));
  FASTCONV_TRY(check_disjoint(x, columns));
  return run_columns(*output, *cols, p, exec, [](const auto& table) { return table.col2im; });
}
