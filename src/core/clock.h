// Seconds on a clock that only goes forward, without the C++ runtime.
#pragma once

#include <ctime>

namespace fastconv {

inline double now() {
  timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

}  // namespace fastconv
