// Kernels by instruction set. The tables have one entry a line of kernels.inc, for bfloat16 of
// kernels_bf16.inc, for quantized data of kernels_i8.inc.
#pragma once

#include "dispatch/args.h"

namespace fastconv {

template <class T>
struct KernelTable {
#define FASTCONV_KERNEL(name, Args) void (*name)(const Args<T>&);
#include "dispatch/kernels.inc"
#undef FASTCONV_KERNEL
};

template <>
struct KernelTable<BFloat16> {
#define FASTCONV_KERNEL(name, Args) void (*name)(const Args<BFloat16>&);
#include "dispatch/kernels_bf16.inc"
#undef FASTCONV_KERNEL
};

struct QuantizedKernelTable {
#define FASTCONV_KERNEL(name, Args) void (*name)(const Args&);
#include "dispatch/kernels_i8.inc"
#undef FASTCONV_KERNEL
};

struct InstructionSet {
  const char* name;
  KernelTable<float> f32;
  KernelTable<double> f64;
  KernelTable<BFloat16> bf16;
  QuantizedKernelTable i8;
  template <class T>
  const KernelTable<T>& table() const {
    if constexpr (sizeof(T) == sizeof(float))
      return f32;
    else if constexpr (sizeof(T) == sizeof(BFloat16))
      return bf16;
    else
      return f64;
  }
};

// The active instruction set; null, with the error set, when FASTCONV_ISA cannot be had.
const InstructionSet* active_isa();

}  // namespace fastconv
