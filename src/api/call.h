// What every entry point does after validation: pick the table of the active instruction
// set for the dtype, and give the kernel its threads and scratch.
#pragma once

#include "core/status.h"
#include "core/validate.h"
#include "core/workspace.h"
#include "dispatch/registry.h"

namespace fastconv {

// A parallel region costs a few microseconds: at least this much work a thread.
constexpr double kMacsPerThread = 524288;     // 4 us at 130 GMAC/s, one AVX-512 core in fp32
constexpr double kElementsPerThread = 32768;  // 6 us at 20 GB/s, one core's share of memory

// Calls run<float>(isa) or run<double>(isa), whichever the dtype says.
template <class Run>
fastconv_status with_kernels(int32_t dtype, const Run& run) {
  const InstructionSet* isa = active_isa();
  if (isa == nullptr) return FASTCONV_UNAVAILABLE;
  if (dtype == FASTCONV_FLOAT32) return run(isa->table<float>(), float{});
  return run(isa->table<double>(), double{});
}

// The same for the kernels of kernels_bf16.inc, with run<BFloat16>(isa) as well.
template <class Run>
fastconv_status with_conv_kernels(int32_t dtype, const Run& run) {
  if (dtype != FASTCONV_BFLOAT16) return with_kernels(dtype, run);
  const InstructionSet* isa = active_isa();
  if (isa == nullptr) return FASTCONV_UNAVAILABLE;
  return run(isa->table<BFloat16>(), BFloat16{});
}

// Asks `workspace` for the scratch of a call, then makes it.
template <class Args>
fastconv_status run_with_scratch(void (*workspace)(const Args&), void (*kernel)(const Args&),
                                 Args& args) {
  size_t needed = 0;
  args.workspace_size = &needed;
  workspace(args);
  const Scratch scratch(needed);
  if (!scratch.ok())
    return fail(FASTCONV_OUT_OF_MEMORY, "no memory for %zu bytes of scratch", needed);
  args.exec.workspace = scratch.get();
  kernel(args);
  return FASTCONV_OK;
}

inline double count(const fastconv_tensor& tensor) {
  double elements = 1;
  for (int i = 0; i < tensor.ndim; ++i) elements *= static_cast<double>(tensor.shape[i]);
  return elements;
}

// Multiply-adds of a direct convolution.
inline double macs(const ConvParams& p) {
  double result = static_cast<double>(p.n) * p.out_channels * (p.in_channels / p.groups);
  for (int i = 0; i < kSpatial; ++i) result *= static_cast<double>(p.kernel[i]) * p.out[i];
  return result;
}

}  // namespace fastconv
