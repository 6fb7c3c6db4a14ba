// Max pooling backward, and unpooling: scatters along the indices of the forward pass.
//
//   backward: x[n, c, indices[n, c, o]] += y[n, c, o]   in row-major order of o, zero elsewhere
//   unpool:   x[n, c, indices[n, c, o]]  = y[n, c, o]   the last o wins, zero elsewhere
//   y, indices (N, C, OD, OH, OW) -> x (N, C, ID, IH, IW); any strides
//
// Nothing is known of the windows: an index may name any position of its plane. Each task looks
// at all its indices before it uses one: a pass of its own over all would read them from memory
// once more. The order of the additions is the contract, so there is exactly one
// result, whatever the threads, the batch and the instruction set.
//
// One task owns a plane of x, all channels of an image when they are adjacent in memory, or,
// when those are too few to feed the threads evenly, a range of positions of one: then each
// task reads all indices.
//
// Planes larger than a part of the L2 cache are worked off in chunks that stay there from being
// cleared to the last addition, instead of passing through memory twice. Indices of real
// windows go through x nearly in order, so a first pass notes between which positions every
// output row points, and a chunk visits the rows that may point into it.
#include "dispatch/kernel_export.h"
#include "kernels/max_pool_single.h"
#include "kernels/scatter_run.h"
#include "simd/parallel_for.h"
#include "simd/partial.h"

namespace fastconv {
namespace {

constexpr int64_t kChunkBytes = 262144;  // of x: a quarter of a 1 MiB L2
constexpr int kMaxGroups = 256;          // of output rows; the bounds take 4 KiB of stack

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
  bool flat;  // no gaps between the outputs, in y and in indices
  uint64_t* largest;
};

// Calls body(y, indices, count) for the runs of output rows [row, row_end): all of them at
// once if they are contiguous, a row at a time, or, channels being adjacent, the channels of a
// position at a time, unless kAnyOrder says that body need not know where a channel begins.
template <bool kAnyOrder, class T, class Body>
FASTCONV_INLINE void for_each_run(const Task<T>& task, int64_t row, int64_t row_end,
                                  const Body& body) {
  const WindowParams& p = *task.p;
  const int64_t OH = p.out[1], OW = p.out[2];
  if (task.flat && (kAnyOrder || !task.channels_last)) {
    const int64_t length = OW * task.channels;
    return body(task.y + row * length, task.indices + row * length, (row_end - row) * length);
  }
  for (; row < row_end; ++row) {
    const int64_t od = row / OH, oh = row % OH;
    const T* y = task.y + od * p.y_stride[2] + oh * p.y_stride[3];
    const int64_t* indices = task.indices + od * p.index_stride[2] + oh * p.index_stride[3];
    if (task.channels_last)
      for (int64_t ow = 0; ow < OW; ++ow)
        body(y + ow * p.y_stride[4], indices + ow * p.index_stride[4], task.channels);
    else
      body(y, indices, OW);
  }
}

template <class T>
Bounds find_bounds(const Task<T>& task, int64_t row, int64_t row_end) {
  const WindowParams& p = *task.p;
  const int64_t step = task.channels_last ? p.index_stride[1] : p.index_stride[4];
  Bounds bounds = {INT64_MAX, -1};
  for_each_run<true>(task, row, row_end, [&](const T*, const int64_t* indices, int64_t count) {
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

template <Store kStore, Path kPath, class T>
void scatter_rows(const Task<T>& task, int64_t row, int64_t row_end, int64_t lo, int64_t hi,
                  bool filter) {
  const WindowParams& p = *task.p;
  Run<T> run;
  run.x = task.x;
  run.lo = lo;
  run.hi = hi;
  run.x_step = task.channels_last ? p.x_stride[1] : 0;
  run.y_step = task.channels_last ? p.y_stride[1] : p.y_stride[4];
  run.index_step = task.channels_last ? p.index_stride[1] : p.index_stride[4];
  for_each_run<false>(task, row, row_end, [&](const T* y, const int64_t* indices, int64_t count) {
    run.y = y;
    run.indices = indices;
    run.count = count;
    if (filter)
      scatter_run<kStore, true, kPath>(run, task.plane);
    else
      scatter_run<kStore, false, kPath>(run, task.plane);
  });
}

// Sets the positions [lo, hi) to zero.
template <class T>
void clear(const Task<T>& task, int64_t lo, int64_t hi) {
  const Plane& plane = task.plane;
  const int64_t c_stride = task.p->x_stride[1];
  if (plane.dense && plane.unit == task.channels) {  // 1, or the channels next to each other
    __builtin_memset(task.x + lo * plane.unit, 0,
                     static_cast<size_t>((hi - lo) * plane.unit) * sizeof(T));
    return;
  }
  for (int64_t position = lo; position < hi; ++position) {
    T* x = task.x + plane.offset(position);
    if (c_stride == 1)
      __builtin_memset(x, 0, static_cast<size_t>(task.channels) * sizeof(T));
    else
      for (int64_t c = 0; c < task.channels; ++c) x[c * c_stride] = 0;
  }
}

// The positions [lo, hi) of the task's planes, chunk by chunk.
template <Store kStore, Path kPath, class T>
void scatter_range(const Task<T>& task, int64_t lo, int64_t hi, bool whole_plane) {
  const WindowParams& p = *task.p;
  const int64_t rows = p.out[2] > 0 ? p.out[0] * p.out[1] : 0;
  int64_t chunk = kChunkBytes / (task.channels * int64_t{sizeof(T)}) + 1;
  const bool one_chunk = hi - lo <= chunk;
  const int64_t rows_per_group = one_chunk ? rows : (rows + kMaxGroups - 1) / kMaxGroups;
  const int64_t groups = rows > 0 ? (rows + rows_per_group - 1) / rows_per_group : 0;
  Bounds bounds[kMaxGroups];
  int64_t visits = 0;  // of groups by chunks
  uint64_t largest = 0;
  for (int64_t group = 0; group < groups; ++group) {
    const Bounds b = bounds[group] =
        find_bounds(task, group * rows_per_group, clamp((group + 1) * rows_per_group, 0, rows));
    visits += (b.highest - b.lowest) / chunk + 1;
    const uint64_t worst = static_cast<uint64_t>(b.lowest < 0 ? b.lowest : b.highest);
    largest = worst > largest ? worst : largest;
  }
  if (largest >= static_cast<uint64_t>(p.in[0] * p.in[1] * p.in[2])) {
    report_index(largest, task.largest);
    return;
  }
  if (one_chunk) {
    clear(task, lo, hi);
    scatter_rows<kStore, kPath>(task, 0, rows, lo, hi, !whole_plane);
    return;
  }
  // Indices in no order: one chunk, lest every chunk visits every group.
  if (visits > 4 * (groups + (hi - lo) / chunk)) chunk = hi - lo;
  for (int64_t begin = lo, end; begin < hi; begin = end) {
    // A chunk ends where a group begins to point, so that few groups point into two chunks.
    end = 0;
    for (int64_t group = 0; group < groups; ++group) {
      const int64_t lowest = bounds[group].lowest;
      if (lowest > begin + chunk / 2 && lowest <= begin + chunk && lowest > end) end = lowest;
    }
    end = clamp(end > 0 ? end : begin + chunk, begin + 1, hi);
    clear(task, begin, end);
    for (int64_t group = 0; group < groups; ++group) {
      const Bounds b = bounds[group];
      if (b.lowest >= end || b.highest < begin) continue;
      scatter_rows<kStore, kPath>(task, group * rows_per_group,
                                  clamp((group + 1) * rows_per_group, 0, rows), begin, end,
                                  b.lowest < begin || b.highest >= end);
    }
  }
}

// Whether output positions follow each other without gaps, `channels` elements apart.
inline bool is_contiguous(const WindowParams& p, const int64_t stride[5], int64_t channels) {
  int64_t expected = channels;
  for (int i = kSpatial - 1; i >= 0; --i) {
    if (p.out[i] > 1 && stride[i + 2] != expected) return false;
    expected *= p.out[i];
  }
  return true;
}

template <Store kStore, class T>
void scatter(const PoolArgs<T>& args) {
  const WindowParams& p = *args.params;
  const Plane plane(p);
  if (has_single_outputs(p, plane)) return scatter_single_outputs<kStore>(args);
  const int64_t positions = p.in[0] * p.in[1] * p.in[2];
  const bool channels_last = p.x_stride[1] == 1 && p.channels > 1;
  const int64_t channels = channels_last ? p.channels : 1;
  const int64_t y_step = channels_last ? p.y_stride[1] : p.y_stride[4];
  const int64_t index_step = channels_last ? p.index_stride[1] : p.index_stride[4];
  Path path = Path::kAny;
  if (plane.dense && y_step == 1 && index_step == 1 && (channels_last || plane.unit == 1))
    path = channels_last ? Path::kChannels : Path::kPlane;
  const bool flat = path != Path::kAny && is_contiguous(p, p.y_stride, channels) &&
                    is_contiguous(p, p.index_stride, channels);
  const int64_t planes = p.n * (p.channels / channels), threads = args.exec.threads;
  const bool balanced = planes >= 4 * threads || planes % threads == 0;
  const int64_t pieces = balanced ? 1 : clamp(threads, 1, positions);
  parallel_for(planes * pieces, args.exec.threads, [&](int64_t index, int) {
    const int64_t piece = index % pieces;
    const int64_t c = channels_last ? 0 : index / pieces % p.channels;
    const int64_t n = channels_last ? index / pieces : index / pieces / p.channels;
    const Task<T> task = {&p,
                          plane,
                          args.x + n * p.x_stride[0] + c * p.x_stride[1],
                          args.y + n * p.y_stride[0] + c * p.y_stride[1],
                          args.indices + n * p.index_stride[0] + c * p.index_stride[1],
                          channels,
                          channels_last,
                          flat,
                          args.largest_index};
    const int64_t lo = positions * piece / pieces, hi = positions * (piece + 1) / pieces;
    if (path == Path::kPlane)
      scatter_range<kStore, Path::kPlane>(task, lo, hi, pieces == 1);
    else if (path == Path::kChannels)
      scatter_range<kStore, Path::kChannels>(task, lo, hi, pieces == 1);
    else
      scatter_range<kStore, Path::kAny>(task, lo, hi, pieces == 1);
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
