// Pooling by its definition: see reference.h.
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

// The window of output o along one dimension: where its first tap is, and how many there are.
struct Window {
  int64_t start, taps, dilation;
};

inline Window window_at(const WindowParams& p, int dimension, int64_t o) {
  const int64_t in = p.in[dimension], out = p.out[dimension];
  if (!p.adaptive)
    return {o * p.stride[dimension] - p.pad_before[dimension], p.kernel[dimension],
            p.dilation[dimension]};
  const int64_t start = o * in / out;
  return {start, ((o + 1) * in + out - 1) / out - start, 1};
}

// Calls body(n, c, od, oh, ow) for every output.
template <class Body>
void for_each_output(const WindowParams& p, const Body& body) {
  for (int64_t n = 0; n < p.n; ++n)
    for (int64_t c = 0; c < p.channels; ++c)
      for (int64_t od = 0; od < p.out[0]; ++od)
        for (int64_t oh = 0; oh < p.out[1]; ++oh)
          for (int64_t ow = 0; ow < p.out[2]; ++ow) body(n, c, od, oh, ow);
}

// Calls body(tap, id, ih, iw) for every tap of a window that is inside the input; `tap` counts
// those in the padding as well.
template <class Body>
void for_each_tap(const WindowParams& p, int64_t od, int64_t oh, int64_t ow, const Body& body) {
  const Window d = window_at(p, 0, od), h = window_at(p, 1, oh), w = window_at(p, 2, ow);
  for (int64_t kd = 0; kd < d.taps; ++kd)
    for (int64_t kh = 0; kh < h.taps; ++kh)
      for (int64_t kw = 0; kw < w.taps; ++kw) {
        const int64_t id = d.start + kd * d.dilation, ih = h.start + kh * h.dilation;
        const int64_t iw = w.start + kw * w.dilation;
        if (inside(id, p.in[0]) && inside(ih, p.in[1]) && inside(iw, p.in[2]))
          body((kd * h.taps + kh) * w.taps + kw, id, ih, iw);
      }
}

// y[n, c, o] = max over k of x[n, c, o * stride - pad + k * dilation], padding being -inf;
// the first NaN of a window wins, else the first of its largest elements. indices[n, c, o] =
// the winner's flat position in the plane of x, argmax[n, c, o] the one in the window.
template <class T>
void max_pool_forward(const PoolArgs<T>& args) {
  const WindowParams& p = *args.params;
  for_each_output(p, [&](int64_t n, int64_t c, int64_t od, int64_t oh, int64_t ow) {
    const Window d = window_at(p, 0, od), h = window_at(p, 1, oh), w = window_at(p, 2, ow);
    T best = -static_cast<T>(__builtin_inf());
    int64_t best_index = (first_position(d.start, d.dilation, p.in[0]) * p.in[1] +
                          first_position(h.start, h.dilation, p.in[1])) *
                             p.in[2] +
                         first_position(w.start, w.dilation, p.in[2]);
    int64_t best_tap = -1;
    for_each_tap(p, od, oh, ow, [&](int64_t tap, int64_t id, int64_t ih, int64_t iw) {
      const T value = args.x[at(p.x_stride, n, c, id, ih, iw)];
      if (value > best || (__builtin_isnan(value) && !__builtin_isnan(best)) || best_tap < 0) {
        best = value;
        best_index = (id * p.in[1] + ih) * p.in[2] + iw;
        best_tap = tap;
      }
    });
    args.y[at(p.y_stride, n, c, od, oh, ow)] = best;
    if (args.indices) args.indices[at(p.index_stride, n, c, od, oh, ow)] = best_index;
    if (args.argmax)
      args.argmax[at(p.index_stride, n, c, od, oh, ow)] =
          static_cast<uint8_t>(best_tap < 0 ? kNoArgmax : best_tap);
  });
}

template <class T>
void max_pool_forward_argmax(const PoolArgs<T>& args) {
  max_pool_forward(args);
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

// Whether all indices are positions of the plane; if not, the largest is left for the caller.
template <class T>
bool indices_inside(const PoolArgs<T>& args) {
  const WindowParams& p = *args.params;
  uint64_t largest = 0;
  for_each_output(p, [&](int64_t n, int64_t c, int64_t od, int64_t oh, int64_t ow) {
    const auto index = static_cast<uint64_t>(args.indices[at(p.index_stride, n, c, od, oh, ow)]);
    largest = index > largest ? index : largest;
  });
  *args.largest_index = largest;
  return largest < static_cast<uint64_t>(p.in[0] * p.in[1] * p.in[2]);
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
  if (!indices_inside(args)) return;
  for_each_output(p, [&](int64_t n, int64_t c, int64_t od, int64_t oh, int64_t ow) {
    element(args, n, c, args.indices[at(p.index_stride, n, c, od, oh, ow)]) +=
        args.y[at(p.y_stride, n, c, od, oh, ow)];
  });
}

// x[n, c, indices[n, c, o]] = y[n, c, o] in row-major order of o, zero elsewhere.
template <class T>
void max_unpool(const PoolArgs<T>& args) {
  const WindowParams& p = *args.params;
  clear_x(args);
  if (!indices_inside(args)) return;
  for_each_output(p, [&](int64_t n, int64_t c, int64_t od, int64_t oh, int64_t ow) {
    element(args, n, c, args.indices[at(p.index_stride, n, c, od, oh, ow)]) =
        args.y[at(p.y_stride, n, c, od, oh, ow)];
  });
}

// x[n, c, i] = sum of y[n, c, o] over the windows o whose argmax is at i. In row-major order of
// o and in T, as above.
template <class T>
void max_pool_backward_argmax(const PoolArgs<T>& args) {
  const WindowParams& p = *args.params;
  clear_x(args);
  for_each_output(p, [&](int64_t n, int64_t c, int64_t od, int64_t oh, int64_t ow) {
    const int64_t winner = args.argmax[at(p.index_stride, n, c, od, oh, ow)];
    for_each_tap(p, od, oh, ow, [&](int64_t tap, int64_t id, int64_t ih, int64_t iw) {
      if (tap == winner)
        args.x[at(p.x_stride, n, c, id, ih, iw)] += args.y[at(p.y_stride, n, c, od, oh, ow)];
    });
  });
}

// What the sum of window o is divided by.
template <class T>
double divisor(const AveragePoolArgs<T>& args, int64_t od, int64_t oh, int64_t ow) {
  const WindowParams& p = *args.params;
  if (args.divisor != 0) return static_cast<double>(args.divisor);
  const int64_t o[] = {od, oh, ow};
  double count = 1;
  for (int i = 0; i < kSpatial; ++i) {
    const Window window = window_at(p, i, o[i]);
    const bool padding = args.count_include_pad && !p.adaptive;
    int64_t elements = 0;
    for (int64_t k = 0; k < window.taps; ++k) {
      const int64_t position = window.start + k;
      elements += inside(position, p.in[i]) || (padding && position < p.in[i] + p.pad_after[i]);
    }
    count *= static_cast<double>(elements);
  }
  return count;
}

// y[n, c, o] = sum over k of x[n, c, o * stride - pad + k] / divisor(o), padding being 0.
template <class T>
void avg_pool_forward(const AveragePoolArgs<T>& args) {
  const WindowParams& p = *args.params;
  for_each_output(p, [&](int64_t n, int64_t c, int64_t od, int64_t oh, int64_t ow) {
    double sum = 0;
    for_each_tap(p, od, oh, ow, [&](int64_t, int64_t id, int64_t ih, int64_t iw) {
      sum += static_cast<double>(args.x[at(p.x_stride, n, c, id, ih, iw)]);
    });
    args.y[at(p.y_stride, n, c, od, oh, ow)] = static_cast<T>(sum / divisor(args, od, oh, ow));
  });
}

// x[n, c, i] = sum over the windows o that contain i of y[n, c, o] / divisor(o).
template <class T>
void avg_pool_backward(const AveragePoolArgs<T>& args) {
  const WindowParams& p = *args.params;
  for (int64_t n = 0; n < p.n; ++n)
    for (int64_t c = 0; c < p.channels; ++c)
      for (int64_t id = 0; id < p.in[0]; ++id)
        for (int64_t ih = 0; ih < p.in[1]; ++ih)
          for (int64_t iw = 0; iw < p.in[2]; ++iw) {
            double sum = 0;
            for (int64_t od = 0; od < p.out[0]; ++od) {
              const Window d = window_at(p, 0, od);
              if (id < d.start || id >= d.start + d.taps) continue;
              for (int64_t oh = 0; oh < p.out[1]; ++oh) {
                const Window h = window_at(p, 1, oh);
                if (ih < h.start || ih >= h.start + h.taps) continue;
                for (int64_t ow = 0; ow < p.out[2]; ++ow) {
                  const Window w = window_at(p, 2, ow);
                  if (iw < w.start || iw >= w.start + w.taps) continue;
                  sum += static_cast<double>(args.y[at(p.y_stride, n, c, od, oh, ow)]) /
                         divisor(args, od, oh, ow);
                }
              }
            }
            args.x[at(p.x_stride, n, c, id, ih, iw)] = static_cast<T>(sum);
          }
}

}  // namespace
}  // namespace fastconv

FASTCONV_EXPORT(max_pool_forward, PoolArgs)
FASTCONV_EXPORT(max_pool_forward_argmax, PoolArgs)
FASTCONV_EXPORT(max_pool_backward, PoolArgs)
FASTCONV_EXPORT(max_pool_backward_argmax, PoolArgs)
FASTCONV_EXPORT(max_unpool, PoolArgs)
FASTCONV_EXPORT(avg_pool_forward, AveragePoolArgs)
FASTCONV_EXPORT(avg_pool_backward, AveragePoolArgs)
