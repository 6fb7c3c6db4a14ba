// Random numbers, the same on every platform: any, with many ties, and with infinities and NaN.
#pragma once

#include <cstdint>

namespace kernel_test {

constexpr double kInfinity = __builtin_inf();

inline uint64_t random_state = 1;

inline uint64_t random_bits() {  // xorshift64*
  random_state ^= random_state >> 12;
  random_state ^= random_state << 25;
  random_state ^= random_state >> 27;
  return random_state * 0x2545f4914f6cdd1dull >> 16;
}

inline double random_number() { return static_cast<double>(random_bits() % 2000001) / 1e6 - 1; }

// Small integers, so that ties are common, or the same with infinities and NaN.
inline double tied_number() { return static_cast<double>(random_bits() % 5) - 2; }
inline double wild_number() {
  switch (random_bits() % 12) {
    case 0:
      return __builtin_nan("");
    case 1:
      return kInfinity;
    case 2:
    case 3:
    case 4:
    case 5:
      return -kInfinity;
    default:
      return tied_number();
  }
}

}  // namespace kernel_test
