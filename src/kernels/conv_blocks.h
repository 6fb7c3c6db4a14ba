// How a direct convolution is cut up: phases of the stride, blocks of output positions, and
// the patch of input under a block.
#pragma once

#include "core/canonical.h"
#include "kernels/pack_patch.h"
#include "kernels/store_tile.h"

namespace fastconv {
namespace {

// A patch, beside a panel's worth of filters, in 1 MiB of L2 (256 KiB of it on older cores
// spills to L3, which costs 3 % there).
constexpr int64_t kPatchBytes = 384 << 10;

// Sums of a block on their way, in the rest of it.
constexpr int64_t kTileBytes = 256 << 10;

struct Phase {
  Axis axis[kSpatial];
  int64_t weight_offset;  // of its packed filters, in elements
  FASTCONV_INLINE int64_t taps() const { return axis[0].taps * axis[1].taps * axis[2].taps; }
};

// A block of output positions of one image and group.
struct Block {
  int64_t n, g, od, oh, ow, rows, columns;
};

template <class T>
struct Blocking {
  ConvParams p;
  Operands<T> op;
  bool backward;
  int64_t phases[kSpatial], all_phases;
  int64_t rows, columns;                             // of a block
  int64_t depth, row_blocks, column_blocks, blocks;  // blocks of one phase, n and g included
  int64_t patch_size;                                // elements
  int64_t max_taps;                                  // of any phase
  bool streams;                                      // the output

  // position_bytes: of scratch for each output position of a block.
  Blocking(const ConvArgs<T>& args, bool is_backward, int64_t position_bytes = 0)
      : p(canonical(*args.params)),
        op(is_backward ? backward_operands(args, p) : forward_operands(args, p)),
        backward(is_backward) {
    constexpr int64_t item = sizeof(T);
    all_phases = 1;
    // The first phase has the most positions. What depends on taps is sized for the most.
    Axis most[kSpatial];
    for (int i = 0; i < kSpatial; ++i) {
      // Residues beyond the image have no positions.
      phases[i] = backward ? min(p.stride[i], p.in[i]) : 1;
      all_phases *= phases[i];
      most[i] = axis(i, 0);
      for (int64_t f = 1; f < phases[i]; ++f) {
        const Axis other = axis(i, f);
        if (other.taps > most[i].taps) {
          const int64_t out = most[i].out;
          most[i] = other;
          most[i].out = out;
        }
      }
    }
    max_taps = most[0].taps * most[1].taps * most[2].taps;
    streams = all_phases * op.n * op.groups * op.outputs * most[0].out * most[1].out * most[2].out *
                  item >=
              kStreamBytes;
    const auto patch_bytes = [&](int64_t r, int64_t c) {
      return PatchLayout(most, r, c, item).plane * op.channels * item;
    };
    const int64_t threads = args.exec.threads;
    depth = most[0].out;
    columns = most[2].out;
    for (int64_t parts = 2;
         (patch_bytes(1, columns) > kPatchBytes || columns * position_bytes > kTileBytes) &&
         columns > kMaxRows;
         ++parts)
      columns = round_up(ceil_div(most[2].out, parts), kMaxRows);
    columns = min(columns, most[2].out);
    column_blocks = ceil_div(most[2].out, columns);
    rows = 1;
    const int64_t outer = op.n * op.groups * depth * column_blocks * all_phases;
    while (rows < most[1].out && patch_bytes(min(2 * rows, most[1].out), columns) <= kPatchBytes &&
           2 * rows * columns * position_bytes <= kTileBytes)
      rows = min(2 * rows, most[1].out);
    // Three tasks a thread even out what other load does to the cores.
    while (rows > 1 && outer * ceil_div(most[1].out, rows) < 3 * threads) rows = ceil_div(rows, 2);
    row_blocks = ceil_div(most[1].out, rows);
    rows = ceil_div(most[1].out, row_blocks);
    blocks = op.n * op.groups * blocks_per_image();
    // A kernel with vectors along the positions reads up to a vector beyond the last of them.
    patch_size = round_up(patch_bytes(rows, columns) / item + kLanes<T>, 64);
  }
  Blocking(const Blocking&) = delete;  // op points into p

  Axis axis(int i, int64_t phase) const {
    return backward ? backward_axis(p, i, phase) : forward_axis(p, i);
  }

  Phase phase(int64_t index) const {
    return {{axis(0, index / phases[2] / phases[1]), axis(1, index / phases[2] % phases[1]),
             axis(2, index % phases[2])},
            0};
  }

  // Fills phases [0, all_phases), given the size of the packed filters of one tap.
  void make_phases(Phase* list, int64_t weight_size_per_tap) const {
    int64_t offset = 0;
    for (int64_t i = 0; i < all_phases; ++i) {
      list[i] = phase(i);
      list[i].weight_offset = offset;
      offset += weight_size_per_tap * list[i].taps();
    }
  }

  int64_t blocks_per_image() const { return depth * row_blocks * column_blocks; }

  Block block(const Phase& phase, int64_t index) const {
    Block b;
    const Division column = divide(index, column_blocks);
    const Division row = divide(column.quotient, row_blocks);
    const Division slice = divide(row.quotient, depth);
    const Division image = divide(slice.quotient, op.groups);
    b.n = image.quotient;
    b.g = image.remainder;
    b.od = slice.remainder;
    b.oh = row.remainder * rows;
    b.ow = column.remainder * columns;
    b.rows = min(rows, phase.axis[1].out - b.oh);
    b.columns = min(columns, phase.axis[2].out - b.ow);
    if (b.od >= phase.axis[0].out || b.columns < 1) b.rows = 0;  // a shorter phase
    return b;
  }

  void pack_block(const Phase& phase, const PatchLayout& layout, const Block& block,
                  T* patch) const {
    const T* in = op.in + block.n * op.in_stride[0] + block.g * op.channels * op.in_stride[1];
    pack_patch(patch, layout, phase.axis, in, op.in_stride, op.channels, block.od, block.oh,
               block.ow);
  }

  // Offset of the first element of a block's row in the output, or in the residual.
  int64_t row_offset(const Phase& phase, const Block& block, int64_t channel, int64_t row,
                     const int64_t* stride) const {
    const auto position = [&](int i, int64_t q) {
      return phase.axis[i].out_first + q * phase.axis[i].out_step;
    };
    return block.n * stride[0] + channel * stride[1] + position(0, block.od) * stride[2] +
           position(1, block.oh + row) * stride[3] + position(2, block.ow) * stride[4];
  }

  Strided<T> out_row(const Phase& phase, const Block& block, int64_t channel, int64_t row) const {
    return {op.out + row_offset(phase, block, channel, row, op.out_stride), op.out_stride[1],
            op.out_stride[4] * phase.axis[2].out_step, streams};
  }
  Strided<const T> residual_row(const Phase& phase, const Block& block, int64_t channel,
                                int64_t row) const {
    if (op.residual == nullptr) return {nullptr, 0, 0};
    return {op.residual + row_offset(phase, block, channel, row, op.residual_stride),
            op.residual_stride[1], op.residual_stride[4] * phase.axis[2].out_step};
  }
};

// Byte offsets in a workspace, one region after the other.
struct Regions {
  size_t end = 0;
  size_t reserve(int64_t bytes) {
    const size_t here = end;
    end += static_cast<size_t>(round_up(bytes, 64));
    return here;
  }
};

}  // namespace
}  // namespace fastconv
