"""Gradients of `fastconv.functional`, under the names of ``torch.nn.grad``.

Each function maps the gradient of an output, `grad_output`, to that of an input. Windows are
given as they were to the forward function, in every form of padding. Unbatched arrays,
memory layouts, dtypes, ``out`` and errors are as there, too; a new input gradient takes the
memory layout of `grad_output`, a new weight gradient is contiguous.
"""

from fastconv.grad.average_pooling import (
    adaptive_avg_pool1d_backward,
    adaptive_avg_pool2d_backward,
    adaptive_avg_pool3d_backward,
    avg_pool1d_backward,
    avg_pool2d_backward,
    avg_pool3d_backward,
)
from fastconv.grad.columns import (
    fold_backward,
    unfold_backward,
)
from fastconv.grad.convolution import (
    conv1d_bias,
    conv1d_input,
    conv1d_weight,
    conv2d_bias,
    conv2d_input,
    conv2d_weight,
    conv3d_bias,
    conv3d_input,
    conv3d_weight,
)
from fastconv.grad.dense import (
    linear_bias,
    linear_input,
    linear_weight,
)
from fastconv.grad.dropout import (
    alpha_dropout_backward,
    dropout1d_backward,
    dropout2d_backward,
    dropout3d_backward,
    dropout_backward,
    feature_alpha_dropout_backward,
)
from fastconv.grad.epilogue import (
    activation_bias_backward,
)
from fastconv.grad.loss import (
    cross_entropy_backward,
)
from fastconv.grad.normalization import (
    batch_norm_backward,
    group_norm_backward,
    layer_norm_backward,
    local_response_norm_backward,
)
from fastconv.grad.pointwise import (
    log_softmax_backward,
    softmax_backward,
)
from fastconv.grad.pooling import (
    max_pool1d_argmax_backward,
    max_pool1d_backward,
    max_pool2d_argmax_backward,
    max_pool2d_backward,
    max_pool3d_argmax_backward,
    max_pool3d_backward,
    max_unpool1d_backward,
    max_unpool2d_backward,
    max_unpool3d_backward,
)
from fastconv.grad.rectifiers import (
    elu_backward,
    hardtanh_backward,
    leaky_relu_backward,
    relu6_backward,
    relu_backward,
    selu_backward,
)
from fastconv.grad.sigmoids import (
    gelu_backward,
    hardsigmoid_backward,
    hardswish_backward,
    mish_backward,
    sigmoid_backward,
    silu_backward,
    softplus_backward,
    tanh_backward,
)

__all__ = [
    "activation_bias_backward",
    "adaptive_avg_pool1d_backward",
    "adaptive_avg_pool2d_backward",
    "adaptive_avg_pool3d_backward",
    "alpha_dropout_backward",
    "avg_pool1d_backward",
    "avg_pool2d_backward",
    "avg_pool3d_backward",
    "batch_norm_backward",
    "conv1d_bias",
    "conv1d_input",
    "conv1d_weight",
    "conv2d_bias",
    "conv2d_input",
    "conv2d_weight",
    "conv3d_bias",
    "conv3d_input",
    "conv3d_weight",
    "cross_entropy_backward",
    "dropout1d_backward",
    "dropout2d_backward",
    "dropout3d_backward",
    "dropout_backward",
    "elu_backward",
    "feature_alpha_dropout_backward",
    "fold_backward",
    "gelu_backward",
    "group_norm_backward",
    "hardsigmoid_backward",
    "hardswish_backward",
    "hardtanh_backward",
    "layer_norm_backward",
    "leaky_relu_backward",
    "linear_bias",
    "linear_input",
    "linear_weight",
    "local_response_norm_backward",
    "log_softmax_backward",
    "max_pool1d_argmax_backward",
    "max_pool1d_backward",
    "max_pool2d_argmax_backward",
    "max_pool2d_backward",
    "max_pool3d_argmax_backward",
    "max_pool3d_backward",
    "max_unpool1d_backward",
    "max_unpool2d_backward",
    "max_unpool3d_backward",
    "mish_backward",
    "relu6_backward",
    "relu_backward",
    "selu_backward",
    "sigmoid_backward",
    "silu_backward",
    "softmax_backward",
    "softplus_backward",
    "tanh_backward",
    "unfold_backward",
]
