"""A layer of your own: forward, backward, a check of its gradients, in a graph with a branch.

Run: python examples/custom_layer.py
"""

import numpy as np

from fastconv import Model
from fastconv.datasets import load_digits
from fastconv.layers import Add, Conv2D, Dense, GlobalAveragePooling2D, Input, Layer, register_layer
from fastconv.testing import check_gradients
from fastconv.training import Adam
from fastconv.utils import set_random_seed


@register_layer  # so that models with it can be saved and loaded
class Scale(Layer):
    """y = x * scale, one scale a channel, learned."""

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Create the scale."""
        self.add_weight("scale", (input_shape[-1] or 0,), "ones")

    def forward(self, x: np.ndarray, training: bool = False) -> np.ndarray:
        """Return the scaled input."""
        if training:
            self._save(x)
        return x * self.weight("scale").array

    def backward(self, grad: np.ndarray, need_input_grad: bool = True) -> np.ndarray | None:
        """Add to the gradient of the scale, return that of the input."""
        (x,) = self._saved()
        scale = self.weight("scale")
        scale.accumulate((grad * x).sum(tuple(range(x.ndim - 1))))
        return grad * scale.array if need_input_grad else None


def network() -> Model:
    """Return a small residual network with the layer in it."""
    image = Input((8, 8, 1))
    y = Conv2D(16, 3, padding="same", activation="relu")(image)
    branch = Scale()(Conv2D(16, 3, padding="same", activation="relu")(y))
    y = GlobalAveragePooling2D()(Add()([y, branch]))
    return Model(image, Dense(10, activation="softmax")(y))


def main() -> None:
    """Check the layer, then train with it."""
    check_gradients(Scale(dtype="float64"), np.random.default_rng(0).standard_normal((2, 3, 4)))
    print("the gradients of Scale are right")
    set_random_seed(0)
    model = network()
    model.compile(Adam(0.01), "sparse_categorical_crossentropy", ["accuracy"])
    (x, y), test = load_digits()
    history = model.fit(x, y, epochs=20, verbose=0, seed=0)
    print(f"loss {history.history['loss'][0]:.3f} -> {history.history['loss'][-1]:.3f}")
    print(f"accuracy on digits not seen before: {model.evaluate(*test)[1]:.1%}")


if __name__ == "__main__":
    main()
