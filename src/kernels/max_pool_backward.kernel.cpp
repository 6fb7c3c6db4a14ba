// Max pooling backward, and unpooling: scatters along the indices of the forward pass.
//
//   backward: x[n, c, indices[n, c, o]] += y[n, c, o]   in row-major order of o, zero elsewhere
//   unpool:   x[n, c, indices[n, c, o]]  = y[n, c, o]   the last o wins, zero elsewhere
//   y, indices (N, C, OD, OH, OW) -> x (N, C, ID, IH, IW); any strides
//
// Nothing is known of the windows: an index may name any position of its plane (and has been
// checked to name one). The order of the additions is the contract, so there is exactly one
// result, whatever the threads, the batch and the instruction set.
//
// One task owns a range of positions of some planes of x: whole planes, of 16 channels or
// more together when they are adjacent in memory, and pieces of planes only when there are
// fewer planes than threads, for each piece has to read all indices.
//
// A plane is worked off in chunks that stay in the L1 cache from being cleared to the last
// addition, instead of passing through memory twice. Indices of real windows go through x
// nearly in order, so a first pass notes between which positions every output row points, and
// a chunk visits the rows that may point into it.
#include "dispatch/kernel_export.h"
#include "simd/parallel_for.h"
#include "simd/partial.h"

namespace fastconv {
namespace {

constexpr int64_t kChunkBytes = 24576;  // of a plane: half of a 48 KiB L1, the rest for y and indices
constexpr int64_t kChannelsChunkBytes = 262144;  // with adjacent channels: within L2
constexpr int kMaxGroups = 256;         // of output rows; the bounds take 4 KiB of stack

enum class Store { kAdd, kReplace };

// Where a flat position of the plane lies in memory.
struct Plane {
  bool dense;    // at position * unit
  int64_t unit;
  int64_t IH, IW;
  int64_t d_stride, h_stride, w_stride;

  explicit Plane(const WindowParams& p)
      : dense(true),
        unit(0),
        IH(p.in[1]),
        IW(p.in[2]),
        d_stride(p.x_stride[2]),
        h_stride(p.x_stride[3]),
        w_stride(p.x_stride[4]) {
    int64_t positions = 1;
    for (int i = kSpatial - 1; i >= 0; --i) {
      if (p.in[i] == 1) continue;
      if (positions == 1)
        unit = p.x_stride[i + 2];
      else
        dense &= p.x_stride[i + 2] == unit * positions;
      positions *= p.in[i];
    }
  }

  template <bool kDense>
  FASTCONV_INLINE int64_t offset(int64_t position) const {
    if (kDense) return position * unit;
    const int64_t row = position / IW;
    return position % IW * w_stride + row % IH * h_stride + row / IH * d_stride;
  }
};

// `count` elements that lie x_step, y_step and index_step apart, those that point into
// [lo, hi) only if kFilter.
template <class T>
struct Run {
  T* x;
  const T* y;
  const int64_t* indices;
  int64_t count, x_step, y_step, index_step, lo, hi;
};

template <Store kStore, bool kFilter, bool kDense, class T>
FASTCONV_INLINE void scatter_run(const Run<T>& run, const Plane& plane) {
  const uint64_t length = static_cast<uint64_t>(run.hi - run.lo);
  for (int64_t i = 0; i < run.count; ++i) {
    const int64_t index = run.indices[i * run.index_step];
    if (kFilter && static_cast<uint64_t>(index - run.lo) >= length) continue;
    T& x = run.x[plane.offset<kDense>(index) + i * run.x_step];
    const T y = run.y[i * run.y_step];
    x = kStore == Store::kAdd ? x + y : y;
  }
}

// The smallest and the largest index a group of output rows holds.
struct Bounds {
  int64_t lowest, highest;
};

template <class T>
struct Task {
  const WindowParams* p;
  Plane plane;
  T* x;  // these three begin at the task's first channel
  const T* y;
  const int64_t* indices;
  int64_t channels;
  bool channels_last;
};

// Calls body(y, indices) for every run of output row `row`: the row itself, or, channels
// being adjacent, the channels of each of its positions.
template <class T, class Body>
FASTCONV_INLINE void for_each_run(const Task<T>& task, int64_t row, const Body& body) {
  const WindowParams& p = *task.p;
  const int64_t od = row / p.out[1], oh = row % p.out[1];
  const T* y = task.y + od * p.y_stride[2] + oh * p.y_stride[3];
  const int64_t* indices = task.indices + od * p.index_stride[2] + oh * p.index_stride[3];
  if (!task.channels_last) return body(y, indices);
  for (int64_t ow = 0; ow < p.out[2]; ++ow)
    body(y + ow * p.y_stride[4], indices + ow * p.index_stride[4]);
}

template <class T>
Bounds find_bounds(const Task<T>& task, int64_t first_row, int64_t last_row) {
  const WindowParams& p = *task.p;
  const int64_t count = task.channels_last ? task.channels : p.out[2];
  const int64_t step = task.channels_last ? p.index_stride[1] : p.index_stride[4];
  Bounds bounds = {INT64_MAX, -1};
  for (int64_t row = first_row; row < last_row; ++row)
    for_each_run(task, row, [&](const T*, const int64_t* indices) {
      int64_t lowest = bounds.lowest, highest = bounds.highest;
      if (step == 1) {  // as a loop of its own: this one is vectorised
        for (int64_t i = 0; i < count; ++i) {
          lowest = indices[i] < lowest ? indices[i] : lowest;
          highest = indices[i] > highest ? indices[i] : highest;
        }
      } else {
        for (int64_t i = 0; i < count; ++i) {
          lowest = indices[i * step] < lowest ? indices[i * step] : lowest;
          highest = indices[i * step] > highest ? indices[i * step] : highest;
        }
      }
      bounds = {lowest, highest};
    });
  return bounds;
}

template <Store kStore, bool kDense, class T>
void scatter_rows(const Task<T>& task, int64_t first_row, int64_t last_row, int64_t lo, int64_t hi,
                  bool filter) {
  const WindowParams& p = *task.p;
  Run<T> run;
  run.x = task.x;
  run.lo = lo;
  run.hi = hi;
  run.count = task.channels_last ? task.channels : p.out[2];
  run.x_step = task.channels_last ? p.x_stride[1] : 0;
  run.y_step = task.channels_last ? p.y_stride[1] : p.y_stride[4];
  run.index_step = task.channels_last ? p.index_stride[1] : p.index_stride[4];
  for (int64_t row = first_row; row < last_row; ++row)
    for_each_run(task, row, [&](const T* y, const int64_t* indices) {
      run.y = y;
      run.indices = indices;
      if (filter)
        scatter_run<kStore, true, kDense>(run, task.plane);
      else
        scatter_run<kStore, false, kDense>(run, task.plane);
    });
}

// Sets the positions [lo, hi) to zero.
template <class T>
void clear(const Task<T>& task, int64_t lo, int64_t hi) {
  const Plane& plane = task.plane;
  const int64_t c_stride = task.p->x_stride[1];
  if (plane.dense && plane.unit == 1 && task.channels == 1) {
    __builtin_memset(task.x + lo, 0, static_cast<size_t>(hi - lo) * sizeof(T));
    return;
  }
  for (int64_t position = lo; position < hi; ++position) {
    T* x = task.x + (plane.dense ? plane.offset<true>(position) : plane.offset<false>(position));
    if (c_stride == 1)
      __builtin_memset(x, 0, static_cast<size_t>(task.channels) * sizeof(T));
    else
      for (int64_t c = 0; c < task.channels; ++c) x[c * c_stride] = 0;
  }
}

// The positions [lo, hi) of the task's planes, chunk by chunk.
template <Store kStore, bool kDense, class T>
void scatter_range(const Task<T>& task, int64_t lo, int64_t hi, bool whole_plane) {
  const WindowParams& p = *task.p;
  const int64_t rows = p.out[0] * p.out[1];
  const int64_t bytes = task.channels_last ? kChannelsChunkBytes : kChunkBytes;
  const int64_t chunk = bytes / (task.channels * int64_t{sizeof(T)}) + 1;
  if (hi - lo <= chunk) {
    clear(task, lo, hi);
    scatter_rows<kStore, kDense>(task, 0, rows, lo, hi, !whole_plane);
    return;
  }
  const int64_t rows_per_group = (rows + kMaxGroups - 1) / kMaxGroups;
  const int64_t groups = (rows + rows_per_group - 1) / rows_per_group;
  Bounds bounds[kMaxGroups];
  for (int64_t group = 0; group < groups; ++group)
    bounds[group] = find_bounds(task, group * rows_per_group,
                                clamp((group + 1) * rows_per_group, 0, rows));
  for (int64_t begin = lo; begin < hi; begin += chunk) {
    const int64_t end = clamp(begin + chunk, 0, hi);
    clear(task, begin, end);
    for (int64_t group = 0; group < groups; ++group) {
      const Bounds b = bounds[group];
      if (b.lowest >= end || b.highest < begin) continue;
      scatter_rows<kStore, kDense>(task, group * rows_per_group,
                                   clamp((group + 1) * rows_per_group, 0, rows), begin, end,
                                   b.lowest < begin || b.highest >= end);
    }
  }
}

template <Store kStore, class T>
void scatter(const PoolArgs<T>& args) {
  const WindowParams& p = *args.params;
  const Plane plane(p);
  const int64_t positions = p.in[0] * p.in[1] * p.in[2];
  const bool channels_last = p.x_stride[1] == 1 && p.channels > 1;
  const int threads = args.exec.threads;
  // A cache line of channels at least; all of them when the images alone feed the threads.
  const int64_t line = 64 / sizeof(T);
  int64_t block = 1;
  if (channels_last) {
    const int64_t wanted = p.n < 4 * threads && threads > 1 ? p.channels / (4 * threads) + 1
                                                            : p.channels;
    block = clamp((wanted + line - 1) / line * line, 0, p.channels);
  }
  const int64_t blocks = (p.channels + block - 1) / block;
  const int64_t planes = p.n * blocks;
  const int64_t pieces = planes < threads ? clamp(threads, 1, positions) : 1;
  parallel_for(planes * pieces, threads, [&](int64_t index, int) {
    const int64_t piece = index % pieces;
    const int64_t c = index / pieces % blocks * block, n = index / pieces / blocks;
    const Task<T> task = {&p,
                          plane,
                          args.x + n * p.x_stride[0] + c * p.x_stride[1],
                          args.y + n * p.y_stride[0] + c * p.y_stride[1],
                          args.indices + n * p.index_stride[0] + c * p.index_stride[1],
                          clamp(p.channels - c, 0, block),
                          channels_last};
    const int64_t lo = positions * piece / pieces, hi = positions * (piece + 1) / pieces;
    if (plane.dense)
      scatter_range<kStore, true>(task, lo, hi, pieces == 1);
    else
      scatter_range<kStore, false>(task, lo, hi, pieces == 1);
  });
}

template <class T>
void max_pool_backward(const PoolArgs<T>& args) {
  scatter<Store::kAdd>(args);
}

template <class T>
void max_unpool(const PoolArgs<T>& args) {
  scatter<Store::kReplace>(args);
}

}  // namespace
}  // namespace fastconv

FASTCONV_EXPORT(max_pool_backward, PoolArgs)
FASTCONV_EXPORT(max_unpool, PoolArgs)
