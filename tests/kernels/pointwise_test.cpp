// Elementwise functions, softmax and the cross-entropy loss.
#include "families.h"
#include "harness.h"

namespace kernel_test {
namespace {

const Shape pointwise_shapes[] = {
    {1},           {17},          {3, 10},         {5, 129},       {2, 3, 31},
    {2, 21, 5, 7}, {2, 5, 9, 33}, {2, 3, 4, 5, 6}, {4, 30, 40, 40}};

}  // namespace

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

template void test_pointwise<float>();
template void test_pointwise<double>();
template void test_softmax<float>();
template void test_softmax<double>();
template void test_cross_entropy<float>();
template void test_cross_entropy<double>();

}  // namespace kernel_test
