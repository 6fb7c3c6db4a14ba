// The gradient of max pooling from an argmax, scattered: for layouts, strides and windows that the
// gathers do not take. One task owns a plane of x, and clears each row just before the first window
// that reaches it.
#pragma once

#include "dispatch/args.h"
#include "simd/parallel_for.h"
#include "simd/partial.h"

namespace fastconv {
namespace {

// Sets the rows [begin, end) of the planes [d_begin, d_end) to zero.
template <class T>
void clear_rows(const WindowParams& p, T* x, int64_t d_begin, int64_t d_end, int64_t begin,
                int64_t end) {
  for (int64_t id = d_begin; id < d_end; ++id)
    for (int64_t ih = begin; ih < end; ++ih) {
      T* row = x + id * p.x_stride[2] + ih * p.x_stride[3];
      if (p.x_stride[4] == 1)
        __builtin_memset(row, 0, static_cast<size_t>(p.in[2]) * sizeof(T));
      else
        for (int64_t iw = 0; iw < p.in[2]; ++iw) row[iw * p.x_stride[4]] = 0;
    }
}

// One past the last input of a dimension that windows up to output o see.
inline int64_t reach_of(const WindowParams& p, int dimension, int64_t o) {
  return clamp(o * p.stride[dimension] - p.pad_before[dimension] +
                   (p.kernel[dimension] - 1) * p.dilation[dimension] + 1,
               0, p.in[dimension]);
}

// A row of outputs of one channel, those of windows inside x by their tap's offset alone.
template <class T>
void scatter_row(const WindowParams& p, T* x, const T* y, const uint8_t* argmax,
                 const int64_t (&offsets)[kNoArgmax], int64_t od, int64_t oh) {
  const int64_t KD = p.kernel[0], KH = p.kernel[1], KW = p.kernel[2], taps = KD * KH * KW;
  const int64_t d = od * p.stride[0] - p.pad_before[0], h = oh * p.stride[1] - p.pad_before[1];
  const bool rows_inside = d >= 0 && d + (KD - 1) * p.dilation[0] < p.in[0] && h >= 0 &&
                           h + (KH - 1) * p.dilation[1] < p.in[1];
  const int64_t room = p.in[2] - (KW - 1) * p.dilation[2];
  T* row = x + d * p.x_stride[2] + h * p.x_stride[3];
  int64_t w = -p.pad_before[2];
  for (int64_t ow = 0; ow < p.out[2]; ++ow, w += p.stride[2]) {
    const int64_t tap = argmax[ow * p.index_stride[4]];
    if (tap >= taps) continue;
    if (!rows_inside || w < 0 || w >= room) {
      const int64_t id = d + tap / KW / KH * p.dilation[0];
      const int64_t ih = h + tap / KW % KH * p.dilation[1], iw = w + tap % KW * p.dilation[2];
      if (id < 0 || id >= p.in[0] || ih < 0 || ih >= p.in[1] || iw < 0 || iw >= p.in[2]) continue;
    }
    row[w * p.x_stride[4] + offsets[tap]] += y[ow * p.y_stride[4]];
  }
}

// A plane of x.
template <class T>
void scatter_plane(const WindowParams& p, T* x, const T* y, const uint8_t* argmax,
                   const int64_t (&offsets)[kNoArgmax]) {
  int64_t d_cleared = 0;
  for (int64_t od = 0; od < p.out[0]; ++od) {
    const int64_t d_end = reach_of(p, 0, od);
    int64_t h_cleared = 0;
    for (int64_t oh = 0; oh < p.out[1]; ++oh) {
      const int64_t h_end = reach_of(p, 1, oh);
      clear_rows(p, x, d_cleared, d_end, h_cleared, h_end);
      h_cleared = h_end > h_cleared ? h_end : h_cleared;
      scatter_row(p, x, y + od * p.y_stride[2] + oh * p.y_stride[3],
                  argmax + od * p.index_stride[2] + oh * p.index_stride[3], offsets, od, oh);
    }
    clear_rows(p, x, d_cleared, d_end, h_cleared, p.in[1]);
    d_cleared = d_end > d_cleared ? d_end : d_cleared;
  }
  clear_rows(p, x, d_cleared, p.in[0], 0, p.in[1]);
}

template <class T>
void scatter_planes(const PoolArgs<T>& args) {
  const WindowParams& p = *args.params;
  int64_t offsets[kNoArgmax] = {};
  for (int64_t kd = 0, tap = 0; kd < p.kernel[0]; ++kd)
    for (int64_t kh = 0; kh < p.kernel[1]; ++kh)
      for (int64_t kw = 0; kw < p.kernel[2]; ++kw, ++tap)
        offsets[tap] = kd * p.dilation[0] * p.x_stride[2] + kh * p.dilation[1] * p.x_stride[3] +
                       kw * p.dilation[2] * p.x_stride[4];
  parallel_for(p.n * p.channels, args.exec.threads, [&](int64_t task, int) {
    const int64_t n = task / p.channels, c = task % p.channels;
    scatter_plane(p, args.x + n * p.x_stride[0] + c * p.x_stride[1],
                  args.y + n * p.y_stride[0] + c * p.y_stride[1],
                  args.argmax + n * p.index_stride[0] + c * p.index_stride[1], offsets);
  });
}

}  // namespace
}  // namespace fastconv
