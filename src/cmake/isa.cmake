# The instruction sets a target processor has, best first, and what each one means to the
# compiler. A row: NAME|VEC_BYTES|FLAGS. Nothing else in the build knows an instruction set;
# src/dispatch/cpu_features.cpp decides at run time which of them this CPU and its operating
# system support.
#
# -mno-mmx: GCC may spill half a vector through an MMX register, which is the x87 stack by
# another name, and leave the caller's next long double a NaN.
if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64|amd64)$")
  set(FASTCONV_ISAS
      "avx512|64|-mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx2 -mfma -mno-mmx -mprefer-vector-width=512"
      "avx2|32|-mavx2 -mfma -mno-mmx -mno-avx512f"
      "sse2|16|-msse2 -mno-mmx -mno-avx")
elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "^(aarch64|arm64)$")
  set(FASTCONV_ISAS "neon|16|-march=armv8-a+simd")
else()
  # Any other processor: the same code on whatever the compiler makes of 16-byte vectors.
  set(FASTCONV_ISAS "scalar|16|")
endif()
set(FASTCONV_SKIP_ISAS "" CACHE STRING "Instruction sets to leave out, a list of names")
foreach(isa IN LISTS FASTCONV_SKIP_ISAS)
  list(FILTER FASTCONV_ISAS EXCLUDE REGEX "^${isa}[|]")
endforeach()

# fastconv_add_kernels(<out variable> <sources>...): one object library an instruction set,
# and generated/isas.inc, the list of their names for the registry, best first.
function(fastconv_add_kernels out)
  set(objects "")
  set(names "")
  foreach(row IN LISTS FASTCONV_ISAS)
    string(REPLACE "|" ";" fields "${row}")
    list(GET fields 0 isa)
    list(GET fields 1 vec_bytes)
    list(GET fields 2 flags)
    separate_arguments(flags UNIX_COMMAND "${flags}")
    add_library(fastconv_kernels_${isa} OBJECT ${ARGN})
    target_compile_definitions(fastconv_kernels_${isa} PRIVATE FASTCONV_ISA=${isa}
                                                               FASTCONV_VEC_BYTES=${vec_bytes})
    # -ffp-contract=fast: a * b + c is one fused operation wherever the ISA has it; that is
    # part of the arithmetic we promise, the re-associating -ffast-math is not.
    target_compile_options(
      fastconv_kernels_${isa} PRIVATE ${flags} -ffp-contract=fast -fno-math-errno
                                      -fno-trapping-math -fno-exceptions -fno-rtti)
    target_link_libraries(fastconv_kernels_${isa} PRIVATE fastconv_flags)
    list(APPEND objects $<TARGET_OBJECTS:fastconv_kernels_${isa}>)
    string(APPEND names "FASTCONV_ISA_ENTRY(${isa})\n")
  endforeach()
  set(${out} ${objects} PARENT_SCOPE)
  file(CONFIGURE OUTPUT generated/isas.inc CONTENT "${names}")
endfunction()
