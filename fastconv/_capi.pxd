# Declarations of fastconv.h for Cython: `from fastconv cimport _capi`. The header holds the
# documentation; compile with -I fastconv.runtime.get_include() and link with libfastconv in
# fastconv.runtime.get_library_dir(). No function touches a Python object, so all are nogil.
from libc.stdint cimport int32_t, int64_t, uint64_t


cdef extern from "fastconv/fastconv.h" nogil:
    enum:
        FASTCONV_ABI_VERSION
        FASTCONV_MAX_NDIM
        FASTCONV_MAX_SPATIAL
        FASTCONV_CONV_ALGORITHMS

    ctypedef enum fastconv_status:
        FASTCONV_OK
        FASTCONV_INVALID_ARGUMENT
        FASTCONV_INVALID_TYPE
        FASTCONV_OUT_OF_MEMORY
        FASTCONV_UNAVAILABLE
        FASTCONV_UNSUPPORTED

    ctypedef enum fastconv_dtype:
        FASTCONV_FLOAT32
        FASTCONV_FLOAT64
        FASTCONV_INT64
        FASTCONV_UINT8
        FASTCONV_INT8
        FASTCONV_INT32
        FASTCONV_BFLOAT16

    ctypedef enum fastconv_activation:
        FASTCONV_IDENTITY
        FASTCONV_RELU
        FASTCONV_LEAKY_RELU
        FASTCONV_CLIPPED_RELU
        FASTCONV_SIGMOID
        FASTCONV_TANH
        FASTCONV_SILU
        FASTCONV_GELU
        FASTCONV_GELU_TANH
        FASTCONV_ELU
        FASTCONV_SELU
        FASTCONV_SOFTPLUS
        FASTCONV_HARD_SIGMOID
        FASTCONV_HARD_SWISH
        FASTCONV_MISH

    ctypedef enum fastconv_padding:
        FASTCONV_PADDING_EXPLICIT
        FASTCONV_PADDING_VALID
        FASTCONV_PADDING_SAME

    ctypedef enum fastconv_conv_computation:
        FASTCONV_FORWARD
        FASTCONV_BACKWARD_INPUT
        FASTCONV_BACKWARD_WEIGHT
        FASTCONV_CONV_TRANSPOSE

    ctypedef enum fastconv_probe:
        FASTCONV_PROBE_FMA
        FASTCONV_PROBE_MICRO_KERNEL

    ctypedef struct fastconv_tensor:
        size_t struct_size
        void *data
        int32_t dtype
        int32_t ndim
        int64_t shape[5]
        int64_t strides[5]

    ctypedef struct fastconv_conv_params:
        size_t struct_size
        int32_t spatial_ndim
        int32_t padding_mode
        int64_t groups
        int64_t stride[3]
        int64_t dilation[3]
        int64_t pad_before[3]
        int64_t pad_after[3]

    ctypedef struct fastconv_window_params:
        size_t struct_size
        int32_t spatial_ndim
        int32_t padding_mode
        int32_t ceil_mode
        int32_t reserved
        int64_t kernel_size[3]
        int64_t stride[3]
        int64_t dilation[3]
        int64_t pad_before[3]
        int64_t pad_after[3]

    ctypedef struct fastconv_epilogue:
        size_t struct_size
        const fastconv_tensor *bias
        const fastconv_tensor *residual
        int32_t activation
        int32_t reserved
        double alpha
        double beta

    ctypedef enum fastconv_precision:
        FASTCONV_PRECISION_HIGH
        FASTCONV_PRECISION_HIGHEST

    ctypedef struct fastconv_exec:
        size_t struct_size
        int32_t num_threads
        int32_t precision
        void *workspace
        size_t workspace_size
        const void *packed_weight
        size_t packed_weight_size
        int32_t algorithm
        int32_t reserved

    ctypedef struct fastconv_conv_plan_info:
        size_t struct_size
        int32_t algorithm
        int32_t reserved
        char name[32]
        char reason[160]
        double relative_cost
        int64_t multiplications
        int64_t direct_multiplications
        size_t workspace_size
        size_t packed_size
        uint64_t packed_key
        uint64_t problem_key

    ctypedef struct fastconv_quantization:
        size_t struct_size
        const fastconv_tensor *scale
        const fastconv_tensor *zero_point

    ctypedef struct fastconv_cross_entropy_params:
        size_t struct_size
        int64_t ignore_index
        double label_smoothing

    ctypedef struct fastconv_dropout_params:
        size_t struct_size
        double p
        uint64_t seed
        int32_t alpha
        int32_t shared_ndim

    ctypedef struct fastconv_norm_params:
        size_t struct_size
        int32_t training
        int32_t activation
        int64_t num_groups
        int32_t normalized_ndim
        int32_t reserved
        double eps
        double momentum

    ctypedef struct fastconv_local_response_params:
        size_t struct_size
        int64_t size
        double alpha
        double beta
        double k

    # ---- the library
    const char *fastconv_version()
    int fastconv_abi_version()
    const char *fastconv_last_error()
    const char *fastconv_build_info()
    fastconv_status fastconv_set_num_threads(int num_threads)
    int fastconv_get_num_threads()
    int fastconv_available_isas(const char **names, int capacity)
    const char *fastconv_isa()
    fastconv_status fastconv_set_isa(const char *name)
    fastconv_status fastconv_alloc(void **memory, size_t size)
    void fastconv_free(void *memory)
    size_t fastconv_trim()
    void fastconv_pool_stats(size_t *in_use, size_t *cached)

    # ---- convolution
    fastconv_status fastconv_conv_output_shape(
        int64_t *output_shape, const fastconv_tensor *input, const fastconv_tensor *weight,
        const fastconv_conv_params *params)
    fastconv_status fastconv_conv_forward(
        const fastconv_tensor *output, const fastconv_tensor *input,
        const fastconv_tensor *weight, const fastconv_epilogue *epilogue,
        const fastconv_conv_params *params, const fastconv_exec *exec)
    fastconv_status fastconv_conv_backward_input(
        const fastconv_tensor *grad_input, const fastconv_tensor *grad_output,
        const fastconv_tensor *weight, const fastconv_conv_params *params,
        const fastconv_exec *exec)
    fastconv_status fastconv_conv_backward_weight(
        const fastconv_tensor *grad_weight, const fastconv_tensor *grad_output,
        const fastconv_tensor *input, const fastconv_conv_params *params,
        const fastconv_exec *exec)
    fastconv_status fastconv_conv_backward_bias(
        const fastconv_tensor *grad_bias, const fastconv_tensor *grad_output,
        const fastconv_exec *exec)
    fastconv_status fastconv_conv_transpose_output_shape(
        int64_t *output_shape, const fastconv_tensor *input, const fastconv_tensor *weight,
        const fastconv_conv_params *params, const int64_t *output_padding)
    fastconv_status fastconv_conv_transpose_forward(
        const fastconv_tensor *output, const fastconv_tensor *input,
        const fastconv_tensor *weight, const fastconv_epilogue *epilogue,
        const fastconv_conv_params *params, const fastconv_exec *exec)
    fastconv_status fastconv_conv_workspace_size(
        size_t *workspace_size, fastconv_conv_computation computation,
        const fastconv_tensor *output, const fastconv_tensor *input,
        const fastconv_tensor *weight, const fastconv_conv_params *params,
        const fastconv_exec *exec)

    # ---- plans
    fastconv_status fastconv_conv_plan(
        fastconv_conv_plan_info *info, fastconv_conv_computation computation,
        const fastconv_tensor *output, const fastconv_tensor *input,
        const fastconv_tensor *weight, const fastconv_conv_params *params,
        const fastconv_exec *exec)
    fastconv_status fastconv_conv_pack_weight(
        void *buffer, size_t size, fastconv_conv_computation computation,
        const fastconv_tensor *output, const fastconv_tensor *input,
        const fastconv_tensor *weight, const fastconv_conv_params *params,
        const fastconv_exec *exec)
    fastconv_status fastconv_conv_set_choice(uint64_t problem_key, int32_t algorithm)
    void fastconv_conv_clear_choices()

    # ---- quantized convolution
    fastconv_status fastconv_conv_quantized_output_shape(
        int64_t *output_shape, const fastconv_tensor *input, const fastconv_tensor *weight,
        const fastconv_conv_params *params)
    fastconv_status fastconv_conv_quantized_forward(
        const fastconv_tensor *output, const fastconv_tensor *input,
        const fastconv_tensor *weight, const fastconv_tensor *bias,
        const fastconv_quantization *output_quantization,
        const fastconv_quantization *input_quantization,
        const fastconv_quantization *weight_quantization, const fastconv_conv_params *params,
        const fastconv_exec *exec)

    # ---- dense
    fastconv_status fastconv_linear_forward(
        const fastconv_tensor *output, const fastconv_tensor *input,
        const fastconv_tensor *weight, const fastconv_epilogue *epilogue,
        const fastconv_exec *exec)
    fastconv_status fastconv_linear_backward_input(
        const fastconv_tensor *grad_input, const fastconv_tensor *grad_output,
        const fastconv_tensor *weight, const fastconv_exec *exec)
    fastconv_status fastconv_linear_backward_weight(
        const fastconv_tensor *grad_weight, const fastconv_tensor *grad_output,
        const fastconv_tensor *input, const fastconv_exec *exec)

    # ---- windows
    fastconv_status fastconv_pool_output_shape(
        int64_t *output_shape, const fastconv_tensor *input,
        const fastconv_window_params *params)
    fastconv_status fastconv_max_pool_forward(
        const fastconv_tensor *output, const fastconv_tensor *indices,
        const fastconv_tensor *input, const fastconv_window_params *params,
        const fastconv_exec *exec)
    fastconv_status fastconv_max_pool_backward(
        const fastconv_tensor *grad_input, const fastconv_tensor *grad_output,
        const fastconv_tensor *indices, const fastconv_exec *exec)
    fastconv_status fastconv_max_unpool(
        const fastconv_tensor *output, const fastconv_tensor *input,
        const fastconv_tensor *indices, const fastconv_exec *exec)
    fastconv_status fastconv_max_pool_forward_argmax(
        const fastconv_tensor *output, const fastconv_tensor *argmax,
        const fastconv_tensor *input, const fastconv_window_params *params,
        const fastconv_exec *exec)
    fastconv_status fastconv_max_pool_backward_argmax(
        const fastconv_tensor *grad_input, const fastconv_tensor *grad_output,
        const fastconv_tensor *argmax, const fastconv_window_params *params,
        const fastconv_exec *exec)
    fastconv_status fastconv_avg_pool_forward(
        const fastconv_tensor *output, const fastconv_tensor *input,
        const fastconv_window_params *params, int count_include_pad, int64_t divisor_override,
        const fastconv_exec *exec)
    fastconv_status fastconv_avg_pool_backward(
        const fastconv_tensor *grad_input, const fastconv_tensor *grad_output,
        const fastconv_window_params *params, int count_include_pad, int64_t divisor_override,
        const fastconv_exec *exec)
    fastconv_status fastconv_adaptive_avg_pool_forward(
        const fastconv_tensor *output, const fastconv_tensor *input, const fastconv_exec *exec)
    fastconv_status fastconv_adaptive_avg_pool_backward(
        const fastconv_tensor *grad_input, const fastconv_tensor *grad_output,
        const fastconv_exec *exec)
    fastconv_status fastconv_adaptive_max_pool_forward(
        const fastconv_tensor *output, const fastconv_tensor *indices,
        const fastconv_tensor *input, const fastconv_exec *exec)
    fastconv_status fastconv_im2col_output_shape(
        int64_t *cols_shape, const fastconv_tensor *input,
        const fastconv_window_params *params)
    fastconv_status fastconv_im2col(
        const fastconv_tensor *cols, const fastconv_tensor *input,
        const fastconv_window_params *params, const fastconv_exec *exec)
    fastconv_status fastconv_col2im(
        const fastconv_tensor *output, const fastconv_tensor *cols,
        const fastconv_window_params *params, const fastconv_exec *exec)

    # ---- elementwise, softmax, loss
    fastconv_status fastconv_relu(
        const fastconv_tensor *output, const fastconv_tensor *input, const fastconv_exec *exec)
    fastconv_status fastconv_relu_backward(
        const fastconv_tensor *grad_input, const fastconv_tensor *grad_output,
        const fastconv_tensor *output, const fastconv_exec *exec)
    fastconv_status fastconv_activate(
        const fastconv_tensor *output, const fastconv_tensor *input,
        fastconv_activation activation, double alpha, double beta, const fastconv_exec *exec)
    fastconv_status fastconv_activate_backward(
        const fastconv_tensor *grad_input, const fastconv_tensor *grad_output,
        const fastconv_tensor *saved, fastconv_activation activation, double alpha, double beta,
        const fastconv_exec *exec)
    fastconv_status fastconv_activate_backward_bias(
        const fastconv_tensor *grad_input, const fastconv_tensor *grad_bias,
        const fastconv_tensor *grad_output, const fastconv_tensor *saved,
        fastconv_activation activation, double alpha, double beta, const fastconv_exec *exec)
    fastconv_status fastconv_softmax(
        const fastconv_tensor *output, const fastconv_tensor *input, int axis, int log_softmax,
        const fastconv_exec *exec)
    fastconv_status fastconv_softmax_backward(
        const fastconv_tensor *grad_input, const fastconv_tensor *grad_output,
        const fastconv_tensor *output, int axis, int log_softmax, const fastconv_exec *exec)
    fastconv_status fastconv_cross_entropy(
        const fastconv_tensor *loss, const fastconv_tensor *input,
        const fastconv_tensor *target, const fastconv_cross_entropy_params *params,
        const fastconv_exec *exec)
    fastconv_status fastconv_cross_entropy_backward(
        const fastconv_tensor *grad_input, const fastconv_tensor *grad_loss,
        const fastconv_tensor *input, const fastconv_tensor *target,
        const fastconv_cross_entropy_params *params, const fastconv_exec *exec)

    # ---- dropout
    fastconv_status fastconv_dropout(
        const fastconv_tensor *output, const fastconv_tensor *input,
        const fastconv_dropout_params *params, const fastconv_exec *exec)
    fastconv_status fastconv_dropout_backward(
        const fastconv_tensor *grad_input, const fastconv_tensor *grad_output,
        const fastconv_dropout_params *params, const fastconv_exec *exec)

    # ---- normalisation
    fastconv_status fastconv_batch_norm_forward(
        const fastconv_tensor *output, const fastconv_tensor *mean, const fastconv_tensor *invstd,
        const fastconv_tensor *running_mean, const fastconv_tensor *running_var,
        const fastconv_tensor *input, const fastconv_tensor *weight, const fastconv_tensor *bias,
        const fastconv_norm_params *params, const fastconv_exec *exec)
    fastconv_status fastconv_batch_norm_backward(
        const fastconv_tensor *grad_input, const fastconv_tensor *grad_weight,
        const fastconv_tensor *grad_bias, const fastconv_tensor *grad_output,
        const fastconv_tensor *input, const fastconv_tensor *mean, const fastconv_tensor *invstd,
        const fastconv_tensor *weight, const fastconv_tensor *bias,
        const fastconv_norm_params *params, const fastconv_exec *exec)
    fastconv_status fastconv_group_norm_forward(
        const fastconv_tensor *output, const fastconv_tensor *mean, const fastconv_tensor *invstd,
        const fastconv_tensor *input, const fastconv_tensor *weight, const fastconv_tensor *bias,
        const fastconv_norm_params *params, const fastconv_exec *exec)
    fastconv_status fastconv_group_norm_backward(
        const fastconv_tensor *grad_input, const fastconv_tensor *grad_weight,
        const fastconv_tensor *grad_bias, const fastconv_tensor *grad_output,
        const fastconv_tensor *input, const fastconv_tensor *mean, const fastconv_tensor *invstd,
        const fastconv_tensor *weight, const fastconv_norm_params *params,
        const fastconv_exec *exec)
    fastconv_status fastconv_layer_norm_forward(
        const fastconv_tensor *output, const fastconv_tensor *mean, const fastconv_tensor *invstd,
        const fastconv_tensor *input, const fastconv_tensor *weight, const fastconv_tensor *bias,
        const fastconv_norm_params *params, const fastconv_exec *exec)
    fastconv_status fastconv_layer_norm_backward(
        const fastconv_tensor *grad_input, const fastconv_tensor *grad_weight,
        const fastconv_tensor *grad_bias, const fastconv_tensor *grad_output,
        const fastconv_tensor *input, const fastconv_tensor *mean, const fastconv_tensor *invstd,
        const fastconv_tensor *weight, const fastconv_norm_params *params,
        const fastconv_exec *exec)
    fastconv_status fastconv_local_response_norm(
        const fastconv_tensor *output, const fastconv_tensor *input,
        const fastconv_local_response_params *params, const fastconv_exec *exec)
    fastconv_status fastconv_local_response_norm_backward(
        const fastconv_tensor *grad_input, const fastconv_tensor *grad_output,
        const fastconv_tensor *input, const fastconv_local_response_params *params,
        const fastconv_exec *exec)

    # ---- measuring
    fastconv_status fastconv_measure(
        double *flops_per_second, fastconv_probe probe, fastconv_dtype dtype, double seconds,
        const fastconv_exec *exec)
