// The upper half of a float32. Its rules, which every kernel and the oracle keep:
//   - Denormal numbers count as zeros, with their sign, where they are read and where a result
//     would be one, as VDPBF16PS and VCVTNEPS2BF16 have it whatever the mode of the processor.
//   - A float32 is rounded once, to nearest, ties to even; a NaN becomes a quiet one.
#pragma once

#include <cstdint>

namespace fastconv {

struct BFloat16 {
  uint16_t bits;
};

}  // namespace fastconv
