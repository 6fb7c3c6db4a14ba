"""What layers share: weights, configuration, dtype, memory, names, messages."""

import json
import threading

import numpy as np
import pytest

from fastconv import layers
from fastconv.layers import (
    Activation,
    Conv1D,
    Conv2D,
    Conv3D,
    Dense,
    Dropout,
    Flatten,
    Layer,
    MaxPooling2D,
    Parameter,
    ReLU,
    Softmax,
    deserialize_layer,
    register_layer,
    serialize_layer,
)
from fastconv.utils import set_random_seed

ALL = [
    Conv1D(4, 3, padding=((1, 0),), groups=2, activation="relu"),
    Conv2D(4, (3, 2), strides=2, padding="same", dilation_rate=1, use_bias=False),
    Conv3D(2, 1, data_format="channels_first", kernel_initializer="he_normal"),
    layers.MaxPooling1D(3, 2),
    MaxPooling2D((2, 3), padding=((0, 1), (1, 0))),
    layers.MaxPooling3D(2, padding="same", name="pool"),
    Dense(3, "softmax", dtype="float64", trainable=False),
    Flatten("channels_first"),
    Activation("relu"),
    ReLU(),
    Softmax(axis=1),
    Dropout(0.25, seed=4),
    layers.InputLayer((None, 3)),
    layers.Add(),
    layers.Concatenate(axis=1),
]


@pytest.mark.parametrize("layer", ALL, ids=lambda layer: type(layer).__name__)
def test_configuration_round_trip(layer):
    config = json.loads(json.dumps(serialize_layer(layer)))
    again = deserialize_layer(config)
    assert type(again) is type(layer)
    assert json.loads(json.dumps(serialize_layer(again))) == config


@pytest.mark.parametrize(
    ("layer", "shape", "stored", "shown"),
    [
        (Conv1D(8, 3, groups=2), (9, 4), (8, 2, 3), (3, 2, 8)),
        (Conv2D(8, (3, 2)), (9, 9, 4), (8, 4, 3, 2), (3, 2, 4, 8)),
        (Conv3D(8, (3, 2, 1)), (9, 9, 9, 4), (8, 4, 3, 2, 1), (3, 2, 1, 4, 8)),
        (Dense(8), (5,), (8, 5), (5, 8)),
    ],
)
def test_weights_have_the_shapes_of_keras(layer, shape, stored, shown):
    layer.build((None, *shape))
    kernel, bias = layer.get_weights()
    assert kernel.shape == shown
    assert bias.shape == (8,)
    assert kernel.flags.c_contiguous
    assert layer.parameters[0].value.shape == stored
    assert layer.parameters[0].value.flags.c_contiguous
    new = np.random.default_rng(0).random(shown)
    layer.set_weights([new, bias])
    np.testing.assert_array_equal(layer.get_weights()[0], new.astype(np.float32))
    np.testing.assert_array_equal(layer.weight("kernel").view, new.astype(np.float32))


def test_weights_are_copies():
    layer = Dense(2)
    layer.build((None, 3))
    before = layer.get_weights()
    layer.weight("kernel").value += 1
    layer.set_weights(before)
    np.testing.assert_array_equal(layer.get_weights()[0], before[0])


def test_both_data_formats_compute_the_same():
    x = np.random.default_rng(0).standard_normal((2, 6, 5, 4)).astype(np.float32)
    last = Conv2D(6, 3, strides=2, padding="same", activation="relu")
    first = Conv2D(6, 3, strides=2, padding="same", activation="relu", data_format="channels_first")
    y = last(x)
    first.build((None, 4, 6, 5))
    first.set_weights(last.get_weights())
    z = first(np.moveaxis(x, -1, 1))
    np.testing.assert_allclose(np.moveaxis(z, 1, -1), y, rtol=1e-5, atol=1e-6)
    flat = Flatten()(y)
    np.testing.assert_allclose(Flatten("channels_first")(z), flat, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (Conv2D(4, 3, padding="same"), (5, 5, 1)),
        (Conv2D(1, 3, padding="same"), (5, 5, 4)),
        (Conv2D(4, 5), (5, 5, 3)),
        (Conv2D(4, 1), (1, 1, 3)),
        (Conv1D(4, 3), (3, 2)),
        (MaxPooling2D(5), (5, 5, 3)),
        (MaxPooling2D(2), (5, 5, 3)),
    ],
)
def test_channels_last_stays_channels_last_in_memory(layer, shape):
    x = np.ones((2, *shape), np.float32)
    layer.build(x.shape)
    y = layer.forward(x, training=True)
    assert y.flags.c_contiguous
    assert layer.backward(np.ones(y.shape, np.float32)).flags.c_contiguous


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("source", ["uint8", "int64", "float32", "float64"])
def test_layers_compute_in_their_dtype(dtype, source):
    layer = Conv2D(2, 3, dtype=dtype)
    assert layer(np.ones((1, 4, 4, 1), source)).dtype == dtype
    assert {p.value.dtype for p in layer.parameters} == {np.dtype(dtype)}


@pytest.mark.parametrize(
    ("layer", "shape"),
    [(ALL[0], (8, 4)), (ALL[4], (6, 6, 2)), (Dense(3, "relu"), (4,)), (Dropout(0.5), (4,))],
)
def test_nothing_is_kept_after_inference(layer, shape):
    x = np.ones((2, *shape), np.float32)
    layer(x)
    assert layer._tape == []
    layer(x, training=True)
    assert layer._tape == []
    layer.forward(x, training=True)
    assert len(layer._tape) == 1
    layer.backward(np.ones(layer.compute_output_shape(x.shape), np.float32))
    assert layer._tape == []


def test_one_layer_infers_in_many_threads():
    layer = Conv2D(4, 3, activation="relu")
    inputs = [np.full((1, 8, 8, 2), i, np.float32) for i in range(8)]
    expected = [layer(x) for x in inputs]
    results = [None] * 8

    def work(i):
        for _ in range(20):
            results[i] = layer(inputs[i])

    threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for got, want in zip(results, expected, strict=True):
        np.testing.assert_array_equal(got, want)


def test_dropout_is_seeded_and_advances():
    x = np.ones((8, 100), np.float32)
    one, two = Dropout(0.5, seed=1), Dropout(0.5, seed=1)
    first = one(x, training=True)
    np.testing.assert_array_equal(first, two(x, training=True))
    assert (one(x, training=True) != first).any()
    np.testing.assert_array_equal(one(x), x)
    assert abs(first.mean() - 1) < 0.15
    two.set_state(one.get_state())
    np.testing.assert_array_equal(one(x, training=True), two(x, training=True))
    set_random_seed(5)
    unseeded = Dropout(0.5)(x, training=True)
    set_random_seed(5)
    np.testing.assert_array_equal(Dropout(0.5)(x, training=True), unseeded)


def test_the_mask_does_not_depend_on_the_memory_layout():
    x = np.ones((2, 3, 4, 5), np.float32)
    view = np.ones((2, 5, 3, 4), np.float32).transpose(0, 2, 3, 1)
    np.testing.assert_array_equal(
        Dropout(0.5, seed=1)(x, training=True), Dropout(0.5, seed=1)(view, training=True)
    )


def test_names():
    names = {cls.default_name() for cls in (Conv2D, MaxPooling2D, layers.InputLayer, ReLU)}
    assert names == {"conv2d", "max_pooling2d", "input_layer", "re_lu"}
    assert Dense(1, name="head").name == "head"


def test_own_layers_can_be_registered():
    @register_layer
    class Gain(Layer):
        def build(self, input_shape):
            self.add_weight("gain", (input_shape[-1],), "ones")

        def forward(self, x, training=False):
            if training:
                self._save(x)
            return x * self.weight("gain").value

        def backward(self, grad, need_input_grad=True):
            (x,) = self._saved()
            self.weight("gain").accumulate((x * grad).sum(0))
            return grad * self.weight("gain").value

    assert isinstance(deserialize_layer(serialize_layer(Gain())), Gain)
    assert Gain()([[1.0, 2.0]]).tolist() == [[1.0, 2.0]]
    with pytest.raises(ValueError, match="'Dense' is already taken"):
        register_layer(type("Dense", (Layer,), {"__module__": "mine"}))


def test_parameter():
    p = Parameter("kernel", np.arange(6.0).reshape(2, 3), storage=(1, 0))
    assert p.value.shape == (3, 2)
    p.view[0, 2] = 9
    assert p.value[2, 0] == 9
    p.accumulate(np.ones((3, 2)))
    p.accumulate(np.ones((3, 2)))
    assert (p.grad == 2).all()
    with pytest.raises(ValueError, match=r"kernel: got a value of shape \(3, 2\), expected \(2, 3"):
        p.assign(np.ones((3, 2)))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Conv2D(0, 3), "filters: got 0, expected a positive integer"),
        (
            lambda: Conv2D(4, (3, 3, 3)),
            r"kernel_size: got \(3, 3, 3\), expected a positive integer "
            "or 2 of them",
        ),
        (lambda: Conv2D(4, 3, strides=-1), "strides: got -1, expected"),
        (lambda: Conv2D(4, 3, strides=1.5), "strides: got 1.5, expected"),
        (lambda: Conv2D(4, 3, padding="full"), "padding: got 'full', expected 'valid', 'same'"),
        (lambda: Conv2D(4, 3, padding=(1, -1)), r"padding: got \(1, -1\), expected"),
        (lambda: Conv2D(4, 3, padding=True), "padding: got True, expected"),
        (
            lambda: Conv2D(4, 3, data_format="NHWC"),
            "data_format: got 'NHWC', expected 'channels_la",
        ),
        (lambda: Conv2D(4, 3, groups=3), "groups: got 3, expected a divisor of the 4 filters"),
        (lambda: Conv2D(4, 3, activation="glue"), "activation: got 'glue', expected None or one"),
        (lambda: Conv2D(4, 3, kernel_initializer="he"), "initializer: got 'he', expected an Init"),
        (lambda: MaxPooling2D(0), "pool_size: got 0, expected"),
        (lambda: MaxPooling2D(3, padding=2), r"padding: got 2, expected at most half of pool_size"),
        (lambda: Dense("3"), "units: got '3', expected a positive integer"),
        (lambda: Dropout(1.0), r"rate: got 1.0, expected a number in \[0, 1\)"),
        (lambda: layers.Input((28, -1)), r"shape: got \(28, -1\), expected positive integers or"),
        (lambda: Dense(3, name="a/b"), "name: got 'a/b', expected a non-empty string without"),
        (lambda: Dense(3, dtype="float16"), "dtype: got float16, expected float32 or float64"),
        (
            lambda: Conv2D(4, 3)(np.ones((2, 5, 5))),
            r"conv2d: got an input of shape \(2, 5, 5\), "
            r"expected \(batch, height, width, channels\)",
        ),
        (lambda: Conv2D(4, 3, data_format="channels_first")(np.ones((2, 5))), "batch, channels, h"),
        (
            lambda: Conv2D(4, 3, groups=2)(np.ones((2, 5, 5, 3))),
            "got 3 input channels, expected a multiple of the 2 groups",
        ),
        (lambda: Conv2D(4, 3).compute_output_shape((1, 2, 5, 1)), r"the window of \(3, 3\)"),
        (lambda: Dense(3).build((None, None)), "with a known last extent"),
        (lambda: deserialize_layer({"class_name": "Nope"}), "class_name: got 'Nope', which is no"),
    ],
)
def test_bad_arguments(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_misuse():
    layer = Dense(3)
    with pytest.raises(RuntimeError, match=r"has no parameter 'kernel': build\(input_shape\)"):
        layer.forward(np.ones((1, 2), np.float32))
    layer.build((None, 2))
    with pytest.raises(RuntimeError, match=r"backward\(\) needs a forward\(x, training=True\)"):
        layer.backward(np.ones((1, 3), np.float32))
    with pytest.raises(ValueError, match="weights: got 1 arrays, but 'dense' has 2 parameters: k"):
        layer.set_weights([np.ones((2, 3))])
    with pytest.raises(ValueError, match=r"got shape \(3, 2\) for dense/kernel, expected \(2, 3\)"):
        layer.set_weights([np.ones((3, 2)), np.ones(3)])
    with pytest.raises(TypeError, match="kernel_regulariser"):
        Dense(3, kernel_regulariser="l2")
