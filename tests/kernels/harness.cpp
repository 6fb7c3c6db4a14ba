// What the harness counts, prints and words.
#include "harness.h"

#include <cstdarg>

namespace kernel_test {

std::string text(const char* format, ...) {
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

fastconv_exec exec_with(int threads) {
  fastconv_exec exec = {};
  exec.struct_size = sizeof(exec);
  exec.num_threads = threads;
  return exec;
}

void end_group(const char* name) {
  std::printf("%-24s %5d passed, %d failed\n", name, group_passed, group_failed);
  std::fflush(stdout);
  total_passed += group_passed;
  total_failed += group_failed;
  group_passed = group_failed = 0;
  random_state = 1;  // a group's numbers do not depend on the groups before
}

std::string describe(const Shape& shape) {
  std::string result;
  for (int64_t extent : shape)
    result += text(result.empty() ? "%lld" : "x%lld", static_cast<long long>(extent));
  return result;
}

}  // namespace kernel_test
