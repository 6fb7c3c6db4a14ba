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
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "families.h"
#include "harness.h"

using namespace kernel_test;

namespace {

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
