"""The residual networks."""

from __future__ import annotations

from collections.abc import Sequence

from numpy.typing import DTypeLike

from fastconv.layers import (
    Activation,
    Add,
    BatchNormalization,
    Conv2D,
    Dense,
    GlobalAveragePooling2D,
    Input,
    MaxPooling2D,
    SymbolicTensor,
)
from fastconv.models.functional import Functional

__all__ = ["RESNET_BLOCKS", "resnet", "resnet18", "resnet34", "resnet50", "resnet101", "resnet152"]

#: Table 1 of the paper: blocks in each of the four stages, by depth.
RESNET_BLOCKS: dict[int, tuple[int, int, int, int]] = {
    18: (2, 2, 2, 2),
    34: (3, 4, 6, 3),
    50: (3, 4, 6, 3),
    101: (3, 4, 23, 3),
    152: (3, 8, 36, 3),
}


def resnet(
    depth: int,
    input_shape: Sequence[int] = (224, 224, 3),
    classes: int = 1000,
    stride_in_1x1: bool = False,
    *,
    dtype: DTypeLike | None = None,
    name: str | None = None,
) -> Functional:
    """Return the residual network of a depth, batch normalization after every convolution.

    | conv 64 7x7 stride 2, pool 3x3 stride 2, four stages of blocks with 64, 128, 256 and 512
    | filters, the last three beginning with stride 2, global average pool, dense `classes` with
    | softmax.

    A block is y = relu(F(x) + x), where x is projected by a 1x1 convolution if its shape
    changes. F is two 3x3 convolutions in the networks of 18 and 34 layers; in deeper ones 1x1,
    3x3 and 1x1 with four times as many filters.

    Parameters
    ----------
    depth : int
        18, 34, 50, 101 or 152.
    input_shape : sequence of int
        (height, width, channels).
    classes : int
        Outputs.
    stride_in_1x1 : bool
        Where the deeper networks' stride is: True, in the first 1x1 convolution of a block, as
        in the paper; False, in the 3x3 one, as in PyTorch's networks and their weights.
    dtype, name
        See `Model`.

    Notes
    -----
    Source: K. He, X. Zhang, S. Ren, J. Sun, Deep residual learning for image recognition, CVPR
    2016, arXiv 1512.03385.

    Examples
    --------
    >>> model = resnet(18, (64, 64, 3), classes=10)
    >>> model.get_layer("layer4_1_add").output.shape
    (None, 2, 2, 512)
    """
    if depth not in RESNET_BLOCKS:
        raise ValueError(
            f"depth: got {depth!r}, expected one of {', '.join(map(str, RESNET_BLOCKS))}"
        )
    image = Input(tuple(input_shape), dtype=dtype)
    y = _normalized(image, 64, 7, 2, "conv1", "bn1")
    y = Activation("relu", name="relu")(y)
    y = MaxPooling2D(3, 2, padding=1, name="maxpool")(y)
    for stage, blocks in enumerate(RESNET_BLOCKS[depth]):
        for block in range(blocks):
            strides = 2 if stage > 0 and block == 0 else 1
            at = f"layer{stage + 1}_{block}"
            if depth < 50:
                y = _basic(y, 64 << stage, strides, at)
            else:
                y = _bottleneck(y, 64 << stage, strides, at, stride_in_1x1)
    y = GlobalAveragePooling2D(name="avgpool")(y)
    y = Dense(classes, activation="softmax", name="fc")(y)
    return Functional(image, y, name=name or f"resnet{depth}")


def _normalized(
    x: SymbolicTensor, filters: int, size: int, strides: int, conv: str, norm: str
) -> SymbolicTensor:
    """Return a convolution that keeps the size but for its stride, and its normalization."""
    y = Conv2D(
        filters,
        size,
        strides,
        padding=size // 2,
        use_bias=False,
        kernel_initializer="he_normal",
        name=conv,
    )(x)
    result: SymbolicTensor = BatchNormalization(momentum=0.9, epsilon=1e-5, name=norm)(y)
    return result


def _basic(x: SymbolicTensor, filters: int, strides: int, at: str) -> SymbolicTensor:
    y = _normalized(x, filters, 3, strides, f"{at}_conv1", f"{at}_bn1")
    y = Activation("relu", name=f"{at}_relu1")(y)
    y = _normalized(y, filters, 3, 1, f"{at}_conv2", f"{at}_bn2")
    return _joined(x, y, strides, at)


def _bottleneck(
    x: SymbolicTensor, filters: int, strides: int, at: str, stride_in_1x1: bool
) -> SymbolicTensor:
    first, second = (strides, 1) if stride_in_1x1 else (1, strides)
    y = _normalized(x, filters, 1, first, f"{at}_conv1", f"{at}_bn1")
    y = Activation("relu", name=f"{at}_relu1")(y)
    y = _normalized(y, filters, 3, second, f"{at}_conv2", f"{at}_bn2")
    y = Activation("relu", name=f"{at}_relu2")(y)
    y = _normalized(y, 4 * filters, 1, 1, f"{at}_conv3", f"{at}_bn3")
    return _joined(x, y, strides, at)


def _joined(x: SymbolicTensor, y: SymbolicTensor, strides: int, at: str) -> SymbolicTensor:
    """Return relu(y + x), x projected where the shapes differ."""
    if x.shape != y.shape:
        filters = y.shape[-1] or 0
        x = _normalized(x, filters, 1, strides, f"{at}_downsample", f"{at}_downsample_bn")
    total: SymbolicTensor = Add(name=f"{at}_add")([y, x])
    result: SymbolicTensor = Activation("relu", name=f"{at}_relu")(total)
    return result


def resnet18(input_shape: Sequence[int] = (224, 224, 3), classes: int = 1000) -> Functional:
    """Return `resnet` of 18 layers.

    Examples
    --------
    >>> resnet18((32, 32, 3)).count_params()
    11699112
    """
    return resnet(18, input_shape, classes)


def resnet34(input_shape: Sequence[int] = (224, 224, 3), classes: int = 1000) -> Functional:
    """Return `resnet` of 34 layers.

    Examples
    --------
    >>> resnet34((32, 32, 3)).output_shape
    (None, 1000)
    """
    return resnet(34, input_shape, classes)


def resnet50(input_shape: Sequence[int] = (224, 224, 3), classes: int = 1000) -> Functional:
    """Return `resnet` of 50 layers.

    Examples
    --------
    >>> resnet50((32, 32, 3)).output_shape
    (None, 1000)
    """
    return resnet(50, input_shape, classes)


def resnet101(input_shape: Sequence[int] = (224, 224, 3), classes: int = 1000) -> Functional:
    """Return `resnet` of 101 layers.

    Examples
    --------
    >>> resnet101((32, 32, 3)).output_shape
    (None, 1000)
    """
    return resnet(101, input_shape, classes)


def resnet152(input_shape: Sequence[int] = (224, 224, 3), classes: int = 1000) -> Functional:
    """Return `resnet` of 152 layers.

    Examples
    --------
    >>> resnet152((32, 32, 3)).output_shape
    (None, 1000)
    """
    return resnet(152, input_shape, classes)
