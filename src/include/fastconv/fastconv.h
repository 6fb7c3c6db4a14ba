/* fastconv: convolution, pooling and dense kernels with gradients. The C ABI.
 *
 * Conventions, for every function below
 *  - Returns a status code; on anything but FASTCONV_OK the thread-local text of
 *    fastconv_last_error() names the argument, what came and what was expected,
 *    and no output has been written.
 *  - Logical order is N, C, spatial (D, H, W; outermost first) whatever the memory
 *    layout: layout is strides. Strides are in elements, may be negative, and may be
 *    zero on inputs. Channels-last is a permuted view.
 *  - Extents and strides are 64-bit; products are checked for overflow.
 *  - Outputs come first, then inputs, then parameters, then the execution context.
 *    Outputs are overwritten, never accumulated into, and may not overlap inputs
 *    unless a function says so.
 *  - Every struct begins with its own size: set it with sizeof, so that a library
 *    newer than the caller knows which fields are there. Zero the rest.
 *  - Thread safe: any function may be called from many threads at once. Nothing is
 *    printed, nothing aborts, no C++ exception leaves the library.
 *  - The bits of a result do not depend on the number of threads; those of an image's
 *    output and input gradient do not depend on the batch it is in.
 */
#ifndef FASTCONV_H
#define FASTCONV_H

#include <stddef.h>
#include <stdint.h>

#if defined(FASTCONV_BUILDING)
#define FASTCONV_API __attribute__((visibility("default")))
#else
#define FASTCONV_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* Raised when a struct or a signature changes incompatibly. */
#define FASTCONV_ABI_VERSION 1
#define FASTCONV_MAX_NDIM 5
#define FASTCONV_MAX_SPATIAL 3

typedef enum fastconv_status {
  FASTCONV_OK = 0,
  FASTCONV_INVALID_ARGUMENT = 1, /* a value is wrong: Python's ValueError */
  FASTCONV_INVALID_TYPE = 2,     /* a dtype is wrong: Python's TypeError */
  FASTCONV_OUT_OF_MEMORY = 3,
  FASTCONV_UNAVAILABLE = 4, /* an instruction set was forced that cannot run here */
  FASTCONV_UNSUPPORTED = 5  /* the algorithm asked for does not apply to the problem */
} fastconv_status;

typedef enum fastconv_dtype {
  FASTCONV_FLOAT32 = 0,
  FASTCONV_FLOAT64 = 1,
  FASTCONV_INT64 = 2, /* indices and class labels only */
  FASTCONV_UINT8 = 3, /* argmax of a pooling window, and quantized tensors */
  FASTCONV_INT8 = 4,  /* quantized tensors only */
  FASTCONV_INT32 = 5, /* biases of quantized convolutions only */
  /* The upper half of a float32; convolutions only, and then all operands. Denormal numbers
   * count as zeros, read or written. */
  FASTCONV_BFLOAT16 = 6
} fastconv_dtype;

/* Functions of one element x with up to two parameters; a NaN stays NaN. */
typedef enum fastconv_activation {
  FASTCONV_IDENTITY = 0,
  FASTCONV_RELU = 1,         /* max(x, 0) */
  FASTCONV_LEAKY_RELU = 2,   /* x, for x < 0 alpha x */
  FASTCONV_CLIPPED_RELU = 3, /* min(max(x, alpha), beta): ReLU6, hardtanh */
  FASTCONV_SIGMOID = 4,      /* 1 / (1 + exp(-x)) */
  FASTCONV_TANH = 5,
  FASTCONV_SILU = 6,          /* x sigmoid(x) */
  FASTCONV_GELU = 7,          /* x Phi(x), Phi the normal distribution */
  FASTCONV_GELU_TANH = 8,     /* x / 2 (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) */
  FASTCONV_ELU = 9,           /* x, for x < 0 alpha (exp(x) - 1) */
  FASTCONV_SELU = 10,         /* 1.0507... ELU of x with alpha 1.6733... */
  FASTCONV_SOFTPLUS = 11,     /* log(1 + exp(alpha x)) / alpha; x where alpha x > beta */
  FASTCONV_HARD_SIGMOID = 12, /* min(max(x + 3, 0), 6) / 6 */
  FASTCONV_HARD_SWISH = 13,   /* x times that */
  FASTCONV_MISH = 14          /* x tanh(log(1 + exp(x))) */
} fastconv_activation;

typedef enum fastconv_padding {
  FASTCONV_PADDING_EXPLICIT = 0, /* pad_before and pad_after as given */
  FASTCONV_PADDING_VALID = 1,    /* none */
  FASTCONV_PADDING_SAME = 2      /* output = ceil(input / stride); the odd element goes after */
} fastconv_padding;

/* A view of somebody's memory. */
typedef struct fastconv_tensor {
  size_t struct_size;
  void *data;
  int32_t dtype; /* fastconv_dtype */
  int32_t ndim;
  int64_t shape[FASTCONV_MAX_NDIM];
  int64_t strides[FASTCONV_MAX_NDIM]; /* in elements */
} fastconv_tensor;

/* Convolution parameters; the first spatial_ndim entries of each array count. */
typedef struct fastconv_conv_params {
  size_t struct_size;
  int32_t spatial_ndim; /* 1, 2 or 3 */
  int32_t padding_mode; /* fastconv_padding */
  int64_t groups;
  int64_t stride[FASTCONV_MAX_SPATIAL];
  int64_t dilation[FASTCONV_MAX_SPATIAL]; /* 1 is dense */
  int64_t pad_before[FASTCONV_MAX_SPATIAL];
  int64_t pad_after[FASTCONV_MAX_SPATIAL];
} fastconv_conv_params;

/* A sliding window: pooling, im2col and col2im. */
typedef struct fastconv_window_params {
  size_t struct_size;
  int32_t spatial_ndim;
  int32_t padding_mode;
  int32_t
      ceil_mode; /* keep a last partial window that begins inside the input or its left padding */
  int32_t reserved;
  int64_t kernel_size[FASTCONV_MAX_SPATIAL];
  int64_t stride[FASTCONV_MAX_SPATIAL];
  int64_t dilation[FASTCONV_MAX_SPATIAL];
  int64_t pad_before[FASTCONV_MAX_SPATIAL];
  int64_t pad_after[FASTCONV_MAX_SPATIAL];
} fastconv_window_params;

/* What happens to a sum before it is stored: y = activation(sum + bias + residual). A
 * struct_size that ends before alpha is one of version 0.1: both parameters are then 0. */
typedef struct fastconv_epilogue {
  size_t struct_size;
  const fastconv_tensor *bias;     /* (channels,) or NULL */
  const fastconv_tensor *residual; /* the shape of the output, or NULL */
  int32_t activation;              /* fastconv_activation */
  int32_t reserved;
  double alpha, beta; /* of the activation */
} fastconv_epilogue;

typedef enum fastconv_precision {
  /* Fast algorithms (Winograd) may be used: max|err| / max|ref| < 1e-4 in float32. */
  FASTCONV_PRECISION_HIGH = 0,
  FASTCONV_PRECISION_HIGHEST = 1 /* direct summation throughout */
} fastconv_precision;

/* How one call runs; NULL means the defaults. */
typedef struct fastconv_exec {
  size_t struct_size;
  int32_t num_threads; /* 0: fastconv_get_num_threads() */
  int32_t precision;   /* fastconv_precision */
  void *workspace;     /* scratch, 64-byte aligned; NULL: from the library's pool */
  size_t workspace_size;
  /* Convolutions only: what fastconv_conv_pack_weight wrote, or NULL; read instead of packing
   * `weight`, which has to have the same values. */
  const void *packed_weight;
  size_t packed_weight_size;
  int32_t algorithm; /* of fastconv_conv_plan_info, below; 0: what the library chooses */
  int32_t reserved;
} fastconv_exec;

typedef struct fastconv_cross_entropy_params {
  size_t struct_size;
  int64_t ignore_index;   /* targets of this value give loss 0 and gradient 0 */
  double label_smoothing; /* in [0, 1] */
} fastconv_cross_entropy_params;

/* ---- the library ------------------------------------------------------------------ */

FASTCONV_API const char *fastconv_version(void);
FASTCONV_API int fastconv_abi_version(void);
/* The message of the last failed call on this thread; valid until the next failure. */
FASTCONV_API const char *fastconv_last_error(void);
/* Compiler, flags and options the library was built with, one "key: value" a line. */
FASTCONV_API const char *fastconv_build_info(void);

/* Threads for calls that do not say: from FASTCONV_NUM_THREADS, else OMP_NUM_THREADS,
 * else the CPUs that affinity and the cgroup quota leave to this process. */
FASTCONV_API fastconv_status fastconv_set_num_threads(int num_threads);
FASTCONV_API int fastconv_get_num_threads(void);

/* Instruction sets, best first; "reference" (naive loops, double accumulation) is always
 * the last. Returns how many run on this CPU and stores up to `capacity` names. */
FASTCONV_API int fastconv_available_isas(const char **names, int capacity);
/* The active one; NULL, with an error set, if FASTCONV_ISA asked for one that cannot run. */
FASTCONV_API const char *fastconv_isa(void);
/* Selects one for the whole process; NULL returns to FASTCONV_ISA or the best. */
FASTCONV_API fastconv_status fastconv_set_isa(const char *name);

/* The output pool: 64-byte aligned memory, large blocks on huge pages, reused after free. */
FASTCONV_API fastconv_status fastconv_alloc(void **memory, size_t size);
FASTCONV_API void fastconv_free(void *memory);
/* Returns unused pool memory to the system; the number of bytes it gave back. */
FASTCONV_API size_t fastconv_trim(void);
/* Bytes in use and bytes kept for reuse. */
FASTCONV_API void fastconv_pool_stats(size_t *in_use, size_t *cached);

/* ---- convolution -------------------------------------------------------------------
 * input  (N, IC, spatial...)             weight (OC, IC / groups, kernel...)
 * output (N, OC, out...)                 out = (in + pads - dilation * (kernel - 1) - 1) / stride + 1
 *
 * output[n, oc, o] = bias[oc] + sum over ic of the group, k of
 *                    input[n, ic, o * stride - pad + k * dilation] * weight[oc, ic, k]
 * (cross-correlation, as in every framework). Accumulates in the dtype of the operands, bfloat16
 * in float32: bias, residual and activation follow there, and one rounding, to nearest even. */

FASTCONV_API fastconv_status fastconv_conv_output_shape(int64_t output_shape[FASTCONV_MAX_NDIM],
                                                        const fastconv_tensor *input,
                                                        const fastconv_tensor *weight,
                                                        const fastconv_conv_params *params);
FASTCONV_API fastconv_status fastconv_conv_forward(const fastconv_tensor *output,
                                                   const fastconv_tensor *input,
                                                   const fastconv_tensor *weight,
                                                   const fastconv_epilogue *epilogue,
                                                   const fastconv_conv_params *params,
                                                   const fastconv_exec *exec);
FASTCONV_API fastconv_status fastconv_conv_backward_input(const fastconv_tensor *grad_input,
                                                          const fastconv_tensor *grad_output,
                                                          const fastconv_tensor *weight,
                                                          const fastconv_conv_params *params,
                                                          const fastconv_exec *exec);
FASTCONV_API fastconv_status fastconv_conv_backward_weight(const fastconv_tensor *grad_weight,
                                                           const fastconv_tensor *grad_output,
                                                           const fastconv_tensor *input,
                                                           const fastconv_conv_params *params,
                                                           const fastconv_exec *exec);
/* grad_bias[c] = sum over n and the spatial positions of grad_output[n, c, ...]; for a
 * dense layer, grad_output is (N, C). */
FASTCONV_API fastconv_status fastconv_conv_backward_bias(const fastconv_tensor *grad_bias,
                                                         const fastconv_tensor *grad_output,
                                                         const fastconv_exec *exec);

/* Transposed convolution: backward_input called forward, with an epilogue.
 * input (N, IC, spatial...)   weight (IC, OC / groups, kernel...)   output (N, OC, out...)
 * out = (in - 1) * stride - pads + dilation * (kernel - 1) + output_padding + 1 */
FASTCONV_API fastconv_status fastconv_conv_transpose_output_shape(
    int64_t output_shape[FASTCONV_MAX_NDIM], const fastconv_tensor *input,
    const fastconv_tensor *weight, const fastconv_conv_params *params,
    const int64_t output_padding[FASTCONV_MAX_SPATIAL]);
FASTCONV_API fastconv_status fastconv_conv_transpose_forward(const fastconv_tensor *output,
                                                             const fastconv_tensor *input,
                                                             const fastconv_tensor *weight,
                                                             const fastconv_epilogue *epilogue,
                                                             const fastconv_conv_params *params,
                                                             const fastconv_exec *exec);

/* ---- plans: what a convolution will do ----------------------------------------------
 * The functions below take the tensors as the computation calls them: input and output of
 * the convolution, also for its gradients; those of the transposed convolution for
 * FASTCONV_CONV_TRANSPOSE, which shares its plans with BACKWARD_INPUT. */
typedef enum fastconv_conv_computation {
  FASTCONV_FORWARD = 0,
  FASTCONV_BACKWARD_INPUT = 1,
  FASTCONV_BACKWARD_WEIGHT = 2,
  FASTCONV_CONV_TRANSPOSE = 3
} fastconv_conv_computation;
/* Bytes of scratch that the call with these arguments uses when exec gives none. */
FASTCONV_API fastconv_status fastconv_conv_workspace_size(
    size_t *workspace_size, fastconv_conv_computation computation, const fastconv_tensor *output,
    const fastconv_tensor *input, const fastconv_tensor *weight, const fastconv_conv_params *params,
    const fastconv_exec *exec);

typedef struct fastconv_conv_plan_info {
  size_t struct_size;
  int32_t algorithm; /* its number, for fastconv_exec: 1 to FASTCONV_CONV_ALGORITHMS - 1 */
  int32_t reserved;
  char name[32];                  /* "winograd", "direct", "positions", "depthwise", "reference" */
  char reason[160];               /* a sentence: why, and the figures */
  double relative_cost;           /* by the model of costs; direct summation is 1 */
  int64_t multiplications;        /* of one image */
  int64_t direct_multiplications; /* the same by direct summation */
  size_t workspace_size;          /* bytes of scratch, for this batch and these threads */
  size_t packed_size;             /* bytes of the packed filters; 0: there is no such form */
  uint64_t packed_key;            /* of the form best for this batch; equal keys: one form */
  uint64_t problem_key;           /* all that the choice depends on */
} fastconv_conv_plan_info;
#define FASTCONV_CONV_ALGORITHMS 144

/* How the call with these arguments would compute. Data is not read (pointers must not be
 * NULL, though). The choice depends on shapes, dtype, layout, precision and instruction set,
 * never on the batch or the threads. exec->algorithm asks for one candidate:
 * FASTCONV_UNSUPPORTED if it does not apply. */
FASTCONV_API fastconv_status fastconv_conv_plan(
    fastconv_conv_plan_info *info, fastconv_conv_computation computation,
    const fastconv_tensor *output, const fastconv_tensor *input, const fastconv_tensor *weight,
    const fastconv_conv_params *params, const fastconv_exec *exec);

/* Packs the filters into `buffer`, 64-byte aligned, of info.packed_size bytes and more, for
 * exec->packed_weight of calls of the same problem: any batch, any number of threads. The form
 * is the best for this batch; others, whose info.packed_key may differ in the last bit, read it
 * too. Any other key fails. The library keeps no copy and cannot see that a weight has changed:
 * pack again then. Not a format for files. */
FASTCONV_API fastconv_status fastconv_conv_pack_weight(
    void *buffer, size_t size, fastconv_conv_computation computation, const fastconv_tensor *output,
    const fastconv_tensor *input, const fastconv_tensor *weight, const fastconv_conv_params *params,
    const fastconv_exec *exec);

/* For all calls of this process that do not ask for an algorithm: problems of this key use
 * `algorithm` from now on (where it applies); 0 returns to the library's choice. */
FASTCONV_API fastconv_status fastconv_conv_set_choice(uint64_t problem_key, int32_t algorithm);
FASTCONV_API void fastconv_conv_clear_choices(void);

/* ---- quantized convolution -----------------------------------------------------------
 * A quantized tensor of uint8 or int8 stands for scale * (element - zero_point). */
typedef struct fastconv_quantization {
  size_t struct_size;
  /* float32, positive and finite. One element or, of filters, one for each output channel. */
  const fastconv_tensor *scale;
  /* In the type of the tensor that it belongs to, of as many elements; NULL: 0. */
  const fastconv_tensor *zero_point;
} fastconv_quantization;

/* output[n, oc, o] = saturate(round(factor[oc] * (bias[oc] + sum over ic, k of
 *     (input[n, ic, ...] - input zero) * (weight[oc, ic, k] - weight zero[oc]))) + output zero),
 * factor[oc] = input scale * weight scale[oc] / output scale,
 * with the shapes of fastconv_conv_forward; padding counts as the input's zero point. input,
 * weight and output are uint8 or int8, each on its own; bias is int32 (OC,) or NULL, in units of
 * input scale * weight scale. Sums are 32-bit integers modulo 2^32, which 33 025 products never
 * exceed; factor is rounded to float32 after each of its two operations, and so is its product
 * with the sum; round is to nearest, ties to even. These are the bits of ONNX Runtime's
 * QLinearConv, on every instruction set. Of exec only num_threads counts. */
FASTCONV_API fastconv_status fastconv_conv_quantized_output_shape(
    int64_t output_shape[FASTCONV_MAX_NDIM], const fastconv_tensor *input,
    const fastconv_tensor *weight, const fastconv_conv_params *params);
FASTCONV_API fastconv_status fastconv_conv_quantized_forward(
    const fastconv_tensor *output, const fastconv_tensor *input, const fastconv_tensor *weight,
    const fastconv_tensor *bias, const fastconv_quantization *output_quantization,
    const fastconv_quantization *input_quantization,
    const fastconv_quantization *weight_quantization, const fastconv_conv_params *params,
    const fastconv_exec *exec);

/* ---- dense -------------------------------------------------------------------------
 * input (N, in)  weight (out, in)  output (N, out):  output = input weight^T + bias */
FASTCONV_API fastconv_status fastconv_linear_forward(const fastconv_tensor *output,
                                                     const fastconv_tensor *input,
                                                     const fastconv_tensor *weight,
                                                     const fastconv_epilogue *epilogue,
                                                     const fastconv_exec *exec);
FASTCONV_API fastconv_status fastconv_linear_backward_input(const fastconv_tensor *grad_input,
                                                            const fastconv_tensor *grad_output,
                                                            const fastconv_tensor *weight,
                                                            const fastconv_exec *exec);
FASTCONV_API fastconv_status fastconv_linear_backward_weight(const fastconv_tensor *grad_weight,
                                                             const fastconv_tensor *grad_output,
                                                             const fastconv_tensor *input,
                                                             const fastconv_exec *exec);

/* ---- windows -----------------------------------------------------------------------
 * Pooling maps (N, C, spatial...) to (N, C, out...). Padding counts as minus infinity; a
 * NaN in a window wins; ties go to the first element in row-major window order. indices
 * (int64, may be NULL) are flat positions in the unpadded input plane. */
FASTCONV_API fastconv_status fastconv_pool_output_shape(int64_t output_shape[FASTCONV_MAX_NDIM],
                                                        const fastconv_tensor *input,
                                                        const fastconv_window_params *params);
FASTCONV_API fastconv_status fastconv_max_pool_forward(const fastconv_tensor *output,
                                                       const fastconv_tensor *indices,
                                                       const fastconv_tensor *input,
                                                       const fastconv_window_params *params,
                                                       const fastconv_exec *exec);
/* grad_input[indices[o]] += grad_output[o], in row-major order of o; zero elsewhere. An
 * index outside the plane is an error, after which grad_input may have been written to. */
FASTCONV_API fastconv_status fastconv_max_pool_backward(const fastconv_tensor *grad_input,
                                                        const fastconv_tensor *grad_output,
                                                        const fastconv_tensor *indices,
                                                        const fastconv_exec *exec);
/* output[indices[i]] = input[i], zero elsewhere; the last one wins on a repeated index. Of
 * an index outside the plane the same is true. */
FASTCONV_API fastconv_status fastconv_max_unpool(const fastconv_tensor *output,
                                                 const fastconv_tensor *input,
                                                 const fastconv_tensor *indices,
                                                 const fastconv_exec *exec);

/* The same values with the position in the window (uint8) instead of that in the plane, row-
 * major as in (kd * KH + kh) * KW + kw: an eighth of the memory to write and to read again. Of
 * windows of at most 255 elements; 255 stands for a window that lies in the padding. */
FASTCONV_API fastconv_status fastconv_max_pool_forward_argmax(const fastconv_tensor *output,
                                                              const fastconv_tensor *argmax,
                                                              const fastconv_tensor *input,
                                                              const fastconv_window_params *params,
                                                              const fastconv_exec *exec);
/* grad_input[i] = sum of grad_output[o], in row-major order of o, over the windows o whose
 * argmax is at i. What names no element of the input gets no gradient. params as in forward. */
FASTCONV_API fastconv_status fastconv_max_pool_backward_argmax(const fastconv_tensor *grad_input,
                                                               const fastconv_tensor *grad_output,
                                                               const fastconv_tensor *argmax,
                                                               const fastconv_window_params *params,
                                                               const fastconv_exec *exec);

/* Average pooling: the sum of a window, whose padding is zeros, divided by `divisor_override`
 * or, if that is 0, by its number of elements: with those in the padding (as far as it goes;
 * a last window of ceil_mode may reach beyond) if count_include_pad, else only those in the
 * input. The dilation has to be 1. The error is that of adding up a few terms, however large
 * the window. */
FASTCONV_API fastconv_status fastconv_avg_pool_forward(const fastconv_tensor *output,
                                                       const fastconv_tensor *input,
                                                       const fastconv_window_params *params,
                                                       int count_include_pad,
                                                       int64_t divisor_override,
                                                       const fastconv_exec *exec);
/* grad_input[i] = sum over the windows o that contain i of grad_output[o] / divisor(o). */
FASTCONV_API fastconv_status fastconv_avg_pool_backward(const fastconv_tensor *grad_input,
                                                        const fastconv_tensor *grad_output,
                                                        const fastconv_window_params *params,
                                                        int count_include_pad,
                                                        int64_t divisor_override,
                                                        const fastconv_exec *exec);

/* Adaptive pooling: output o sees [floor(o * in / out), ceil((o + 1) * in / out)) of each
 * dimension; the shapes of input and output say all. The gradient of the maximum is
 * fastconv_max_pool_backward. */
FASTCONV_API fastconv_status fastconv_adaptive_avg_pool_forward(const fastconv_tensor *output,
                                                                const fastconv_tensor *input,
                                                                const fastconv_exec *exec);
FASTCONV_API fastconv_status fastconv_adaptive_avg_pool_backward(const fastconv_tensor *grad_input,
                                                                 const fastconv_tensor *grad_output,
                                                                 const fastconv_exec *exec);
FASTCONV_API fastconv_status fastconv_adaptive_max_pool_forward(const fastconv_tensor *output,
                                                                const fastconv_tensor *indices,
                                                                const fastconv_tensor *input,
                                                                const fastconv_exec *exec);

/* im2col: (N, C, spatial...) to cols (N, C * prod(kernel), prod(out)), zeros for padding.
 * col2im is its transpose: it sums every column back to the position it came from. */
FASTCONV_API fastconv_status fastconv_im2col_output_shape(int64_t cols_shape[FASTCONV_MAX_NDIM],
                                                          const fastconv_tensor *input,
                                                          const fastconv_window_params *params);
FASTCONV_API fastconv_status fastconv_im2col(const fastconv_tensor *cols,
                                             const fastconv_tensor *input,
                                             const fastconv_window_params *params,
                                             const fastconv_exec *exec);
FASTCONV_API fastconv_status fastconv_col2im(const fastconv_tensor *output,
                                             const fastconv_tensor *cols,
                                             const fastconv_window_params *params,
                                             const fastconv_exec *exec);

/* ---- elementwise, softmax, loss (any rank up to 5) ---------------------------------
 * output may be the same view as input. */
FASTCONV_API fastconv_status fastconv_relu(const fastconv_tensor *output,
                                           const fastconv_tensor *input, const fastconv_exec *exec);
/* grad_input = grad_output where output > 0, else 0 (output: of the forward call). A NaN in
 * output passes the gradient through. grad_input may be the same view as grad_output. */
FASTCONV_API fastconv_status fastconv_relu_backward(const fastconv_tensor *grad_input,
                                                    const fastconv_tensor *grad_output,
                                                    const fastconv_tensor *output,
                                                    const fastconv_exec *exec);
/* output = activation(input), and grad_input = grad_output * activation'(x). `saved` is the
 * forward result where it determines the derivative: relu, leaky_relu (alpha >= 0),
 * clipped_relu, sigmoid, tanh, elu (alpha >= 0), selu and hard_sigmoid. For silu, gelu,
 * gelu_tanh, softplus, hard_swish and mish it is the forward input. At a kink the smaller
 * derivative counts (for leaky_relu alpha). grad_input may be the same view as grad_output. */
FASTCONV_API fastconv_status fastconv_activate(const fastconv_tensor *output,
                                               const fastconv_tensor *input,
                                               fastconv_activation activation, double alpha,
                                               double beta, const fastconv_exec *exec);
FASTCONV_API fastconv_status fastconv_activate_backward(const fastconv_tensor *grad_input,
                                                        const fastconv_tensor *grad_output,
                                                        const fastconv_tensor *saved,
                                                        fastconv_activation activation,
                                                        double alpha, double beta,
                                                        const fastconv_exec *exec);
/* Both gradients behind an epilogue in one pass over (N, C, ...): grad_input as above, and
 * grad_bias[c] = sum over n and the positions of grad_input[n, c, ...]. */
FASTCONV_API fastconv_status fastconv_activate_backward_bias(
    const fastconv_tensor *grad_input, const fastconv_tensor *grad_bias,
    const fastconv_tensor *grad_output, const fastconv_tensor *saved,
    fastconv_activation activation, double alpha, double beta, const fastconv_exec *exec);
/* Along `axis`: exp(x - max) / sum exp(x - max), or its logarithm if log_softmax != 0. */
FASTCONV_API fastconv_status fastconv_softmax(const fastconv_tensor *output,
                                              const fastconv_tensor *input, int axis,
                                              int log_softmax, const fastconv_exec *exec);
/* From the forward result `output`: y * (dy - sum(dy * y)), or dy - exp(y) * sum(dy). */
FASTCONV_API fastconv_status fastconv_softmax_backward(const fastconv_tensor *grad_input,
                                                       const fastconv_tensor *grad_output,
                                                       const fastconv_tensor *output, int axis,
                                                       int log_softmax, const fastconv_exec *exec);
/* input (N, C, d...) logits, target (N, d...) int64 class indices, loss (N, d...):
 * loss = -sum over c of q[c] * log_softmax(input)[c], q the (smoothed) one-hot target.
 * A target outside [0, C) that is not ignore_index is an error. */
FASTCONV_API fastconv_status fastconv_cross_entropy(const fastconv_tensor *loss,
                                                    const fastconv_tensor *input,
                                                    const fastconv_tensor *target,
                                                    const fastconv_cross_entropy_params *params,
                                                    const fastconv_exec *exec);
/* grad_input[n, c, d] = (softmax(input)[n, c, d] - q[n, c, d]) * grad_loss[n, d] */
FASTCONV_API fastconv_status fastconv_cross_entropy_backward(
    const fastconv_tensor *grad_input, const fastconv_tensor *grad_loss,
    const fastconv_tensor *input, const fastconv_tensor *target,
    const fastconv_cross_entropy_params *params, const fastconv_exec *exec);

/* ---- dropout -----------------------------------------------------------------------
 * An element is 0 with probability p and input / (1 - p) else; with alpha != 0 what is dropped
 * becomes SELU's limit, and all is scaled and shifted so that mean 0 and variance 1 stay. The
 * choice depends on the seed and the element's row-major index alone (Philox4x32-10), so the
 * backward call makes it again. The last shared_ndim dimensions share it: the spatial ones, to
 * drop whole channels. output may be the same view as input. */
typedef struct fastconv_dropout_params {
  size_t struct_size;
  double p; /* in [0, 1] */
  uint64_t seed;
  int32_t alpha;
  int32_t shared_ndim;
} fastconv_dropout_params;
FASTCONV_API fastconv_status fastconv_dropout(const fastconv_tensor *output,
                                              const fastconv_tensor *input,
                                              const fastconv_dropout_params *params,
                                              const fastconv_exec *exec);
FASTCONV_API fastconv_status fastconv_dropout_backward(const fastconv_tensor *grad_input,
                                                       const fastconv_tensor *grad_output,
                                                       const fastconv_dropout_params *params,
                                                       const fastconv_exec *exec);

/* ---- normalisation -----------------------------------------------------------------
 * y = activation((x - mean) * invstd * weight + bias), invstd = 1 / sqrt(variance + eps), over
 * input (N, C, d...); weight, bias and the running statistics (C,). The statistics are those of
 *  - batch_norm: a channel in all samples; mean and invstd (C,). With training == 0 the
 *    running ones instead; with training != 0 those, unless NULL, are moved:
 *    running = (1 - momentum) * running + momentum * new, the variance unbiased.
 *  - group_norm: a group of C / num_groups neighbouring channels in one sample; mean and
 *    invstd (N, num_groups). Groups of one channel are instance normalisation.
 *  - layer_norm: the last normalized_ndim dimensions, one row of input; weight and bias have
 *    their shape, mean and invstd that of the other dimensions.
 * weight NULL counts as 1 and bias NULL as 0. mean and invstd are outputs of the forward call,
 * which may be NULL, and inputs of the backward call. output may be the same view as input,
 * grad_input as grad_output. */
typedef struct fastconv_norm_params {
  size_t struct_size;
  int32_t training;        /* batch_norm: statistics of the batch */
  int32_t activation;      /* batch_norm: FASTCONV_IDENTITY or FASTCONV_RELU */
  int64_t num_groups;      /* group_norm */
  int32_t normalized_ndim; /* layer_norm: 1 to ndim */
  int32_t reserved;
  double eps, momentum;
} fastconv_norm_params;
FASTCONV_API fastconv_status fastconv_batch_norm_forward(
    const fastconv_tensor *output, const fastconv_tensor *mean, const fastconv_tensor *invstd,
    const fastconv_tensor *running_mean, const fastconv_tensor *running_var,
    const fastconv_tensor *input, const fastconv_tensor *weight, const fastconv_tensor *bias,
    const fastconv_norm_params *params, const fastconv_exec *exec);
/* Any of the three outputs may be NULL. bias is needed after a ReLU only: where that cut the
 * result off is computed again. training == 0: mean and invstd are constants. */
FASTCONV_API fastconv_status fastconv_batch_norm_backward(
    const fastconv_tensor *grad_input, const fastconv_tensor *grad_weight,
    const fastconv_tensor *grad_bias, const fastconv_tensor *grad_output,
    const fastconv_tensor *input, const fastconv_tensor *mean, const fastconv_tensor *invstd,
    const fastconv_tensor *weight, const fastconv_tensor *bias, const fastconv_norm_params *params,
    const fastconv_exec *exec);
FASTCONV_API fastconv_status fastconv_group_norm_forward(
    const fastconv_tensor *output, const fastconv_tensor *mean, const fastconv_tensor *invstd,
    const fastconv_tensor *input, const fastconv_tensor *weight, const fastconv_tensor *bias,
    const fastconv_norm_params *params, const fastconv_exec *exec);
FASTCONV_API fastconv_status fastconv_group_norm_backward(
    const fastconv_tensor *grad_input, const fastconv_tensor *grad_weight,
    const fastconv_tensor *grad_bias, const fastconv_tensor *grad_output,
    const fastconv_tensor *input, const fastconv_tensor *mean, const fastconv_tensor *invstd,
    const fastconv_tensor *weight, const fastconv_norm_params *params, const fastconv_exec *exec);
FASTCONV_API fastconv_status fastconv_layer_norm_forward(
    const fastconv_tensor *output, const fastconv_tensor *mean, const fastconv_tensor *invstd,
    const fastconv_tensor *input, const fastconv_tensor *weight, const fastconv_tensor *bias,
    const fastconv_norm_params *params, const fastconv_exec *exec);
FASTCONV_API fastconv_status fastconv_layer_norm_backward(
    const fastconv_tensor *grad_input, const fastconv_tensor *grad_weight,
    const fastconv_tensor *grad_bias, const fastconv_tensor *grad_output,
    const fastconv_tensor *input, const fastconv_tensor *mean, const fastconv_tensor *invstd,
    const fastconv_tensor *weight, const fastconv_norm_params *params, const fastconv_exec *exec);

/* output[c] = input[c] / (k + alpha / size * sum over j of input[j]^2)^beta, j from
 * c - size / 2 to c + (size - 1) / 2; channels outside count as 0. No output may be an input. */
typedef struct fastconv_local_response_params {
  size_t struct_size;
  int64_t size;
  double alpha, beta, k;
} fastconv_local_response_params;
FASTCONV_API fastconv_status fastconv_local_response_norm(
    const fastconv_tensor *output, const fastconv_tensor *input,
    const fastconv_local_response_params *params, const fastconv_exec *exec);
FASTCONV_API fastconv_status fastconv_local_response_norm_backward(
    const fastconv_tensor *grad_input, const fastconv_tensor *grad_output,
    const fastconv_tensor *input, const fastconv_local_response_params *params,
    const fastconv_exec *exec);

/* ---- measuring ---------------------------------------------------------------------
 * What this CPU can do and what the micro-kernel makes of it, in floating-point operations
 * a second over all `num_threads`: independent multiply-adds in registers (the peak), and
 * the GEMM micro-kernel on operands packed in L1/L2. Runs for about `seconds`. */
typedef enum fastconv_probe {
  FASTCONV_PROBE_FMA = 0,
  FASTCONV_PROBE_MICRO_KERNEL = 1
} fastconv_probe;
FASTCONV_API fastconv_status fastconv_measure(double *flops_per_second, fastconv_probe probe,
                                              fastconv_dtype dtype, double seconds,
                                              const fastconv_exec *exec);

#ifdef __cplusplus
}
#endif
#endif /* FASTCONV_H */
