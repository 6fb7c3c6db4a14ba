// Max pooling, its gradients and unpooling.
#include <cinttypes>

#include "api/pool_call.h"

namespace fastconv {
namespace {

// Indices or argmax as an output beside y.
fastconv_status check_places(Argument places, Argument x, Argument y, WindowParams* p) {
  FASTCONV_TRY(check_tensor(places, x->ndim, x->ndim));
  FASTCONV_TRY(check_shape(places, y->shape, x->ndim, "of the output"));
  FASTCONV_TRY(check_outputs(places, x));
  FASTCONV_TRY(check_disjoint(places, y));
  spread_strides(*places.tensor, p->index_stride);
  return FASTCONV_OK;
}

// Calls a kernel of the pooling family on x and y; `select` takes it from the table. `places` are
// indices or argmax, or null.
template <class Select>
fastconv_status run_pool(const WindowParams& p, const fastconv_tensor& x, const fastconv_tensor& y,
                         const fastconv_tensor* places, const fastconv_exec* exec,
                         const Select& select) {
  int threads;
  FASTCONV_TRY(choose_threads(exec, count(x), kElementsPerThread, &threads));
  const bool compact = places != nullptr && places->dtype == FASTCONV_UINT8;
  void* data = places == nullptr ? nullptr : places->data;
  return with_kernels(x.dtype, [&](const auto& table, auto zero) {
    using T = decltype(zero);
    select(table)(PoolArgs<T>{&p,
                              static_cast<T*>(x.data),
                              static_cast<T*>(y.data),
                              compact ? nullptr : static_cast<int64_t*>(data),
                              compact ? static_cast<uint8_t*>(data) : nullptr,
                              {threads, nullptr}});
    return FASTCONV_OK;
  });
}

fastconv_status check_argmax(Argument argmax, const WindowParams& p) {
  FASTCONV_TRY(check_uint8(argmax));
  int64_t taps = 1;
  for (int i = 0; i < kSpatial; ++i)
    if (__builtin_mul_overflow(taps, p.kernel[i], &taps) || taps > kNoArgmax)
      return fail(FASTCONV_INVALID_ARGUMENT,
                  "kernel_size: an argmax needs windows of at most %d elements, got %s", kNoArgmax,
                  Tuple(p.kernel, kSpatial).text());
  return FASTCONV_OK;
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
  spread_strides(*x.tensor, p.x_stride);
  spread_strides(*y.tensor, p.y_stride);
  spread_strides(*indices.tensor, p.index_stride);
  uint64_t largest = 0;
  FASTCONV_TRY(with_kernels(x->dtype, [&](const auto& table, auto zero) {
    using T = decltype(zero);
    select(table)(PoolArgs<T>{&p,
                              static_cast<T*>(x->data),
                              static_cast<T*>(y->data),
                              static_cast<int64_t*>(indices->data),
                              nullptr,
                              {threads, nullptr},
                              &largest});
    return FASTCONV_OK;
  }));
  const int64_t plane = p.in[0] * p.in[1] * p.in[2];
  if (count(*indices.tensor) == 0 || largest < static_cast<uint64_t>(plane)) return FASTCONV_OK;
  return fail(FASTCONV_INVALID_ARGUMENT,
              "indices: expected positions in [0, %" PRId64 "), got %" PRId64, plane,
              static_cast<int64_t>(largest));
}

}  // namespace
}  // namespace fastconv

using namespace fastconv;

fastconv_status fastconv_max_pool_forward(const fastconv_tensor* output,
                                          const fastconv_tensor* indices,
                                          const fastconv_tensor* input,
                                          const fastconv_window_params* params,
                                          const fastconv_exec* exec) {
  const Argument x = {input, "input"}, y = {output, "out"}, index = {indices, "indices"};
  WindowParams p = {};
  FASTCONV_TRY(make_pool(x, y, params, &p));
  FASTCONV_TRY(check_outputs(y, x));
  if (indices != nullptr) {
    FASTCONV_TRY(check_places(index, x, y, &p));
    FASTCONV_TRY(check_int64(index));
  }
  return run_pool(p, *input, *output, indices, exec,
                  [](const auto& table) { return table.max_pool_forward; });
}

fastconv_status fastconv_max_pool_forward_argmax(const fastconv_tensor* output,
                                                 const fastconv_tensor* argmax,
                                                 const fastconv_tensor* input,
                                                 const fastconv_window_params* params,
                                                 const fastconv_exec* exec) {
  const Argument x = {input, "input"}, y = {output, "out"}, places = {argmax, "argmax"};
  WindowParams p = {};
  FASTCONV_TRY(make_pool(x, y, params, &p));
  FASTCONV_TRY(check_outputs(y, x));
  FASTCONV_TRY(check_places(places, x, y, &p));
  FASTCONV_TRY(check_argmax(places, p));
  return run_pool(p, *input, *output, argmax, exec,
                  [](const auto& table) { return table.max_pool_forward_argmax; });
}

fastconv_status fastconv_max_pool_backward(const fastconv_tensor* grad_input,
                                           const fastconv_tensor* grad_output,
                                           const fastconv_tensor* indices,
                                           const fastconv_exec* exec) {
  return scatter({grad_input, "grad_input"}, {grad_output, "grad_output"}, {indices, "indices"},
                 exec, [](const auto& table) { return table.max_pool_backward; });
}

fastconv_status fastconv_max_pool_backward_argmax(const fastconv_tensor* grad_input,
                                                  const fastconv_tensor* grad_output,
                                                  const fastconv_tensor* argmax,
                                                  const fastconv_window_params* params,
                                                  const fastconv_exec* exec) {
  const Argument x = {grad_input, "grad_input"}, y = {grad_output, "grad_output"};
  const Argument places = {argmax, "argmax"};
  WindowParams p = {};
  FASTCONV_TRY(make_pool(x, y, params, &p));
  FASTCONV_TRY(check_tensor(places, x->ndim, x->ndim));
  FASTCONV_TRY(check_argmax(places, p));
  FASTCONV_TRY(check_shape(places, y->shape, y->ndim, "of grad_output"));
  FASTCONV_TRY(check_outputs(x, y));
  FASTCONV_TRY(check_disjoint(x, places));
  spread_strides(*argmax, p.index_stride);
  return run_pool(p, *grad_input, *grad_output, argmax, exec,
                  [](const auto& table) { return table.max_pool_backward_argmax; });
}

fastconv_status fastconv_max_unpool(const fastconv_tensor* output, const fastconv_tensor* input,
                                    const fastconv_tensor* indices, const fastconv_exec* exec) {
  return scatter({output, "out"}, {input, "input"}, {indices, "indices"}, exec,
                 [](const auto& table) { return table.max_unpool; });
}

fastconv_status fastconv_adaptive_max_pool_forward(const fastconv_tensor* output,
                                                   const fastconv_tensor* indices,
                                                   const fastconv_tensor* input,
                                                   const fastconv_exec* exec) {
  const Argument x = {input, "input"}, y = {output, "out"}, index = {indices, "indices"};
  WindowParams p = {};
  FASTCONV_TRY(make_adaptive(x, y, &p));
  FASTCONV_TRY(check_outputs(y, x));
  if (indices != nullptr) {
    FASTCONV_TRY(check_places(index, x, y, &p));
    FASTCONV_TRY(check_int64(index));
  }
  return run_pool(p, *input, *output, indices, exec,
                  [](const auto& table) { return table.max_pool_forward; });
}
