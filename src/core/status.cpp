#include "core/status.h"

#include <cinttypes>
#include <cstdarg>
#include <cstdio>

namespace fastconv {
namespace {

thread_local char last_error[512] = "";

}  // namespace

fastconv_status fail(fastconv_status status, const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(last_error, sizeof(last_error), format, arguments);
  va_end(arguments);
  return status;
}

Tuple::Tuple(const int64_t* values, int count) {
  int at = snprintf(text_, sizeof(text_), "(");
  for (int i = 0; i < count; ++i)
    at += snprintf(text_ + at, sizeof(text_) - at, "%s%" PRId64, i > 0 ? ", " : "", values[i]);
  snprintf(text_ + at, sizeof(text_) - at, count == 1 ? ",)" : ")");
}

}  // namespace fastconv

const char* fastconv_last_error(void) { return fastconv::last_error; }
