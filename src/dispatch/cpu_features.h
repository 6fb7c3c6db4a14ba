// What this CPU and its operating system run; a separate question from what was compiled in.
#pragma once

namespace fastconv {

// Whether kernels compiled for the named instruction set (src/cmake/isa.cmake) may run here.
bool cpu_supports(const char* isa);

// Instructions that some processors have beside those of an instruction set, which its kernels use
// where they may. The results are the same bits without.
enum class Extension { avx512_bf16, avx512_vnni };

// Whether the CPU has them; false for all if FASTCONV_NO_EXTENSIONS is set and neither "" nor "0".
bool cpu_has(Extension extension);

}  // namespace fastconv
