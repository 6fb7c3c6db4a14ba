// Every operation through the C ABI, on every instruction set this machine has, with 1, 2 and 4
// threads, in float32 and float64, for planar, channels-last and arbitrarily strided tensors:
//  - close to the instruction set "reference", or equal where the operation is exact;
//  - the same bits for any number of threads, and for an image alone or in its batch;
//  - nothing written outside the output's own elements.
// Sizes are small but odd: 1, vector widths plus and minus one, windows past the edge, and one
// case an operation that is large enough to be shared between threads.
//
//   kernel_test [--quick]    (or FASTCONV_TEST_QUICK=1: fewer cases, for emulators)
//
// Prints one line a group of cases, then the totals; exits with 1 if any case failed.
#include <cmath>
#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include "fastconv/fastconv.h"

namespace {

constexpr double kInfinity = __builtin_inf();
const char* isas[16];
int isa_count = 0;
bool quick = false;
int total_passed = 0, total_failed = 0, group_passed = 0, group_failed = 0;

// ---- random numbers, the same on every platform

uint64_t random_state = 1;

uint64_t random_bits() {  // xorshift64*
  random_state ^= random_state >> 12;
  random_state ^= random_state << 25;
  random_state ^= random_state >> 27;
  return random_state * 0x2545f4914f6cdd1dull >> 16;
}

double random_number() { return static_cast<double>(random_bits() % 2000001) / 1e6 - 1; }

// ---- tensors

enum Layout { kPlanar, kChannelsLast, kOdd, kLayouts };

template <class T>
constexpr int32_t kDtype = FASTCONV_INT64;
template <>
constexpr int32_t kDtype<float> = FASTCONV_FLOAT32;
template <>
constexpr int32_t kDtype<double> = FASTCONV_FLOAT64;
template <>
constexpr int32_t kDtype<uint8_t> = FASTCONV_UINT8;

typedef std::vector<int64_t> Shape;

// A tensor with memory of its own and a value between its elements that must stay.
template <class T>
class Tensor {
 public:
  static constexpr T kGap = 77;

  // kOdd: dimensions in another order, gaps between elements and rows, the last reversed.
  Tensor(const Shape& shape, Layout layout) {
    view_.struct_size = sizeof(view_);
    view_.dtype = kDtype<T>;
    view_.ndim = static_cast<int32_t>(shape.size());
    std::vector<int> order;  // innermost first
    const int ndim = view_.ndim;
    if (layout == kChannelsLast && ndim > 1) order.push_back(1);
    for (int i = ndim - 1; i >= 0; --i)
      if (!(layout == kChannelsLast && i == 1)) order.push_back(i);
    if (layout == kOdd && ndim > 2) std::swap(order[0], order[2]);
    int64_t stride = layout == kOdd ? 2 : 1, begin = 0;
    for (int i : order) {
      view_.shape[i] = shape[static_cast<size_t>(i)];
      view_.strides[i] = stride;
      stride = stride * view_.shape[i] + (layout == kOdd ? 3 : 0);
    }
    if (layout == kOdd && ndim > 0 && view_.shape[ndim - 1] > 0) {
      begin = view_.strides[ndim - 1] * (view_.shape[ndim - 1] - 1);
      view_.strides[ndim - 1] *= -1;
    }
    memory_.assign(static_cast<size_t>(stride + 64), kGap);
    begin_ = begin + 32;
  }

  const fastconv_tensor* get() {
    view_.data = memory_.data() + begin_;
    return &view_;
  }

  // Images [n, n + 1) alone.
  fastconv_tensor image(int64_t n) {
    fastconv_tensor view = *get();
    view.data = static_cast<T*>(view.data) + n * view.strides[0];
    view.shape[0] = 1;
    return view;
  }

  void fill(const std::function<double()>& next) {
    for_each([&](T& value) { value = static_cast<T>(next()); });
  }
  void fill_random() { fill(random_number); }

  void erase() { memory_.assign(memory_.size(), kGap); }

  // The elements in row-major order, and the number of gaps that have been written to.
  std::vector<T> elements() {
    std::vector<T> values;
    for_each([&](T& value) { values.push_back(value); });
    return values;
  }
  int64_t damaged_gaps() {
    std::vector<T> copy = memory_;
    for_each([&](T& value) { copy[static_cast<size_t>(&value - memory_.data())] = kGap; });
    int64_t damaged = 0;
    for (T value : copy) damaged += value == kGap ? 0 : 1;
    return damaged;
  }

 private:
  template <class Body>
  void for_each(const Body& body) {
    int64_t shape[5] = {1, 1, 1, 1, 1}, strides[5] = {};
    for (int i = 0; i < view_.ndim; ++i) {
      shape[i + 5 - view_.ndim] = view_.shape[i];
      strides[i + 5 - view_.ndim] = view_.strides[i];
    }
    T* data = memory_.data() + begin_;
    for (int64_t a = 0; a < shape[0]; ++a)
      for (int64_t b = 0; b < shape[1]; ++b)
        for (int64_t c = 0; c < shape[2]; ++c)
          for (int64_t d = 0; d < shape[3]; ++d)
            for (int64_t e = 0; e < shape[4]; ++e)
              body(data[a * strides[0] + b * strides[1] + c * strides[2] + d * strides[3] +
                        e * strides[4]]);
  }

  fastconv_tensor view_ = {};
  std::vector<T> memory_;
  int64_t begin_ = 0;
};

// ---- running and comparing

[[gnu::format(printf, 1, 2)]] std::string text(const char* format, ...) {
  char buffer[256];
  va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(buffer, sizeof(buffer), format, arguments);
  va_end(arguments);
  return buffer;
}

void fail(const std::string& what) {
  ++group_failed;
  if (group_failed <= 5) std::printf("  FAILED %s\n", what.c_str());
}

void check(fastconv_status status, const std::string& what) {
  if (status != FASTCONV_OK) fail(text("%s: %s", what.c_str(), fastconv_last_error()));
}

// How far an output may be from the reference: relative to its largest element, or to `scale`
// if that is larger, where elements are differences of larger terms. 0 asks for equality.
struct Tolerance {
  double relative;
  double scale = 0;
};

// The first element that is not within tolerance, or -1. NaN and infinities have to be equal in
// any case.
template <class T>
int64_t first_difference(const std::vector<T>& expected, const std::vector<T>& actual,
                         Tolerance tolerance) {
  double largest = tolerance.scale;
  for (T value : expected)
    if (std::fabs(static_cast<double>(value)) < kInfinity)
      largest = std::fmax(largest, std::fabs(static_cast<double>(value)));
  for (size_t i = 0; i < expected.size(); ++i) {
    if (expected[i] == actual[i] || (expected[i] != expected[i] && actual[i] != actual[i]))
      continue;
    const double error =
        std::fabs(static_cast<double>(expected[i]) - static_cast<double>(actual[i]));
    if (!(error <= tolerance.relative * largest)) return static_cast<int64_t>(i);
  }
  return -1;
}

// Signed zeros included; one NaN is as good as another.
template <class T>
bool same_bits(const std::vector<T>& a, const std::vector<T>& b) {
  for (size_t i = 0; i < a.size(); ++i)
    if (std::memcmp(&a[i], &b[i], sizeof(T)) != 0 && (a[i] == a[i] || b[i] == b[i])) return false;
  return true;
}

// One output of a case and how close it has to be.
template <class T>
struct Output {
  Tensor<T>* tensor;
  Tolerance tolerance;
  std::vector<T> expected, single;

  void run_begins() { tensor->erase(); }
  void keep_expected() { expected = tensor->elements(); }
  void compare(const std::string& name, int threads) {
    const std::vector<T> actual = tensor->elements();
    const int64_t at = first_difference(expected, actual, tolerance);
    if (at >= 0)
      fail(text("%s: element %lld is %.9g, reference %.9g", name.c_str(),
                static_cast<long long>(at), static_cast<double>(actual[static_cast<size_t>(at)]),
                static_cast<double>(expected[static_cast<size_t>(at)])));
    if (tensor->damaged_gaps() > 0) fail(text("%s: wrote between its elements", name.c_str()));
    if (threads == 1)
      single = actual;
    else if (!same_bits(single, actual))
      fail(text("%s: bits differ from those of 1 thread", name.c_str()));
  }
};

template <class T>
Output<T> output(Tensor<T>* tensor, double tolerance, double scale = 0) {
  return {tensor, {tolerance, scale}, {}, {}};
}

typedef std::function<fastconv_status(const fastconv_exec*)> Run;

fastconv_exec exec_with(int threads) {
  fastconv_exec exec = {};
  exec.struct_size = sizeof(exec);
  exec.num_threads = threads;
  return exec;
}

// Runs on the reference, then on everything else, comparing all outputs.
template <class... T>
void run_case(const std::string& operation, const char* part, const Run& run,
              Output<T>... outputs) {
  const std::string name = text("%s%s", operation.c_str(), part);
  const fastconv_exec serial = exec_with(1);
  check(fastconv_set_isa("reference"), name);
  (outputs.run_begins(), ...);
  check(run(&serial), name);
  (outputs.keep_expected(), ...);
  const int failed_before = group_failed;
  for (int i = 0; i < isa_count; ++i) {
    if (std::strcmp(isas[i], "reference") == 0) continue;
    check(fastconv_set_isa(isas[i]), name);
    // 1, and 2 and 4 in turn: more threads than cores spend most of their time waiting.
    for (int threads : {1, (group_passed + i) % 2 == 0 ? 2 : 4}) {
      const fastconv_exec exec = exec_with(threads);
      const std::string where = text("%s %s x%d", name.c_str(), isas[i], threads);
      (outputs.run_begins(), ...);
      check(run(&exec), where);
      (outputs.compare(where, threads), ...);
    }
  }
  if (group_failed == failed_before) ++group_passed;
}

// `run(n)` computes image n alone into `alone` (or, n < 0, the whole batch into `batch`).
template <class T>
void run_image_case(const std::string& operation, const char* part, int64_t images,
                    Tensor<T>* batch, Tensor<T>* alone,
                    const std::function<fastconv_status(int64_t)>& run) {
  const std::string name = text("%s%s", operation.c_str(), part);
  const int failed_before = group_failed;
  for (int i = 0; i < isa_count; ++i) {
    check(fastconv_set_isa(isas[i]), name);
    check(run(-1), name);
    const std::vector<T> all = batch->elements();
    for (int64_t n = 0; n < images; ++n) {
      check(run(n), name);
      const std::vector<T> one = alone->elements();
      const std::vector<T> image(all.begin() + n * static_cast<int64_t>(one.size()),
                                 all.begin() + (n + 1) * static_cast<int64_t>(one.size()));
      if (!same_bits(image, one))
        fail(text("%s %s: an image alone has other bits than in its batch", name.c_str(), isas[i]));
    }
  }
  if (group_failed == failed_before) ++group_passed;
}

void end_group(const char* name) {
  std::printf("%-24s %5d passed, %d failed\n", name, group_passed, group_failed);
  std::fflush(stdout);
  total_passed += group_passed;
  total_failed += group_failed;
  group_passed = group_failed = 0;
  random_state = 1;  // a group's numbers do not depend on the groups before
}

// Layouts of the operands of a case: all alike, and one mixture.
struct Layouts {
  Layout a, b;
};
const Layouts layout_pairs[] = {
    {kPlanar, kPlanar}, {kChannelsLast, kChannelsLast}, {kOdd, kOdd}, {kChannelsLast, kPlanar}};

// "max_pool 3x3 s2 f32 planar, odd": an operation, a case of it, and how it runs.
template <class T>
std::string describe(const char* operation, const char* name, const Layouts& layouts) {
  const char* const names[] = {"planar", "channels-last", "odd"};
  return text("%s %s %s %s, %s", operation, name, sizeof(T) == 4 ? "f32" : "f64", names[layouts.a],
              names[layouts.b]);
}

std::string describe(const Shape& shape) {  // 2x3x31
  std::string result;
  for (int64_t extent : shape)
    result += text(result.empty() ? "%lld" : "x%lld", static_cast<long long>(extent));
  return result;
}

// ---- convolution

struct ConvCase {
  const char* name;
  int64_t n, in_channels, out_channels, groups;
  Shape in, kernel, stride, dilation, pad_before, pad_after;
  bool in_quick;
};

const ConvCase conv_cases[] = {
    {"1x1", 2, 5, 17, 1, {7, 9}, {1, 1}, {1, 1}, {1, 1}, {0, 0}, {0, 0}, true},
    {"3x3 p1", 2, 18, 33, 1, {13, 15}, {3, 3}, {1, 1}, {1, 1}, {1, 1}, {1, 1}, true},
    {"3x3 p1 one channel", 1, 1, 1, 1, {5, 5}, {3, 3}, {1, 1}, {1, 1}, {1, 1}, {1, 1}, false},
    {"3x3 s2 uneven", 3, 7, 9, 1, {14, 11}, {3, 3}, {2, 2}, {1, 1}, {0, 1}, {1, 0}, false},
    {"5x5 p2", 1, 4, 6, 1, {12, 17}, {5, 5}, {1, 1}, {1, 1}, {2, 2}, {2, 2}, true},
    {"4x2 s3x5 d2x3", 2, 3, 5, 1, {23, 29}, {4, 2}, {3, 5}, {2, 3}, {3, 1}, {2, 4}, true},
    {"2x2 s3, gaps", 2, 6, 4, 1, {11, 10}, {2, 2}, {3, 3}, {1, 1}, {0, 0}, {0, 0}, false},
    {"groups", 2, 12, 18, 3, {9, 8}, {3, 3}, {1, 1}, {1, 1}, {1, 1}, {1, 1}, false},
    {"depthwise", 2, 19, 19, 19, {10, 12}, {3, 3}, {1, 1}, {1, 1}, {1, 1}, {1, 1}, true},
    {"depthwise x2 s2 d2", 1, 5, 10, 5, {15, 16}, {3, 3}, {2, 2}, {2, 2}, {2, 2}, {2, 2}, false},
    {"11x11 s4", 1, 3, 20, 1, {35, 35}, {11, 11}, {4, 4}, {1, 1}, {0, 0}, {0, 0}, false},
    {"kernel beyond input", 1, 2, 3, 1, {2, 3}, {5, 4}, {1, 1}, {1, 1}, {4, 3}, {4, 3}, false},
    {"1-D", 3, 9, 11, 1, {50}, {9}, {2}, {3}, {5}, {6}, true},
    {"3-D", 2, 5, 6, 1, {5, 7, 6}, {2, 3, 3}, {1, 2, 1}, {1, 1, 2}, {1, 0, 2}, {0, 1, 2}, true},
    {"many channels", 2, 70, 67, 1, {6, 7}, {3, 3}, {1, 1}, {1, 1}, {1, 1}, {1, 1}, true},
    {"empty batch", 0, 3, 4, 1, {6, 6}, {3, 3}, {1, 1}, {1, 1}, {1, 1}, {1, 1}, true}};

void set(int64_t (&field)[FASTCONV_MAX_SPATIAL], const Shape& values) {
  for (size_t i = 0; i < values.size(); ++i) field[i] = values[i];
}

fastconv_conv_params conv_params(const ConvCase& c) {
  fastconv_conv_params params = {};
  params.struct_size = sizeof(params);
  params.spatial_ndim = static_cast<int32_t>(c.in.size());
  params.groups = c.groups;
  set(params.stride, c.stride);
  set(params.dilation, c.dilation);
  set(params.pad_before, c.pad_before);
  set(params.pad_after, c.pad_after);
  return params;
}

Shape with_channels(int64_t n, int64_t channels, const Shape& spatial) {
  Shape shape = {n, channels};
  shape.insert(shape.end(), spatial.begin(), spatial.end());
  return shape;
}

// y's extents of a convolution.
Shape conv_out(const ConvCase& c) {
  Shape out;
  for (size_t i = 0; i < c.in.size(); ++i)
    out.push_back(
        (c.in[i] + c.pad_before[i] + c.pad_after[i] - c.dilation[i] * (c.kernel[i] - 1) - 1) /
            c.stride[i] +
        1);
  return out;
}

// What the library promises of its fast algorithms; direct summation stays far below.
template <class T>
constexpr double kConvTolerance = sizeof(T) == 4 ? 1e-4 : 1e-12;

template <class T>
void test_conv() {
  for (const ConvCase& c : conv_cases) {
    if (quick && !c.in_quick) continue;
    const fastconv_conv_params params = conv_params(c);
    for (const Layouts& layouts : layout_pairs) {
      const std::string name = describe<T>("conv", c.name, layouts);
      Tensor<T> x(with_channels(c.n, c.in_channels, c.in), layouts.a);
      Tensor<T> y(with_channels(c.n, c.out_channels, conv_out(c)), layouts.b);
      Tensor<T> residual(with_channels(c.n, c.out_channels, conv_out(c)), layouts.a);
      Tensor<T> weight(with_channels(c.out_channels, c.in_channels / c.groups, c.kernel),
                       layouts.a);
      Tensor<T> bias({c.out_channels}, layouts.a), dbias({c.out_channels}, layouts.b);
      x.fill_random();
      weight.fill_random();
      bias.fill_random();
      residual.fill_random();
      fastconv_epilogue epilogue = {};
      epilogue.struct_size = sizeof(epilogue);
      const double tolerance = kConvTolerance<T>;
      run_case(
          name, " forward",
          [&](const fastconv_exec* exec) {
            return fastconv_conv_forward(y.get(), x.get(), weight.get(), nullptr, &params, exec);
          },
          output(&y, tolerance));
      epilogue.bias = bias.get();
      epilogue.residual = residual.get();
      epilogue.activation = FASTCONV_RELU;
      run_case(
          name, " forward, epilogue",
          [&](const fastconv_exec* exec) {
            return fastconv_conv_forward(y.get(), x.get(), weight.get(), &epilogue, &params, exec);
          },
          output(&y, tolerance));
      Tensor<T> one(with_channels(1, c.out_channels, conv_out(c)), layouts.b);
      if (c.n > 1)
        run_image_case<T>(name, " forward", c.n, &y, &one, [&](int64_t n) {
          if (n < 0)
            return fastconv_conv_forward(y.get(), x.get(), weight.get(), nullptr, &params, nullptr);
          const fastconv_tensor image = x.image(n);
          return fastconv_conv_forward(one.get(), &image, weight.get(), nullptr, &params, nullptr);
        });

      Tensor<T> dx(with_channels(c.n, c.in_channels, c.in), layouts.a);
      Tensor<T> dweight(with_channels(c.out_channels, c.in_channels / c.groups, c.kernel),
                        layouts.b);
      y.fill_random();
      run_case(
          name, " backward_input",
          [&](const fastconv_exec* exec) {
            return fastconv_conv_backward_input(dx.get(), y.get(), weight.get(), &params, exec);
          },
          output(&dx, tolerance));
      Tensor<T> one_dx(with_channels(1, c.in_channels, c.in), layouts.a);
      if (c.n > 1)
        run_image_case<T>(name, " backward_input", c.n, &dx, &one_dx, [&](int64_t n) {
          if (n < 0)
            return fastconv_conv_backward_input(dx.get(), y.get(), weight.get(), &params, nullptr);
          const fastconv_tensor image = y.image(n);
          return fastconv_conv_backward_input(one_dx.get(), &image, weight.get(), &params, nullptr);
        });
      run_case(
          name, " backward_weight",
          [&](const fastconv_exec* exec) {
            return fastconv_conv_backward_weight(dweight.get(), y.get(), x.get(), &params, exec);
          },
          output(&dweight, tolerance));
      run_case(
          name, " backward_bias",
          [&](const fastconv_exec* exec) {
            return fastconv_conv_backward_bias(dbias.get(), y.get(), exec);
          },
          output(&dbias, tolerance));

      // The same problem backwards is a transposed convolution from y to x.
      Tensor<T> dx_bias({c.in_channels}, layouts.a);
      Tensor<T> dx_residual(with_channels(c.n, c.in_channels, c.in), layouts.b);
      dx_bias.fill_random();
      dx_residual.fill_random();
      epilogue.bias = dx_bias.get();
      epilogue.residual = dx_residual.get();
      run_case(
          name, " transposed",
          [&](const fastconv_exec* exec) {
            return fastconv_conv_transpose_forward(dx.get(), y.get(), weight.get(), &epilogue,
                                                   &params, exec);
          },
          output(&dx, tolerance));
    }
  }
  end_group(sizeof(T) == 4 ? "convolution f32" : "convolution f64");
}

template <class T>
void test_linear() {
  const Shape cases[] = {{1, 1, 1}, {3, 17, 10}, {33, 65, 31}, {16, 300, 257}};  // N, in, out
  for (const Shape& c : cases) {
    if (quick && c[0] == 16) continue;
    for (const Layouts& layouts : layout_pairs) {
      const std::string name = describe<T>("linear", describe(c).c_str(), layouts);
      Tensor<T> x({c[0], c[1]}, layouts.a), weight({c[2], c[1]}, layouts.b);
      Tensor<T> y({c[0], c[2]}, layouts.b), bias({c[2]}, layouts.b);
      Tensor<T> dx({c[0], c[1]}, layouts.a), dweight({c[2], c[1]}, layouts.a);
      x.fill_random();
      weight.fill_random();
      bias.fill_random();
      fastconv_epilogue epilogue = {};
      epilogue.struct_size = sizeof(epilogue);
      epilogue.bias = bias.get();
      epilogue.activation = FASTCONV_RELU;
      run_case(
          name, " forward",
          [&](const fastconv_exec* exec) {
            return fastconv_linear_forward(y.get(), x.get(), weight.get(), &epilogue, exec);
          },
          output(&y, kConvTolerance<T>));
      y.fill_random();
      run_case(
          name, " backward_input",
          [&](const fastconv_exec* exec) {
            return fastconv_linear_backward_input(dx.get(), y.get(), weight.get(), exec);
          },
          output(&dx, kConvTolerance<T>));
      run_case(
          name, " backward_weight",
          [&](const fastconv_exec* exec) {
            return fastconv_linear_backward_weight(dweight.get(), y.get(), x.get(), exec);
          },
          output(&dweight, kConvTolerance<T>));
    }
  }
  end_group(sizeof(T) == 4 ? "linear f32" : "linear f64");
}

// ---- windows

struct WindowCase {
  const char* name;
  int64_t n, channels;
  Shape in, kernel, stride, dilation, pad;
  int32_t ceil_mode;
  bool in_quick;
};

const WindowCase window_cases[] = {
    {"2x2 s2", 2, 5, {8, 66}, {2, 2}, {2, 2}, {1, 1}, {0, 0}, 0, true},
    {"2x2 s2 ceil", 1, 17, {7, 33}, {2, 2}, {2, 2}, {1, 1}, {0, 0}, 1, false},
    {"3x3 s2", 2, 33, {13, 55}, {3, 3}, {2, 2}, {1, 1}, {0, 0}, 0, true},
    {"3x3 s2 p1 ceil", 2, 4, {12, 14}, {3, 3}, {2, 2}, {1, 1}, {1, 1}, 1, true},
    {"3x3 s1 p1", 2, 64, {7, 35}, {3, 3}, {1, 1}, {1, 1}, {1, 1}, 0, true},
    {"3x2 s3x4 d2x5 p2", 1, 3, {20, 41}, {3, 2}, {3, 4}, {2, 5}, {2, 2}, 1, false},
    {"2x2 d5 p3", 1, 2, {3, 4}, {2, 2}, {1, 1}, {5, 5}, {3, 3}, 0, false},
    {"1x1", 2, 3, {4, 5}, {1, 1}, {1, 1}, {1, 1}, {0, 0}, 0, false},
    {"1-D", 2, 9, {77}, {4}, {3}, {2}, {2}, 1, true},
    {"4x3 s3 p1", 2, 18, {14, 52}, {4, 3}, {3, 3}, {1, 1}, {1, 1}, 1, true},
    {"3x3 s2 d2 p2", 1, 3, {15, 70}, {3, 3}, {2, 2}, {2, 2}, {2, 2}, 0, true},
    {"3x4 s1 d3 p2", 1, 3, {15, 70}, {3, 4}, {1, 1}, {3, 3}, {2, 2}, 0, false},
    {"5x5 s1 p2", 1, 20, {17, 37}, {5, 5}, {1, 1}, {1, 1}, {2, 2}, 0, false},
    {"whole", 2, 70, {7, 9}, {7, 9}, {7, 9}, {1, 1}, {0, 0}, 0, true},
    {"wide", 1, 3, {5, 2500}, {2, 30}, {2, 1}, {1, 1}, {0, 15}, 0, true},
    {"12x20 s5", 1, 35, {40, 50}, {12, 20}, {5, 5}, {1, 1}, {6, 10}, 1, true},
    {"3-D", 2, 6, {5, 7, 19}, {2, 3, 3}, {1, 2, 2}, {1, 1, 1}, {1, 1, 1}, 1, true},
    {"large", 2, 20, {58, 60}, {3, 3}, {1, 2}, {1, 1}, {1, 0}, 0, true},
    {"plane beyond L2", 1, 2, {300, 301}, {3, 3}, {2, 2}, {1, 1}, {1, 1}, 0, false},
    {"empty batch", 0, 3, {6, 6}, {2, 2}, {2, 2}, {1, 1}, {0, 0}, 0, true}};

fastconv_window_params window_params(const WindowCase& c) {
  fastconv_window_params params = {};
  params.struct_size = sizeof(params);
  params.spatial_ndim = static_cast<int32_t>(c.in.size());
  params.ceil_mode = c.ceil_mode;
  set(params.kernel_size, c.kernel);
  set(params.stride, c.stride);
  set(params.dilation, c.dilation);
  set(params.pad_before, c.pad);
  set(params.pad_after, c.pad);
  return params;
}

// Small integers, so that ties are common, or the same with infinities and NaN.
double tied_number() { return static_cast<double>(random_bits() % 5) - 2; }
double wild_number() {
  switch (random_bits() % 12) {
    case 0:
      return __builtin_nan("");
    case 1:
      return kInfinity;
    case 2:
    case 3:
    case 4:
    case 5:
      return -kInfinity;
    default:
      return tied_number();
  }
}

template <class T>
void test_pool() {
  for (const WindowCase& c : window_cases) {
    if (quick && !c.in_quick) continue;
    const fastconv_window_params params = window_params(c);
    for (const Layouts& layouts : layout_pairs) {
      const std::string name = describe<T>("max_pool", c.name, layouts);
      Tensor<T> x(with_channels(c.n, c.channels, c.in), layouts.a), dx = x;
      int64_t out[FASTCONV_MAX_NDIM];
      check(fastconv_pool_output_shape(out, x.get(), &params), name);
      const Shape shape(out, out + c.in.size() + 2);
      Tensor<T> y(shape, layouts.b), dy(shape, layouts.a);
      Tensor<int64_t> indices(shape, layouts.b);
      Tensor<uint8_t> argmax(shape, layouts.b);
      int64_t taps = 1;
      for (int64_t extent : c.kernel) taps *= extent;
      dy.fill_random();
      for (double (*number)() : {random_number, tied_number, wild_number}) {
        x.fill(number);
        run_case(
            name, "",
            [&](const fastconv_exec* exec) {
              return fastconv_max_pool_forward(y.get(), nullptr, x.get(), &params, exec);
            },
            output(&y, 0));
        run_case(
            name, " indices",
            [&](const fastconv_exec* exec) {
              return fastconv_max_pool_forward(y.get(), indices.get(), x.get(), &params, exec);
            },
            output(&y, 0), output(&indices, 0));
        run_case(
            name, " backward",
            [&](const fastconv_exec* exec) {
              return fastconv_max_pool_backward(dx.get(), dy.get(), indices.get(), exec);
            },
            output(&dx, 0));
        if (taps <= 255) {
          run_case(
              name, " argmax",
              [&](const fastconv_exec* exec) {
                return fastconv_max_pool_forward_argmax(y.get(), argmax.get(), x.get(), &params,
                                                        exec);
              },
              output(&y, 0), output(&argmax, 0));
          run_case(
              name, " backward from argmax",
              [&](const fastconv_exec* exec) {
                return fastconv_max_pool_backward_argmax(dx.get(), dy.get(), argmax.get(), &params,
                                                         exec);
              },
              output(&dx, 0));
        }
        run_case(
            name, " unpool",
            [&](const fastconv_exec* exec) {
              return fastconv_max_unpool(dx.get(), dy.get(), indices.get(), exec);
            },
            output(&dx, 0));
      }
      // Indices that no window has: anywhere in the plane, often the same.
      int64_t plane = 1;
      for (int64_t extent : c.in) plane *= extent;
      indices.fill(
          [&] { return static_cast<double>(random_bits() % static_cast<uint64_t>(plane)); });
      run_case(
          name, " backward, any indices",
          [&](const fastconv_exec* exec) {
            return fastconv_max_pool_backward(dx.get(), dy.get(), indices.get(), exec);
          },
          output(&dx, 0));
    }
  }
  end_group(sizeof(T) == 4 ? "max_pool f32" : "max_pool f64");
}

// A few epsilon, however large the window; sums over overlapping windows have more terms.
template <class T>
constexpr double kAverageTolerance = sizeof(T) == 4 ? 2e-6 : 4e-15;

template <class T>
void test_average_pool() {
  for (const WindowCase& c : window_cases) {
    fastconv_window_params params = window_params(c);
    bool dense = true;
    for (int64_t dilation : c.dilation) dense &= dilation == 1;
    if (!dense || (quick && !c.in_quick)) continue;
    double taps = 1;
    for (int64_t extent : c.kernel) taps *= static_cast<double>(extent);
    const double tolerance = kAverageTolerance<T> * (taps < 64 ? 1 : taps / 64);
    for (const Layouts& layouts : layout_pairs) {
      const std::string name = describe<T>("avg_pool", c.name, layouts);
      Tensor<T> x(with_channels(c.n, c.channels, c.in), layouts.a), dx = x;
      int64_t out[FASTCONV_MAX_NDIM];
      check(fastconv_pool_output_shape(out, x.get(), &params), name);
      const Shape shape(out, out + c.in.size() + 2);
      Tensor<T> y(shape, layouts.b), dy(shape, layouts.b);
      x.fill_random();
      dy.fill_random();
      for (int divisor : {-1, 0, 3}) {  // padding not counted, counted, neither
        const int include = divisor >= 0, override = divisor > 0 ? divisor : 0;
        run_case(
            name, " forward",
            [&](const fastconv_exec* exec) {
              return fastconv_avg_pool_forward(y.get(), x.get(), &params, include, override, exec);
            },
            output(&y, kAverageTolerance<T>));
        run_case(
            name, " backward",
            [&](const fastconv_exec* exec) {
              return fastconv_avg_pool_backward(dx.get(), dy.get(), &params, include, override,
                                                exec);
            },
            output(&dx, tolerance));
      }
    }
  }
  end_group(sizeof(T) == 4 ? "avg_pool f32" : "avg_pool f64");
}

// Output extents that divide those of the input, that do not, and that are larger.
template <class T>
void test_adaptive_pool() {
  const std::vector<std::pair<Shape, Shape>> cases = {
      {{2, 19, 7, 10}, {2, 19, 3, 4}},   {{2, 70, 9, 40}, {2, 70, 3, 10}},
      {{1, 33, 12, 35}, {1, 33, 1, 1}},  {{1, 4, 5, 3}, {1, 4, 7, 9}},
      {{2, 5, 45}, {2, 5, 7}},           {{1, 6, 5, 7, 19}, {1, 6, 2, 7, 8}},
      {{1, 3, 110, 1300}, {1, 3, 2, 3}}, {{0, 3, 6, 6}, {0, 3, 4, 4}},
      {{1, 130, 20, 20}, {1, 130, 1, 1}}};
  for (const auto& [in, out] : cases)
    for (const Layouts& layouts : layout_pairs) {
      const std::string name = describe<T>("adaptive", describe(in).c_str(), layouts);
      Tensor<T> x(in, layouts.a), dx = x, y(out, layouts.b), dy(out, layouts.b);
      Tensor<int64_t> indices(out, layouts.b);
      x.fill_random();
      dy.fill_random();
      run_case(
          name, " average",
          [&](const fastconv_exec* exec) {
            return fastconv_adaptive_avg_pool_forward(y.get(), x.get(), exec);
          },
          output(&y, kAverageTolerance<T>, 1));
      run_case(
          name, " average, backward",
          [&](const fastconv_exec* exec) {
            return fastconv_adaptive_avg_pool_backward(dx.get(), dy.get(), exec);
          },
          output(&dx, kAverageTolerance<T>, 1));
      x.fill(wild_number);
      run_case(
          name, " maximum",
          [&](const fastconv_exec* exec) {
            return fastconv_adaptive_max_pool_forward(y.get(), indices.get(), x.get(), exec);
          },
          output(&y, 0), output(&indices, 0));
    }
  end_group(sizeof(T) == 4 ? "adaptive f32" : "adaptive f64");
}

template <class T>
void test_columns() {
  for (const WindowCase& c : window_cases) {
    if (quick && !c.in_quick) continue;
    const fastconv_window_params params = window_params(c);
    for (const Layouts& layouts : layout_pairs) {
      const std::string name = describe<T>("im2col", c.name, layouts);
      Tensor<T> x(with_channels(c.n, c.channels, c.in), layouts.a);
      int64_t out[FASTCONV_MAX_NDIM];
      check(fastconv_im2col_output_shape(out, x.get(), &params), name);
      Tensor<T> cols({out[0], out[1], out[2]}, layouts.b);
      x.fill_random();
      run_case(
          name, "",
          [&](const fastconv_exec* exec) {
            return fastconv_im2col(cols.get(), x.get(), &params, exec);
          },
          output(&cols, 0));
      cols.fill_random();
      run_case(
          name, " transpose",
          [&](const fastconv_exec* exec) {
            return fastconv_col2im(x.get(), cols.get(), &params, exec);
          },
          output(&x, sizeof(T) == 4 ? 1e-6 : 1e-14));
    }
  }
  end_group(sizeof(T) == 4 ? "im2col, col2im f32" : "im2col, col2im f64");
}

// ---- pointwise, softmax, loss

const Shape pointwise_shapes[] = {
    {1},           {17},          {3, 10},         {5, 129},       {2, 3, 31},
    {2, 21, 5, 7}, {2, 5, 9, 33}, {2, 3, 4, 5, 6}, {4, 30, 40, 40}};

template <class T>
void test_pointwise() {
  for (const Shape& shape : pointwise_shapes)
    for (const Layouts& layouts : layout_pairs) {
      const std::string name = describe<T>("relu", describe(shape).c_str(), layouts);
      Tensor<T> x(shape, layouts.a), dy(shape, layouts.a), y(shape, layouts.b);
      dy.fill_random();
      for (double (*number)() : {random_number, wild_number}) {
        x.fill(number);
        run_case(
            name, "",
            [&](const fastconv_exec* exec) { return fastconv_relu(y.get(), x.get(), exec); },
            output(&y, 0));
        run_case(
            name, " backward",
            [&](const fastconv_exec* exec) {
              return fastconv_relu_backward(y.get(), dy.get(), x.get(), exec);
            },
            output(&y, 0));
      }
    }
  end_group(sizeof(T) == 4 ? "relu f32" : "relu f64");
}

template <class T>
void test_softmax() {
  const double tolerance = sizeof(T) == 4 ? 4e-6 : 1e-14;
  for (const Shape& shape : pointwise_shapes) {
    if (quick && shape.back() == 40) continue;
    for (const Layouts& layouts : layout_pairs)
      for (int axis = 0; axis < static_cast<int>(shape.size()); ++axis) {
        if (shape.back() == 40 && axis != 1) continue;
        Tensor<T> x(shape, layouts.a), dy(shape, layouts.b), y(shape, layouts.b), dx = x;
        for (int log_softmax : {0, 1}) {
          const std::string name =
              describe<T>(log_softmax ? "log_softmax" : "softmax",
                          text("%s axis %d", describe(shape).c_str(), axis).c_str(), layouts);
          for (double (*number)() : {wild_number, random_number}) {
            if (quick && number == wild_number && axis != 1) continue;
            x.fill([&] { return 5 * number(); });
            run_case(
                name, "",
                [&](const fastconv_exec* exec) {
                  return fastconv_softmax(y.get(), x.get(), axis, log_softmax, exec);
                },
                output(&y, tolerance));
          }
          Shape single = shape;
          single[0] = 1;
          Tensor<T> one(single, layouts.b);
          if (axis > 0)
            run_image_case<T>(name, "", shape[0], &y, &one, [&](int64_t n) {
              if (n < 0) return fastconv_softmax(y.get(), x.get(), axis, log_softmax, nullptr);
              const fastconv_tensor image = x.image(n);
              return fastconv_softmax(one.get(), &image, axis, log_softmax, nullptr);
            });
          y.fill([] { return std::fabs(random_number()); });
          dy.fill_random();
          run_case(
              name, " backward",
              [&](const fastconv_exec* exec) {
                return fastconv_softmax_backward(dx.get(), dy.get(), y.get(), axis, log_softmax,
                                                 exec);
              },
              output(&dx, tolerance, 1));
        }
      }
  }
  end_group(sizeof(T) == 4 ? "softmax f32" : "softmax f64");
}

template <class T>
void test_cross_entropy() {
  const double tolerance = sizeof(T) == 4 ? 4e-6 : 1e-14;
  for (const Shape& shape : pointwise_shapes) {
    if (shape.size() < 2 || (quick && shape.back() == 40)) continue;
    Shape positions = shape;
    positions.erase(positions.begin() + 1);
    for (const Layouts& layouts : layout_pairs)
      for (double smoothing : {0.0, 0.1}) {
        const std::string name = describe<T>(
            "cross_entropy", text("%s smoothing %g", describe(shape).c_str(), smoothing).c_str(),
            layouts);
        fastconv_cross_entropy_params params = {};
        params.struct_size = sizeof(params);
        params.ignore_index = -100;
        params.label_smoothing = smoothing;
        Tensor<T> x(shape, layouts.a), dx(shape, layouts.b);
        Tensor<T> loss(positions, layouts.b), dloss(positions, layouts.a);
        Tensor<int64_t> target(positions, layouts.a);
        target.fill([&] {
          const uint64_t r = random_bits();
          return r % 7 == 0 ? -100.0 : static_cast<double>(r / 7 % static_cast<uint64_t>(shape[1]));
        });
        dloss.fill_random();
        for (double (*number)() : {random_number, wild_number}) {
          x.fill([&] { return 5 * number(); });
          run_case(
              name, "",
              [&](const fastconv_exec* exec) {
                return fastconv_cross_entropy(loss.get(), x.get(), target.get(), &params, exec);
              },
              output(&loss, tolerance, 1));
          run_case(
              name, " backward",
              [&](const fastconv_exec* exec) {
                return fastconv_cross_entropy_backward(dx.get(), dloss.get(), x.get(), target.get(),
                                                       &params, exec);
              },
              output(&dx, tolerance, 1));
        }
      }
  }
  end_group(sizeof(T) == 4 ? "cross_entropy f32" : "cross_entropy f64");
}

template <class T>
void test_all() {
  test_conv<T>();
  test_linear<T>();
  test_pool<T>();
  test_average_pool<T>();
  test_adaptive_pool<T>();
  test_columns<T>();
  test_pointwise<T>();
  test_softmax<T>();
  test_cross_entropy<T>();
}

}  // namespace

int main(int argc, char** argv) {
  const char* environment = std::getenv("FASTCONV_TEST_QUICK");
  quick = (argc > 1 && std::strcmp(argv[1], "--quick") == 0) ||
          (environment != nullptr && std::strcmp(environment, "0") != 0);
  isa_count = fastconv_available_isas(isas, 16);
  std::printf("fastconv %s, instruction sets:", fastconv_version());
  for (int i = 0; i < isa_count; ++i) std::printf(" %s", isas[i]);
  std::printf("\n");
  test_all<float>();
  test_all<double>();
  std::printf("%d passed, %d failed\n", total_passed, total_failed);
  return total_failed == 0 ? 0 : 1;
}
