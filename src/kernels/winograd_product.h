// Winograd's products, of transformed filters and of filters that are transformed on the way.
//
//   data   [xi][k/16][tile][16]   filter [xi][k][width]   sums [xi][tile][width]
//
// Few tiles: a task transforms its panel's filters for itself. Up to eight, they are made in
// registers (winograd_taps_kernel.h). More: one row of the transform of some channels goes to L2,
// row[column][k][width], where it is multiplied at once. All rows of them do not fit L2, and all
// rows of few channels need the sums, which do not either, to come and go for every few channels
// (512 filters of 512 channels, 196 tiles, two threads of Cascade Lake: 32 -> 21 ms).
#pragma once

#include "kernels/winograd_data.h"
#include "kernels/winograd_filter.h"
#include "kernels/winograd_outputs.h"

namespace fastconv {
namespace {

// A group's steps through the transformed data of some lanes, block by block.
template <class T>
int64_t tile_steps(const ConvWinogradPlan<T>& plan, const WinogradGroup& group, int64_t slice,
                   LaneRange range, BatchStep* steps) {
  const int64_t windows = plan.windows(group.row_kind, group.column_kind);
  int64_t count = 0;
  for (int64_t begin = range.begin; begin < range.end; begin += plan.piece) {
    const LaneRange piece = plan.piece_at(begin);
    for (int64_t rank = 0; rank < plan.depth.taps; ++rank) {
      plan.for_each_term(group, [&](const Piece&, const Piece&, int64_t window) {
        const int64_t at = ((slice + rank) * windows + window) * plan.channel_blocks;
        for (int64_t lane = piece.begin; lane < piece.end; lane += kLaneBlock)
          steps[count++] = {(at + lane / kLaneBlock) * plan.tiles * kLaneBlock,
                            min(kLaneBlock, piece.end - lane)};
      });
    }
  }
  return count;
}

// sums[tile][width] (+)= the product of one xi. Those of the next begin at next_filter, unless that
// is null, and next_data.
template <class T>
FASTCONV_INLINE void multiply_entry(const Tiling& tiling, int64_t width, bool accumulate,
                                    const T* data, const T* filter, const BatchStep* steps,
                                    int64_t count, int64_t k, const T* next_filter,
                                    const T* next_data, T* sums) {
  const MicroKernel<T>* kernels = kMicroKernels<T, kLaneBlock>.at[width / kLanes<T> - 1];
  // A kernel fetches k lines.
  int64_t filter_calls =
      next_filter == nullptr ? 0 : ceil_div(width * int64_t{sizeof(T)}, kLineBytes);
  const T* ahead = filter_calls > 0 ? next_filter : next_data;
  tiling.for_each([&](int64_t begin, int64_t size) {
    kernels[size - 1](sums + begin * width, accumulate, data + begin * kLaneBlock, 1, filter, steps,
                      count, ahead);
    ahead = --filter_calls == 0 ? next_data : ahead + k * kLineBytes / int64_t{sizeof(T)};
  });
}

// sums[xi][tile][width]: one product an xi, of `tiles` tiles with one panel of filters.
template <class T>
void multiply_tiles(const ConvWinogradPlan<T>& plan, int index, int64_t slice, int64_t tiles,
                    int64_t width, const T* data, const T* filter, BatchStep* steps, T* sums) {
  const WinogradGroup& group = plan.groups[index];
  const int64_t count = tile_steps(plan, group, slice, plan.all_lanes(), steps);
  const int64_t data_pitch = plan.data_pitch[group.row_kind][group.column_kind];
  data += plan.family_at[group.row_kind][group.column_kind];
  filter += plan.filters.at[index];
  const Tiling tiling(tiles);
  const int64_t filter_pitch = plan.filters.pitch[index];
  for (int64_t xi = 0; xi < plan.values(group); ++xi) {
    multiply_entry(tiling, width, false, data, filter, steps, count, plan.k(group),
                   filter + filter_pitch, data + data_pitch, sums);
    data += data_pitch;
    filter += filter_pitch;
    sums += plan.sums_pitch;
  }
}

// Bytes fetched for every k: two lines, which come together.
constexpr int64_t kTapsFetch = 128;

// The steps of a group through the taps of channels [begin, end), which lie from `begin` on.
template <class T>
int64_t taps_steps(const ConvWinogradPlan<T>& plan, const WinogradGroup& group, int64_t width,
                   int64_t begin, int64_t end, TapsStep* steps) {
  const int64_t rows = plan.row_transform(group).r, columns = plan.column_transform(group).r;
  int64_t count = 0;
  for (int64_t channel = begin; channel < end; channel += kChannelBlock) {
    const int64_t k = min(kChannelBlock, end - channel), size = k * width;
    const int64_t block = (channel - begin) * plan.all_taps() * width;
    plan.for_each_term(group, [&](const Piece& row, const Piece& column, int64_t window) {
      const TapsPlace place(plan, row, column, rows, columns);
      const int64_t at = window * plan.channel_blocks + channel / kChannelBlock;
      steps[count++] = {at * plan.tiles * kLaneBlock, block + place.first * size,
                        place.row_pitch * size, place.column_pitch * size, k};
    });
  }
  return count;
}

// The sums of all groups for one panel, from its taps, which are transformed in registers.
template <class T>
void multiply_in_registers(const ConvWinogradPlan<T>& plan, const PanelTaps<T>& taps, const T* data,
                           const WinogradScratch<T>& scratch) {
  const int64_t width = taps.width, channels = plan.op.channels;
  TapsStep* steps = reinterpret_cast<TapsStep*>(scratch.steps);
  for (int64_t begin = 0; begin < channels; begin += kRegisterLanes) {
    const int64_t end = min(begin + kRegisterLanes, channels);
    TapsProduct<T> product = {};
    product.width = width;
    product.sums_pitch = plan.sums_pitch;
    product.accumulate = begin > 0;
    product.steps = steps;
    if (taps.all != nullptr) {
      product.taps = taps.all + begin * plan.all_taps() * width;
      product.ahead = reinterpret_cast<const char*>(taps.all + end * plan.all_taps() * width);
      product.fetched = kTapsFetch;
    } else {
      product.taps = taps.of_channels(begin, end, scratch.own);
      product.ahead = reinterpret_cast<const char*>(scratch.own);
    }
    for (int index = 0; index < plan.group_count; ++index) {
      const WinogradGroup& group = plan.groups[index];
      const Transform<T>&rows = plan.row_transform(group), &columns = plan.column_transform(group);
      const TapsKernels<T>& kernels = *find_taps_kernels(rows, columns);
      product.count = taps_steps(plan, group, width, begin, end, steps);
      product.data_pitch = plan.data_pitch[group.row_kind][group.column_kind];
      const Tiling tiling(plan.tiles, kernels.most);
      for (int64_t v = 0; v < width; v += kLanes<T>) {
        TapsProduct<T> of_vector = product;
        of_vector.taps += v;
        const T* of_row = data + plan.family_at[group.row_kind][group.column_kind];
        T* sums = scratch.sums + index * plan.group_sums + v;
        for (int64_t i = 0; i < rows.n; ++i) {
          T row[kMostTaps];
          for (int64_t j = 0; j < rows.r; ++j) row[j] = static_cast<T>(rows.g[i * rows.r + j]);
          of_vector.row = row;
          tiling.for_each([&](int64_t tile, int64_t size) {
            of_vector.data = of_row + tile * kLaneBlock;
            of_vector.sums = sums + tile * width;
            kernels.at[size - 1](of_vector);
            of_vector.ahead += product.fetched * group.terms * (end - begin);
          });
          of_row += columns.n * product.data_pitch;
          sums += columns.n * plan.sums_pitch;
        }
        product.ahead = of_vector.ahead;
      }
    }
  }
}

// The same for more tiles, by rows of the transform, of some channels at a time.
template <class T>
void multiply_by_rows(const ConvWinogradPlan<T>& plan, const PanelTaps<T>& taps, const T* data,
                      const WinogradScratch<T>& scratch) {
  const int64_t width = taps.width, channels = plan.op.channels;
  const Tiling tiling(plan.tiles);
  T *own_taps = scratch.own, *row_filters = own_taps + plan.own_taps;
  for (int64_t begin = 0; begin < channels; begin += plan.own_channels) {
    const int64_t end = min(begin + plan.own_channels, channels);
    const T* packed = taps.of_channels(begin, end, own_taps);
    const LaneRange range = {begin, end < channels ? end : plan.lanes};
    for (int index = 0; index < plan.group_count; ++index) {
      const WinogradGroup& group = plan.groups[index];
      const int64_t columns = plan.column_transform(group).n;
      const int64_t count = tile_steps(plan, group, 0, range, scratch.steps);
      const int64_t k = plan.depth.taps * group.terms * range.size();
      const int64_t pitch = odd_lines<T>(k * width);
      const int64_t data_pitch = plan.data_pitch[group.row_kind][group.column_kind];
      const T* row = data + plan.family_at[group.row_kind][group.column_kind];
      T* sums = scratch.sums + index * plan.group_sums;
      for (int64_t i = 0; i < plan.row_transform(group).n; ++i) {
        for (int64_t channel = begin; channel < end; channel += kChannelBlock) {
          T* of_block = row_filters + (channel - begin) * plan.depth.taps * group.terms * width;
          taps.for_each(group, channel, packed + (channel - begin) * taps.taps * width,
                        [&](int64_t at, const T* from, int64_t row_pitch, int64_t column_pitch,
                            int64_t lanes) {
                          taps.transform_row(group, i, from, row_pitch, column_pitch, lanes,
                                             of_block + at * width, pitch);
                        });
        }
        for (int64_t c = 0; c < columns; ++c, row += data_pitch, sums += plan.sums_pitch)
          multiply_entry<T>(tiling, width, begin > 0, row, row_filters + c * pitch, scratch.steps,
                            count, k, nullptr, row + data_pitch, sums);
      }
    }
  }
}

template <class T>
void multiply_with_taps(const ConvWinogradPlan<T>& plan, const PanelTaps<T>& taps, const T* data,
                        const WinogradScratch<T>& scratch) {
  if (plan.in_registers)
    multiply_in_registers(plan, taps, data, scratch);
  else
    multiply_by_rows(plan, taps, data, scratch);
}

}  // namespace
}  // namespace fastconv
