"""Flatten, Reshape, Permute and RepeatVector: against NumPy, and what does not fit."""

import json

import numpy as np
import pytest

from fastconv.layers import (
    Flatten,
    Input,
    Permute,
    RepeatVector,
    Reshape,
    deserialize_layer,
    serialize_layer,
)


def run(layer, x, expected):
    """Compare the values; return the gradient of the input for a random one of the output."""
    y = layer.forward(x, training=True)
    assert y.dtype == layer.dtype
    np.testing.assert_array_equal(y, expected)
    assert layer.compute_output_shape(x.shape) == y.shape
    dy = np.random.default_rng(5).standard_normal(y.shape).astype(layer.dtype)
    dx = layer.backward(dy)
    assert dx.dtype == layer.dtype
    assert dx.shape == x.shape
    return dy, dx


@pytest.mark.parametrize("target", [(2, 12), (-1, 4), (3, -1, 2), (24,), (-1,), [4, 3, 2], (1, 24)])
def test_reshape(target, dtype, rng):
    x = rng.standard_normal((2, 4, 6)).astype(dtype)
    dy, dx = run(Reshape(target, dtype=dtype), x, x.reshape(2, *target))
    np.testing.assert_array_equal(dx, dy.reshape(x.shape))


@pytest.mark.parametrize("dims", [(1, 2, 3), (3, 1, 2), (2, 3, 1), [3, 2, 1]])
def test_permute(dims, dtype, rng):
    x = rng.standard_normal((2, 4, 3, 5)).astype(dtype)
    dy, dx = run(Permute(dims, dtype=dtype), x, x.transpose(0, *dims))
    for at in np.ndindex(x.shape):
        assert dx[at] == dy[(at[0], *(at[axis] for axis in dims))]


def test_repeat_vector(dtype, rng):
    x = rng.standard_normal((2, 3)).astype(dtype)
    dy, dx = run(RepeatVector(4, dtype=dtype), x, np.stack([x] * 4, 1))
    np.testing.assert_allclose(dx, dy[:, 0] + dy[:, 1] + dy[:, 2] + dy[:, 3], rtol=1e-6, atol=1e-6)


def test_flatten(dtype, rng):
    x = rng.standard_normal((2, 4, 3, 5)).astype(dtype)
    dy, dx = run(Flatten(dtype=dtype), x, x.reshape(2, 60))
    np.testing.assert_array_equal(dx, dy.reshape(x.shape))
    turned = np.ascontiguousarray(x.transpose(0, 3, 1, 2))
    dy, dx = run(Flatten("channels_first", dtype=dtype), turned, x.reshape(2, 60))
    np.testing.assert_array_equal(dx, dy.reshape(x.shape).transpose(0, 3, 1, 2))


LAYERS = [
    (Flatten(), (4, 6)),
    (Reshape((3, -1)), (4, 6)),
    (Permute((2, 1)), (4, 6)),
    (RepeatVector(3), (4,)),
]


@pytest.mark.parametrize(("layer", "shape"), LAYERS, ids=lambda v: type(v).__name__)
def test_any_memory_serves(layer, shape, rng):
    x = np.asfortranarray(rng.standard_normal((3, *shape)).astype(np.float32))
    x.flags.writeable = False
    y = layer(x)
    np.testing.assert_array_equal(y, layer(np.ascontiguousarray(x)))
    empty = layer.forward(x[:0], training=True)
    assert empty.shape == (0, *y.shape[1:])
    assert layer.backward(empty).shape == (0, *shape)


@pytest.mark.parametrize(("layer", "shape"), LAYERS, ids=lambda v: type(v).__name__)
def test_configurations(layer, shape):
    config = json.loads(json.dumps(serialize_layer(layer)))
    again = deserialize_layer(config)
    assert serialize_layer(again) == config
    x = np.random.default_rng(0).random((2, *shape))
    np.testing.assert_array_equal(again(x), layer(x))


def test_the_examples_of_keras():
    x = Input((12,))
    y = Reshape((3, 4))(x)
    assert y.shape == (None, 3, 4)
    assert Reshape((-1, 2, 2))(y).shape == (None, 3, 2, 2)
    assert Permute((2, 1))(Input((10, 64))).shape == (None, 64, 10)
    assert RepeatVector(3)(Input((32,))).shape == (None, 3, 32)


def test_unknown_extents():
    assert Reshape((-1, 3)).compute_output_shape((None, None, 3)) == (None, None, 3)
    assert Reshape((4, 3)).compute_output_shape((None, None, 3)) == (None, 4, 3)
    assert Permute((2, 1)).compute_output_shape((None, None, 3)) == (None, 3, None)
    assert Flatten().compute_output_shape((None, None, 3)) == (None, None)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        *(
            (lambda t=t: Reshape(t), "target_shape: got .*, expected positive integers, one of wh")
            for t in ((0, 3), (-1, -1), (-2, 3), (2.5, 2), ("2", 3), 12, "12", None, (None, 3))
        ),
        *(
            (lambda d=d: Permute(d), "dims: got .*, expected the axes beside the batch, 1 and up")
            for d in ((0, 1), (1, 1), (1, 3), (1.0, 2), 1, "12", None)
        ),
        *(
            (lambda n=n: RepeatVector(n), "n: got .*, expected a positive integer")
            for n in (0, -1, 1.5, "3", None)
        ),
        (lambda: Flatten("NCHW"), "data_format: got 'NCHW', expected 'channels_last'"),
    ],
)
def test_bad_arguments(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    ("layer", "shape", "message"),
    [
        (Reshape((3, 4)), (2, 5), r"reshape: got an input of shape \(2, 5\), which does not fit"),
        (Reshape((3, -1)), (2, 5), r"reshape: got an input of shape \(2, 5\), which does not fit"),
        (Permute((2, 1)), (2, 5), r"permute: got an input of shape \(2, 5\), expected 2 axes bes"),
        (Permute((2, 1)), (2, 5, 6, 7), "expected 2 axes beside the batch"),
        (RepeatVector(2), (2, 5, 6), r"got an input of shape \(2, 5, 6\), expected \(batch, fea"),
        (RepeatVector(2), (2,), r"got an input of shape \(2,\), expected \(batch, features\)"),
    ],
)
def test_inputs_that_do_not_fit(layer, shape, message):
    for call in (lambda: layer(np.ones(shape)), lambda: layer.compute_output_shape(shape)):
        with pytest.raises(ValueError, match=message):
            call()
