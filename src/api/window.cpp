// Pooling, im2col and col2im.
#include <atomic>
#include <cinttypes>
#include <cstring>

#include "api/call.h"
#include "core/parallel.h"

namespace fastconv {
namespace {

void pooled_shape(const WindowParams& p, int spatial_ndim, int64_t shape[FASTCONV_MAX_NDIM]) {
  shape[0] = p.n;
  shape[1] = p.channels;
  for (int i = 0; i < spatial_ndim; ++i) shape[i + 2] = p.out[i + kSpatial - spatial_ndim];
}

void columns_shape(const WindowParams& p, int64_t shape[3]) {
  shape[0] = p.n;
  shape[1] = p.channels * p.kernel[0] * p.kernel[1] * p.kernel[2];
  shape[2] = p.out[0] * p.out[1] * p.out[2];
}

// An index outside the plane would write anywhere: all are read before the first is used,
// a task for every image and channel.
struct IndexCheck {
  int64_t shape[5], stride[5];
  const int64_t* data;
  std::atomic<uint64_t> largest{0};  // negative ones are the largest of all

  static void run(void* context, int64_t task, int) {
    auto& check = *static_cast<IndexCheck*>(context);
    const int64_t *shape = check.shape, *stride = check.stride;
    const int64_t* plane = check.data + task / shape[1] * stride[0] + task % shape[1] * stride[1];
    // Rows that follow each other without a gap are one.
    const bool joined = stride[3] == shape[4] * stride[4] || shape[3] == 1;
    const int64_t rows = joined ? 1 : shape[3];
    const int64_t columns = joined ? shape[3] * shape[4] : shape[4];
    uint64_t largest = 0;
    for (int64_t d = 0; d < shape[2]; ++d)
      for (int64_t h = 0; h < rows; ++h) {
        const int64_t* row = plane + d * stride[2] + h * stride[3];
        for (int64_t w = 0; w < columns; ++w) {
          const auto index = static_cast<uint64_t>(row[w * stride[4]]);
          largest = index > largest ? index : largest;
        }
      }
    uint64_t before = check.largest.load(std::memory_order_relaxed);
    while (before < largest && !check.largest.compare_exchange_weak(before, largest)) {
    }
  }
};

fastconv_status check_indices(const fastconv_tensor& indices, int64_t plane, int threads) {
  if (count(indices) == 0) return FASTCONV_OK;
  IndexCheck check;
  spread_shape(indices, check.shape);
  spread_strides(indices, check.stride);
  check.data = static_cast<const int64_t*>(indices.data);
  parallel_run(check.shape[0] * check.shape[1], threads, IndexCheck::run, &check);
  const uint64_t largest = check.largest.load();
  if (largest < static_cast<uint64_t>(plane)) return FASTCONV_OK;
  return fail(FASTCONV_INVALID_ARGUMENT,
              "indices: expected positions in [0, %" PRId64 "), got %" PRId64, plane,
              static_cast<int64_t>(largest));
}

// x[indices[o]] = (or +=) y[o]: max_pool_backward and max_unpool differ in the kernel alone.
template <class Select>
fastconv_status scatter(Argument x, Argument y, Argument indices, const fastconv_exec* exec,
                        const Select& select) {
  FASTCONV_TRY(check_tensor(x, 3, FASTCONV_MAX_NDIM));
  FASTCONV_TRY(check_tensor(y, x->ndim, x->ndim));
  FASTCONV_TRY(check_tensor(indices, x->ndim, x->ndim));
  FASTCONV_TRY(check_float(x));
  FASTCONV_TRY(check_same_dtype(y, x));
  FASTCONV_TRY(check_int64(indices));
  FASTCONV_TRY(check_shape(indices, y->shape, y->ndim, "of the values it places"));
  if (y->shape[0] != x->shape[0] || y->shape[1] != x->shape[1])
    return fail(FASTCONV_INVALID_ARGUMENT,
                "%s: expected batch and channels (%" PRId64 ", %" PRId64 "), got shape %s", y.name,
                x->shape[0], x->shape[1], Tuple(y->shape, y->ndim).text());
  FASTCONV_TRY(check_output(x));
  FASTCONV_TRY(check_disjoint(x, y));
  FASTCONV_TRY(check_disjoint(x, indices));
  WindowParams p = {};
  int64_t x_shape[5], y_shape[5];
  spread_shape(*x.tensor, x_shape);
  spread_shape(*y.tensor, y_shape);
  p.n = x_shape[0];
  p.channels = x_shape[1];
  for (int i = 0; i < kSpatial; ++i) {
    p.in[i] = x_shape[i + 2];
    p.out[i] = y_shape[i + 2];
  }
  int threads;
  FASTCONV_TRY(choose_threads(exec, count(*x.tensor), kElementsPerThread, &threads));
  FASTCONV_TRY(check_indices(*indices.tensor, p.in[0] * p.in[1] * p.in[2], threads));
  spread_strides(*x.tensor, p.x_stride);
  spread_strides(*y.tensor, p.y_stride);
  spread_strides(*indices.tensor, p.index_stride);
  return with_kernels(x->dtype, [&](const auto& table, auto zero) {
    using T = decltype(zero);
    select(table)(PoolArgs<T>{&p,
                              static_cast<T*>(x->data),
                              static_cast<T*>(y->data),
                              static_cast<int64_t*>(indices->data),
                              {threads, nullptr}});
    return FASTCONV_OK;
  });
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

fastconv_status fastconv_pool_output_shape(int64_t output_shape[FASTCONV_MAX_NDIM],
                                           const fastconv_tensor* input,
                                           const fastconv_window_params* params) {
  WindowParams p;
  FASTCONV_TRY(make_window({input, "input"}, params, true, &p));
  pooled_shape(p, params->spatial_ndim, output_shape);
  return FASTCONV_OK;
}

fastconv_status fastconv_max_pool_forward(const fastconv_tensor* output,
                                          const fastconv_tensor* indices,
                                          const fastconv_tensor* input,
                                          const fastconv_window_params* params,
                                          const fastconv_exec* exec) {
  const Argument x = {input, "input"}, y = {output, "out"}, index = {indices, "indices"};
  WindowParams p = {};
  FASTCONV_TRY(make_window(x, params, true, &p));
  int64_t shape[FASTCONV_MAX_NDIM];
  pooled_shape(p, params->spatial_ndim, shape);
  FASTCONV_TRY(check_tensor(y, x->ndim, x->ndim));
  FASTCONV_TRY(check_same_dtype(y, x));
  FASTCONV_TRY(check_shape(y, shape, x->ndim, "from the other arguments"));
  FASTCONV_TRY(check_output(y));
  FASTCONV_TRY(check_disjoint(y, x));
  spread_strides(*output, p.y_stride);
  if (indices != nullptr) {
    FASTCONV_TRY(check_tensor(index, x->ndim, x->ndim));
    FASTCONV_TRY(check_int64(index));
    FASTCONV_TRY(check_shape(index, shape, x->ndim, "of the output"));
    FASTCONV_TRY(check_output(index));
    FASTCONV_TRY(check_disjoint(index, x));
    FASTCONV_TRY(check_disjoint(index, y));
    spread_strides(*indices, p.index_stride);
  }
  int threads;
  FASTCONV_TRY(choose_threads(exec, count(*input), kElementsPerThread, &threads));
  return with_kernels(x->dtype, [&](const auto& table, auto zero) {
    using T = decltype(zero);
    table.max_pool_forward(
        PoolArgs<T>{&p,
                    static_cast<T*>(input->data),
                    static_cast<T*>(output->data),
                    indices != nullptr ? static_cast<int64_t*>(indices->data) : nullptr,
                    {threads, nullptr}});
    return FASTCONV_OK;
  });
}

fastconv_status fastconv_max_pool_backward(const fastconv_tensor* grad_input,
                                           const fastconv_tensor* grad_output,
                                           const fastconv_tensor* indices,
                                           const fastconv_exec* exec) {
  return scatter({grad_input, "grad_input"}, {grad_output, "grad_output"}, {indices, "indices"},
                 exec, [](const auto& table) { return table.max_pool_backward; });
}

fastconv_status fastconv_max_unpool(const fastconv_tensor* output, const fastconv_tensor* input,
                                    const fastconv_tensor* indices, const fastconv_exec* exec) {
  return scatter({output, "out"}, {input, "input"}, {indices, "indices"}, exec,
                 [](const auto& table) { return table.max_unpool; });
}

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
