// Convolution, its gradients, its transpose, and dense layers.
#include "families.h"
#include "harness.h"

namespace kernel_test {
namespace {

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

}  // namespace

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

template void test_conv<float>();
template void test_conv<double>();
template void test_linear<float>();
template void test_linear<double>();

}  // namespace kernel_test
