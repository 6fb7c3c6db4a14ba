// What this CPU and its operating system run; a separate question from what was compiled in.
#pragma once

namespace fastconv {

// Whether kernels compiled for the named instruction set (src/cmake/isa.cmake) may run here.
bool cpu_supports(const char* isa);

// Instructions that some processors have beside those of an instruction set, and that kernels
// written for it use where they may. FASTCONV_NO_EXTENSIONS=1 in the environment hides them.
enum class Extension { avx512_bf16 };
bool cpu_has(Extension extension);

}  // namespace fastconv
