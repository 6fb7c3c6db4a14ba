"""Every layer's gradients against central differences, in float64."""

import numpy as np
import pytest

from fastconv.layers import (
    Activation,
    Conv1D,
    Conv2D,
    Conv3D,
    Dense,
    Dropout,
    Flatten,
    InputLayer,
    MaxPooling1D,
    MaxPooling2D,
    MaxPooling3D,
    ReLU,
    Softmax,
)
from fastconv.models import Sequential

LAST, FIRST = "channels_last", "channels_first"
STEP = 1e-6

CONVOLUTIONS = [
    (Conv1D, (9,), {"filters": 4, "kernel_size": 3}),
    (Conv1D, (9,), {"filters": 4, "kernel_size": 3, "strides": 2, "padding": "same"}),
    (Conv1D, (9,), {"filters": 4, "kernel_size": 2, "dilation_rate": 3, "groups": 2}),
    (Conv1D, (9,), {"filters": 2, "kernel_size": 3, "padding": ((2, 1),), "activation": "relu"}),
    (Conv2D, (6, 5), {"filters": 4, "kernel_size": 3}),
    (Conv2D, (6, 5), {"filters": 4, "kernel_size": (3, 2), "strides": (2, 1), "padding": "same"}),
    (Conv2D, (6, 7), {"filters": 4, "kernel_size": 3, "dilation_rate": (1, 2), "groups": 2}),
    (Conv2D, (5, 5), {"filters": 6, "kernel_size": 3, "padding": 1, "activation": "relu"}),
    (Conv2D, (5, 5), {"filters": 3, "kernel_size": 2, "padding": [(0, 1), 1], "use_bias": False}),
    (Conv2D, (4, 4), {"filters": 3, "kernel_size": 1, "activation": "softmax"}),
    (Conv2D, (7, 7), {"filters": 2, "kernel_size": 1, "strides": 3}),
    (Conv3D, (3, 4, 5), {"filters": 2, "kernel_size": 2, "activation": "relu"}),
    (Conv3D, (4, 3, 5), {"filters": 4, "kernel_size": (1, 3, 2), "padding": "same", "strides": 2}),
    (Conv3D, (3, 3, 3), {"filters": 4, "kernel_size": 2, "groups": 2, "dilation_rate": 2}),
]
POOLINGS = [
    (MaxPooling1D, (7,), {}),
    (MaxPooling1D, (7,), {"pool_size": 3, "strides": 2, "padding": "same"}),
    (MaxPooling2D, (6, 5), {}),
    (MaxPooling2D, (6, 5), {"pool_size": (3, 2), "strides": (1, 2), "padding": "same"}),
    (MaxPooling2D, (5, 5), {"pool_size": 3, "strides": 2, "padding": 1}),
    (MaxPooling2D, (17, 18), {"pool_size": 16, "strides": 1}),
    (MaxPooling3D, (4, 3, 5), {"pool_size": 2, "strides": (1, 2, 1)}),
]
OTHERS = [
    (Dense, (5,), {"units": 3}),
    (Dense, (5,), {"units": 3, "activation": "relu"}),
    (Dense, (5,), {"units": 4, "activation": "softmax", "use_bias": False}),
    (Dense, (3, 4), {"units": 2, "activation": "relu"}),
    (Flatten, (3, 2, 4), {}),
    (Flatten, (3, 2, 4), {"data_format": FIRST}),
    (Activation, (3, 4), {"activation": "relu"}),
    (Activation, (3, 4), {"activation": "softmax"}),
    (Activation, (3, 4), {"activation": "linear"}),
    (ReLU, (3, 4), {}),
    (Softmax, (3, 4), {}),
    (Softmax, (3, 4), {"axis": 1}),
    (InputLayer, (3, 4), {"shape": (3, 4)}),
]


def in_format(cases):
    for cls, spatial, options in cases:
        for data_format in (LAST, FIRST):
            shape = (*spatial, 4) if data_format == LAST else (4, *spatial)
            yield cls, shape, {**options, "data_format": data_format}


def label(case):
    cls, shape, options = case
    return f"{cls.__name__}-{shape}-" + "-".join(f"{v}" for v in options.values())


def differences(function, array):
    """The gradient of a number that depends on the array, element by element."""
    gradient = np.empty_like(array)
    for at in np.ndindex(array.shape):
        before = array[at]
        array[at] = before + STEP
        above = function()
        array[at] = before - STEP
        below = function()
        array[at] = before
        gradient[at] = (above - below) / (2 * STEP)
    return gradient


def distinct(rng, shape):
    """Values that no step of the difference reorders or moves across 0."""
    values = (np.arange(np.prod(shape)) + 0.5) * 2.0 / np.prod(shape) - 1.0
    return rng.permutation(values).reshape(shape)


def check(layer, x, rng):
    y = layer.forward(x, training=True)
    assert y.shape == layer.compute_output_shape(x.shape)
    weights = rng.standard_normal(y.shape)
    dx = layer.backward(weights)

    def objective():
        return float((layer.forward(x) * weights).sum())

    assert dx.shape == x.shape
    assert dx.dtype == np.float64
    np.testing.assert_allclose(dx, differences(objective, x), rtol=1e-6, atol=1e-8)
    for name, p in layer.named_parameters().items():
        assert p.grad.shape == p.value.shape, name
        np.testing.assert_allclose(
            p.grad, differences(objective, p.value), rtol=1e-6, atol=1e-8, err_msg=name
        )


@pytest.mark.parametrize(
    "case", [*in_format(CONVOLUTIONS), *in_format(POOLINGS), *OTHERS], ids=label
)
def test_gradients(case):
    cls, shape, options = case
    rng = np.random.default_rng(0)
    if issubclass(cls, Dense) or "filters" in options:
        options = {**options, "kernel_initializer": "he_normal"}
        if options.get("use_bias", True):
            options["bias_initializer"] = "random_normal"
    layer = cls(dtype="float64", **options)
    layer.build((None, *shape))
    check(layer, distinct(rng, (2, *shape)), rng)


def test_dropout_gradient():
    layer = Dropout(0.4, seed=3, dtype="float64")
    x = np.random.default_rng(0).standard_normal((4, 50))
    y = layer.forward(x, training=True)
    kept = y != 0
    np.testing.assert_allclose(y[kept], x[kept] / 0.6)
    np.testing.assert_allclose(layer.backward(np.ones_like(x)), np.where(kept, 1 / 0.6, 0))


def test_the_layers_of_a_model():
    rng = np.random.default_rng(1)
    model = Sequential(
        [
            Conv2D(3, 3, padding="same", activation="relu", input_shape=(6, 6, 2)),
            MaxPooling2D(2),
            Sequential([Conv2D(4, 2), ReLU()]),
            Flatten(),
            Dense(3, activation="softmax"),
        ],
        dtype="float64",
    )
    check(model, distinct(rng, (2, 6, 6, 2)), rng)


@pytest.mark.parametrize(("cls", "shape"), [(Conv2D, (5, 5, 2)), (Dense, (6,))])
def test_the_input_gradient_can_be_left_out(cls, shape):
    layer = cls(3, 2) if cls is Conv2D else cls(3)
    x = np.ones((2, *shape), np.float32)
    layer.build(x.shape)
    full, spare = [], []
    for need, gradients in ((True, full), (False, spare)):
        layer.clear_gradients()
        dx = layer.backward(layer.forward(x, training=True), need_input_grad=need)
        assert (dx is None) == (not need)
        gradients += layer.gradients.values()
    for one, other in zip(full, spare, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_layer_used_twice_adds_its_gradients():
    layer = Dense(3, dtype="float64")
    rng = np.random.default_rng(2)
    x = rng.standard_normal((4, 3))
    layer.build(x.shape)
    w = rng.standard_normal((4, 3))
    layer.backward(layer.backward(np.array((layer.forward(layer.forward(x, True), True), w)[1])))

    def objective():
        return float((layer.forward(layer.forward(x)) * w).sum())

    for p in layer.parameters:
        np.testing.assert_allclose(p.grad, differences(objective, p.value), rtol=1e-6, atol=1e-8)


def test_a_frozen_layer_gets_no_gradients():
    layer = Dense(3, trainable=False)
    layer.build((None, 2))
    assert layer.backward(layer.forward(np.ones((1, 2), np.float32), True)) is not None
    assert layer.trainable_parameters() == {}
    assert all(p.grad is None for p in layer.parameters)
