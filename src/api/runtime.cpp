// The library itself: version, threads, memory, measuring.
#include "api/call.h"
#include "core/clock.h"
#include "core/parallel.h"

using namespace fastconv;

const char* fastconv_version(void) { return FASTCONV_VERSION; }

int fastconv_abi_version(void) { return FASTCONV_ABI_VERSION; }

const char* fastconv_build_info(void) {
  return "compiler: " FASTCONV_COMPILER
         "\n"
         "configuration: " FASTCONV_BUILD_TYPE
         "\n"
         "threads: OpenMP\n";
}

fastconv_status fastconv_set_num_threads(int num_threads) {
  if (num_threads < 1 || num_threads > kMostThreads)
    return fail(FASTCONV_INVALID_ARGUMENT, "num_threads: expected 1 to %d, got %d", kMostThreads,
                num_threads);
  set_default_threads(num_threads);
  return FASTCONV_OK;
}

int fastconv_get_num_threads(void) { return default_threads(); }

fastconv_status fastconv_alloc(void** memory, size_t size) {
  if (memory == nullptr)
    return fail(FASTCONV_INVALID_ARGUMENT, "memory: expected a pointer, got NULL");
  *memory = pool_acquire(size, Use::kResult);
  if (*memory == nullptr) return fail(FASTCONV_OUT_OF_MEMORY, "no memory for %zu bytes", size);
  return FASTCONV_OK;
}

void fastconv_free(void* memory) { pool_release(memory); }

size_t fastconv_trim(void) { return pool_trim(); }

void fastconv_pool_stats(size_t* in_use, size_t* cached) {
  size_t used, kept;
  pool_stats(&used, &kept);
  if (in_use != nullptr) *in_use = used;
  if (cached != nullptr) *cached = kept;
}

fastconv_status fastconv_measure(double* flops_per_second, fastconv_probe probe,
                                 fastconv_dtype dtype, double seconds, const fastconv_exec* exec) {
  if (flops_per_second == nullptr)
    return fail(FASTCONV_INVALID_ARGUMENT, "flops_per_second: expected a pointer, got NULL");
  if (probe != FASTCONV_PROBE_FMA && probe != FASTCONV_PROBE_MICRO_KERNEL)
    return fail(FASTCONV_INVALID_ARGUMENT, "probe: unknown value %d", static_cast<int>(probe));
  if (dtype != FASTCONV_FLOAT32 && dtype != FASTCONV_FLOAT64)
    return fail(FASTCONV_INVALID_TYPE, "dtype: expected float32 or float64, got %d",
                static_cast<int>(dtype));
  if (!(seconds > 0 && seconds <= 60))
    return fail(FASTCONV_INVALID_ARGUMENT, "seconds: expected a number in (0, 60], got %g",
                seconds);
  int threads;
  FASTCONV_TRY(choose_threads(exec, 1e18, 1, &threads));
  return with_kernels(dtype, [&](const auto& table, auto zero) {
    using T = decltype(zero);
    const auto kernel = probe == FASTCONV_PROBE_FMA ? table.probe_fma : table.probe_micro_kernel;
    // The fastest of short bursts: what the machine can do, not what else it was doing. A burst
    // is long enough when its work takes this long at the best rate seen, however long it took.
    constexpr double kBurst = 0.005;
    double best = 0;
    bool long_enough = false;
    const double start = now();
    for (int64_t repeats = 1; !long_enough || now() - start < seconds;) {
      double flops = 0;
      const double begin = now();
      kernel(ProbeArgs<T>{repeats, &flops, {threads, nullptr}});
      const double rate = flops / (now() - begin);
      best = rate > best ? rate : best;
      long_enough = flops >= kBurst * best;
      if (!long_enough) repeats *= 2;
    }
    *flops_per_second = best;
    return FASTCONV_OK;
  });
}
