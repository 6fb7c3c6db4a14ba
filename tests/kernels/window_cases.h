// Windows that the tests of pooling and of columns share.
#pragma once

#include <cstdint>

#include "tensor.h"

namespace kernel_test {

struct WindowCase {
  const char* name;
  int64_t n, channels;
  Shape in, kernel, stride, dilation, pad;
  int32_t ceil_mode;
  bool in_quick;
};

inline const WindowCase window_cases[] = {
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

inline fastconv_window_params window_params(const WindowCase& c) {
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

}  // namespace kernel_test
