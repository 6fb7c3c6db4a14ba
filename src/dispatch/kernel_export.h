// Names for kernel files. A *.kernel.cpp is compiled once per instruction set with
// FASTCONV_ISA (avx2, ...) defined; all it contains lives in an anonymous namespace, so that
// no two instruction sets can ever share a symbol, and FASTCONV_EXPORT gives each entry of
// kernels.inc its two public names.
#pragma once

#include "dispatch/args.h"

#define FASTCONV_CAT_(name, dtype, isa) name##_##dtype##__##isa
#define FASTCONV_CAT(name, dtype, isa) FASTCONV_CAT_(name, dtype, isa)

#define FASTCONV_EXPORT(name, Args)                                                            \
  namespace fastconv {                                                                         \
  void FASTCONV_CAT(name, f32, FASTCONV_ISA)(const Args<float>& args);                         \
  void FASTCONV_CAT(name, f64, FASTCONV_ISA)(const Args<double>& args);                        \
  void FASTCONV_CAT(name, f32, FASTCONV_ISA)(const Args<float>& args) { name<float>(args); }   \
  void FASTCONV_CAT(name, f64, FASTCONV_ISA)(const Args<double>& args) { name<double>(args); } \
  }

// The same for an entry of kernels_bf16.inc.
#define FASTCONV_EXPORT_BF16(name, Args)                                                  \
  namespace fastconv {                                                                    \
  void FASTCONV_CAT(name, bf16, FASTCONV_ISA)(const Args<BFloat16>& args);                \
  void FASTCONV_CAT(name, bf16, FASTCONV_ISA)(const Args<BFloat16>& args) { name(args); } \
  }

// The same for an entry of kernels_i8.inc, which has one.
#define FASTCONV_EXPORT_I8(name, Args)                                        \
  namespace fastconv {                                                        \
  void FASTCONV_CAT(name, i8, FASTCONV_ISA)(const Args& args);                \
  void FASTCONV_CAT(name, i8, FASTCONV_ISA)(const Args& args) { name(args); } \
  }
