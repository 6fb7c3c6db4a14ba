"""The lectures' networks for handwritten digits, and their toy that tells X from O."""

from __future__ import annotations

from numpy.typing import DTypeLike

from fastconv.layers import Conv2D, Dense, Flatten, Input, MaxPooling2D
from fastconv.models.sequential import Sequential

__all__ = ["mnist_cnn", "mnist_five_layers", "mnist_one_layer", "x_and_o"]


def mnist_cnn(
    classes: int = 10, *, dtype: DTypeLike | None = None, name: str = "mnist_cnn"
) -> Sequential:
    """Return the lectures' convolutional network for images of 28 x 28.

    | conv 32 5x5, pool 2x2, conv 64 5x5, pool 2x2, dense 1024, dense `classes` with softmax.

    Examples
    --------
    >>> mnist_cnn().count_params()
    3274634
    """
    return Sequential(
        [
            Input((28, 28, 1)),
            Conv2D(32, 5, padding="same", activation="relu", name="conv1"),
            MaxPooling2D(2, name="pool1"),
            Conv2D(64, 5, padding="same", activation="relu", name="conv2"),
            MaxPooling2D(2, name="pool2"),
            Flatten(name="flatten"),
            Dense(1024, activation="relu", name="fc1"),
            Dense(classes, activation="softmax", name="fc2"),
        ],
        dtype=dtype,
        name=name,
    )


def mnist_one_layer(
    classes: int = 10, *, dtype: DTypeLike | None = None, name: str = "mnist_one_layer"
) -> Sequential:
    """Return softmax regression on the pixels of images of 28 x 28.

    Examples
    --------
    >>> mnist_one_layer().count_params()
    7850
    """
    return Sequential(
        [Input((28, 28, 1)), Flatten(), Dense(classes, activation="softmax", name="fc1")],
        dtype=dtype,
        name=name,
    )


def mnist_five_layers(
    classes: int = 10,
    activation: str = "relu",
    *,
    dtype: DTypeLike | None = None,
    name: str = "mnist_five_layers",
) -> Sequential:
    """Return five dense layers, of 200, 100, 60, 30 and `classes` units, on 28 x 28 pixels.

    Examples
    --------
    >>> mnist_five_layers().count_params()
    185300
    """
    units = (200, 100, 60, 30)
    hidden = [Dense(n, activation=activation, name=f"fc{i}") for i, n in enumerate(units, 1)]
    last = Dense(classes, activation="softmax", name="fc5")
    return Sequential(
        [Input((28, 28, 1)), Flatten(), *hidden, last],
        dtype=dtype,
        name=name,
    )


def x_and_o(*, dtype: DTypeLike | None = None, name: str = "x_and_o") -> Sequential:
    """Return the lectures' toy: three features of 3x3 on images of 9 x 9, X or O.

    | conv 3 3x3, pool 2x2 that keeps the last row and column, dense 2 with softmax.

    Examples
    --------
    >>> x_and_o().count_params()
    128
    """
    return Sequential(
        [
            Input((9, 9, 1)),
            Conv2D(3, 3, activation="relu", name="features"),
            MaxPooling2D(2, padding=((0, 1), (0, 1)), name="pool"),
            Flatten(name="flatten"),
            Dense(2, activation="softmax", name="vote"),
        ],
        dtype=dtype,
        name=name,
    )
