"""The functions of functional and grad by their number of spatial dimensions."""

from fastconv import functional, grad, runtime

#: The instruction sets with kernels of their own; the others' naive loops take long.
FAST = [name for name in runtime.available_isas() if name != "reference"]

CONV = {1: functional.conv1d, 2: functional.conv2d, 3: functional.conv3d}
CONV_INPUT = {1: grad.conv1d_input, 2: grad.conv2d_input, 3: grad.conv3d_input}
CONV_WEIGHT = {1: grad.conv1d_weight, 2: grad.conv2d_weight, 3: grad.conv3d_weight}
CONV_BIAS = {1: grad.conv1d_bias, 2: grad.conv2d_bias, 3: grad.conv3d_bias}
CONV_TRANSPOSE = {
    1: functional.conv_transpose1d,
    2: functional.conv_transpose2d,
    3: functional.conv_transpose3d,
}
MAX_POOL = {1: functional.max_pool1d, 2: functional.max_pool2d, 3: functional.max_pool3d}
MAX_POOL_BACKWARD = {
    1: grad.max_pool1d_backward,
    2: grad.max_pool2d_backward,
    3: grad.max_pool3d_backward,
}
MAX_UNPOOL = {1: functional.max_unpool1d, 2: functional.max_unpool2d, 3: functional.max_unpool3d}
MAX_UNPOOL_BACKWARD = {
    1: grad.max_unpool1d_backward,
    2: grad.max_unpool2d_backward,
    3: grad.max_unpool3d_backward,
}
MAX_POOL_ARGMAX_BACKWARD = {
    1: grad.max_pool1d_argmax_backward,
    2: grad.max_pool2d_argmax_backward,
    3: grad.max_pool3d_argmax_backward,
}
AVG_POOL = {1: functional.avg_pool1d, 2: functional.avg_pool2d, 3: functional.avg_pool3d}
AVG_POOL_BACKWARD = {
    1: grad.avg_pool1d_backward,
    2: grad.avg_pool2d_backward,
    3: grad.avg_pool3d_backward,
}
ADAPTIVE_AVG_POOL = {
    1: functional.adaptive_avg_pool1d,
    2: functional.adaptive_avg_pool2d,
    3: functional.adaptive_avg_pool3d,
}
ADAPTIVE_AVG_POOL_BACKWARD = {
    1: grad.adaptive_avg_pool1d_backward,
    2: grad.adaptive_avg_pool2d_backward,
    3: grad.adaptive_avg_pool3d_backward,
}
ADAPTIVE_MAX_POOL = {
    1: functional.adaptive_max_pool1d,
    2: functional.adaptive_max_pool2d,
    3: functional.adaptive_max_pool3d,
}
