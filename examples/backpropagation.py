"""The gradient of one filter by hand, by the layers, and by differences: all the same.

A filter of size 3 on five numbers with zero padding, a rectifier, a dense layer, a squared error.

Run: python examples/backpropagation.py
"""

import numpy as np

from fastconv import Sequential
from fastconv.layers import Conv1D, Dense, Flatten
from fastconv.testing import numerical_gradient

X = np.array([0.5, -1.0, 2.0, 0.3, -0.7])
W1, W2, TARGET = np.array([0.2, -0.4, 0.9]), np.array([1.0, -2.0, 0.5, 0.7, -1.1]), 0.25


def by_hand() -> np.ndarray:
    """Return dloss/dW1 = (dZ1/dW1) diag(Z1 > 0) W2 2 (A2 - y)."""
    padded = np.pad(X, 1)
    columns = np.stack([padded[i : i + 5] for i in range(3)])  # im2col: dZ1/dW1, (3, 5)
    z1 = W1 @ columns
    a1 = np.maximum(z1, 0)
    a2 = W2 @ a1
    return columns @ ((z1 > 0) * W2) * 2 * (a2 - TARGET)


def network() -> Sequential:
    """Return the two layers with these weights."""
    model = Sequential(
        [
            Conv1D(1, 3, padding=1, activation="relu", use_bias=False, input_shape=(5, 1)),
            Flatten(),
            Dense(1, use_bias=False),
        ],
        dtype="float64",
    )
    model.set_weights([W1.reshape(3, 1, 1), W2.reshape(5, 1)])
    return model


def main() -> None:
    """Print the gradient three times."""
    model, x, y = network(), X.reshape(1, 5, 1), np.array([[TARGET]])
    model.compile("sgd", "mse")
    filter_ = model.layers[0].weight("kernel").value
    differences = numerical_gradient(lambda: model.test_on_batch(x, y), filter_)
    model.train_on_batch(x, y)
    print("by hand       ", by_hand())
    print("by the layers ", model.layers[0].weight("kernel").grad.ravel())
    print("by differences", differences.ravel())


if __name__ == "__main__":
    main()
