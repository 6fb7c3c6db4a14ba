// Convolution, its gradients, and the transposed convolution.
#include <cinttypes>
#include <cstring>

#include "api/conv_call.h"
#include "core/choices.h"
#include "dispatch/cpu_features.h"

namespace fastconv {
namespace {

double macs(const ConvParams& p) {
  double result = static_cast<double>(p.n) * p.out_channels * (p.in_channels / p.groups);
  for (int i = 0; i < kSpatial; ++i) result *= static_cast<double>(p.kernel[i]) * p.out[i];
  return result;
}

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

// The filters in exec->packed_weight, after `plan` has said which form the call needs.
fastconv_status check_packed(const fastconv_exec* exec, const ConvPlan& plan) {
  const PackedHeader* header = static_cast<const PackedHeader*>(exec->packed_weight);
  if (plan.packed == 0)
    return fail(FASTCONV_INVALID_ARGUMENT,
                "packed_weight: this problem has no packed form (its packed_size is 0)");
  const size_t size = sizeof(PackedHeader) + plan.packed;
  if (exec->packed_weight_size < size)
    return fail(FASTCONV_INVALID_ARGUMENT,
                "packed_weight: expected %zu bytes (packed_size of fastconv_conv_plan), got %zu",
                size, exec->packed_weight_size);
  if (header->magic != kPackedMagic)
    return fail(FASTCONV_INVALID_ARGUMENT,
                "packed_weight: expected what fastconv_conv_pack_weight wrote, got other bytes");
  if (header->form != plan.packed_form || header->size != plan.packed)
    return fail(FASTCONV_INVALID_ARGUMENT,
                "packed_weight: packed in another form (packed_key %016" PRIx64
                ") than this call reads, %016" PRIx64,
                header->form, plan.packed_form);
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

// The transposed convolution's output for an output padding; for null, the shape that an output
// padding adds to, which may have extents below 1.
fastconv_status transpose_shape(int64_t shape[FASTCONV_MAX_NDIM], Argument input, Argument weight,
                                const fastconv_conv_params* params, const int64_t* output_padding) {
  if (params == nullptr || params->struct_size < sizeof(fastconv_conv_params) ||
      params->spatial_ndim < 1 || params->spatial_ndim > kSpatial)
    return fail(FASTCONV_INVALID_ARGUMENT,
                "params: expected a fastconv_conv_params with struct_size and spatial_ndim set");
  const int spatial_ndim = params->spatial_ndim, ndim = spatial_ndim + 2;
  FASTCONV_TRY(check_tensor(input, ndim, ndim));
  FASTCONV_TRY(check_tensor(weight, ndim, ndim));
  if (params->padding_mode == FASTCONV_PADDING_SAME)
    return fail(FASTCONV_INVALID_ARGUMENT,
                "padding: 'same' does not determine the output of a transposed convolution");
  if (params->groups < 1)
    return fail(FASTCONV_INVALID_ARGUMENT, "groups: expected a positive integer, got %" PRId64,
                params->groups);
  if (weight->shape[0] != input->shape[1])
    return fail(FASTCONV_INVALID_ARGUMENT,
                "weight: expected the %" PRId64
                " channels of input in its first dimension, got shape %s",
                input->shape[1], Tuple(weight->shape, ndim).text());
  shape[0] = input->shape[0];
  bool overflow = __builtin_mul_overflow(weight->shape[1], params->groups, &shape[1]);
  for (int i = 0; i < spatial_ndim; ++i) {
    const int64_t in = input->shape[i + 2], kernel = weight->shape[i + 2];
    const int64_t stride = params->stride[i], dilation = params->dilation[i];
    const int64_t extra = output_padding != nullptr ? output_padding[i] : 0;
    if (stride < 1 || dilation < 1)
      return fail(FASTCONV_INVALID_ARGUMENT, "%s: expected positive integers, got %s",
                  stride < 1 ? "stride" : "dilation",
                  Tuple(stride < 1 ? params->stride : params->dilation, spatial_ndim).text());
    if (in < 1 || kernel < 1)
      return fail(FASTCONV_INVALID_ARGUMENT, "%s: only the batch may be empty, got shape %s",
                  in < 1 ? "input" : "weight",
                  Tuple((in < 1 ? input : weight)->shape, ndim).text());
    if (extra < 0 || (extra >= stride && extra >= dilation))
      return fail(FASTCONV_INVALID_ARGUMENT,
                  "output_padding: expected less than the stride or the dilation and not negative, "
                  "got %" PRId64 " in spatial dimension %d",
                  extra, i);
    int64_t size, window, pads = 0;
    if (params->padding_mode == FASTCONV_PADDING_EXPLICIT)
      overflow |= __builtin_add_overflow(params->pad_before[i], params->pad_after[i], &pads);
    overflow |= __builtin_mul_overflow(in - 1, stride, &size);
    overflow |= __builtin_mul_overflow(kernel - 1, dilation, &window);
    overflow |= __builtin_add_overflow(size, window, &size);
    overflow |= __builtin_add_overflow(size, extra + 1, &size);
    overflow |= __builtin_sub_overflow(size, pads, &shape[i + 2]);
    if (overflow) break;
    if (shape[i + 2] < 1 && output_padding != nullptr)
      return fail(FASTCONV_INVALID_ARGUMENT,
                  "padding: leaves an output of %" PRId64 " in spatial dimension %d", shape[i + 2],
                  i);
  }
  int64_t bytes = sizeof(double);
  for (int i = 0; i < ndim && !overflow; ++i)
    if (shape[i] > 0) overflow = __builtin_mul_overflow(bytes, shape[i], &bytes);
  if (overflow)
    return fail(FASTCONV_INVALID_ARGUMENT,
                "input: shape %s gives an output with more bytes than a signed 64-bit offset "
                "reaches",
                Tuple(input->shape, ndim).text());
  return FASTCONV_OK;
}

}  // namespace

uint64_t ConvProblem::key(const fastconv_exec* exec) const {
  return conv_problem_key(p, computation, x->dtype, is_highest(exec), active_isa()->name);
}

fastconv_status make_transpose(const fastconv_tensor* output, const fastconv_tensor* input,
                               const fastconv_tensor* weight, const fastconv_conv_params* params,
                               ConvProblem* problem) {
  // The convolution this is the input gradient of: it maps `output` to `input`.
  const Argument x = {output, "out"}, w = {weight, "weight"}, y = {input, "input"};
  int64_t shape[FASTCONV_MAX_NDIM];
  FASTCONV_TRY(transpose_shape(shape, y, w, params, nullptr));
  const int ndim = params->spatial_ndim + 2;
  FASTCONV_TRY(check_tensor(x, ndim, ndim));
  FASTCONV_TRY(check_same_dtype(y, x));
  // Its extents say which output padding is meant.
  for (int i = 2; i < ndim; ++i) {
    const int64_t extra = output->shape[i] - shape[i];
    if (extra > 0 && (extra < params->stride[i - 2] || extra < params->dilation[i - 2]))
      shape[i] = output->shape[i];
  }
  FASTCONV_TRY(check_shape(x, shape, ndim, "(plus an output_padding below stride or dilation)"));
  *problem = {{}, FASTCONV_BACKWARD_INPUT, output, weight, input, nullptr};
  ConvParams& p = problem->p;
  FASTCONV_TRY(make_conv(x, w, {nullptr, ""}, params, &p));
  // An output padding of the stride and more leaves room for positions beyond the input: they
  // count as zeros, like everything outside.
  for (int i = 0; i < params->spatial_ndim; ++i)
    p.out[i + kSpatial - params->spatial_ndim] = input->shape[i + 2];
  spread_strides(*input, p.y_stride);
  return FASTCONV_OK;
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
  return FASTCONV_OK;
}

fastconv_status compute(const ConvProblem& problem, const fastconv_exec* exec) {
  return with_conv_kernels(problem.x->dtype, [&](const auto& table, auto zero) {
    using T = decltype(zero);
    ConvPlan plan = {};
    ConvArgs<T> args = {};
    FASTCONV_TRY(make_args(problem, exec, &args));
    args.plan = &plan;
    const bool packed = has_plan_fields(exec) && exec->packed_weight != nullptr && problem.p.n > 0;
    if (packed) {
      plan.full = true;
      if (reinterpret_cast<uintptr_t>(exec->packed_weight) % kAlignment != 0)
        return fail(FASTCONV_INVALID_ARGUMENT, "packed_weight: expected 64-byte alignment, got %p",
                    exec->packed_weight);
      // Read only: the kernels that write it are not called.
      const PackedHeader* header = static_cast<const PackedHeader*>(exec->packed_weight);
      args.packed_weight = reinterpret_cast<T*>(const_cast<PackedHeader*>(header + 1));
    }
    FASTCONV_TRY(make_plan(table, problem, exec, &args));
    if (packed) FASTCONV_TRY(check_packed(exec, plan));
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
    return with_workspace(exec, plan.workspace, args,
                          table.*kComputations<T>[problem.computation].pack_weight);
  });
}

}  // namespace fastconv

using namespace fastconv;

fastconv_status fastconv_conv_output_shape(int64_t output_shape[FASTCONV_MAX_NDIM],
                                           const fastconv_tensor* input,
                                           const fastconv_tensor* weight,
                                           const fastconv_conv_params* params) {
  ConvParams p;
  FASTCONV_TRY(make_conv({input, "input"}, {weight, "weight"}, {nullptr, ""}, params, &p));
  output_shape[0] = p.n;
  output_shape[1] = p.out_channels;
  for (int i = 0; i < params->spatial_ndim; ++i)
    output_shape[i + 2] = p.out[i + kSpatial - params->spatial_ndim];
  return FASTCONV_OK;
}

fastconv_status fastconv_conv_forward(const fastconv_tensor* output, const fastconv_tensor* input,
                                      const fastconv_tensor* weight,
                                      const fastconv_epilogue* epilogue,
                                      const fastconv_conv_params* params,
                                      const fastconv_exec* exec) {
  const Argument x = {input, "input"}, w = {weight, "weight"}, y = {output, "out"};
  ConvProblem problem = {{}, FASTCONV_FORWARD, input, weight, output, epilogue};
  FASTCONV_TRY(check_tensor(y, 0, FASTCONV_MAX_NDIM));
  FASTCONV_TRY(make_conv(x, w, y, params, &problem.p));
  FASTCONV_TRY(check_output(y));
  FASTCONV_TRY(check_disjoint(y, x));
  FASTCONV_TRY(check_disjoint(y, w));
  FASTCONV_TRY(set_epilogue(epilogue, y, &problem.p));
  return compute(problem, exec);
}

fastconv_status fastconv_conv_backward_input(const fastconv_tensor* grad_input,
                                             const fastconv_tensor* grad_output,
                                             const fastconv_tensor* weight,
                                             const fastconv_conv_params* params,
                                             const fastconv_exec* exec) {
  const Argument x = {grad_input, "grad_input"}, w = {weight, "weight"};
  const Argument y = {grad_output, "grad_output"};
  ConvProblem problem = {{}, FASTCONV_BACKWARD_INPUT, grad_input, weight, grad_output, nullptr};
  FASTCONV_TRY(check_tensor(y, 0, FASTCONV_MAX_NDIM));
  FASTCONV_TRY(make_conv(x, w, y, params, &problem.p));
  FASTCONV_TRY(check_output(x));
  FASTCONV_TRY(check_disjoint(x, y));
  FASTCONV_TRY(check_disjoint(x, w));
  FASTCONV_TRY(set_epilogue(nullptr, x, &problem.p));
  return compute(problem, exec);
}

fastconv_status fastconv_conv_backward_weight(const fastconv_tensor* grad_weight,
                                              const fastconv_tensor* grad_output,
                                              const fastconv_tensor* input,
                                              const fastconv_conv_params* params,
                                              const fastconv_exec* exec) {
  const Argument x = {input, "input"}, w = {grad_weight, "grad_weight"};
  const Argument y = {grad_output, "grad_output"};
  ConvProblem problem = {{}, FASTCONV_BACKWARD_WEIGHT, input, grad_weight, grad_output, nullptr};
  FASTCONV_TRY(check_tensor(y, 0, FASTCONV_MAX_NDIM));
  FASTCONV_TRY(make_conv(x, w, y, params, &problem.p));
  FASTCONV_TRY(check_output(w));
  FASTCONV_TRY(check_disjoint(w, x));
  FASTCONV_TRY(check_disjoint(w, y));
  FASTCONV_TRY(set_epilogue(nullptr, w, &problem.p));
  return compute(problem, exec);
}

fastconv_status fastconv_conv_transpose_output_shape(
    int64_t output_shape[FASTCONV_MAX_NDIM], const fastconv_tensor* input,
    const fastconv_tensor* weight, const fastconv_conv_params* params,
    const int64_t output_padding[FASTCONV_MAX_SPATIAL]) {
  return transpose_shape(output_shape, {input, "input"}, {weight, "weight"}, params,
                         output_padding);
}

fastconv_status fastconv_conv_transpose_forward(const fastconv_tensor* output,
                                                const fastconv_tensor* input,
                                                const fastconv_tensor* weight,
                                                const fastconv_epilogue* epilogue,
                                                const fastconv_conv_params* params,
                                                const fastconv_exec* exec) {
  ConvProblem problem;
  FASTCONV_TRY(make_transpose(output, input, weight, params, &problem));
  const Argument x = {output, "out"};
  FASTCONV_TRY(check_output(x));
  FASTCONV_TRY(check_disjoint(x, {input, "input"}));
  FASTCONV_TRY(check_disjoint(x, {weight, "weight"}));
  FASTCONV_TRY(set_epilogue(epilogue, x, &problem.p));
  problem.epilogue = epilogue;
  return compute(problem, exec);
}

fastconv_status fastconv_conv_workspace_size(
    size_t* workspace_size, fastconv_conv_computation computation, const fastconv_tensor* output,
    const fastconv_tensor* input, const fastconv_tensor* weight, const fastconv_conv_params* params,
    const fastconv_exec* exec) {
  if (workspace_size == nullptr)
    return fail(FASTCONV_INVALID_ARGUMENT, "workspace_size: expected a pointer, got NULL");
  ConvProblem problem;
  ConvPlan plan;
  FASTCONV_TRY(make_problem(computation, output, input, weight, params, &problem));
  FASTCONV_TRY(explain(problem, exec, &plan));
  *workspace_size = plan.workspace;
  return FASTCONV_OK;
}
