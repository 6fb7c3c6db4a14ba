// What the machine's multiply-add units can do, and what the micro-kernel makes of them; the
// two sides of the ratio that benchmarks report.
#include "dispatch/kernel_export.h"
#include "kernels/brgemm.h"
#include "simd/parallel_for.h"

namespace fastconv {
namespace {

// Independent multiply-adds in registers alone: enough chains to cover latency times units on
// every core we know (Zen 5: 4 cycles x 2; Cortex-X: 4 x 4).
template <class T>
void probe_fma(const ProbeArgs<T>& args) {
  constexpr int kChains = FASTCONV_VEC_BYTES == 64 ? 24 : 12;
  constexpr int64_t kRound = 1000;
  parallel_for(args.exec.threads, args.exec.threads, [&](int64_t, int) {
    Vec<T> sum[kChains];
    FASTCONV_UNROLL
    for (int i = 0; i < kChains; ++i) sum[i] = broadcast(T(i));
    Vec<T> factor = broadcast(T(0.5)), term = broadcast(T(1));
    for (int64_t i = 0; i < args.repeats * kRound; ++i) {
      FASTCONV_UNROLL
      for (int j = 0; j < kChains; ++j) sum[j] = sum[j] * factor + term;
    }
    T sink[kChains * kLanes<T>];
    FASTCONV_UNROLL
    for (int i = 0; i < kChains; ++i) store(sink + i * kLanes<T>, sum[i]);
    __asm__ volatile("" : : "r"(sink) : "memory");
  });
  *args.flops =
      2.0 * kLanes<T> * kChains * kRound * static_cast<double>(args.repeats) * args.exec.threads;
}

// A full tile over packed operands, 256 steps of k deep: b (32 KiB on AVX-512 in fp32) in L1,
// as in the convolution's inner loop.
template <class T>
void probe_micro_kernel(const ProbeArgs<T>& args) {
  constexpr int64_t kDepth = 256, kRound = 16;
  parallel_for(args.exec.threads, args.exec.threads, [&](int64_t, int) {
    alignas(64) T a[kDepth * kMaxRows], b[kDepth * kPanel<T>], tile[kMaxRows * kPanel<T>];
    for (T& value : a) value = T(1);
    for (T& value : b) value = T(0.5);
    const BatchStep step = {0, kDepth};
    for (int64_t i = 0; i < args.repeats * kRound; ++i) {
      micro_kernel<T, 1, kMaxRows, kMaxVecs>(tile, false, a, kMaxRows, b, &step, 1, b);
      __asm__ volatile("" : : "r"(tile) : "memory");
    }
  });
  *args.flops = 2.0 * kMaxRows * kPanel<T> * kDepth * kRound * static_cast<double>(args.repeats) *
                args.exec.threads;
}

}  // namespace
}  // namespace fastconv

FASTCONV_EXPORT(probe_fma, ProbeArgs)
FASTCONV_EXPORT(probe_micro_kernel, ProbeArgs)
