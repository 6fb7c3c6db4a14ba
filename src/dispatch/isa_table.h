// Defines the table of the instruction set it is compiled for; included by exactly one file
// an instruction set (kernels/table.kernel.cpp, reference/table.cpp).
#pragma once

#include "dispatch/kernel_export.h"
#include "dispatch/registry.h"

#define FASTCONV_TEXT_(name) #name
#define FASTCONV_TEXT(name) FASTCONV_TEXT_(name)
#define FASTCONV_TABLE_(isa) instruction_set__##isa
#define FASTCONV_TABLE(isa) FASTCONV_TABLE_(isa)

namespace fastconv {

#define FASTCONV_KERNEL(name, Args)                                    \
  void FASTCONV_CAT(name, f32, FASTCONV_ISA)(const Args<float>& args); \
  void FASTCONV_CAT(name, f64, FASTCONV_ISA)(const Args<double>& args);
#include "dispatch/kernels.inc"
#undef FASTCONV_KERNEL
#define FASTCONV_KERNEL(name, Args) \
  void FASTCONV_CAT(name, bf16, FASTCONV_ISA)(const Args<BFloat16>& args);
#include "dispatch/kernels_bf16.inc"
#undef FASTCONV_KERNEL
#define FASTCONV_KERNEL(name, Args) void FASTCONV_CAT(name, i8, FASTCONV_ISA)(const Args& args);
#include "dispatch/kernels_i8.inc"
#undef FASTCONV_KERNEL

extern const InstructionSet FASTCONV_TABLE(FASTCONV_ISA);
const InstructionSet FASTCONV_TABLE(FASTCONV_ISA) = {FASTCONV_TEXT(FASTCONV_ISA),
                                                     {
#define FASTCONV_KERNEL(name, Args) &FASTCONV_CAT(name, f32, FASTCONV_ISA),
#include "dispatch/kernels.inc"
#undef FASTCONV_KERNEL
                                                     },
                                                     {
#define FASTCONV_KERNEL(name, Args) &FASTCONV_CAT(name, f64, FASTCONV_ISA),
#include "dispatch/kernels.inc"
#undef FASTCONV_KERNEL
                                                     },
                                                     {
#define FASTCONV_KERNEL(name, Args) &FASTCONV_CAT(name, bf16, FASTCONV_ISA),
#include "dispatch/kernels_bf16.inc"
#undef FASTCONV_KERNEL
                                                     },
                                                     {
#define FASTCONV_KERNEL(name, Args) &FASTCONV_CAT(name, i8, FASTCONV_ISA),
#include "dispatch/kernels_i8.inc"
#undef FASTCONV_KERNEL
                                                     }};

}  // namespace fastconv
