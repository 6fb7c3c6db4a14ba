"""Operations on arrays, under the names and with the arguments of ``torch.nn.functional``.

Arrays in, arrays out. Arguments are whatever NumPy can view without a copy (the buffer
protocol, ``__array__``, ``__dlpack__`` on the CPU), in float32 or float64 and all of one
dtype (quantized ones in uint8 or int8: `qlinear_conv`); read-only, strided, reversed and
broadcast arrays are fine. The logical order of dimensions is always (N, C, spatial...); memory
layout is a matter of strides: channels-last data is passed as a transposed view, and a new
output takes the layout of the input. Its memory is 64-byte aligned and comes from a pool that
reuses it (`runtime.pool_stats`). With ``out`` the result is written there and `out` itself is
returned.

Convolutions and their gradients also take bfloat16: arrays of ml_dtypes' dtype, or tensors of
others through DLPack, whose results are such arrays. They sum in float32, add bias and residual
and apply the activation there, and round once; denormal numbers count as zeros.

The gradients are in `fastconv.grad`.
"""

from fastconv._core import PackedWeight
from fastconv.functional.adaptive_pooling import (
    adaptive_avg_pool1d,
    adaptive_avg_pool2d,
    adaptive_avg_pool3d,
    adaptive_max_pool1d,
    adaptive_max_pool2d,
    adaptive_max_pool3d,
)
from fastconv.functional.average_pooling import (
    avg_pool1d,
    avg_pool2d,
    avg_pool3d,
)
from fastconv.functional.columns import (
    col2im,
    fold,
    im2col,
    unfold,
)
from fastconv.functional.convolution import (
    conv1d,
    conv2d,
    conv3d,
    conv_transpose1d,
    conv_transpose2d,
    conv_transpose3d,
)
from fastconv.functional.dense import (
    linear,
)
from fastconv.functional.dropout import (
    alpha_dropout,
    dropout,
    dropout1d,
    dropout2d,
    dropout3d,
    feature_alpha_dropout,
)
from fastconv.functional.loss import (
    cross_entropy,
)
from fastconv.functional.normalization import (
    batch_norm,
    fold_batch_norm,
    group_norm,
    layer_norm,
    local_response_norm,
)
from fastconv.functional.pointwise import (
    log_softmax,
    softmax,
)
from fastconv.functional.pooling import (
    max_pool1d,
    max_pool2d,
    max_pool3d,
)
from fastconv.functional.quantization import (
    dequantize_linear,
    qlinear_conv,
    quantize_linear,
)
from fastconv.functional.rectifiers import (
    elu,
    hardtanh,
    leaky_relu,
    relu,
    relu6,
    selu,
)
from fastconv.functional.sigmoids import (
    gelu,
    hardsigmoid,
    hardswish,
    mish,
    sigmoid,
    silu,
    softplus,
    tanh,
)
from fastconv.functional.unpooling import (
    max_unpool1d,
    max_unpool2d,
    max_unpool3d,
)

__all__ = [
    "PackedWeight",
    "adaptive_avg_pool1d",
    "adaptive_avg_pool2d",
    "adaptive_avg_pool3d",
    "adaptive_max_pool1d",
    "adaptive_max_pool2d",
    "adaptive_max_pool3d",
    "alpha_dropout",
    "avg_pool1d",
    "avg_pool2d",
    "avg_pool3d",
    "batch_norm",
    "col2im",
    "conv1d",
    "conv2d",
    "conv3d",
    "conv_transpose1d",
    "conv_transpose2d",
    "conv_transpose3d",
    "cross_entropy",
    "dequantize_linear",
    "dropout",
    "dropout1d",
    "dropout2d",
    "dropout3d",
    "elu",
    "feature_alpha_dropout",
    "fold",
    "fold_batch_norm",
    "gelu",
    "group_norm",
    "hardsigmoid",
    "hardswish",
    "hardtanh",
    "im2col",
    "layer_norm",
    "leaky_relu",
    "linear",
    "local_response_norm",
    "log_softmax",
    "max_pool1d",
    "max_pool2d",
    "max_pool3d",
    "max_unpool1d",
    "max_unpool2d",
    "max_unpool3d",
    "mish",
    "qlinear_conv",
    "quantize_linear",
    "relu",
    "relu6",
    "selu",
    "sigmoid",
    "silu",
    "softmax",
    "softplus",
    "tanh",
    "unfold",
]
