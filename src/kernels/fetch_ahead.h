// Asking for memory before it is needed, a little at a time between pieces of arithmetic: packing
// waits for memory, the micro-kernel does not, and in turns neither has the other's resource.
#pragma once

#include "kernels/brgemm.h"

namespace fastconv {
namespace {

// Lines of `runs` runs of memory, `pitch` bytes apart and `length` bytes long, one after another.
class FetchAhead {
 public:
  FetchAhead() = default;
  FetchAhead(const void* begin, int64_t runs, int64_t pitch, int64_t length)
      : begin_(static_cast<const char*>(begin)), runs_(runs), pitch_(pitch), length_(length) {
    if (length_ < 1) runs_ = 0;
  }

  int64_t lines() const { return runs_ * ceil_div(length_, kLine); }

  // Asks for the next `lines` lines.
  void fetch(int64_t lines) {
    for (; lines > 0 && runs_ > 0; --lines) {
      __builtin_prefetch(begin_ + at_, 0, 2);  // into L2
      at_ += kLine;
      if (at_ < length_) continue;
      at_ = 0;
      begin_ += pitch_;
      --runs_;
    }
  }

 private:
  static constexpr int64_t kLine = 64;
  const char* begin_ = nullptr;
  int64_t runs_ = 0, pitch_ = 0, length_ = 0, at_ = 0;
};

}  // namespace
}  // namespace fastconv
