// One 64-bit number for a sequence of integers, the same in every process. In an anonymous
// namespace, because kernel files use it too.
#pragma once

#include <cstdint>

namespace fastconv {
namespace {

struct Fingerprint {
  uint64_t value = 0x9e3779b97f4a7c15;

  // The finaliser of MurmurHash3: every bit of the input reaches every bit of the output.
  void add(int64_t number) {
    uint64_t mixed = value ^ static_cast<uint64_t>(number);
    mixed = (mixed ^ mixed >> 33) * 0xff51afd7ed558ccd;
    mixed = (mixed ^ mixed >> 33) * 0xc4ceb9fe1a85ec53;
    value = (mixed ^ mixed >> 33) + 0x9e3779b97f4a7c15;
  }
  template <int count>
  void add_all(const int64_t (&numbers)[count]) {
    for (int64_t number : numbers) add(number);
  }
};

}  // namespace
}  // namespace fastconv
