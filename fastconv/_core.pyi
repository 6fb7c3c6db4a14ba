# The compiled module; functional, grad and runtime are its documented faces.
from typing import Any, Literal, SupportsIndex, overload

import numpy as np

from fastconv._typing import (
    Activation,
    Argmax,
    Array,
    ArrayLike,
    Indices,
    OutputSize,
    Padding,
    Quantized,
    Shape,
    Size,
    Weight,
)

# ---- convolution

def conv_forward(
    nd: int,
    input: ArrayLike,
    weight: Weight,
    bias: ArrayLike | None,
    stride: Size,
    padding: Padding,
    dilation: Size,
    groups: SupportsIndex,
    activation: Activation,
    residual: ArrayLike | None,
    out: Array | None,
) -> Array: ...
def qlinear_conv(
    input: ArrayLike,
    input_scale: ArrayLike,
    input_zero_point: ArrayLike | None,
    weight: ArrayLike,
    weight_scale: ArrayLike,
    weight_zero_point: ArrayLike | None,
    output_scale: ArrayLike,
    output_zero_point: ArrayLike | None,
    bias: ArrayLike | None,
    stride: Size,
    padding: Padding,
    dilation: Size,
    groups: SupportsIndex,
    out: Quantized | None,
) -> Quantized: ...
def conv_transpose_forward(
    nd: int,
    input: ArrayLike,
    weight: Weight,
    bias: ArrayLike | None,
    stride: Size,
    padding: Padding,
    output_padding: Size,
    groups: SupportsIndex,
    dilation: Size,
    activation: Activation,
    residual: ArrayLike | None,
    out: Array | None,
) -> Array: ...
def conv_backward_input(
    nd: int,
    input_size: Shape,
    weight: Weight,
    grad_output: ArrayLike,
    stride: Size,
    padding: Padding,
    dilation: Size,
    groups: SupportsIndex,
    out: Array | None,
) -> Array: ...
def conv_backward_weight(
    nd: int,
    input: ArrayLike,
    weight_size: Shape,
    grad_output: ArrayLike,
    stride: Size,
    padding: Padding,
    dilation: Size,
    groups: SupportsIndex,
    out: Array | None,
) -> Array: ...
def conv_backward_bias(nd: int, grad_output: ArrayLike, out: Array | None) -> Array: ...

class PackedWeight:
    def __init__(self, weight: ArrayLike) -> None: ...
    def update(self, weight: ArrayLike) -> None: ...
    def invalidate(self) -> None: ...
    @property
    def weight(self) -> ArrayLike: ...
    @property
    def nbytes(self) -> int: ...

def conv_plan(
    computation: str,
    input: ArrayLike,
    weight: ArrayLike,
    stride: Size,
    padding: Padding,
    dilation: Size,
    groups: SupportsIndex,
    precision: str | None,
    algorithm: int,
) -> dict[str, Any] | None: ...
def conv_by(
    algorithm: int,
    computation: str,
    output: ArrayLike,
    input: ArrayLike,
    weight: ArrayLike,
    stride: Size,
    padding: Padding,
    dilation: Size,
    groups: SupportsIndex,
    precision: str | None,
) -> None: ...
def conv_algorithms() -> int: ...
def set_choice(problem_key: int, algorithm: int) -> None: ...
def clear_choices() -> None: ...

# ---- dense

def linear_forward(
    input: ArrayLike,
    weight: ArrayLike,
    bias: ArrayLike | None,
    activation: Activation,
    residual: ArrayLike | None,
    out: Array | None,
) -> Array: ...
def linear_backward_input(
    grad_output: ArrayLike, weight: ArrayLike, out: Array | None
) -> Array: ...
def linear_backward_weight(
    grad_output: ArrayLike, input: ArrayLike, out: Array | None
) -> Array: ...

# ---- windows

@overload
def max_pool_forward(
    nd: int,
    input: ArrayLike,
    kernel_size: Size,
    stride: Size | None,
    padding: Padding,
    dilation: Size,
    ceil_mode: bool,
    return_indices: Literal[False],
    return_argmax: Literal[False],
    out: Array | None,
) -> Array: ...
@overload
def max_pool_forward(
    nd: int,
    input: ArrayLike,
    kernel_size: Size,
    stride: Size | None,
    padding: Padding,
    dilation: Size,
    ceil_mode: bool,
    return_indices: bool,
    return_argmax: bool,
    out: Array | None,
) -> Array | tuple[Array, Indices] | tuple[Array, Argmax]: ...
def max_pool_backward(
    nd: int, grad_output: ArrayLike, indices: ArrayLike, input_size: Shape, out: Array | None
) -> Array: ...
def max_pool_backward_argmax(
    nd: int,
    grad_output: ArrayLike,
    argmax: ArrayLike,
    input_size: Shape,
    kernel_size: Size,
    stride: Size | None,
    padding: Padding,
    dilation: Size,
    ceil_mode: bool,
    out: Array | None,
) -> Array: ...
def avg_pool_forward(
    nd: int,
    input: ArrayLike,
    kernel_size: Size,
    stride: Size | None,
    padding: Padding,
    ceil_mode: bool,
    count_include_pad: bool,
    divisor_override: SupportsIndex | None,
    out: Array | None,
) -> Array: ...
def avg_pool_backward(
    nd: int,
    grad_output: ArrayLike,
    input_size: Shape,
    kernel_size: Size,
    stride: Size | None,
    padding: Padding,
    ceil_mode: bool,
    count_include_pad: bool,
    divisor_override: SupportsIndex | None,
    out: Array | None,
) -> Array: ...
def adaptive_pool_forward(
    nd: int,
    maximum: bool,
    input: ArrayLike,
    output_size: OutputSize,
    return_indices: bool,
    out: Array | None,
) -> Any: ...
def adaptive_avg_pool_backward(
    nd: int, grad_output: ArrayLike, input_size: Shape, out: Array | None
) -> Array: ...
def max_unpool(
    nd: int, input: ArrayLike, indices: ArrayLike, output_size: Shape, out: Array | None
) -> Array: ...
def im2col(
    nd: int,
    input: ArrayLike,
    kernel_size: Size,
    dilation: Size,
    padding: Padding,
    stride: Size,
    out: Array | None,
) -> Array: ...
def col2im(
    nd: int,
    input: ArrayLike,
    output_size: Size,
    kernel_size: Size,
    dilation: Size,
    padding: Padding,
    stride: Size,
    out: Array | None,
) -> Array: ...

# ---- elementwise, softmax, loss

def activate(activation: Activation, input: ArrayLike, out: Array | None) -> Array: ...
def activate_backward(
    activation: Activation, grad_output: ArrayLike, saved: ArrayLike, name: str, out: Array | None
) -> Array: ...
def activate_backward_bias(
    activation: Activation, grad_output: ArrayLike, saved: ArrayLike, out: Array | None
) -> tuple[Array, Array]: ...
def softmax(input: ArrayLike, dim: SupportsIndex, log: bool, out: Array | None) -> Array: ...
def softmax_backward(
    grad_output: ArrayLike, output: ArrayLike, dim: SupportsIndex, log: bool, out: Array | None
) -> Array: ...
def cross_entropy(
    input: ArrayLike, target: ArrayLike, ignore_index: SupportsIndex, label_smoothing: float
) -> Array: ...
def cross_entropy_backward(
    grad_loss: ArrayLike,
    input: ArrayLike,
    target: ArrayLike,
    ignore_index: SupportsIndex,
    label_smoothing: float,
    out: Array | None,
) -> Array: ...

# ---- dropout

def dropout(
    backward: bool,
    input: ArrayLike,
    p: float,
    seed: SupportsIndex,
    alpha: bool,
    shared_ndim: int,
    out: Array | None,
) -> Array: ...

# ---- normalisation

def batch_norm_forward(
    input: ArrayLike,
    running_mean: ArrayLike | None,
    running_var: ArrayLike | None,
    weight: ArrayLike | None,
    bias: ArrayLike | None,
    training: bool,
    momentum: float,
    eps: float,
    activation: str | None,
    statistics: bool,
    out: Array | None,
) -> Array | tuple[Array, Array, Array]: ...
def batch_norm_backward(
    grad_output: ArrayLike,
    input: ArrayLike,
    weight: ArrayLike | None,
    mean: ArrayLike,
    invstd: ArrayLike,
    bias: ArrayLike | None,
    training: bool,
    activation: str | None,
    out: Array | None,
) -> tuple[Array, Array, Array]: ...
def group_norm_forward(
    input: ArrayLike,
    num_groups: SupportsIndex,
    weight: ArrayLike | None,
    bias: ArrayLike | None,
    eps: float,
    statistics: bool,
    out: Array | None,
) -> Array | tuple[Array, Array, Array]: ...
def group_norm_backward(
    grad_output: ArrayLike,
    input: ArrayLike,
    num_groups: SupportsIndex,
    weight: ArrayLike | None,
    mean: ArrayLike,
    invstd: ArrayLike,
    out: Array | None,
) -> tuple[Array, Array, Array]: ...
def layer_norm_forward(
    input: ArrayLike,
    normalized_shape: Size,
    weight: ArrayLike | None,
    bias: ArrayLike | None,
    eps: float,
    statistics: bool,
    out: Array | None,
) -> Array | tuple[Array, Array, Array]: ...
def layer_norm_backward(
    grad_output: ArrayLike,
    input: ArrayLike,
    normalized_shape: Size,
    weight: ArrayLike | None,
    mean: ArrayLike,
    invstd: ArrayLike,
    out: Array | None,
) -> tuple[Array, Array, Array]: ...
def local_response_norm(
    grad_output: ArrayLike | None,
    input: ArrayLike,
    size: SupportsIndex,
    alpha: float,
    beta: float,
    k: float,
    out: Array | None,
) -> Array: ...

# ---- the library

def sizes(value: Any, count: int, name: str, one: bool = True) -> tuple[int, ...]: ...
def version() -> str: ...
def build_info() -> str: ...
def get_num_threads() -> int: ...
def set_num_threads(num_threads: SupportsIndex) -> None: ...
def limit_threads(num_threads: SupportsIndex | None) -> int | None: ...
def choose_precision(name: str) -> str: ...
def available_isas() -> tuple[str, ...]: ...
def isa() -> str: ...
def set_isa(name: str | None) -> None: ...
def trim() -> int: ...
def pool_stats() -> tuple[int, int]: ...
def empty(shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array: ...
def measure(micro_kernel: bool, double_precision: bool, seconds: float) -> float: ...
