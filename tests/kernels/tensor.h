// Tensors of a test: in layouts of every kind, with gaps that show what was written beside the
// elements.
#pragma once

#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

#include "fastconv/fastconv.h"
#include "numbers.h"

namespace kernel_test {

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

inline Shape with_channels(int64_t n, int64_t channels, const Shape& spatial) {
  Shape shape = {n, channels};
  shape.insert(shape.end(), spatial.begin(), spatial.end());
  return shape;
}

inline void set(int64_t (&field)[FASTCONV_MAX_SPATIAL], const Shape& values) {
  for (size_t i = 0; i < values.size(); ++i) field[i] = values[i];
}

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

}  // namespace kernel_test
