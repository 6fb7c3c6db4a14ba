// One validated convolution, and the three things that can be done with it: compute, explain,
// pack its filters. All three ask the same plan kernel first.
#pragma once

#include "api/call.h"

namespace fastconv {

struct ConvProblem {
  ConvParams p;
  fastconv_conv_computation computation;  // a transposed convolution is BACKWARD_INPUT
  const fastconv_tensor *x, *weight, *y;
  const fastconv_epilogue* epilogue;
  uint64_t key(const fastconv_exec* exec) const;  // see core/choices.h
};

// The problem of the tensors as `computation` calls them; `output` may be null only where
// nothing is read or written.
fastconv_status make_problem(fastconv_conv_computation computation, const fastconv_tensor* output,
                             const fastconv_tensor* input, const fastconv_tensor* weight,
                             const fastconv_conv_params* params, ConvProblem* problem);
fastconv_status make_transpose(const fastconv_tensor* output, const fastconv_tensor* input,
                               const fastconv_tensor* weight, const fastconv_conv_params* params,
                               ConvProblem* problem);

fastconv_status compute(const ConvProblem& problem, const fastconv_exec* exec);
fastconv_status explain(const ConvProblem& problem, const fastconv_exec* exec, ConvPlan* plan);
// The filters in the form of `plan`, which explain() answered.
fastconv_status pack_weight(const ConvProblem& problem, const fastconv_exec* exec,
                            const ConvPlan& plan, void* packed);

// What stands before packed filters in their buffer.
struct alignas(kAlignment) PackedHeader {
  uint64_t magic, form, size;
};
constexpr uint64_t kPackedMagic = 0x6663'7061'636b'6564;  // "fcpacked"

// Whether exec is new enough to have the fields from packed_weight on.
inline bool has_plan_fields(const fastconv_exec* exec) {
  return exec != nullptr && exec->struct_size >= sizeof(fastconv_exec);
}

}  // namespace fastconv
