// Errors: a status code and one thread-local sentence.
#pragma once

#include "fastconv/fastconv.h"

namespace fastconv {

// Keeps the formatted text for fastconv_last_error and returns `status`.
fastconv_status fail(fastconv_status status, const char* format, ...)
    __attribute__((format(printf, 2, 3)));

// A shape, or one value a spatial dimension, as "(4, 3, 224, 224)".
struct Tuple {
  Tuple(const int64_t* values, int count);
  const char* text() const { return text_; }

 private:
  char text_[128];
};

}  // namespace fastconv
