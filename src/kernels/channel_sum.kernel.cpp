// The gradient of a bias.
//
//   out[c] = sum over n, d, h, w of x[n, c, d, h, w]
//   x (N, C, D, H, W), any strides -> out (C,)
//
// One task owns a piece of the sum for some channels: how many pieces depends on the extents
// and strides alone, and a channel's pieces are added in their order, so the threads change
// nothing. A second loop, on the calling thread, adds them.
//
// Accuracy: no lane adds more than kDepth elements one after the other; what lanes and blocks
// have gathered is added with the rounding error of every addition carried along (Neumaier),
// so the error stays near kDepth / 2 ulp of the sum of |x| in the worst case and a fraction of
// one in practice, however long the sum.
//
// bfloat16 is summed like this in float32, and rounded at the end.
//
// Lanes are positions where positions are adjacent in memory, and channels where channels are.
#include "dispatch/kernel_export.h"
#include "kernels/collapse.h"
#include "simd/bfloat16.h"
#include "simd/parallel_for.h"
#include "simd/partial.h"
#include "simd/reduce.h"

namespace fastconv {
namespace {

constexpr int kDepth = 64;
constexpr int kPartials = 2048;  // sums kept between the loops: 16 KiB of stack at most
constexpr int kMaxPieces = 32;
constexpr int64_t kPieceElements = 65536;  // of x: microseconds of work, worth a task

// A sum and the rounding errors made on the way to it. V is T or a vector of it.
template <class V>
struct Compensated {
  V sum = {}, error = {};

  // Knuth's two-sum, which needs no comparison of the operands: exact in 6 additions. An
  // infinity would leave NaN in the error term, so total() looks at the sum first.
  FASTCONV_INLINE void add(V a) {
    const V total = sum + a;
    const V shadow = total - sum;
    error += (sum - (total - shadow)) + (a - shadow);
    sum = total;
  }
};

template <class T>
FASTCONV_INLINE T total(const Compensated<T>& a) {
  return a.sum - a.sum == 0 ? a.sum + a.error : a.sum;
}

// What elements in memory are summed as, and how they come and go.
template <class X>
struct Summand {
  using Sum = X;
  static FASTCONV_INLINE Vec<X> vector(const X* p) { return load(p); }
  static FASTCONV_INLINE Vec<X> lanes(const X* p, int64_t n) { return load_lanes(p, 0, n, X{0}); }
  static FASTCONV_INLINE X element(X x) { return x; }
  static FASTCONV_INLINE X result(X sum) { return sum; }
};
template <>
struct Summand<BFloat16> {
  using Sum = float;
  static FASTCONV_INLINE Vec<float> vector(const BFloat16* p) { return widen(load_halves(p)); }
  static FASTCONV_INLINE Vec<float> lanes(const BFloat16* p, int64_t n) {
    return widen(load_halves(p, n));
  }
  static FASTCONV_INLINE float element(BFloat16 x) { return widen(broadcast_word(x.bits))[0]; }
  static FASTCONV_INLINE BFloat16 result(float sum) {
    return {static_cast<uint16_t>(round_to_halves(broadcast(sum))[0])};
  }
};
template <class X>
using SumOf = typename Summand<X>::Sum;

// `count` elements `step` apart.
template <class X>
FASTCONV_INLINE void add_run(Compensated<SumOf<X>>* sum, const X* x, int64_t step, int64_t count) {
  using T = SumOf<X>;
  constexpr int L = kLanes<T>, kChains = 4;  // additions in flight: latency 3 or 4, 1 or 2 a cycle
  int64_t i = 0;
  if (step == 1) {
    while (i + kChains * L <= count) {
      Vec<T> chain[kChains] = {};
      for (int depth = 0; depth < kDepth && i + kChains * L <= count; ++depth, i += kChains * L) {
        FASTCONV_UNROLL
        for (int j = 0; j < kChains; ++j) chain[j] += Summand<X>::vector(x + i + j * L);
      }
      sum->add(sum_lanes<T>((chain[0] + chain[1]) + (chain[2] + chain[3])));
    }
    for (; i + L <= count; i += L) sum->add(sum_lanes<T>(Summand<X>::vector(x + i)));
  }
  while (i < count) {
    T chain = 0;
    for (int depth = 0; depth < kDepth && i < count; ++depth, ++i)
      chain += Summand<X>::element(x[i * step]);
    sum->add(chain);
  }
}

// The sum over positions [begin, end) of a channel.
template <class X>
inline SumOf<X> sum_positions(const X* x, const Collapsed<1>& loops, int64_t begin, int64_t end) {
  const int64_t step = loops.stride[0][loops.ndim - 1];
  Compensated<SumOf<X>> sum;
  for (Cursor<1> cursor(loops, begin); begin < end;) {
    const int64_t count = clamp(cursor.left(), 0, end - begin);
    add_run(&sum, x + cursor.offset[0], step, count);
    cursor.advance(count);
    begin += count;
  }
  return total(sum);
}

// out[j] = sum of x[position + j] for kVectors vectors of adjacent channels, or for the first
// `count` channels of one.
template <int kVectors, class X>
FASTCONV_INLINE void sum_channels(SumOf<X>* out, const X* x, const Collapsed<1>& loops,
                                  int64_t begin, int64_t end, int64_t count) {
  using T = SumOf<X>;
  constexpr int L = kLanes<T>;
  const int64_t step = loops.stride[0][loops.ndim - 1];
  Compensated<Vec<T>> sum[kVectors];
  for (Cursor<1> cursor(loops, begin); begin < end;) {
    const int64_t run = clamp(clamp(cursor.left(), 0, end - begin), 0, kDepth);
    const X* p = x + cursor.offset[0];
    Vec<T> chain[kVectors] = {};
    for (int64_t r = 0; r < run; ++r, p += step) {
      FASTCONV_UNROLL
      for (int j = 0; j < kVectors; ++j)
        chain[j] += count < L ? Summand<X>::lanes(p, count) : Summand<X>::vector(p + j * L);
    }
    FASTCONV_UNROLL
    for (int j = 0; j < kVectors; ++j) sum[j].add(chain[j]);
    cursor.advance(run);
    begin += run;
  }
  FASTCONV_UNROLL
  for (int j = 0; j < kVectors; ++j)
    for (int64_t lane = 0; lane < count; ++lane)
      out[j * L + lane] = total(Compensated<T>{sum[j].sum[lane], sum[j].error[lane]});
}

template <class X>
void channel_sum(const ChannelSumArgs<X>& args) {
  using T = SumOf<X>;
  constexpr int L = kLanes<T>, kVectors = 4;
  const int64_t C = args.extent[1], c_stride = args.x_stride[1];
  const bool channels_last = c_stride == 1 && C > 1;
  const int64_t extent[5] = {args.extent[0], 1, args.extent[2], args.extent[3], args.extent[4]};
  const int64_t* const strides[1] = {args.x_stride};
  const Collapsed<1> loops = collapse<1>(extent, strides);
  const int64_t positions = count_elements(loops);
  if (positions == 0) {
    for (int64_t c = 0; c < C; ++c) args.out[c * args.out_stride] = Summand<X>::result(0);
    return;
  }
  const int64_t block = channels_last ? kVectors * L : 1;
  const int64_t pieces = clamp(positions * block / kPieceElements, 1, kMaxPieces);
  const int64_t group = kPartials / (pieces * block) * block;  // channels at a time
  const X* x = args.x;
  for (int64_t first = 0; first < C; first += group) {
    T partial[kPartials];  // [channel block][piece][channel of the block]
    const int64_t channels = clamp(C - first, 0, group);
    const int64_t blocks = (channels + block - 1) / block;
    parallel_for(blocks * pieces, args.exec.threads, [&](int64_t task, int) {
      const int64_t piece = task % pieces, c = first + task / pieces * block;
      const int64_t begin = positions * piece / pieces;
      const int64_t end = positions * (piece + 1) / pieces;
      T* out = partial + task * block;
      if (!channels_last) {
        *out = sum_positions(x + c * c_stride, loops, begin, end);
      } else if (C - c >= block) {
        sum_channels<kVectors>(out, x + c, loops, begin, end, L);
      } else {
        for (int64_t j = 0; j < C - c; j += L)
          sum_channels<1>(out + j, x + c + j, loops, begin, end, clamp(C - c - j, 0, L));
      }
    });
    for (int64_t c = 0; c < channels; ++c) {
      Compensated<T> sum;
      for (int64_t piece = 0; piece < pieces; ++piece)
        sum.add(partial[(c / block * pieces + piece) * block + c % block]);
      args.out[(first + c) * args.out_stride] = Summand<X>::result(total(sum));
    }
  }
}

}  // namespace
}  // namespace fastconv

FASTCONV_EXPORT(channel_sum, ChannelSumArgs)
FASTCONV_EXPORT_BF16(channel_sum, ChannelSumArgs)
