"""A network and samples small enough to train in a test."""

import numpy as np

from fastconv.layers import Conv2D, Dense, Flatten, MaxPooling2D
from fastconv.models import Sequential
from fastconv.training import Adam

RNG = np.random.default_rng(0)
X = RNG.random((48, 8, 8, 1)).astype(np.float32)
Y = RNG.integers(0, 4, 48)


def classifier(**options):
    """A compiled network for `X` and `Y`; the options are those of `Sequential`."""
    model = Sequential(
        [
            Conv2D(8, 3, activation="relu", input_shape=(8, 8, 1)),
            MaxPooling2D(),
            Flatten(),
            Dense(32, activation="relu"),
            Dense(4, activation="softmax"),
        ],
        **options,
    )
    model.compile(Adam(0.01), "sparse_categorical_crossentropy", ["accuracy"])
    return model
