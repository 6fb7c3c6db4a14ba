// Maximum, average and adaptive pooling, and unpooling.
#include "families.h"
#include "harness.h"
#include "window_cases.h"

namespace kernel_test {
namespace {

// A few epsilon, however large the window; sums over overlapping windows have more terms.
template <class T>
constexpr double kAverageTolerance = sizeof(T) == 4 ? 2e-6 : 4e-15;

}  // namespace

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

template void test_pool<float>();
template void test_pool<double>();
template void test_average_pool<float>();
template void test_average_pool<double>();
template void test_adaptive_pool<float>();
template void test_adaptive_pool<double>();

}  // namespace kernel_test
