// What this CPU and its operating system run; a separate question from what was compiled in.
#pragma once

namespace fastconv {

// Whether kernels compiled for the named instruction set (src/cmake/isa.cmake) may run here.
bool cpu_supports(const char* isa);

// Instructions beyond those of an instruction set, which its kernels use where the CPU has them.
// The results are the same bits without.
enum class Extension { avx512_vnni };

// Whether the CPU has them; false for all if FASTCONV_NO_EXTENSIONS is 1 in the environment.
bool cpu_has(Extension extension);

}  // namespace fastconv
