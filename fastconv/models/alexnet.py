"""AlexNet, and ZFNet, which followed it."""

from __future__ import annotations

from collections.abc import Sequence

from numpy.typing import DTypeLike

from fastconv.layers import (
    Conv2D,
    Dense,
    Dropout,
    Flatten,
    Input,
    Layer,
    LocalResponseNormalization,
    MaxPooling2D,
)
from fastconv.models.sequential import Sequential

__all__ = ["alexnet", "zfnet"]


def alexnet(
    input_shape: Sequence[int] = (227, 227, 3),
    classes: int = 1000,
    groups: int = 1,
    *,
    dtype: DTypeLike | None = None,
    name: str = "alexnet",
) -> Sequential:
    """Return AlexNet: five convolutions, three pools, two normalizations, three dense layers.

    | conv 96 11x11 stride 4, pool, norm, conv 256 5x5, pool, norm, conv 384 3x3, conv 384 3x3,
    | conv 256 3x3, pool, dense 4096, dense 4096, dense `classes` with softmax;
    | pools of 3x3 with stride 2, dropout of one half before the first two dense layers.

    Parameters
    ----------
    input_shape : sequence of int
        (height, width, channels), 67 x 67 and more; the paper's 224 works out as 227.
    classes : int
        Outputs.
    groups : int
        2 splits the second, fourth and fifth convolution in two halves that do not see each
        other, as the paper did to fit two graphics cards: 60,965,224 parameters instead of
        62,378,344.
    dtype, name
        See `Sequential`.

    Notes
    -----
    Normalization comes after the pool, as in the lectures and in Caffe's CaffeNet; in the paper
    it comes before.

    Source: A. Krizhevsky, I. Sutskever, G. E. Hinton, ImageNet classification with deep
    convolutional neural networks, NIPS 2012.

    Examples
    --------
    >>> alexnet(classes=10).output_shape
    (None, 10)
    """
    return Sequential(
        [
            Input(tuple(input_shape)),
            Conv2D(96, 11, 4, activation="relu", name="conv1"),
            MaxPooling2D(3, 2, name="pool1"),
            LocalResponseNormalization(name="norm1"),
            Conv2D(256, 5, padding="same", groups=groups, activation="relu", name="conv2"),
            MaxPooling2D(3, 2, name="pool2"),
            LocalResponseNormalization(name="norm2"),
            Conv2D(384, 3, padding="same", activation="relu", name="conv3"),
            Conv2D(384, 3, padding="same", groups=groups, activation="relu", name="conv4"),
            Conv2D(256, 3, padding="same", groups=groups, activation="relu", name="conv5"),
            MaxPooling2D(3, 2, name="pool5"),
            *_head(classes),
        ],
        dtype=dtype,
        name=name,
    )


def zfnet(
    input_shape: Sequence[int] = (224, 224, 3),
    classes: int = 1000,
    *,
    dtype: DTypeLike | None = None,
    name: str = "zfnet",
) -> Sequential:
    """Return ZFNet: AlexNet with smaller windows at the beginning and more filters at the end.

    | conv 96 7x7 stride 2, pool, norm, conv 256 5x5 stride 2, pool, norm, conv 512 3x3,
    | conv 1024 3x3, conv 512 3x3, pool, dense 4096, dense 4096, dense `classes` with softmax.

    Parameters
    ----------
    input_shape : sequence of int
        (height, width, channels).
    classes : int
        Outputs.
    dtype, name
        See `Sequential`.

    Notes
    -----
    Source: M. D. Zeiler, R. Fergus, Visualizing and understanding convolutional networks, ECCV
    2014, arXiv 1311.2901, figure 3; the last three convolutions as in table 3's larger model.

    Examples
    --------
    >>> zfnet(classes=10).get_layer("pool5").compute_output_shape((None, 13, 13, 512))
    (None, 6, 6, 512)
    """
    return Sequential(
        [
            Input(tuple(input_shape)),
            Conv2D(96, 7, 2, padding=1, activation="relu", name="conv1"),
            MaxPooling2D(3, 2, padding="same", name="pool1"),
            LocalResponseNormalization(name="norm1"),
            Conv2D(256, 5, 2, activation="relu", name="conv2"),
            MaxPooling2D(3, 2, padding="same", name="pool2"),
            LocalResponseNormalization(name="norm2"),
            Conv2D(512, 3, padding="same", activation="relu", name="conv3"),
            Conv2D(1024, 3, padding="same", activation="relu", name="conv4"),
            Conv2D(512, 3, padding="same", activation="relu", name="conv5"),
            MaxPooling2D(3, 2, name="pool5"),
            *_head(classes),
        ],
        dtype=dtype,
        name=name,
    )


def _head(classes: int) -> list[Layer]:
    return [
        Flatten(name="flatten"),
        Dropout(0.5, name="drop6"),
        Dense(4096, activation="relu", name="fc6"),
        Dropout(0.5, name="drop7"),
        Dense(4096, activation="relu", name="fc7"),
        Dense(classes, activation="softmax", name="fc8"),
    ]
