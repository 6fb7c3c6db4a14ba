"""GoogLeNet."""

from __future__ import annotations

from collections.abc import Sequence

from numpy.typing import DTypeLike

from fastconv.layers import (
    AveragePooling2D,
    Concatenate,
    Conv2D,
    Dense,
    Dropout,
    Flatten,
    GlobalAveragePooling2D,
    Input,
    LocalResponseNormalization,
    MaxPooling2D,
    SymbolicTensor,
)
from fastconv.models.functional import Functional

__all__ = ["INCEPTION", "googlenet"]

#: Table 1 of the paper: filters of 1x1, 3x3 reduce, 3x3, 5x5 reduce, 5x5 and pool projection.
INCEPTION: dict[str, tuple[int, int, int, int, int, int]] = {
    "3a": (64, 96, 128, 16, 32, 32),
    "3b": (128, 128, 192, 32, 96, 64),
    "4a": (192, 96, 208, 16, 48, 64),
    "4b": (160, 112, 224, 24, 64, 64),
    "4c": (128, 128, 256, 24, 64, 64),
    "4d": (112, 144, 288, 32, 64, 64),
    "4e": (256, 160, 320, 32, 128, 128),
    "5a": (256, 160, 320, 32, 128, 128),
    "5b": (384, 192, 384, 48, 128, 128),
}


def googlenet(
    input_shape: Sequence[int] = (224, 224, 3),
    classes: int = 1000,
    auxiliary: bool = False,
    *,
    dtype: DTypeLike | None = None,
    name: str = "googlenet",
) -> Functional:
    """Return GoogLeNet: nine blocks of four branches, whose results are concatenated.

    | conv 64 7x7 stride 2, pool, norm, conv 64 1x1, conv 192 3x3, norm, pool, inception 3a, 3b,
    | pool, inception 4a to 4e, pool, inception 5a, 5b, global average pool, dropout 40 %,
    | dense `classes` with softmax; pools of 3x3 with stride 2. See `INCEPTION` for the filters.

    Parameters
    ----------
    input_shape : sequence of int
        (height, width, channels).
    classes : int
        Outputs.
    auxiliary : bool
        Whether the model has the paper's two side outputs as well, behind 4a and 4d, for
        training: ``compile(..., loss_weights=[1, 0.3, 0.3])``.
    dtype, name
        See `Model`.

    Notes
    -----
    Source: C. Szegedy et al., Going deeper with convolutions, CVPR 2015, arXiv 1409.4842.

    Examples
    --------
    >>> model = googlenet((64, 64, 3), classes=10)
    >>> model.get_layer("inception_3a").output.shape
    (None, 8, 8, 256)
    """
    image = Input(tuple(input_shape), dtype=dtype)
    y = _conv(64, 7, "conv1", strides=2)(image)
    y = _pool("pool1")(y)
    y = LocalResponseNormalization(k=1.0, alpha=2e-5, name="norm1")(y)
    y = _conv(64, 1, "conv2_reduce")(y)
    y = _conv(192, 3, "conv2")(y)
    y = LocalResponseNormalization(k=1.0, alpha=2e-5, name="norm2")(y)
    y = _pool("pool2")(y)
    side: list[SymbolicTensor] = []
    for block, filters in INCEPTION.items():
        y = _inception(y, block, filters)
        if block in ("3b", "4e"):
            y = _pool(f"pool{block[0]}")(y)
        if auxiliary and block in ("4a", "4d"):
            side.append(_side(y, len(side) + 1, classes))
    y = GlobalAveragePooling2D(name="pool5")(y)
    y = Dropout(0.4, name="dropout")(y)
    y = Dense(classes, activation="softmax", name="classes")(y)
    return Functional(image, [y, *side] if auxiliary else y, name=name)


def _conv(filters: int, size: int, name: str, strides: int = 1) -> Conv2D:
    return Conv2D(filters, size, strides, padding="same", activation="relu", name=name)


def _pool(name: str, strides: int = 2) -> MaxPooling2D:
    return MaxPooling2D(3, strides, padding="same", name=name)


def _inception(
    x: SymbolicTensor, block: str, filters: tuple[int, int, int, int, int, int]
) -> SymbolicTensor:
    """Return the concatenation of four branches."""
    ones, reduce3, threes, reduce5, fives, project = filters
    name = f"inception_{block}"
    branches = [
        _conv(ones, 1, f"{name}_1x1")(x),
        _conv(threes, 3, f"{name}_3x3")(_conv(reduce3, 1, f"{name}_3x3_reduce")(x)),
        _conv(fives, 5, f"{name}_5x5")(_conv(reduce5, 1, f"{name}_5x5_reduce")(x)),
        _conv(project, 1, f"{name}_pool_proj")(_pool(f"{name}_pool", strides=1)(x)),
    ]
    merged: SymbolicTensor = Concatenate(name=name)(branches)
    return merged


def _side(x: SymbolicTensor, number: int, classes: int) -> SymbolicTensor:
    """Return an auxiliary output."""
    name = f"side{number}"
    y = AveragePooling2D(5, 3, name=f"{name}_pool")(x)
    y = _conv(128, 1, f"{name}_conv")(y)
    y = Flatten(name=f"{name}_flatten")(y)
    y = Dense(1024, activation="relu", name=f"{name}_fc")(y)
    y = Dropout(0.7, name=f"{name}_dropout")(y)
    output: SymbolicTensor = Dense(classes, activation="softmax", name=f"{name}_classes")(y)
    return output
