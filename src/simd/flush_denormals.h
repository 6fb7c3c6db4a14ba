// The mode in which ordinary multiply-adds treat denormal numbers as VDPBF16PS always does.
#pragma once

#include <cstdint>

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

namespace fastconv {
namespace {

// While one lives, float operations of this thread round to nearest and take denormals, read or
// made, for zeros. The compiler knows nothing of modes: what is computed under one has to be read
// from memory after its construction and be in memory again before its end.
class FlushDenormals {
 public:
  FlushDenormals() : before_(mode()) {
#if defined(__x86_64__)
    constexpr uint32_t kFlush = 0x8000, kDenormalsAreZero = 0x40, kRounding = 0x6000;
    set_mode((before_ & ~kRounding) | kFlush | kDenormalsAreZero);
#elif defined(__aarch64__)
    constexpr uint64_t kFlush = uint64_t{1} << 24, kRounding = uint64_t{3} << 22;
    set_mode((before_ & ~kRounding) | kFlush);
#endif
  }
  ~FlushDenormals() { set_mode(before_); }
  FlushDenormals(const FlushDenormals&) = delete;
  FlushDenormals& operator=(const FlushDenormals&) = delete;

 private:
#if defined(__x86_64__)
  using Mode = uint32_t;
  static Mode mode() { return _mm_getcsr(); }
  static void set_mode(Mode value) {
    __asm__ volatile("" : : : "memory");
    _mm_setcsr(value);
    __asm__ volatile("" : : : "memory");
  }
#elif defined(__aarch64__)
  using Mode = uint64_t;
  static Mode mode() {
    Mode value;
    __asm__ volatile("mrs %0, fpcr" : "=r"(value));
    return value;
  }
  static void set_mode(Mode value) { __asm__ volatile("msr fpcr, %0" : : "r"(value) : "memory"); }
#else
  using Mode = int;
  static Mode mode() { return 0; }
  static void set_mode(Mode) {}
#endif
  Mode before_;
};

}  // namespace
}  // namespace fastconv
