// What this CPU and its operating system run; a separate question from what was compiled in.
#pragma once

namespace fastconv {

// Whether kernels compiled for the named instruction set (src/cmake/isa.cmake) may run here.
bool cpu_supports(const char* isa);

}  // namespace fastconv
