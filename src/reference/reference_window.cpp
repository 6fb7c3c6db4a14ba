// Pooling, im2col and col2im by their definitions: see reference.h.
#include "reference/reference.h"

namespace fastconv {
namespace {

// The first position at or after 0 that a window beginning at `start` touches, moved into
// the plane if the window has none there. It is the index of a window whose elements are
// all -inf or all padding: PyTorch starts its scan with the same one.
inline int64_t first_position(int64_t start, int64_t dilation, int64_t extent) {
  while (start < 0) start += dilation;
  return start < extent ? start : extent - 1;
}

// y[n, c, o] = max over k of x[n, c, o * stride - pad + k * dilation], padding being -inf;
// the first NaN of a window wins, else the first of its largest elements. indices[n, c, o] =
// the winner's flat position in the plane of x.
template <class T>
void max_pool_forward(const PoolArgs<T>& args) {
  const WindowParams& p = *args.params;
  for (int64_t n = 0; n < p.n; ++n)
    for (int64_t c = 0; c < p.channels; ++c)
      for (int64_t od = 0; od < p.out[0]; ++od)
        for (int64_t oh = 0; oh < p.out[1]; ++oh)
          for (int64_t ow = 0; ow < p.out[2]; ++ow) {
            const int64_t d0 = od * p.stride[0] - p.pad_before[0];
            const int64_t h0 = oh * p.stride[1] - p.pad_before[1];
            const int64_t w0 = ow * p.stride[2] - p.pad_before[2];
            T best = -static_cast<T>(__builtin_inf());
            int64_t best_index = (first_position(d0, p.dilation[0], p.in[0]) * p.in[1] +
                                  first_position(h0, p.dilation[1], p.in[1])) *
                                     p.in[2] +
                                 first_position(w0, p.dilation[2], p.in[2]);
            for (int64_t kd = 0; kd < p.kernel[0]; ++kd)
              for (int64_t kh = 0; kh < p.kernel[1]; ++kh)
                for (int64_t kw = 0; kw < p.kernel[2]; ++kw) {
                  const int64_t id = d0 + kd * p.dilation[0];
                  const int64_t ih = h0 + kh * p.dilation[1];
                  const int64_t iw = w0 + kw * p.dilation[2];
                  if (!inside(id, p.in[0]) || !inside(ih, p.in[1]) || !inside(iw, p.in[2]))
                    continue;
                  const T value = args.x[at(p.x_stride, n, c, id, ih, iw)];
                  if (value > best || (__builtin_isnan(value) && !__builtin_isnan(best))) {
                    best = value;
                    best_index = (id * p.in[1] + ih) * p.in[2] + iw;
                  }
                }
            args.y[at(p.y_stride, n, c, od, oh, ow)] = best;
            if (args.indices) args.indices[at(p.index_stride, n, c, od, oh, ow)] = best_index;
          }
}

// The element of x, plane (n, c), at a flat position.
template <class T>
T& element(const PoolArgs<T>& args, int64_t n, int64_t c, int64_t position) {
  const WindowParams& p = *args.params;
  const int64_t iw = position % p.in[2];
  const int64_t ih = position / p.in[2] % p.in[1];
  const int64_t id = position / p.in[2] / p.in[1];
  return args.x[at(p.x_stride, n, c, id, ih, iw)];
}

template <class T>
void clear_x(const PoolArgs<T>& args) {
  const WindowParams& p = *args.params;
  for (int64_t n = 0; n < p.n; ++n)
    for (int64_t c = 0; c < p.channels; ++c)
      for (int64_t i = 0; i < p.in[0] * p.in[1] * p.in[2]; ++i) element(args, n, c, i) = 0;
}

// x[n, c, indices[n, c, o]] += y[n, c, o] in row-major order of o, zero elsewhere. In T, not
// in double: the order is the contract, so the fast kernels give exactly these bits.
template <class T>
void max_pool_backward(const PoolArgs<T>& args) {
  const WindowParams& p = *args.params;
  clear_x(args);
  for (int64_t n = 0; n < p.n; ++n)
    for (int64_t c = 0; c < p.channels; ++c)
      for (int64_t od = 0; od < p.out[0]; ++od)
        for (int64_t oh = 0; oh < p.out[1]; ++oh)
          for (int64_t ow = 0; ow < p.out[2]; ++ow)
            element(args, n, c, args.indices[at(p.index_stride, n, c, od, oh, ow)]) +=
                args.y[at(p.y_stride, n, c, od, oh, ow)];
}

// x[n, c, indices[n, c, o]] = y[n, c, o] in row-major order of o, zero elsewhere.
template <class T>
void max_unpool(const PoolArgs<T>& args) {
  const WindowParams& p = *args.params;
  clear_x(args);
  for (int64_t n = 0; n < p.n; ++n)
    for (int64_t c = 0; c < p.channels; ++c)
      for (int64_t od = 0; od < p.out[0]; ++od)
        for (int64_t oh = 0; oh < p.out[1]; ++oh)
          for (int64_t ow = 0; ow < p.out[2]; ++ow)
            element(args, n, c, args.indices[at(p.index_stride, n, c, od, oh, ow)]) =
                args.y[at(p.y_stride, n, c, od, oh, ow)];
}

// The element of cols for tap k of the window at o, image n, channel c.
inline int64_t column_offset(const WindowParams& p, int64_t n, int64_t c, const int64_t k[kSpatial],
                             const int64_t o[kSpatial]) {
  const int64_t row = ((c * p.kernel[0] + k[0]) * p.kernel[1] + k[1]) * p.kernel[2] + k[2];
  const int64_t column = (o[0] * p.out[1] + o[1]) * p.out[2] + o[2];
  return n * p.cols_stride[0] + row * p.cols_stride[1] + column * p.cols_stride[2];
}

// cols[n, (c, k), o] = x[n, c, o * stride - pad + k * dilation], zero in the padding.
template <class T>
void im2col(const ColumnsArgs<T>& args) {
  const WindowParams& p = *args.params;
  for (int64_t n = 0; n < p.n; ++n)
    for (int64_t c = 0; c < p.channels; ++c)
      for (int64_t kd = 0; kd < p.kernel[0]; ++kd)
        for (int64_t kh = 0; kh < p.kernel[1]; ++kh)
          for (int64_t kw = 0; kw < p.kernel[2]; ++kw)
            for (int64_t od = 0; od < p.out[0]; ++od)
              for (int64_t oh = 0; oh < p.out[1]; ++oh)
                for (int64_t ow = 0; ow < p.out[2]; ++ow) {
                  const int64_t id = od * p.stride[0] - p.pad_before[0] + kd * p.dilation[0];
                  const int64_t ih = oh * p.stride[1] - p.pad_before[1] + kh * p.dilation[1];
                  const int64_t iw = ow * p.stride[2] - p.pad_before[2] + kw * p.dilation[2];
                  const bool valid =
                      inside(id, p.in[0]) && inside(ih, p.in[1]) && inside(iw, p.in[2]);
                  const int64_t k[] = {kd, kh, kw}, o[] = {od, oh, ow};
                  args.cols[column_offset(p, n, c, k, o)] =
                      valid ? args.x[at(p.x_stride, n, c, id, ih, iw)] : T{0};
                }
}

// The output position whose tap k reads input position i, or -1 if there is none.
inline int64_t output_of(const WindowParams& p, int dimension, int64_t i, int64_t k) {
  const int64_t strided = i + p.pad_before[dimension] - k * p.dilation[dimension];
  if (strided < 0 || strided % p.stride[dimension] != 0) return -1;
  const int64_t o = strided / p.stride[dimension];
  return o < p.out[dimension] ? o : -1;
}

// x[n, c, i] = sum over k and the o with o * stride - pad + k * dilation = i of
//              cols[n, (c, k), o]
template <class T>
void col2im(const ColumnsArgs<T>& args) {
  const WindowParams& p = *args.params;
  for (int64_t n = 0; n < p.n; ++n)
    for (int64_t c = 0; c < p.channels; ++c)
      for (int64_t id = 0; id < p.in[0]; ++id)
        for (int64_t ih = 0; ih < p.in[1]; ++ih)
          for (int64_t iw = 0; iw < p.in[2]; ++iw) {
            double sum = 0;
            for (int64_t kd = 0; kd < p.kernel[0]; ++kd)
              for (int64_t kh = 0; kh < p.kernel[1]; ++kh)
                for (int64_t kw = 0; kw < p.kernel[2]; ++kw) {
                  const int64_t od = output_of(p, 0, id, kd);
                  const int64_t oh = output_of(p, 1, ih, kh);
                  const int64_t ow = output_of(p, 2, iw, kw);
                  if (od < 0 || oh < 0 || ow < 0) continue;
                  const int64_t k[] = {kd, kh, kw}, o[] = {od, oh, ow};
                  sum += static_cast<double>(args.cols[column_offset(p, n, c, k, o)]);
                }
            args.x[at(p.x_stride, n, c, id, ih, iw)] = static_cast<T>(sum);
          }
}

}  // namespace
}  // namespace fastconv

FASTCONV_EXPORT(max_pool_forward, PoolArgs)
FASTCONV_EXPORT(max_pool_backward, PoolArgs)
FASTCONV_EXPORT(max_unpool, PoolArgs)
FASTCONV_EXPORT(im2col, ColumnsArgs)
FASTCONV_EXPORT(col2im, ColumnsArgs)
