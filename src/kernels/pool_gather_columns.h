// The gradient of a pool with lanes along the columns: pool_gather.h says which sum.
//
// The columns iw = m * stride + r of one residue r have the same taps, m - shift being their
// outputs: a term of kLanes of them is one load, and the residues are interleaved on the way out.
// What it takes to find the terms of a row, and to mask those beyond its ends, would cost more than
// the sums of a short one (35 ns a row of 56 columns, of which the sums are 5). So the rows of
// outputs that a block of x sees are first copied into L1, with zeros at both ends: then no
// term needs a mask, and the distances between them are the same for every row.
//
// Rows that follow each other in memory are put together in L1 as well, and leave it as one run:
// their vectors would cross cache lines, and could not go past the caches.
//
// A Source copies: begin(first_row) may use the first row of the copy for what all rows
// share; copy_row(od, oh, ow, count, values, taps) puts what the outputs [ow, ow + count)
// are worth, and, if kMasked, the taps that get it; nothing where there is no such output. Both may
// be written up to a vector beyond.
#pragma once

#include "kernels/pool_residue.h"
#include "kernels/pool_span.h"
#include "kernels/pool_store.h"
#include "simd/parallel_for.h"
#include "simd/transpose.h"

namespace fastconv {
namespace {

// Elements of the copy: with the taps, half of 48 KiB of L1.
template <class T>
constexpr int64_t kCopied = 12288 / sizeof(T);

// Blocks of x and the copy that each takes.
template <class T, int kStride>
struct ColumnsPlan {
  Residue residue[kStride];
  int64_t highest;             // shift of any residue
  int64_t block, pitch;        // m of a block; elements of a row of the copy
  int64_t rows;                // of x in a block
  int64_t blocks, row_blocks;  // of a plane
  bool staged;                 // x is put together in L1
  bool applies;

  explicit ColumnsPlan(const WindowParams& p) : highest(0) {
    constexpr int64_t L = kLanes<T>, kMostVectors = 8;
    int64_t lowest = 0;
    bool any_taps = false;
    for (int i = 0; i < kStride; ++i) {
      const Residue r = residue[i] = residue_of(p, i);
      if (r.count == 0) continue;
      const int64_t last = r.shift - (r.count - 1) * r.shift_step;
      highest = !any_taps || r.shift > highest ? r.shift : highest;
      lowest = !any_taps || last < lowest ? last : lowest;
      any_taps = true;
    }
    const int64_t vectors = (p.in[2] + kStride * L - 1) / (kStride * L);
    block = (vectors < kMostVectors ? vectors : kMostVectors) * L;
    blocks = (vectors * L + block - 1) / block;
    pitch = block + highest - lowest;
    // Rows of windows that see so many rows of x, or depths.
    const auto seen = [&](int i, int64_t count) {
      const int64_t most = (count - 1 + (p.kernel[i] - 1) * p.dilation[i]) / p.stride[i] + 1;
      return most < p.out[i] ? most : p.out[i];
    };
    rows = p.in[1];
    staged = blocks == 1 && p.in[2] <= kCopied<T> && (p.in[1] == 1 || p.x_stride[3] == p.in[2]);
    // In floating point: windows may be wider than an integer can count in elements.
    const auto copied = [&] {
      return (static_cast<double>(seen(0, 1)) * static_cast<double>(seen(1, rows)) + 1) *
             static_cast<double>(pitch);
    };
    constexpr double kMost = static_cast<double>(kCopied<T>);
    while (rows > 1 &&
           (copied() > kMost || (staged && static_cast<double>(rows * p.in[2]) > kMost)))
      rows = (rows + 1) / 2;
    row_blocks = (p.in[1] + rows - 1) / rows;
    applies = copied() <= kMost;
  }
};

// The rows of windows in the copy that see a row of x, and the numbers of their first taps.
struct CopiedRows {
  int64_t depths, depth_step, depth_tap_step;
  int64_t heights, height_step, height_tap_step;
  int64_t at, tap;  // of the first
};

// The sums of one residue for kVectors * kLanes m. kTaps: of the residue, where the compiler shall
// know them, else 0.
template <class T, int kVectors, int kTaps, class Source>
FASTCONV_INLINE void gather_residue(Vec<T> (&sum)[kVectors], const Residue& residue,
                                    const Source& source, const CopiedRows& rows, int64_t m) {
  const int64_t taps = kTaps ? kTaps : residue.count;
  for (int64_t a = 0; a < rows.depths; ++a) {
    int64_t at = rows.at + a * rows.depth_step + m - residue.shift;
    int64_t tap = rows.tap - a * rows.depth_tap_step + residue.tap;
    for (int64_t b = 0; b < rows.heights; ++b) {
      const auto add = [&](int64_t j) {
        FASTCONV_UNROLL
        for (int v = 0; v < kVectors; ++v)
          source.add(&sum[v], at + j * residue.shift_step + v * kLanes<T>,
                     tap - j * residue.tap_step);
      };
      if constexpr (kTaps != 0) {
        FASTCONV_UNROLL
        for (int j = 0; j < kTaps; ++j) add(j);
      } else {
        for (int64_t j = 0; j < taps; ++j) add(j);
      }
      at += rows.height_step;
      tap -= rows.height_tap_step;
    }
  }
}

// Taps of the residues as far as they are known.
template <int kFirst, int kSecond>
struct KnownTaps {
  static constexpr int kEven = kFirst, kOdd = kSecond;
};

// kVectors * kLanes m of a row of x, from the one at `m` in the copy on. x at the first column, of
// which `columns` are left.
template <class T, int kStride, int kVectors, class Known, class Source>
FASTCONV_INLINE void gather_columns(const ColumnsPlan<T, kStride>& plan, const Source& source,
                                    const CopiedRows& rows, int64_t m, T* x, int64_t columns,
                                    bool streamed) {
  constexpr int L = kLanes<T>;
  Vec<T> sum[kStride][kVectors] = {};
  gather_residue<T, kVectors, Known::kEven>(sum[0], plan.residue[0], source, rows, m);
  if constexpr (kStride == 2)
    gather_residue<T, kVectors, Known::kOdd>(sum[1], plan.residue[1], source, rows, m);
  FASTCONV_UNROLL
  for (int v = 0; v < kVectors; ++v) {
    T* to = x + v * L * kStride;
    const int64_t left = columns - v * L * kStride;
    if constexpr (kStride == 1) {
      put(to, sum[0][v], clamp(left, 0, L), streamed);
    } else {
      put(to, zip_low(sum[0][v], sum[1][v]), clamp(left, 0, L), streamed);
      put(to + L, zip_high(sum[0][v], sum[1][v]), clamp(left - L, 0, L), streamed);
    }
  }
}

// A row of a block of x, of m_count m.
template <class T, int kStride, class Known, class Source>
FASTCONV_INLINE void gather_row(const ColumnsPlan<T, kStride>& plan, const Source& source,
                                const CopiedRows& rows, T* x, int64_t m_count, int64_t columns,
                                bool streamed) {
  constexpr int L = kLanes<T>;
  int64_t m = 0;
  for (; m + L < m_count; m += 2 * L)
    gather_columns<T, kStride, 2, Known>(plan, source, rows, m, x + m * kStride,
                                         columns - m * kStride, streamed);
  if (m < m_count)
    gather_columns<T, kStride, 1, Known>(plan, source, rows, m, x + m * kStride,
                                         columns - m * kStride, streamed);
}

// x[0, count) = staged[0, count).
template <class T>
FASTCONV_INLINE void copy_run(T* x, const T* staged, int64_t count, bool streamed) {
  constexpr int64_t L = kLanes<T>;
  const int64_t past =
      static_cast<int64_t>(reinterpret_cast<uintptr_t>(x) % FASTCONV_VEC_BYTES / sizeof(T));
  int64_t i = past == 0 ? 0 : clamp(L - past, 0, count);
  if (i > 0) store_lanes(x, load(staged), i);
  for (; i + L <= count; i += L) put(x + i, load(staged + i), L, streamed);
  if (i < count) store_lanes(x + i, load(staged + i), count - i);
}

// A block of x: rows [row, row_end) of depth id, from column `first` * stride on. x at the plane.
template <class T, int kStride, class Known, class Source>
void gather_block(const WindowParams& params, const ColumnsPlan<T, kStride>& given, Source source,
                  T* x, int64_t id, int64_t row, int64_t row_end, int64_t first, bool streamed) {
  // Copies: for all the compiler knows, a store may change what is read by reference.
  const WindowParams p = params;
  const ColumnsPlan<T, kStride> plan = given;
  constexpr int L = kLanes<T>;
  T values[kCopied<T> + L];
  typename VecType<T>::integer taps[Source::kMasked ? kCopied<T> + L : 1];
  T staged[kCopied<T> + 4 * L];
  source.values = values;
  source.taps = taps;
  source.begin(values);
  const Windows depth = windows_of(p, 0, id);
  // The rows of windows that may see any of these rows.
  const int64_t reach = (p.kernel[1] - 1) * p.dilation[1], top = row + p.pad_before[1];
  const int64_t oh = top > reach ? (top - reach - 1) / p.stride[1] + 1 : 0;
  const int64_t oh_end = clamp((row_end - 1 + p.pad_before[1]) / p.stride[1] + 1, oh, p.out[1]);
  int64_t at = plan.pitch;
  for (int64_t a = 0; a < depth.count; ++a)
    for (int64_t o = oh; o < oh_end; ++o, at += plan.pitch)
      source.copy_row(p, depth.first + a * depth.step, o, first - plan.highest, plan.pitch,
                      values + at, taps + (Source::kMasked ? at : 0));
  const int64_t m_count = clamp((p.in[2] - first * kStride + kStride - 1) / kStride, 0, plan.block);
  x += id * p.x_stride[2] + row * p.x_stride[3] + first * kStride;
  // Staged rows may be written beyond their ends: what follows is written later.
  T* to = plan.staged ? staged : x;
  const int64_t to_stride = plan.staged ? p.in[2] : p.x_stride[3], count = row_end - row;
  const int64_t columns = plan.staged ? INT64_MAX / 2 : p.in[2] - first * kStride;
  Walk walk(p, 1, row);
  for (; row < row_end; ++row, walk.next(), to += to_stride) {
    const Windows height = walk.now();
    const int64_t slice = (oh_end - oh) * plan.pitch, of_depth = p.kernel[1] * p.kernel[2];
    const CopiedRows rows = {depth.count,
                             slice,
                             depth.tap_step * of_depth,
                             height.count,
                             height.step * plan.pitch,
                             height.tap_step * p.kernel[2],
                             (height.first - oh + 1) * plan.pitch + plan.highest,
                             depth.tap * of_depth + height.tap * p.kernel[2]};
    gather_row<T, kStride, Known>(plan, source, rows, to, m_count, columns,
                                  streamed && !plan.staged);
  }
  if (plan.staged) copy_run(x, staged, count * p.in[2], streamed);
}

template <class T, int kStride, class Source>
using GatherBlock = void (*)(const WindowParams& params, const ColumnsPlan<T, kStride>& given,
                             Source source, T* x, int64_t id, int64_t row, int64_t row_end,
                             int64_t first, bool streamed);

template <class T, int kStride, class Source>
GatherBlock<T, kStride, Source> choose_gather_block(const ColumnsPlan<T, kStride>& plan) {
  const auto has = [&](int64_t even, int64_t odd) {
    return plan.residue[0].count == even && plan.residue[kStride - 1].count == odd;
  };
  if constexpr (kStride == 1) {
    if (has(2, 2)) return gather_block<T, 1, KnownTaps<2, 0>, Source>;
    if (has(3, 3)) return gather_block<T, 1, KnownTaps<3, 0>, Source>;
  } else {
    if (has(1, 1)) return gather_block<T, 2, KnownTaps<1, 1>, Source>;
    if (has(2, 1)) return gather_block<T, 2, KnownTaps<2, 1>, Source>;
    if (has(1, 2)) return gather_block<T, 2, KnownTaps<1, 2>, Source>;
  }
  return gather_block<T, kStride, KnownTaps<0, 0>, Source>;
}

// All planes. source_of(n, c): of a plane, whose first element of x is at x(n, c).
template <class Source, class T, int kStride, class SourceOf>
void gather_planes_of_columns(const WindowParams& p, const ColumnsPlan<T, kStride>& plan,
                              const SourceOf& source_of, T* all_x, int threads, bool streamed) {
  constexpr int64_t kBytes = 65536;  // of x a task: microseconds, against 0.1 to take it
  const int64_t units = p.n * p.channels * p.in[0] * plan.row_blocks * plan.blocks;
  const int64_t unit_bytes = plan.rows * plan.block * kStride * static_cast<int64_t>(sizeof(T));
  const int64_t per_task = kBytes / unit_bytes + 1;
  const auto gather = choose_gather_block<T, kStride, Source>(plan);
  parallel_for((units + per_task - 1) / per_task, threads, [&](int64_t task, int) {
    const int64_t end = clamp((task + 1) * per_task, 0, units);
    for (int64_t unit = task * per_task; unit < end; ++unit) {
      int64_t rest = unit;
      const int64_t first = rest % plan.blocks * plan.block;
      rest /= plan.blocks;
      const int64_t row = rest % plan.row_blocks * plan.rows;
      rest /= plan.row_blocks;
      const int64_t id = rest % p.in[0], c = rest / p.in[0] % p.channels;
      const int64_t n = rest / p.in[0] / p.channels;
      gather(p, plan, source_of(n, c), all_x + n * p.x_stride[0] + c * p.x_stride[1], id, row,
             clamp(row + plan.rows, 0, p.in[1]), first, streamed);
    }
    if (streamed) end_stream();
  });
}

}  // namespace
}  // namespace fastconv
