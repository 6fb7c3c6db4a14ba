// im2col and col2im by their definitions: see reference.h.
#include "reference/reference.h"

namespace fastconv {
namespace {

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

FASTCONV_EXPORT(im2col, ColumnsArgs)
FASTCONV_EXPORT(col2im, ColumnsArgs)
