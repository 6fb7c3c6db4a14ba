// im2col, which is exact, and col2im, which adds.
#include "families.h"
#include "harness.h"
#include "window_cases.h"

namespace kernel_test {

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

template void test_columns<float>();
template void test_columns<double>();

}  // namespace kernel_test
