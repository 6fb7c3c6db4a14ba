// One convolution, validated: its plan, its scratch, and the kernel that computes it or packs its
// filters.
#include "api/conv_call.h"

#include <cinttypes>

#include "core/canonical.h"
#include "core/choices.h"
#include "dispatch/cpu_features.h"

namespace fastconv {
namespace {

template <class T>
using ConvKernel = void (*KernelTable<T>::*)(const ConvArgs<T>&);

// The table entries of the three computations; the gradient of the filters packs none.
template <class T>
struct Computation {
  ConvKernel<T> plan, run, pack_weight;
};
template <class T>
constexpr Computation<T> kComputations[] = {
    {&KernelTable<T>::conv_forward_plan, &KernelTable<T>::conv_forward,
     &KernelTable<T>::conv_forward_pack_weight},
    {&KernelTable<T>::conv_backward_input_plan, &KernelTable<T>::conv_backward_input,
     &KernelTable<T>::conv_backward_input_pack_weight},
    {&KernelTable<T>::conv_backward_weight_plan, &KernelTable<T>::conv_backward_weight, nullptr},
};

bool is_highest(const fastconv_exec* exec) {
  return exec != nullptr && exec->precision == FASTCONV_PRECISION_HIGHEST;
}

// Everything a kernel is told but its scratch.
template <class T>
fastconv_status make_args(const ConvProblem& problem, const fastconv_exec* exec,
                          ConvArgs<T>* args) {
  int threads;
  FASTCONV_TRY(choose_threads(exec, macs(problem.p), kMacsPerThread, &threads));
  FASTCONV_TRY(check_precision(exec));
  const auto data = [](const fastconv_tensor* tensor) {
    return tensor != nullptr ? static_cast<T*>(tensor->data) : nullptr;
  };
  const fastconv_epilogue* epilogue = problem.epilogue;
  args->params = &problem.p;
  args->x = data(problem.x);
  args->weight = data(problem.weight);
  args->y = data(problem.y);
  args->bias = data(epilogue != nullptr ? epilogue->bias : nullptr);
  args->residual = data(epilogue != nullptr ? epilogue->residual : nullptr);
  args->exec = {threads, nullptr, is_highest(exec), cpu_has(Extension::avx512_bf16)};
  return FASTCONV_OK;
}

// args->plan answers for the algorithm that exec asks for, else for the one that was measured
// to be best, else for the model's.
template <class T>
fastconv_status make_plan(const KernelTable<T>& table, const ConvProblem& problem,
                          const fastconv_exec* exec, ConvArgs<T>* args) {
  const ConvKernel<T> plan = kComputations<T>[problem.computation].plan;
  const int32_t asked = has_plan_fields(exec) ? exec->algorithm : 0;
  if (asked < 0 || asked >= FASTCONV_CONV_ALGORITHMS)
    return fail(FASTCONV_INVALID_ARGUMENT, "algorithm: expected 0 to %d, got %d",
                FASTCONV_CONV_ALGORITHMS - 1, asked);
  args->algorithm = asked;
  if (asked == 0 && have_choices()) args->algorithm = find_choice(problem.key(exec));
  (table.*plan)(*args);
  if (args->plan->algorithm == 0 && asked == 0) {  // a choice made for another residual
    args->algorithm = 0;
    (table.*plan)(*args);
  }
  if (args->plan->algorithm == 0)
    return fail(FASTCONV_UNSUPPORTED, "algorithm: number %d does not apply to this problem", asked);
  args->plan->asked = args->algorithm != 0;
  args->algorithm = args->plan->algorithm;
  return FASTCONV_OK;
}

// Filters packed by the caller; null where they are not to be read.
const PackedHeader* packed_of(const fastconv_exec* exec, const ConvProblem& problem) {
  const bool given = has_plan_fields(exec) && exec->packed_weight != nullptr && problem.p.n > 0;
  return given ? static_cast<const PackedHeader*>(exec->packed_weight) : nullptr;
}

fastconv_status check_header(const fastconv_exec* exec) {
  if (reinterpret_cast<uintptr_t>(exec->packed_weight) % kAlignment != 0)
    return fail(FASTCONV_INVALID_ARGUMENT, "packed_weight: expected 64-byte alignment, got %p",
                exec->packed_weight);
  if (exec->packed_weight_size < sizeof(PackedHeader))
    return fail(FASTCONV_INVALID_ARGUMENT,
                "packed_weight: expected %zu bytes and more (packed_size of fastconv_conv_plan), "
                "got %zu",
                sizeof(PackedHeader), exec->packed_weight_size);
  if (static_cast<const PackedHeader*>(exec->packed_weight)->magic != kPackedMagic)
    return fail(FASTCONV_INVALID_ARGUMENT,
                "packed_weight: expected what fastconv_conv_pack_weight wrote, got other bytes");
  return FASTCONV_OK;
}

// Whether `plan`, which says what forms the call can read, has that of the packed filters.
fastconv_status check_packed(const fastconv_exec* exec, const PackedHeader& header,
                             const ConvPlan& plan) {
  if (plan.packed == 0)
    return fail(FASTCONV_INVALID_ARGUMENT,
                "packed_weight: this problem has no packed form (its packed_size is 0)");
  const bool other = plan.other_packed != 0 && header.form == (plan.packed_form ^ kTapsForm);
  const size_t packed = other ? plan.other_packed : plan.packed;
  if (header.size != packed || (!other && header.form != plan.packed_form))
    return fail(FASTCONV_INVALID_ARGUMENT,
                "packed_weight: packed in another form (packed_key %016" PRIx64
                ") than this call reads, %016" PRIx64,
                header.form, plan.packed_form);
  const size_t size = sizeof(PackedHeader) + packed;
  if (exec->packed_weight_size < size)
    return fail(FASTCONV_INVALID_ARGUMENT,
                "packed_weight: expected %zu bytes (packed_size of fastconv_conv_plan), got %zu",
                size, exec->packed_weight_size);
  return FASTCONV_OK;
}

// Calls `run` with args.exec.workspace set: exec's, or some of the pool.
template <class T, class Run>
fastconv_status with_workspace(const fastconv_exec* exec, size_t needed, ConvArgs<T>& args,
                               const Run& run) {
  if (exec != nullptr && exec->workspace != nullptr) {
    if (exec->workspace_size < needed)
      return fail(FASTCONV_INVALID_ARGUMENT,
                  "workspace: expected at least %zu bytes "
                  "(fastconv_conv_workspace_size), got %zu",
                  needed, exec->workspace_size);
    if (reinterpret_cast<uintptr_t>(exec->workspace) % kAlignment != 0)
      return fail(FASTCONV_INVALID_ARGUMENT, "workspace: expected 64-byte alignment, got %p",
                  exec->workspace);
    args.exec.workspace = exec->workspace;
    run(args);
    return FASTCONV_OK;
  }
  const Scratch scratch(needed);
  if (!scratch.ok())
    return fail(FASTCONV_OUT_OF_MEMORY, "no memory for %zu bytes of scratch", needed);
  args.exec.workspace = scratch.get();
  run(args);
  return FASTCONV_OK;
}

}  // namespace

uint64_t ConvProblem::key(const fastconv_exec* exec) const {
  return conv_problem_key(p, computation, x->dtype, is_highest(exec), active_isa()->name);
}

fastconv_status make_problem(fastconv_conv_computation computation, const fastconv_tensor* output,
                             const fastconv_tensor* input, const fastconv_tensor* weight,
                             const fastconv_conv_params* params, ConvProblem* problem) {
  if (computation < FASTCONV_FORWARD || computation > FASTCONV_CONV_TRANSPOSE)
    return fail(FASTCONV_INVALID_ARGUMENT, "computation: unknown value %d",
                static_cast<int>(computation));
  if (computation == FASTCONV_CONV_TRANSPOSE)
    return make_transpose(output, input, weight, params, problem);
  *problem = {{}, computation, input, weight, output, nullptr};
  FASTCONV_TRY(check_tensor({output, "output"}, 0, FASTCONV_MAX_NDIM));
  FASTCONV_TRY(
      make_conv({input, "input"}, {weight, "weight"}, {output, "output"}, params, &problem->p));
  fold_window(&problem->p);
  return FASTCONV_OK;
}

fastconv_status compute(const ConvProblem& problem, const fastconv_exec* exec) {
  return with_conv_kernels(problem.x->dtype, [&](const auto& table, auto zero) {
    using T = decltype(zero);
    ConvPlan plan = {};
    ConvArgs<T> args = {};
    FASTCONV_TRY(make_args(problem, exec, &args));
    args.plan = &plan;
    const PackedHeader* packed = packed_of(exec, problem);
    if (packed != nullptr) {
      FASTCONV_TRY(check_header(exec));
      plan.full = true;
      // Read only: the kernels that write it are not called.
      args.packed_weight = reinterpret_cast<T*>(const_cast<PackedHeader*>(packed + 1));
      args.packed_taps = (packed->form & kTapsForm) != 0;
    }
    FASTCONV_TRY(make_plan(table, problem, exec, &args));
    if (packed != nullptr) FASTCONV_TRY(check_packed(exec, *packed, plan));
    return with_workspace(exec, plan.workspace, args,
                          table.*kComputations<T>[problem.computation].run);
  });
}

fastconv_status explain(const ConvProblem& problem, const fastconv_exec* exec, ConvPlan* plan) {
  return with_conv_kernels(problem.x->dtype, [&](const auto& table, auto zero) {
    using T = decltype(zero);
    ConvArgs<T> args = {};
    FASTCONV_TRY(make_args(problem, exec, &args));
    *plan = {};
    args.plan = plan;
    args.packed_weight = nullptr;
    plan->full = true;
    ConvParams one = problem.p;
    one.n = one.n > 0 ? one.n : 1;  // an empty batch is computed like any other
    args.params = &one;
    return make_plan(table, problem, exec, &args);
  });
}

fastconv_status pack_weight(const ConvProblem& problem, const fastconv_exec* exec,
                            const ConvPlan& plan, void* packed) {
  return with_conv_kernels(problem.x->dtype, [&](const auto& table, auto zero) {
    using T = decltype(zero);
    ConvArgs<T> args = {};
    FASTCONV_TRY(make_args(problem, exec, &args));
    ConvParams one = problem.p;
    one.n = one.n > 0 ? one.n : 1;
    args.params = &one;
    args.algorithm = plan.algorithm;
    args.packed_weight = static_cast<T*>(packed);
    args.packed_taps = (plan.packed_form & kTapsForm) != 0;
    return with_workspace(exec, plan.workspace, args,
                          table.*kComputations<T>[problem.computation].pack_weight);
  });
}

}  // namespace fastconv
