"""Every layer's gradients against central differences, in float64."""

import json

import numpy as np
import pytest
from layer_cases import CASES, label

from fastconv import layers
from fastconv.layers import (
    Conv2D,
    Dense,
    Dropout,
    Flatten,
    MaxPooling2D,
    ReLU,
    deserialize_layer,
    serialize_layer,
)
from fastconv.models import Sequential

STEP = 1e-6


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


@pytest.mark.parametrize("case", CASES, ids=label)
def test_gradients(case):
    cls, shape, options = case
    rng = np.random.default_rng(0)
    layer = cls(dtype="float64", **options)
    layer.build((None, *shape))
    for p in layer.parameters:
        p.value += rng.standard_normal(p.value.shape) * 0.3
    check(layer, distinct(rng, (2, *shape)), rng)


@pytest.mark.parametrize("case", CASES, ids=label)
def test_configurations_shapes_and_empty_batches(case):
    cls, shape, options = case
    layer = cls(**options)
    config = json.loads(json.dumps(serialize_layer(layer)))
    again = deserialize_layer(config)
    assert json.loads(json.dumps(serialize_layer(again))) == config
    x = np.random.default_rng(0).standard_normal((2, *shape)).astype("float32")
    x.flags.writeable = False
    y = layer(x)
    again.build(x.shape)
    again.set_weights(layer.get_weights())
    np.testing.assert_array_equal(again(x), y)
    assert y.dtype == np.float32
    assert layer(x[:0]).shape == (0, *y.shape[1:])
    assert layer.compute_output_shape((None, *shape)) == (None, *y.shape[1:])
    layer.multiply_adds((None, *shape))


def test_every_layer_is_here():
    tested = {cls.__name__ for cls, *_ in CASES}
    elsewhere = {"BatchNormalization", "Dropout", "AlphaDropout", "GaussianDropout"}
    elsewhere |= {"GaussianNoise", "SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D"}
    elsewhere |= {name for name in layers.__all__ if name.startswith("Random")}
    elsewhere |= {"CenterCrop", "Normalization", "Rescaling"}
    elsewhere |= {"Add", "Average", "Concatenate", "Maximum", "Minimum", "Multiply", "Subtract"}
    found = {
        name
        for name in layers.__all__
        if isinstance(getattr(layers, name), type)
        and issubclass(getattr(layers, name), layers.Layer)
    }
    assert found - tested - elsewhere == {"Layer"}


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
