"""LeNet-5."""

from __future__ import annotations

from collections.abc import Sequence

from numpy.typing import DTypeLike

from fastconv.layers import Conv2D, Dense, Flatten, Input, MaxPooling2D
from fastconv.models.sequential import Sequential

__all__ = ["lenet5"]


def lenet5(
    input_shape: Sequence[int] = (28, 28, 1),
    classes: int = 10,
    activation: str = "relu",
    *,
    dtype: DTypeLike | None = None,
    name: str = "lenet5",
) -> Sequential:
    """Return LeNet-5: conv, pool, conv, pool, conv, fully connected, classes.

    | conv 6 5x5 stride 1, pool 2x2 stride 2, conv 16 5x5 stride 1, pool 2x2 stride 2,
    | conv 120 5x5 stride 1, dense 84, dense `classes` with softmax.

    The first convolution pads an image of 28 x 28 to the 32 x 32 that the paper has; one of
    32 x 32 is not padded. The third then sees the 5 x 5 that it covers. As in later practice
    the activation is a rectifier, pooling takes the maximum, and the second convolution sees
    all channels.

    Parameters
    ----------
    input_shape : sequence of int
        (28, 28, channels) or (32, 32, channels).
    classes : int
        Outputs.
    activation : str
        Of the hidden layers.
    dtype, name
        See `Sequential`.

    Notes
    -----
    Source: Y. LeCun, L. Bottou, Y. Bengio, P. Haffner, Gradient-based learning applied to
    document recognition, Proc. IEEE 86 (11), 1998, section II.B.

    Examples
    --------
    >>> lenet5().count_params()
    61706
    """
    shape = tuple(input_shape)
    if len(shape) != 3 or shape[:2] not in ((28, 28), (32, 32)):
        raise ValueError(
            f"input_shape: got {input_shape!r}, expected (28, 28, channels) or (32, 32, channels)"
        )
    return Sequential(
        [
            Input(shape),
            Conv2D(
                6,
                5,
                padding="same" if shape[0] == 28 else "valid",
                activation=activation,
                name="conv1",
            ),
            MaxPooling2D(2, name="pool1"),
            Conv2D(16, 5, activation=activation, name="conv2"),
            MaxPooling2D(2, name="pool2"),
            Conv2D(120, 5, activation=activation, name="conv3"),
            Flatten(name="flatten"),
            Dense(84, activation=activation, name="fc"),
            Dense(classes, activation="softmax", name="classes"),
        ],
        dtype=dtype,
        name=name,
    )
