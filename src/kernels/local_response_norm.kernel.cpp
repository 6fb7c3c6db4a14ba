// Local response normalisation across channels (A. Krizhevsky, I. Sutskever, G. E. Hinton, 2012,
// section 3.3, with PyTorch's arguments), forward and backward.
//
//   d[c] = k + alpha / size * sum over j of x[j]^2,   j in [c - size / 2, c + (size - 1) / 2]
//   y[c] = x[c] * d[c]^-beta
//   dx[i] = dy[i] d[i]^-beta - 2 alpha beta / size * x[i] * sum over c of t[c],
//   t[c] = dy[c] x[c] d[c]^(-beta - 1),   c in [i - (size - 1) / 2, i + size / 2]
//   x, y, dx (N, C, D, H, W), any strides; channels outside count as 0
//
// One task owns some positions, for all channels. Squares (and t) of a tile go to scratch with
// zeros on both sides, where a window is `size` additions of whole vectors: lanes are
// positions, or neighbouring channels of one position on channels-last data. Sliding the sum
// would be cheaper for large windows, but what was added would not cancel exactly.
#include "dispatch/kernel_export.h"
#include "kernels/collapse.h"
#include "simd/parallel_for.h"
#include "simd/partial.h"
#include "simd/special.h"

namespace fastconv {
namespace {

constexpr int64_t kResponseTask = 16384;  // elements

// d^(-3/4), the usual power, by square roots.
template <class T>
FASTCONV_INLINE Vec<T> three_quarters_by_roots(Vec<T> d) {
  const Vec<T> root = square_root<T>(d);
  return T{1} / (root * square_root<T>(root));
}

// The same in float32, within 1.3e-7: where d^3 and its inverse are far from overflowing, by two of
// Halley's steps towards y^-4 = d^3,
//
//   r = 1 - d^3 y^4,   y <- y (1 + r / 4 + 5 r^2 / 32),
//
// from the bits of d taken for a logarithm (within 4.4 %). A vector's roots and its division keep the
// one unit that computes them for 64 cycles of Cascade Lake, three times as long.
FASTCONV_INLINE Vec<float> three_quarters(Vec<float> d) {
  constexpr uint32_t kGuess = 0x6f150000;  // of the least error, found by trying
  constexpr float kLeast = 0x1p-40f, kMost = 0x1p40f;
  const Bits<float> bits = reinterpret_cast<Bits<float>>(d);
  Vec<float> y = reinterpret_cast<Vec<float>>(kGuess - (bits - (bits >> 2)));
  const Vec<float> cube = d * d * d;
  FASTCONV_UNROLL
  for (int step = 0; step < 2; ++step) {
    const Vec<float> square = y * y, r = 1.0f - square * square * cube;
    y += y * r * (r * 0.15625f + 0.25f);
  }
  const auto near = (d > kLeast) & (d < kMost);
  return any<float>(~near) ? near ? y : three_quarters_by_roots<float>(d) : y;
}

template <class T>
FASTCONV_INLINE Vec<T> power(Vec<T> d, T beta) {
  if (beta == static_cast<T>(0.75)) {
    if constexpr (sizeof(T) == sizeof(float))
      return three_quarters(d);
    else
      return three_quarters_by_roots<T>(d);
  }
  const Vec<T> zero = {}, undefined = zero / zero;
  return d > zero ? exp<T>(log<T>(d) * -beta) : d == zero ? T{1} / zero : undefined;
}

template <class T>
struct LocalResponse {
  static constexpr int L = kLanes<T>;
  // Positions of a tile: whole cache lines of every plane, and the arrays stay in L2.
  static constexpr int64_t kTile = 4 * L;
  const LocalResponseArgs<T>& args;
  Collapsed<3> loops;  // over positions: out, x, dy
  int64_t channels, positions, before, after;
  int64_t step, pitch;  // of scratch: between channels, of an array
  bool channels_last;

  explicit LocalResponse(const LocalResponseArgs<T>& from) : args(from) {
    const int64_t* e = from.extent;
    const int64_t* strides[3] = {from.out_stride, from.x_stride,
                                 from.dy != nullptr ? from.dy_stride : from.x_stride};
    const int64_t extent[5] = {e[0], 1, e[2], e[3], e[4]};
    loops = collapse<3>(extent, strides);
    channels = e[1];
    positions = count_elements(loops);
    before = clamp(from.size / 2, 0, channels);  // further away there is nothing
    after = clamp((from.size - 1) / 2, 0, channels);
    channels_last = channels > 1;
    for (const int64_t* stride : strides) channels_last &= stride[1] == 1;
    // Elements of a scratch array: a margin of zeros on each side, and a vector beyond.
    step = channels_last ? 1 : kTile;
    pitch = (channels + before + after + 2 * L) * step;
  }

  // Positions [0, count) of the pointers, all channels; one position on channels-last data.
  struct Tile {
    T* out;
    const T *x, *dy;
    int64_t out_step, x_step, dy_step, count;
  };

  // f(channel, place in scratch, position, lanes) for every vector of a tile.
  template <class F>
  FASTCONV_INLINE void each_vector(const Tile& tile, const F& f) const {
    if (channels_last) {
      for (int64_t c = 0; c < channels; c += L) f(c, c, int64_t{0}, clamp(channels - c, 0, L));
    } else {
      for (int64_t c = 0; c < channels; ++c)
        for (int64_t i = 0; i < tile.count; i += L)
          f(c, c * step + i, i, clamp(tile.count - i, 0, L));
    }
  }

  static FASTCONV_INLINE Vec<T> take(const T* p, int64_t position_step, int64_t i, int64_t n) {
    if (position_step != 1)
      return load_spaced_lanes<Step::kAny>(p + i * position_step, position_step, 0, n, T{0});
    return n == L ? load(p + i) : load_lanes(p + i, 0, n, T{0});
  }

  FASTCONV_INLINE Vec<T> window(const T* from) const {
    Vec<T> sum = {};
    for (int64_t j = 0; j <= before + after; ++j) sum += load(from + j * step);
    return sum;
  }

  // Zeros in front of `margin` channels and behind all others.
  void clear_margins(T* array, int64_t margin) const {
    for (int64_t i = 0; i < margin * step; ++i) array[i] = 0;
    for (int64_t i = (margin + channels) * step; i < pitch; ++i) array[i] = 0;
  }

  void run_tile(const Tile& tile, T* scratch) const {
    const T scale = static_cast<T>(args.alpha / static_cast<double>(args.size));
    const T k = static_cast<T>(args.k), beta = static_cast<T>(args.beta);
    T *squares = scratch, *terms = scratch + pitch, *powers = scratch + 2 * pitch;
    const auto x_at = [&](int64_t c, int64_t i, int64_t n) {
      return take(tile.x + c * args.x_stride[1], tile.x_step, i, n);
    };
    const auto put = [&](int64_t c, int64_t i, int64_t n, Vec<T> y) {
      store_spaced(tile.out + c * args.out_stride[1] + i * tile.out_step, tile.out_step, y, n);
    };
    clear_margins(squares, before);
    each_vector(tile, [&](int64_t c, int64_t at, int64_t i, int64_t n) {
      const Vec<T> x = x_at(c, i, n);
      store(squares + before * step + at, x * x);
    });
    if (args.dy == nullptr) {
      each_vector(tile, [&](int64_t c, int64_t at, int64_t i, int64_t n) {
        put(c, i, n, x_at(c, i, n) * power<T>(window(squares + at) * scale + k, beta));
      });
      return;
    }
    each_vector(tile, [&](int64_t c, int64_t at, int64_t i, int64_t n) {
      const Vec<T> d = window(squares + at) * scale + k, p = power<T>(d, beta);
      const Vec<T> dy = take(tile.dy + c * args.dy_stride[1], tile.dy_step, i, n);
      store(powers + at, dy * p);
      store(terms + after * step + at, dy * x_at(c, i, n) * (p / d));
    });
    clear_margins(terms, after);  // now: the last vector of channels reaches beyond them
    const T factor = static_cast<T>(-2 * args.alpha * args.beta / static_cast<double>(args.size));
    each_vector(tile, [&](int64_t c, int64_t at, int64_t i, int64_t n) {
      put(c, i, n, x_at(c, i, n) * (window(terms + at) * factor) + load(powers + at));
    });
  }

  void run_positions(int64_t begin, int64_t end, T* scratch) const {
    const int inner = loops.ndim - 1;
    const int64_t out_step = loops.stride[0][inner], x_step = loops.stride[1][inner];
    const int64_t dy_step = loops.stride[2][inner];
    const int64_t most = channels_last ? 1 : kTile;
    for (Cursor<3> cursor(loops, begin); begin < end;) {
      const int64_t count = clamp(clamp(cursor.left(), 0, most), 0, end - begin);
      const T* dy = args.dy != nullptr ? args.dy + cursor.offset[2] : nullptr;
      Tile tile = {args.out + cursor.offset[0], args.x + cursor.offset[1], dy, 1, 1, 1, count};
      if (!channels_last) tile.out_step = out_step, tile.x_step = x_step, tile.dy_step = dy_step;
      run_tile(tile, scratch);
      cursor.advance(count);
      begin += count;
    }
  }
};

template <class T>
void local_response_norm_workspace(const LocalResponseArgs<T>& args) {
  *args.workspace_size =
      static_cast<size_t>(LocalResponse<T>(args).pitch * 3 * args.exec.threads) * sizeof(T);
}

template <class T>
void local_response_norm(const LocalResponseArgs<T>& args) {
  const LocalResponse<T> norm(args);
  const int64_t tasks = clamp(norm.positions * norm.channels / kResponseTask, 1, norm.positions);
  parallel_for(tasks, args.exec.threads, [&](int64_t task, int worker) {
    norm.run_positions(norm.positions * task / tasks, norm.positions * (task + 1) / tasks,
                       static_cast<T*>(args.exec.workspace) + norm.pitch * 3 * worker);
  });
}

}  // namespace
}  // namespace fastconv

FASTCONV_EXPORT(local_response_norm, LocalResponseArgs)
FASTCONV_EXPORT(local_response_norm_workspace, LocalResponseArgs)
