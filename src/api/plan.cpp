// What a convolution will do, in figures and words; filters packed beforehand; measured choices.
#include <cinttypes>
#include <cstdio>
#include <cstring>

#include "api/conv_call.h"
#include "core/choices.h"

namespace fastconv {
namespace {

const char* name_of(int32_t algorithm) {
  switch (algorithm) {
    case kDirect:
    case kPairs:
      return "direct";
    case kPositions:
      return "positions";
    case kDepthwise:
    case kColumns:
      return "depthwise";
    case kNaive:
      return "reference";
    default:
      return "winograd";
  }
}

// "4x4" or, for one of the two alone, "4".
struct Extents {
  char text[24] = "";
  Extents(const int64_t (&values)[2], const int64_t (&m)[2]) {
    const int rows = static_cast<int>(values[0]), columns = static_cast<int>(values[1]);
    if (m[0] > 1 && m[1] > 1)
      snprintf(text, sizeof(text), "%dx%d", rows, columns);
    else
      snprintf(text, sizeof(text), "%d", m[0] > 1 ? rows : columns);
  }
};

void write_reason(const ConvProblem& problem, bool highest, const ConvPlan& plan, char* text,
                  size_t size) {
  const ConvParams& p = problem.p;
  const char* where = plan.widened ? "in float32, " : "";
  const int64_t taps = p.kernel[0] * p.kernel[1] * p.kernel[2];
  if (plan.algorithm >= kFirstCover) {
    const double direct = static_cast<double>(plan.direct_multiplications);
    const double share = static_cast<double>(plan.multiplications) / direct;
    snprintf(text, size,
             "%sF(%s, %s%s)%s: %.3g products an output and channel instead of %" PRId64
             ", cost %.2f of direct summation%s",
             where, Extents(plan.m, plan.m).text, Extents(plan.r, plan.m).text,
             plan.mixed ? " and shorter" : "", plan.folded ? " of the folded signal" : "",
             share * static_cast<double>(taps), taps, plan.relative_cost,
             plan.asked ? ", as chosen" : "");
    return;
  }
  if (plan.algorithm == kNaive) {
    snprintf(text, size, "the naive loops are all that this instruction set has");
    return;
  }
  const bool gradient = problem.computation == FASTCONV_BACKWARD_WEIGHT;
  const char* lanes = plan.algorithm == kDepthwise && gradient ? "filters of one channel"
                      : plan.algorithm == kDepthwise           ? "vectors along the channels"
                      : plan.algorithm == kPositions           ? "vectors along the positions"
                      : plan.algorithm == kColumns             ? "vectors along the columns"
                                                               : "vectors along the outputs";
  if (plan.algorithm == kPairs) {
    snprintf(text, size, "pairs of %s: %s", gradient ? "pixels" : "channels",
             plan.asked ? "as chosen"
             : highest  ? "the precision is highest"
                        : "two products an instruction");
    return;
  }
  const char* why = plan.asked                             ? "as chosen"
                    : taps == 1                            ? "a filter of one tap has no transform"
                    : highest                              ? "the precision is highest"
                    : problem.x->dtype == FASTCONV_FLOAT64 ? "transforms are for float32"
                                                           : "no transform costs less";
  snprintf(text, size, "%s%s: %s", where, lanes, why);
}

}  // namespace
}  // namespace fastconv

using namespace fastconv;

fastconv_status fastconv_conv_plan(fastconv_conv_plan_info* info,
                                   fastconv_conv_computation computation,
                                   const fastconv_tensor* output, const fastconv_tensor* input,
                                   const fastconv_tensor* weight,
                                   const fastconv_conv_params* params, const fastconv_exec* exec) {
  static_assert(FASTCONV_CONV_ALGORITHMS == kConvAlgorithms);
  if (info == nullptr || info->struct_size < sizeof(fastconv_conv_plan_info))
    return fail(FASTCONV_INVALID_ARGUMENT,
                "info: expected a fastconv_conv_plan_info with its struct_size set");
  ConvProblem problem;
  ConvPlan plan;
  FASTCONV_TRY(make_problem(computation, output, input, weight, params, &problem));
  FASTCONV_TRY(explain(problem, exec, &plan));
  const bool highest = exec != nullptr && exec->precision == FASTCONV_PRECISION_HIGHEST;
  info->algorithm = plan.algorithm;
  snprintf(info->name, sizeof(info->name), "%s", name_of(plan.algorithm));
  write_reason(problem, highest, plan, info->reason, sizeof(info->reason));
  info->relative_cost = plan.relative_cost;
  info->multiplications = plan.multiplications;
  info->direct_multiplications = plan.direct_multiplications;
  info->workspace_size = plan.workspace;
  info->packed_size = plan.packed != 0 ? sizeof(PackedHeader) + plan.packed : 0;
  info->packed_key = plan.packed_form;
  info->problem_key = problem.key(exec);
  return FASTCONV_OK;
}

fastconv_status fastconv_conv_pack_weight(
    void* buffer, size_t size, fastconv_conv_computation computation, const fastconv_tensor* output,
    const fastconv_tensor* input, const fastconv_tensor* weight, const fastconv_conv_params* params,
    const fastconv_exec* exec) {
  ConvProblem problem;
  ConvPlan plan;
  FASTCONV_TRY(make_problem(computation, output, input, weight, params, &problem));
  FASTCONV_TRY(explain(problem, exec, &plan));
  if (plan.packed == 0)
    return fail(FASTCONV_INVALID_ARGUMENT,
                "buffer: this problem has no packed form (its packed_size is 0)");
  const size_t needed = sizeof(PackedHeader) + plan.packed;
  if (buffer == nullptr || size < needed)
    return fail(FASTCONV_INVALID_ARGUMENT,
                "buffer: expected %zu bytes (packed_size of fastconv_conv_plan), got %zu", needed,
                buffer == nullptr ? size_t{0} : size);
  if (reinterpret_cast<uintptr_t>(buffer) % kAlignment != 0)
    return fail(FASTCONV_INVALID_ARGUMENT, "buffer: expected 64-byte alignment, got %p", buffer);
  PackedHeader* header = static_cast<PackedHeader*>(buffer);
  *header = {kPackedMagic, plan.packed_form, plan.packed};
  return pack_weight(problem, exec, plan, header + 1);
}

fastconv_status fastconv_conv_set_choice(uint64_t problem_key, int32_t algorithm) {
  if (algorithm < 0 || algorithm >= FASTCONV_CONV_ALGORITHMS)
    return fail(FASTCONV_INVALID_ARGUMENT, "algorithm: expected 0 to %d, got %d",
                FASTCONV_CONV_ALGORITHMS - 1, algorithm);
  if (problem_key <= 0xff)
    return fail(FASTCONV_INVALID_ARGUMENT,
                "problem_key: expected one of fastconv_conv_plan_info, got %" PRIu64, problem_key);
  if (!set_choice(problem_key, algorithm))
    return fail(FASTCONV_OUT_OF_MEMORY, "problem_key: the table of choices is full");
  return FASTCONV_OK;
}

void fastconv_conv_clear_choices(void) { clear_choices(); }
