// Softmax and its logarithm along one axis.
//
//   forward:   y[i] = exp(x[i] - max x) / sum over j of exp(x[j] - max x), or its logarithm
//   backward:  dx[i] = y[i] * (dy[i] - sum over j of dy[j] * y[j])        (softmax)
//              dx[i] = dy[i] - exp(y[i]) * sum over j of dy[j]            (log_softmax)
//   5-D, any axis, any strides; the output may be the same view as an input
//
// A row with a NaN, with +inf or with nothing but -inf is NaN throughout, as in PyTorch.
//
// One task owns some rows. How a row is summed depends on its own length and on whether the
// axis is contiguous, never on the batch or the threads.
//
// Where the axis is contiguous, lanes run along a row, which stays in L1 between the passes.
// Otherwise lanes are positions and the axis is walked for four vectors of positions at a
// time, so that every access is contiguous and a class's exponentials are independent.
#include "dispatch/kernel_export.h"
#include "kernels/collapse.h"
#include "kernels/log_sum_exp.h"
#include "simd/parallel_for.h"

namespace fastconv {
namespace {

constexpr int64_t kTaskElements = 16384;  // 5 us of exp, against 0.1 to take a task

template <class T>
void softmax_row(T* y, const T* x, int64_t count, bool log_softmax) {
  const T largest = row_max(x, count);
  if (log_softmax) {
    const T sum =
        row_sum<T>(count, [&](int64_t i, int64_t lanes) { return row_exp(x + i, lanes, largest); });
    const T log_sum = log_scalar(sum);
    for_each_vector<T>(count, [&](int64_t i, int64_t lanes) {
      store_row<T>(y + i, (load_row(x + i, lanes, T{0}) - largest) - log_sum, lanes);
    });
  } else {
    const T sum = row_sum<T>(count, [&](int64_t i, int64_t lanes) {
      const Vec<T> e = row_exp(x + i, lanes, largest);
      store_row<T>(y + i, e, lanes);
      return e;
    });
    const T scale = 1 / sum;
    for_each_vector<T>(count, [&](int64_t i, int64_t lanes) {
      store_row<T>(y + i, load_row(y + i, lanes, T{0}) * scale, lanes);
    });
  }
}

template <class T>
void softmax_backward_row(T* dx, const T* dy, const T* y, int64_t count, bool log_softmax) {
  const T sum = row_sum<T>(count, [&](int64_t i, int64_t lanes) {
    const Vec<T> v = load_row(dy + i, lanes, T{0});
    return log_softmax ? v : v * load_row(y + i, lanes, T{0});
  });
  for_each_vector<T>(count, [&](int64_t i, int64_t lanes) {
    const Vec<T> v = load_row(dy + i, lanes, T{0}), w = load_row(y + i, lanes, T{0});
    store_row<T>(dx + i, log_softmax ? v - exp<T>(w) * sum : w * (v - sum), lanes);
  });
}

template <class T>
struct SoftmaxPositions {
  Axis<T> y;
  Axis<const T> x;
  int64_t classes;
  bool log_softmax;

  template <Spread kSpread, int kVectors>
  FASTCONV_INLINE void run(int64_t first, int64_t count) const {
    const Axis<T> out = {y.data + first * y.step, y.stride, y.step};
    const Axis<const T> in = {x.data + first * x.step, x.stride, x.step};
    const Block<T, kVectors> largest = axis_max<kSpread, kVectors, T>(in, classes, count);
    if (log_softmax) {
      Block<T, kVectors> log_sum = axis_sum<T, kVectors>(classes, [&](int64_t c, int j) {
        return exp<T>(load_axis<kSpread, T>(in, c, j, count) - largest.v[j]);
      });
      FASTCONV_UNROLL
      for (int j = 0; j < kVectors; ++j) log_sum.v[j] = log<T>(log_sum.v[j]);
      for (int64_t c = 0; c < classes; ++c) {
        FASTCONV_UNROLL
        for (int j = 0; j < kVectors; ++j)
          store_axis<kSpread, T>(
              out, c, j, (load_axis<kSpread, T>(in, c, j, count) - largest.v[j]) - log_sum.v[j],
              count);
      }
    } else {
      Block<T, kVectors> scale = axis_sum<T, kVectors>(classes, [&](int64_t c, int j) {
        const Vec<T> e = exp<T>(load_axis<kSpread, T>(in, c, j, count) - largest.v[j]);
        store_axis<kSpread, T>(out, c, j, e, count);
        return e;
      });
      FASTCONV_UNROLL
      for (int j = 0; j < kVectors; ++j) scale.v[j] = T{1} / scale.v[j];
      for (int64_t c = 0; c < classes; ++c) {
        FASTCONV_UNROLL
        for (int j = 0; j < kVectors; ++j)
          store_axis<kSpread, T>(out, c, j, load_axis<kSpread, T>(out, c, j, count) * scale.v[j],
                                 count);
      }
    }
  }
};

template <class T>
struct SoftmaxBackwardPositions {
  Axis<T> dx;
  Axis<const T> dy, y;
  int64_t classes;
  bool log_softmax;

  template <Spread kSpread, int kVectors>
  FASTCONV_INLINE void run(int64_t first, int64_t count) const {
    const Axis<T> out = {dx.data + first * dx.step, dx.stride, dx.step};
    const Axis<const T> a = {dy.data + first * dy.step, dy.stride, dy.step};
    const Axis<const T> b = {y.data + first * y.step, y.stride, y.step};
    const Block<T, kVectors> sum = axis_sum<T, kVectors>(classes, [&](int64_t c, int j) {
      const Vec<T> v = load_axis<kSpread, T>(a, c, j, count);
      return log_softmax ? v : v * load_axis<kSpread, T>(b, c, j, count);
    });
    for (int64_t c = 0; c < classes; ++c) {
      FASTCONV_UNROLL
      for (int j = 0; j < kVectors; ++j) {
        const Vec<T> v = load_axis<kSpread, T>(a, c, j, count);
        const Vec<T> w = load_axis<kSpread, T>(b, c, j, count);
        store_axis<kSpread, T>(out, c, j,
                               log_softmax ? v - exp<T>(w) * sum.v[j] : w * (v - sum.v[j]), count);
      }
    }
  }
};

// Calls rows(cursor) at every position if the axis is contiguous, else positions(cursor, count)
// for runs of positions, which are `loops`' innermost dimension.
template <class T, class Rows, class Positions>
void for_positions(const SoftmaxArgs<T>& args, bool contiguous, const Collapsed<3>& loops,
                   const Rows& rows, const Positions& positions) {
  const int64_t total = count_elements(loops), classes = args.extent[args.axis];
  if (classes == 0) return;
  constexpr int64_t kBlock = 4 * kLanes<T>;  // so that runs are cut between blocks
  const int64_t per_task = (kTaskElements / classes / kBlock + 1) * kBlock;
  const int64_t rows_per_task = contiguous ? kTaskElements / classes + 1 : per_task;
  const int64_t tasks = (total + rows_per_task - 1) / rows_per_task;
  parallel_for(tasks, args.exec.threads, [&](int64_t task, int) {
    int64_t left = clamp(total - task * rows_per_task, 0, rows_per_task);
    for (Cursor<3> cursor(loops, task * rows_per_task); left > 0;) {
      const int64_t count = contiguous ? 1 : clamp(cursor.left(), 0, left);
      if (contiguous)
        rows(cursor.offset);
      else
        positions(cursor.offset, count);
      cursor.advance(count);
      left -= count;
    }
  });
}

// The dimensions besides the axis.
template <class T>
Collapsed<3> collapse_positions(const SoftmaxArgs<T>& args, const int64_t* b_stride) {
  int64_t extent[5];
  for (int i = 0; i < 5; ++i) extent[i] = i == args.axis ? 1 : args.extent[i];
  const int64_t* const strides[3] = {args.out_stride, args.a_stride, b_stride};
  return collapse<3>(extent, strides);
}

template <class T>
void softmax(const SoftmaxArgs<T>& args) {
  const Collapsed<3> loops = collapse_positions(args, args.a_stride);
  const int inner = loops.ndim - 1, axis = args.axis;
  const int64_t classes = args.extent[axis];
  const int64_t out_step = loops.stride[0][inner], a_step = loops.stride[1][inner];
  const bool contiguous = args.out_stride[axis] == 1 && args.a_stride[axis] == 1;
  for_positions(
      args, contiguous, loops,
      [&](const int64_t* offset) {
        softmax_row(args.out + offset[0], args.a + offset[1], classes, args.log_softmax);
      },
      [&](const int64_t* offset, int64_t count) {
        const SoftmaxPositions<T> body = {{args.out + offset[0], args.out_stride[axis], out_step},
                                          {args.a + offset[1], args.a_stride[axis], a_step},
                                          classes,
                                          args.log_softmax};
        for_each_block<4, T>(count, out_step == 1 && a_step == 1, body);
      });
}

template <class T>
void softmax_backward(const SoftmaxArgs<T>& args) {
  const Collapsed<3> loops = collapse_positions(args, args.b_stride);
  const int inner = loops.ndim - 1, axis = args.axis;
  const int64_t classes = args.extent[axis];
  const int64_t out_step = loops.stride[0][inner], a_step = loops.stride[1][inner];
  const int64_t b_step = loops.stride[2][inner];
  const bool contiguous =
      args.out_stride[axis] == 1 && args.a_stride[axis] == 1 && args.b_stride[axis] == 1;
  for_positions(
      args, contiguous, loops,
      [&](const int64_t* offset) {
        softmax_backward_row(args.out + offset[0], args.a + offset[1], args.b + offset[2], classes,
                             args.log_softmax);
      },
      [&](const int64_t* offset, int64_t count) {
        const SoftmaxBackwardPositions<T> body = {
            {args.out + offset[0], args.out_stride[axis], out_step},
            {args.a + offset[1], args.a_stride[axis], a_step},
            {args.b + offset[2], args.b_stride[axis], b_step},
            classes,
            args.log_softmax};
        for_each_block<4, T>(count, out_step == 1 && a_step == 1 && b_step == 1, body);
      });
}

}  // namespace
}  // namespace fastconv

FASTCONV_EXPORT(softmax, SoftmaxArgs)
FASTCONV_EXPORT(softmax_backward, SoftmaxArgs)
