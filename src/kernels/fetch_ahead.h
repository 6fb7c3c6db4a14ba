// Asking for memory before it is needed, a little at a time between pieces of arithmetic: packing
// waits for memory, the micro-kernel does not, and in turns neither has the other's resource.
// Long runs are left to the micro-kernel, which fetches a line a step: more lines at a time than
// a core keeps under way hold it up (gradient of 1x1 filters, 64 channels to 256 at 56x56).
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

  int64_t lines() const { return runs_ * ceil_div(length_, kLineBytes); }

  // Whether a kernel that fetches `lines` lines one after another stays within a run.
  bool has_runs_of(int64_t lines) const { return runs_ > 0 && length_ >= lines * kLineBytes; }

  // Where such a kernel begins. It may go beyond the end of a run.
  const void* take(int64_t lines) {
    const char* from = begin_ + at_;
    at_ += lines * kLineBytes;
    if (at_ >= length_) next_run();
    return from;
  }

  // Asks for the next `lines` lines.
  void fetch(int64_t lines) {
    for (; lines > 0 && runs_ > 0; --lines) {
      __builtin_prefetch(begin_ + at_, 0, 2);  // into L2
      at_ += kLineBytes;
      if (at_ >= length_) next_run();
    }
  }

 private:
  void next_run() {
    at_ = 0;
    begin_ += pitch_;
    --runs_;
  }

  const char* begin_ = nullptr;
  int64_t runs_ = 0, pitch_ = 0, length_ = 0, at_ = 0;
};

}  // namespace
}  // namespace fastconv
