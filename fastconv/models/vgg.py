"""The VGG networks."""

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

__all__ = ["VGG_COLUMNS", "vgg", "vgg11", "vgg13", "vgg16", "vgg19"]

#: Table 1 of the paper: the convolutions between pools, as (filters, size of the window).
VGG_COLUMNS: dict[str, tuple[tuple[tuple[int, int], ...], ...]] = {
    "A": (((64, 3),), ((128, 3),), ((256, 3),) * 2, ((512, 3),) * 2, ((512, 3),) * 2),
    "A-LRN": (((64, 3),), ((128, 3),), ((256, 3),) * 2, ((512, 3),) * 2, ((512, 3),) * 2),
    "B": tuple(((filters, 3),) * 2 for filters in (64, 128, 256, 512, 512)),
    "C": (
        ((64, 3),) * 2,
        ((128, 3),) * 2,
        ((256, 3), (256, 3), (256, 1)),
        ((512, 3), (512, 3), (512, 1)),
        ((512, 3), (512, 3), (512, 1)),
    ),
    "D": (((64, 3),) * 2, ((128, 3),) * 2, ((256, 3),) * 3, ((512, 3),) * 3, ((512, 3),) * 3),
    "E": (((64, 3),) * 2, ((128, 3),) * 2, ((256, 3),) * 4, ((512, 3),) * 4, ((512, 3),) * 4),
}


def vgg(
    column: str,
    input_shape: Sequence[int] = (224, 224, 3),
    classes: int = 1000,
    *,
    dtype: DTypeLike | None = None,
    name: str | None = None,
) -> Sequential:
    """Return the VGG network of a column of the paper's table 1.

    Blocks of 3x3 convolutions, each followed by a 2x2 pool, then dense layers of 4096, 4096 and
    `classes` with softmax, dropout of one half after the first two. Layers are named conv1_1,
    pool1, ..., fc6, fc7, fc8.

    Parameters
    ----------
    column : str
        ``"A"``, ``"A-LRN"``, ``"B"``, ``"C"``, ``"D"`` (VGG-16) or ``"E"`` (VGG-19).
    input_shape : sequence of int
        (height, width, channels), 32 x 32 and more.
    classes : int
        Outputs.
    dtype, name
        See `Sequential`.

    Notes
    -----
    Source: K. Simonyan, A. Zisserman, Very deep convolutional networks for large-scale image
    recognition, ICLR 2015, arXiv 1409.1556.

    Examples
    --------
    >>> model = vgg("A", (32, 32, 3), classes=10)
    >>> model.get_layer("pool5").compute_output_shape((None, 2, 2, 512))
    (None, 1, 1, 512)
    """
    if column not in VGG_COLUMNS:
        raise ValueError(f"column: got {column!r}, expected one of {', '.join(VGG_COLUMNS)}")
    layers: list[Layer] = []
    for block, convolutions in enumerate(VGG_COLUMNS[column], 1):
        for number, (filters, size) in enumerate(convolutions, 1):
            layers.append(
                Conv2D(
                    filters,
                    size,
                    padding="same",
                    activation="relu",
                    kernel_initializer="he_normal",
                    name=f"conv{block}_{number}",
                )
            )
            if column == "A-LRN" and block == 1:
                layers.append(LocalResponseNormalization(name="norm1"))
        layers.append(MaxPooling2D(2, name=f"pool{block}"))
    return Sequential(
        [
            Input(tuple(input_shape)),
            *layers,
            Flatten(name="flatten"),
            Dense(4096, activation="relu", name="fc6"),
            Dropout(0.5, name="drop6"),
            Dense(4096, activation="relu", name="fc7"),
            Dropout(0.5, name="drop7"),
            Dense(classes, activation="softmax", name="fc8"),
        ],
        dtype=dtype,
        name=name or f"vgg_{column.lower().replace('-', '_')}",
    )


def vgg11(input_shape: Sequence[int] = (224, 224, 3), classes: int = 1000) -> Sequential:
    """Return column A of `vgg`.

    Examples
    --------
    >>> len(vgg11((32, 32, 3), 10).layers)
    19
    """
    return vgg("A", input_shape, classes, name="vgg11")


def vgg13(input_shape: Sequence[int] = (224, 224, 3), classes: int = 1000) -> Sequential:
    """Return column B of `vgg`.

    Examples
    --------
    >>> len(vgg13((32, 32, 3), 10).layers)
    21
    """
    return vgg("B", input_shape, classes, name="vgg13")


def vgg16(input_shape: Sequence[int] = (224, 224, 3), classes: int = 1000) -> Sequential:
    """Return column D of `vgg`.

    Examples
    --------
    >>> len(vgg16((32, 32, 3), 10).layers)
    24
    """
    return vgg("D", input_shape, classes, name="vgg16")


def vgg19(input_shape: Sequence[int] = (224, 224, 3), classes: int = 1000) -> Sequential:
    """Return column E of `vgg`.

    Examples
    --------
    >>> len(vgg19((32, 32, 3), 10).layers)
    27
    """
    return vgg("E", input_shape, classes, name="vgg19")
