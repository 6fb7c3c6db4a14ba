// Which inputs a window of pooling sees, and which windows see an input.
#pragma once

#include "core/params.h"
#include "simd/partial.h"

namespace fastconv {
namespace {

struct Span {
  int64_t begin, end;
};

// floor(a * b / c) without the product of all of a and b.
FASTCONV_INLINE int64_t scaled(int64_t a, int64_t b, int64_t c) {
  return a * (b / c) + a * (b % c) / c;
}

// The inputs of output o: from floor(o * in / out) to ceil((o + 1) * in / out).
FASTCONV_INLINE Span adaptive_span(int64_t in, int64_t out, int64_t o) {
  return {scaled(o, in, out), (o + 1) * (in / out) + ((o + 1) * (in % out) + out - 1) / out};
}

// The inputs that a window without dilation sees of a dimension.
FASTCONV_INLINE Span inputs_of(const WindowParams& p, int dimension, int64_t o) {
  if (p.adaptive) return adaptive_span(p.in[dimension], p.out[dimension], o);
  const int64_t start = o * p.stride[dimension] - p.pad_before[dimension];
  const int64_t end = start + p.kernel[dimension];
  return {start < 0 ? 0 : start, end < p.in[dimension] ? end : p.in[dimension]};
}

// The windows that see input i of a dimension: `count` outputs from `first` on, `step` apart.
// The tap that sees it is `tap` in the first of them, and `tap_step` less in each next.
struct Windows {
  int64_t first, count, step, tap, tap_step;
};

FASTCONV_INLINE Windows windows_of(const WindowParams& p, int dimension, int64_t i) {
  const int64_t in = p.in[dimension], out = p.out[dimension];
  if (p.adaptive) {
    const Span span = adaptive_span(out, in, i);  // the same rule the other way round
    return {span.begin, span.end - span.begin, 1, 0, 0};
  }
  const int64_t stride = p.stride[dimension], dilation = p.dilation[dimension];
  const int64_t at = i + p.pad_before[dimension];
  const int64_t reach = (p.kernel[dimension] - 1) * dilation;
  int64_t last = at / stride, first = at > reach ? (at - reach - 1) / stride + 1 : 0, step = 1;
  if (last >= out) last = out - 1;
  if (dilation > 1) {
    // Every step-th output has a tap here; the first of them is found by trying.
    int64_t gcd = stride, rest = dilation;
    while (rest != 0) {
      const int64_t next = gcd % rest;
      gcd = rest;
      rest = next;
    }
    step = dilation / gcd;
    int64_t tries = step;
    while (tries > 0 && first <= last && (at - first * stride) % dilation != 0) ++first, --tries;
    if (tries == 0) return {0, 0, 1, 0, 0};
  }
  if (first > last) return {0, 0, 1, 0, 0};
  return {first, (last - first) / step + 1, step, (at - first * stride) / dilation,
          stride * step / dilation};
}

// windows_of for one input after another, without a division each where there is no dilation.
struct Walk {
  const WindowParams& p;
  int dimension;
  bool steady;
  int64_t i, at, last, last_rest, first, first_rest;  // at = last * stride + last_rest

  Walk(const WindowParams& params, int over, int64_t begin)
      : p(params), dimension(over), steady(!p.adaptive && p.dilation[over] == 1), i(begin) {
    const int64_t stride = p.stride[over];
    at = i + p.pad_before[over];
    last = at / stride;
    last_rest = at % stride;
    first = 0;
    first_rest = at - p.kernel[over] + stride;
    if (first_rest > 0) {
      first = first_rest / stride;
      first_rest %= stride;
    }
  }

  FASTCONV_INLINE Windows now() const {
    if (!steady) return windows_of(p, dimension, i);
    const int64_t end = last < p.out[dimension] ? last + 1 : p.out[dimension];
    return {first, end > first ? end - first : 0, 1, at - first * p.stride[dimension],
            p.stride[dimension]};
  }
  FASTCONV_INLINE void next() {
    const int64_t stride = p.stride[dimension];
    ++i;
    ++at;
    if (++last_rest == stride) last_rest = 0, ++last;
    if (++first_rest == stride) first_rest = 0, ++first;
  }
};

// One window over a whole plane that has no gaps in x: the same over one long row.
inline void merge_whole_plane(WindowParams* p) {
  for (int outer = kSpatial - 2; outer >= 0; --outer) {
    for (int i = outer; i < kSpatial; ++i)
      if (p->out[i] != 1 || p->kernel[i] != p->in[i] || p->pad_before[i] != 0 ||
          p->pad_after[i] != 0)
        return;
    const int inner = kSpatial - 1;
    if (p->in[inner] == 1) {
      p->x_stride[inner + 2] = p->x_stride[outer + 2];
    } else if (p->in[outer] > 1 &&
               p->x_stride[outer + 2] != p->x_stride[inner + 2] * p->in[inner]) {
      return;
    }
    p->in[inner] *= p->in[outer];
    p->kernel[inner] = p->in[inner];
    p->in[outer] = p->kernel[outer] = 1;
  }
}

}  // namespace
}  // namespace fastconv
