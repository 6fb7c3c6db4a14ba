// Cross-entropy of logits against class labels, with label smoothing, and its gradient.
//
//   l[c] = x[c] - max x - log(sum over c' of exp(x[c'] - max x))
//   loss = -(1 - smoothing) * l[target] - smoothing / C * sum over c of l[c]
//   dx[c] = (exp(l[c]) - (1 - smoothing) * (c == target) - smoothing / C) * dloss
//   x, dx (N, C, D0, D1, D2), target, loss, dloss (N, D0, D1, D2), any strides
//
// Both are 0 where target is ignore_index, whatever the logits. Elsewhere a position whose
// logits hold a NaN, +inf or nothing but -inf gives NaN, as in PyTorch.
//
// One task owns some positions (n, d). How a position is summed depends on the number of
// classes and on whether they are contiguous, never on the batch or the threads.
//
// As in softmax, lanes run along the classes where these are contiguous and are positions
// elsewhere. The one class that differs, the target's, is put right by a scalar afterwards:
// cheaper than comparing every class with it.
#include "dispatch/kernel_export.h"
#include "kernels/collapse.h"
#include "kernels/log_sum_exp.h"
#include "simd/parallel_for.h"

namespace fastconv {
namespace {

constexpr int64_t kTaskElements = 16384;  // 5 us of exp, against 0.1 to take a task

// What stays the same over a call.
template <class T>
struct Loss {
  int64_t classes, ignore_index;
  T hit;        // 1 - smoothing
  T smoothing;  // of one class: smoothing / C

  explicit Loss(const CrossEntropyArgs<T>& args)
      : classes(args.extent[1]),
        ignore_index(args.ignore_index),
        hit(static_cast<T>(1 - args.label_smoothing)),
        smoothing(static_cast<T>(args.label_smoothing / static_cast<double>(args.extent[1]))) {}

  // `shifted` is x[target] - max, `sum` the sum of x - max, unused without smoothing: 0 * sum
  // would be NaN for a class of probability 0.
  FASTCONV_INLINE T of(T shifted, T log_sum, T sum) const {
    const T loss = -hit * (shifted - log_sum);
    return smoothing > 0 ? loss - smoothing * (sum - static_cast<T>(classes) * log_sum) : loss;
  }
};

template <class T>
T loss_row(const Loss<T>& loss, const T* x, int64_t target) {
  if (target == loss.ignore_index) return 0;
  const int64_t C = loss.classes;
  const T largest = row_max(x, C);
  const T sum_exp =
      row_sum<T>(C, [&](int64_t i, int64_t lanes) { return row_exp(x + i, lanes, largest); });
  T sum = 0;
  if (loss.smoothing > 0)
    sum = row_sum<T>(
        C, [&](int64_t i, int64_t lanes) { return load_row(x + i, lanes, largest) - largest; });
  return loss.of(x[target] - largest, log_scalar(sum_exp), sum);
}

template <class T>
void gradient_row(const Loss<T>& loss, T* dx, const T* x, int64_t target, T dloss) {
  const int64_t C = loss.classes;
  if (target == loss.ignore_index) {
    for_each_vector<T>(C, [&](int64_t i, int64_t lanes) { store_row<T>(dx + i, Vec<T>{}, lanes); });
    return;
  }
  const T largest = row_max(x, C);
  const T sum = row_sum<T>(C, [&](int64_t i, int64_t lanes) {
    const Vec<T> e = row_exp(x + i, lanes, largest);
    store_row<T>(dx + i, e, lanes);
    return e;
  });
  const T scale = 1 / sum, at_target = dx[target];
  for_each_vector<T>(C, [&](int64_t i, int64_t lanes) {
    store_row<T>(dx + i, (load_row(dx + i, lanes, T{0}) * scale - loss.smoothing) * dloss, lanes);
  });
  dx[target] = (at_target * scale - (loss.smoothing + loss.hit)) * dloss;
}

template <class T>
struct LossPositions {
  const Loss<T>& loss;
  T* out;
  const T* x;
  const int64_t* target;
  int64_t x_stride, out_step, x_step, target_step;

  template <Spread kSpread, int kVectors>
  FASTCONV_INLINE void run(int64_t first, int64_t count) const {
    constexpr int L = kLanes<T>;
    const int64_t C = loss.classes;
    const Axis<const T> in = {x + first * x_step, x_stride, x_step};
    const Block<T, kVectors> largest = axis_max<kSpread, kVectors, T>(in, C, count);
    const Block<T, kVectors> sum_exp = axis_sum<T, kVectors>(C, [&](int64_t c, int j) {
      return exp<T>(load_axis<kSpread, T>(in, c, j, count) - largest.v[j]);
    });
    Block<T, kVectors> sum = {};
    if (loss.smoothing > 0)
      sum = axis_sum<T, kVectors>(C, [&](int64_t c, int j) {
        return load_axis<kSpread, T>(in, c, j, count) - largest.v[j];
      });
    for (int j = 0; j < kVectors; ++j) {
      const Vec<T> log_sum = log<T>(sum_exp.v[j]);
      for (int64_t lane = 0; lane < count; ++lane) {
        const int64_t i = j * L + lane;
        const int64_t class_index = target[(first + i) * target_step];
        out[(first + i) * out_step] =
            class_index == loss.ignore_index
                ? 0
                : loss.of(in.data[class_index * x_stride + i * x_step] - largest.v[j][lane],
                          log_sum[lane], sum.v[j][lane]);
      }
    }
  }
};

template <class T>
struct GradientPositions {
  const Loss<T>& loss;
  T* dx;
  const T* x;
  const int64_t* target;
  const T* dloss;
  int64_t dx_stride, x_stride, dx_step, x_step, target_step, dloss_step;

  template <Spread kSpread, int kVectors>
  FASTCONV_INLINE void run(int64_t first, int64_t count) const {
    constexpr int L = kLanes<T>;
    const int64_t C = loss.classes;
    const Axis<T> out = {dx + first * dx_step, dx_stride, dx_step};
    const Axis<const T> in = {x + first * x_step, x_stride, x_step};
    const Block<T, kVectors> largest = axis_max<kSpread, kVectors, T>(in, C, count);
    Block<T, kVectors> scale = axis_sum<T, kVectors>(C, [&](int64_t c, int j) {
      const Vec<T> e = exp<T>(load_axis<kSpread, T>(in, c, j, count) - largest.v[j]);
      store_axis<kSpread, T>(out, c, j, e, count);
      return e;
    });
    // What the target's element will be, for it is overwritten with the others; and lanes to
    // keep: a factor of 0 would leave the NaN of an ignored position.
    T hits[kVectors * L] = {}, factors[kVectors * L] = {};
    typename VecType<T>::integer keeps[kVectors * L] = {};
    for (int j = 0; j < kVectors; ++j) {
      scale.v[j] = T{1} / scale.v[j];
      for (int64_t lane = 0; lane < count; ++lane) {
        const int64_t i = j * L + lane;
        const int64_t class_index = target[(first + i) * target_step];
        if (class_index == loss.ignore_index) continue;
        keeps[i] = -1;
        factors[i] = dloss[(first + i) * dloss_step];
        hits[i] = (out.data[class_index * dx_stride + i * dx_step] * scale.v[j][lane] -
                   (loss.smoothing + loss.hit)) *
                  factors[i];
      }
    }
    for (int64_t c = 0; c < C; ++c) {
      FASTCONV_UNROLL
      for (int j = 0; j < kVectors; ++j) {
        Mask<T> keep;
        __builtin_memcpy(&keep, keeps + j * L, sizeof(keep));
        const Vec<T> e = load_axis<kSpread, T>(out, c, j, count);
        const Vec<T> gradient = (e * scale.v[j] - loss.smoothing) * load(factors + j * L);
        store_axis<kSpread, T>(out, c, j, keep ? gradient : Vec<T>{}, count);
      }
    }
    for (int64_t i = 0; i < (kVectors - 1) * L + count; ++i)
      if (keeps[i]) out.data[target[(first + i) * target_step] * dx_stride + i * dx_step] = hits[i];
  }
};

// The dimensions besides the classes. Operands: what is written, x, target, loss or dloss.
template <class T>
Collapsed<4> collapse_positions(const CrossEntropyArgs<T>& args, const int64_t* out_stride) {
  const int64_t* e = args.extent;
  const int64_t extent[5] = {e[0], 1, e[2], e[3], e[4]};
  const int64_t* const strides[4] = {out_stride, args.input_stride, args.target_stride,
                                     args.loss_stride};
  return collapse<4>(extent, strides);
}

// Calls body(offsets, count) for every position (count 1) if the classes are contiguous, else
// for runs of positions.
template <class T, class Body>
void for_positions(const CrossEntropyArgs<T>& args, bool contiguous, const Collapsed<4>& loops,
                   const Body& body) {
  const int64_t total = count_elements(loops);
  constexpr int64_t kBlock = 4 * kLanes<T>;  // so that runs are cut between blocks
  const int64_t granule = contiguous ? 1 : kBlock;
  const int64_t per_task = (kTaskElements / args.extent[1] / granule + 1) * granule;
  const int64_t tasks = (total + per_task - 1) / per_task;
  parallel_for(tasks, args.exec.threads, [&](int64_t task, int) {
    int64_t left = clamp(total - task * per_task, 0, per_task);
    for (Cursor<4> cursor(loops, task * per_task); left > 0;) {
      const int64_t count = contiguous ? 1 : clamp(cursor.left(), 0, left);
      body(cursor.offset, count);
      cursor.advance(count);
      left -= count;
    }
  });
}

template <class T>
void cross_entropy(const CrossEntropyArgs<T>& args) {
  const Loss<T> loss(args);
  const Collapsed<4> loops = collapse_positions(args, args.input_stride);
  const int inner = loops.ndim - 1;
  const int64_t x_step = loops.stride[1][inner];
  const bool contiguous = args.input_stride[1] == 1;
  for_positions(args, contiguous, loops, [&](const int64_t* offset, int64_t count) {
    const T* x = args.input + offset[1];
    const int64_t* target = args.target + offset[2];
    if (contiguous) {
      args.loss[offset[3]] = loss_row(loss, x, *target);
    } else {
      const LossPositions<T> body = {loss,   args.loss + offset[3], x,
                                     target, args.input_stride[1],  loops.stride[3][inner],
                                     x_step, loops.stride[2][inner]};
      for_each_block<4, T>(count, x_step == 1, body);
    }
  });
}

template <class T>
void cross_entropy_backward(const CrossEntropyArgs<T>& args) {
  const Loss<T> loss(args);
  const Collapsed<4> loops = collapse_positions(args, args.grad_input_stride);
  const int inner = loops.ndim - 1;
  const int64_t dx_step = loops.stride[0][inner], x_step = loops.stride[1][inner];
  const bool contiguous = args.grad_input_stride[1] == 1 && args.input_stride[1] == 1;
  for_positions(args, contiguous, loops, [&](const int64_t* offset, int64_t count) {
    T* dx = args.grad_input + offset[0];
    const T* x = args.input + offset[1];
    const int64_t* target = args.target + offset[2];
    const T* dloss = args.grad_loss + offset[3];
    if (contiguous) {
      gradient_row(loss, dx, x, *target, *dloss);
    } else {
      const GradientPositions<T> body = {loss,
                                         dx,
                                         x,
                                         target,
                                         dloss,
                                         args.grad_input_stride[1],
                                         args.input_stride[1],
                                         dx_step,
                                         x_step,
                                         loops.stride[2][inner],
                                         loops.stride[3][inner]};
      for_each_block<4, T>(count, dx_step == 1 && x_step == 1, body);
    }
  });
}

}  // namespace
}  // namespace fastconv

FASTCONV_EXPORT(cross_entropy, CrossEntropyArgs)
FASTCONV_EXPORT(cross_entropy_backward, CrossEntropyArgs)
