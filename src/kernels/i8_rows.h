// The micro-kernel of quantized convolution, rows_kernel.h for bytes:
//
//   sum[m, j] = start[j] + sum over runs r, k of x[r + k + m * distance] * w[r, k, j]
//   y[m, j] = saturate(round((sum[m, j] - w_zero[j] * row_sum[m]) * factor[j]) + y_zero)
//
// A step takes four k: a 32-bit broadcast of x against as many bytes of every output's filter.
// However long a sum is, it stays in its register, since 32-bit sums need no care for their order.
#pragma once

#include "kernels/i8_pack.h"

namespace fastconv {
namespace {

// What becomes of a register tile, at its first row and output.
struct QuantizedFinish {
  const int32_t *start, *w_zero;  // as long as the panel is wide
  const float* factor;
  const int32_t* row_sums;  // of x, one a row; null where w_zero is 0
  uint8_t* out;
  int64_t out_position, outputs;
  Requantize requantize;
};

template <int MR, int NV>
FASTCONV_INLINE void finish_bytes(Int32s (&sum)[MR][NV], const QuantizedFinish& f) {
  if (f.row_sums != nullptr) {
    FASTCONV_UNROLL
    for (int v = 0; v < NV; ++v) {
      const Int32s zero = load_as<Int32s>(f.w_zero + v * kIntLanes);
      FASTCONV_UNROLL
      for (int m = 0; m < MR; ++m)
        sum[m][v] = minus_product(sum[m][v], zero, Int32s{} + f.row_sums[m]);
    }
  }
  LaneBytes bytes[MR][NV];
  FASTCONV_UNROLL
  for (int v = 0; v < NV; ++v) {
    const Vec<float> factor = load(f.factor + v * kIntLanes);
    FASTCONV_UNROLL
    for (int m = 0; m < MR; ++m)
      bytes[m][v] =
          __builtin_convertvector(f.requantize(sum[m][v], factor), LaneBytes) ^ f.requantize.flip;
  }
  const int64_t last = f.outputs - (NV - 1) * kIntLanes;  // lanes of the last vector
  FASTCONV_UNROLL
  for (int m = 0; m < MR; ++m) {
    uint8_t* to = f.out + m * f.out_position;
    FASTCONV_UNROLL
    for (int v = 0; v < NV - 1; ++v) store_as(to + v * kIntLanes, bytes[m][v]);
    store_bytes(to + (NV - 1) * kIntLanes, bytes[m][NV - 1], last);
  }
}

template <class Product, int MR, int NV, int m = 0>
FASTCONV_INLINE void multiply_bytes(Int32s (&sum)[MR][NV], const typename Product::Weight (&w)[NV],
                                    const uint8_t* x, const int64_t* odd) {
  const typename Product::Input x_m =
      Product::spread(Int32s{} + load_as<int32_t>(x + row_at<m>(odd)));
  FASTCONV_UNROLL
  for (int v = 0; v < NV; ++v) sum[m][v] = Product::add(sum[m][v], x_m, w[v]);
  if constexpr (m + 1 < MR) multiply_bytes<Product, MR, NV, m + 1>(sum, w, x, odd);
}

// Runs begin at x + offsets[r], and each has `quads` quads; rows are `distance` bytes apart.
template <class Product>
struct ByteRows {
  const uint8_t* x;
  int64_t distance;
  const int32_t* weight;
  const int64_t* offsets;
  int64_t runs, quads;
};

template <class Product, int MR, int NV>
FASTCONV_INLINE void sum_bytes(Int32s (&sum)[MR][NV], const ByteRows<Product>& rows) {
  int64_t odd[(MR + 1) / 2];
  FASTCONV_UNROLL
  for (int i = 0; i < (MR + 1) / 2; ++i) odd[i] = (2 * i + 1) * rows.distance;
  const int32_t* w = rows.weight;
  for (int64_t r = 0; r < rows.runs; ++r) {
    const uint8_t* x = rows.x + rows.offsets[r];
    for (const int32_t* end = w + rows.quads * (NV * kIntLanes * Product::kParts); w != end;) {
      typename Product::Weight w_k[NV];
      FASTCONV_UNROLL
      for (int v = 0; v < NV; ++v) w_k[v] = Product::load(w + v * (kIntLanes * Product::kParts));
      // As in rows_kernel.h: or compilers keep their multiples in memory.
      FASTCONV_UNROLL
      for (int i = 0; i < (MR + 1) / 2; ++i) __asm__("" : "+r"(odd[i]));
      multiply_bytes<Product, MR, NV>(sum, w_k, x, odd);
      x += 4;
      w += NV * kIntLanes * Product::kParts;
    }
  }
}

template <class Product, int MR, int NV>
void byte_rows_kernel(const ByteRows<Product>& rows, const QuantizedFinish& finish) {
  Int32s sum[MR][NV];
  FASTCONV_UNROLL
  for (int v = 0; v < NV; ++v) {
    const Int32s start = load_as<Int32s>(finish.start + v * kIntLanes);
    FASTCONV_UNROLL
    for (int m = 0; m < MR; ++m) sum[m][v] = start;
  }
  sum_bytes<Product, MR, NV>(sum, rows);
  finish_bytes<MR, NV>(sum, finish);
}

// sums[m] = sum of x, with filters of ones.
template <class Product, int MR>
void byte_sums_kernel(const ByteRows<Product>& rows, int32_t* sums) {
  Int32s sum[MR][1] = {};
  sum_bytes<Product, MR, 1>(sum, rows);
  FASTCONV_UNROLL
  for (int m = 0; m < MR; ++m) sums[m] = sum[m][0][0];
}

// at[vectors - 1][rows - 1], and sums[rows - 1]
template <class Product>
struct ByteKernelTable {
  void (*at[2][Product::kRows])(const ByteRows<Product>& rows, const QuantizedFinish& finish);
  void (*sums[Product::kRows])(const ByteRows<Product>& rows, int32_t* sums);
};
template <class Product, int MR = 1>
constexpr void fill_byte_kernels(ByteKernelTable<Product>& table) {
  table.at[0][MR - 1] = &byte_rows_kernel<Product, MR, 1>;
  table.at[1][MR - 1] = &byte_rows_kernel<Product, MR, 2>;
  table.sums[MR - 1] = &byte_sums_kernel<Product, MR>;
  if constexpr (MR < Product::kRows) fill_byte_kernels<Product, MR + 1>(table);
}
template <class Product>
constexpr ByteKernelTable<Product> make_byte_kernels() {
  ByteKernelTable<Product> table = {};
  fill_byte_kernels(table);
  return table;
}
template <class Product>
constexpr ByteKernelTable<Product> kByteKernels = make_byte_kernels<Product>();

// Calls tile(row, first column, columns) for the register tiles of a block.
template <class Product, class Tile>
FASTCONV_INLINE void for_each_tile(const Block& b, const Tile& tile) {
  const Tiling tiling(b.columns, Product::kRows);
  for (int64_t row = 0; row < b.rows; ++row)
    tiling.for_each([&](int64_t begin, int64_t columns) { tile(row, begin, columns); });
}

// One block of outputs, panels [begin, end): the task owns them in y.
template <class Product>
void run_byte_block(const QuantizedPlan<Product>& plan, const Block& b, int64_t begin_panel,
                    int64_t end_panel, char* workspace, char* worker) {
  const ConvParams& p = plan.p;
  const Axis* axis = plan.axis;
  const int64_t* xs = p.x_stride;
  const int64_t* ys = p.y_stride;
  const RowsLayout layout(axis, b.rows, b.columns, plan.channels);
  int64_t* offsets = reinterpret_cast<int64_t*>(worker + plan.offsets_at);
  ByteRows<Product> rows = {nullptr, 0, nullptr, offsets, plan.runs, plan.quads};
  int64_t row_step;
  if (plan.in_place) {
    const auto at = [&](int i, int64_t q) {
      return (axis[i].first_offset + q * axis[i].step) * xs[i + 2];
    };
    rows.x = plan.args.x + b.n * xs[0] + b.g * plan.channels * xs[1] + at(0, b.od) + at(1, b.oh) +
             at(2, b.ow);
    rows.distance = axis[2].step * xs[4];
    row_step = axis[1].step * xs[3];
    offsets[0] = 0;
  } else {
    uint8_t* patch = reinterpret_cast<uint8_t*>(worker);
    pack_byte_patch(patch, plan, layout, b);
    rows.x = patch;
    rows.distance = axis[2].step * plan.channels;
    row_step = axis[1].step * layout.row_pitch;
    const int64_t columns = plan.dense ? 1 : axis[2].taps;
    for (int64_t r = 0; r < plan.runs; ++r)
      offsets[r] = r / columns / axis[1].taps * layout.slice_pitch +
                   r / columns % axis[1].taps * layout.height.tap_step * layout.row_pitch +
                   r % columns * layout.width.tap_step * plan.channels;
  }
  const uint8_t* x = rows.x;
  const auto move_to = [&](int64_t row, int64_t column) {
    rows.x = x + row * row_step + column * rows.distance;
  };
  int32_t* sums = reinterpret_cast<int32_t*>(worker + plan.sums_at);
  if (plan.op.asymmetric) {
    rows.weight = reinterpret_cast<const int32_t*>(workspace + plan.ones_at);
    for_each_tile<Product>(b, [&](int64_t row, int64_t column, int64_t count) {
      move_to(row, column);
      kByteKernels<Product>.sums[count - 1](rows, sums + row * b.columns + column);
    });
  }
  const ChannelTables tables = plan.tables(workspace);
  uint8_t* tile = reinterpret_cast<uint8_t*>(worker + plan.tile_at);
  for (int64_t panel = begin_panel; panel < end_panel; ++panel) {
    const int64_t first = panel * kI8Panel, at = b.g * plan.padded_outputs + first;
    const int64_t width = panel_width(plan.outputs, first, kIntLanes);
    rows.weight =
        reinterpret_cast<const int32_t*>(workspace + plan.weight_at) + plan.weight_size(at);
    uint8_t* y = plan.args.y + b.n * ys[0] + (b.g * plan.outputs + first) * ys[1] + b.od * ys[2] +
                 b.oh * ys[3] + b.ow * ys[4];
    QuantizedFinish finish = {tables.start + at,
                              tables.w_zero + at,
                              tables.factor + at,
                              nullptr,
                              tile,
                              plan.to_rows ? ys[4] : width,
                              min(width, plan.outputs - first),
                              Requantize(plan.args.y_zero, plan.args.y_signed)};
    for_each_tile<Product>(b, [&](int64_t row, int64_t column, int64_t count) {
      move_to(row, column);
      finish.out = plan.to_rows ? y + row * ys[3] + column * ys[4] : tile + column * width;
      if (plan.op.asymmetric) finish.row_sums = sums + row * b.columns + column;
      kByteKernels<Product>.at[width / kIntLanes - 1][count - 1](rows, finish);
      if (plan.to_rows || column + count < b.columns) return;
      // A row of the block is done.
      uint8_t* to = y + row * ys[3];
      if (ys[4] == 1 || b.columns == 1) {
        transpose_bytes(to, ys[1], tile, width, b.columns, finish.outputs, 0);
      } else {
        for (int64_t i = 0; i < b.columns; ++i)
          for (int64_t j = 0; j < finish.outputs; ++j)
            to[i * ys[4] + j * ys[1]] = tile[i * width + j];
      }
    });
  }
}

template <class Product>
void run_byte_rows(const QuantizedConvArgs& args) {
  const QuantizedPlan<Product> plan(args);
  char* workspace = static_cast<char*>(args.exec.workspace);
  const auto worker_memory = [&](int worker) {
    return workspace + plan.worker_at + static_cast<size_t>(worker) * plan.worker_bytes;
  };
  const int threads = args.exec.threads;
  parallel_for(plan.p.groups * plan.panels, threads, [&](int64_t task, int worker) {
    pack_panel(plan, task / plan.panels, task % plan.panels, workspace,
               reinterpret_cast<uint8_t*>(worker_memory(worker)));
  });
  if (plan.op.asymmetric) pack_ones(plan, workspace, reinterpret_cast<uint8_t*>(worker_memory(0)));
  parallel_for(plan.blocks * plan.panel_chunks, threads, [&](int64_t task, int worker) {
    const int64_t chunk = task % plan.panel_chunks, chunks = plan.panel_chunks;
    run_byte_block(plan, plan.block(task / chunks), plan.panels * chunk / chunks,
                   plan.panels * (chunk + 1) / chunks, workspace, worker_memory(worker));
  });
}

}  // namespace
}  // namespace fastconv
