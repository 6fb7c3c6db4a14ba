"""Rescaling and normalization: values, gradients, what adapt finds, what comes back."""

import json

import numpy as np
import pytest

from fastconv import Sequential
from fastconv.layers import Input, Normalization, Rescaling, deserialize_layer, serialize_layer
from fastconv.testing import check_gradients

LAYERS = [
    Rescaling(1 / 255),
    Rescaling([0.5, -2.0, 3.0], offset=-1),
    Rescaling(2, offset=[1.0, 2.0, 3.0]),
    Rescaling(np.array([[1.0], [2.0]])),
    Normalization(mean=1, variance=4),
    Normalization(-1, [1.0, 2.0, 3.0], [4.0, 0.25, 1.0]),
    Normalization((-1, 1), np.arange(6.0).reshape(2, 3), np.arange(1, 7).reshape(2, 3)),
    Normalization(None, 2.0, 9.0, invert=True),
]


def twin(layer, **changes):
    config = json.loads(json.dumps(serialize_layer(layer)))
    return deserialize_layer({**config, "config": {**config["config"], **changes}})


@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: type(layer).__name__)
def test_gradients_configurations_and_batches(layer, rng):
    x = rng.standard_normal((4, 2, 3))
    check_gradients(twin(layer, dtype="float64"), x)
    again = twin(layer)
    assert serialize_layer(again) == serialize_layer(layer)
    x.flags.writeable = False
    for dtype in ("float32", "float64"):
        y = twin(layer, dtype=dtype)(x)
        assert y.dtype == dtype
        assert y.shape == layer.compute_output_shape(x.shape)
        np.testing.assert_allclose(y, again(x), rtol=1e-5, atol=1e-6)
    assert layer.compute_output_shape((None, 2, 3)) == (None, 2, 3)
    assert again(x[:0]).shape == (0, 2, 3)
    again.forward(again.as_input(x), training=True)
    assert again._tape == []


def test_rescaling(rng):
    x = rng.integers(0, 256, (2, 3, 3, 3), dtype=np.uint8)
    layer = Rescaling([1.0, 2.0, 3.0], offset=-1, dtype="float64")
    np.testing.assert_allclose(layer(x), x * [1.0, 2.0, 3.0] - 1)
    first = Rescaling(np.reshape([1.0, 2.0, 3.0], (3, 1, 1)), -1, dtype="float64")
    np.testing.assert_allclose(first(np.moveaxis(x, -1, 1)), np.moveaxis(layer(x), -1, 1))


@pytest.mark.parametrize("axis", [-1, 1, (1, 3), (-1, 1), [2], (), None])
def test_normalization(axis, rng):
    x = rng.standard_normal((20, 3, 4, 5)) * 3 + 7
    layer = Normalization(axis, dtype="float64")
    with pytest.raises(RuntimeError, match=r"adapt\(data\) it first"):
        layer(x)
    assert twin(layer).mean is None
    layer.adapt(x)
    axes = () if axis is None else tuple(np.atleast_1d(axis).astype(int) % 4)
    over = tuple(i for i in range(4) if i not in axes)
    expected = (x - x.mean(over, keepdims=True)) / x.std(over, keepdims=True)
    np.testing.assert_allclose(layer(x), expected)
    np.testing.assert_allclose(twin(layer)(x), expected)
    back = Normalization(axis, layer.mean, layer.variance, invert=True, dtype="float64")
    np.testing.assert_allclose(back(expected), x)
    dy = rng.standard_normal(x.shape)
    np.testing.assert_allclose(layer.backward(dy), dy / x.std(over, keepdims=True))


def test_normalization_as_torch_does_it(rng):
    torch = pytest.importorskip("torch")
    x = rng.standard_normal((6, 4, 5, 3)).astype(np.float32)
    layer = Normalization()
    layer.adapt(x)
    image = torch.tensor(np.moveaxis(x, -1, 1))
    expected = torch.nn.functional.batch_norm(image, None, None, training=True, eps=1e-12)
    np.testing.assert_allclose(layer(x), np.moveaxis(expected.numpy(), 1, -1), atol=1e-5)


def test_batches_are_adapted_to_as_their_whole(rng):
    x = rng.integers(0, 256, (23, 3, 2), dtype=np.uint8)
    cuts = [x[:9], x[9:10], x[10:10], x[10:]]
    whole = Normalization()
    whole.adapt(x)
    for data in (cuts, iter(cuts), ((batch, np.zeros(len(batch))) for batch in cuts), x.tolist()):
        layer = Normalization()
        layer.adapt(data)
        np.testing.assert_allclose(layer.mean, whole.mean)
        np.testing.assert_allclose(layer.variance, whole.variance)
    far = Normalization(None)  # of which the mean of squares would lose all digits
    far.adapt([1e9 + np.array([0.0, 1.0]), 1e9 + np.array([2.0, 3.0])])
    assert far.variance == pytest.approx(1.25, rel=1e-6)
    again = Normalization()
    again.adapt(x + 100)
    again.adapt(x)
    np.testing.assert_array_equal(again.mean, whole.mean)


def test_constant_data_does_not_divide_by_zero():
    layer = Normalization()
    layer.adapt(np.full((4, 2), 3.0))
    np.testing.assert_array_equal(layer(np.full((1, 2), 3.0)), np.zeros((1, 2)))


def test_what_adapt_found_is_part_of_a_model(rng):
    x = rng.standard_normal((8, 3))
    layer = Normalization()
    layer.adapt(x)
    model, other = (Sequential([Input((3,)), n]) for n in (layer, Normalization()))
    other.set_state(json.loads(json.dumps(model.get_state())))
    np.testing.assert_array_equal(other.predict(x), model.predict(x))
    fresh = Normalization(None, 1.0, 2.0)
    fresh.set_state(Normalization().get_state())
    assert (fresh.mean, fresh.variance) == (1.0, 2.0)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Rescaling(np.inf), "scale: got inf, expected a number or an array of them"),
        (lambda: Rescaling("big"), "scale: got 'big'"),
        (lambda: Rescaling(1, None), "offset: got None"),
        (lambda: Rescaling([[1.0], [1.0, 2.0]]), "scale: got"),
        (lambda: Rescaling([1.0, 2.0])(np.ones((4, 3))), r"scale: got shape \(2,\), which does"),
        (lambda: Rescaling([1.0, 2.0])(np.ones((4, 1))), r"scale: got shape \(2,\), which does"),
        (lambda: Rescaling(1, np.ones((1, 4, 3)))(np.ones((4, 3))), r"offset: got shape \(1, 4"),
        (lambda: Normalization(mean=0.0), "variance: expected mean and variance, or neither"),
        (lambda: Normalization(None, 0.0, -1.0), "variance: got -1.0, expected no negative"),
        (lambda: Normalization(None, "0", 1.0), "mean: got '0'"),
        (lambda: Normalization(1.5), "axis: got 1.5, expected an integer, some, or None"),
        (lambda: Normalization("12"), "axis: got '12'"),
        (lambda: Normalization(2).adapt(np.ones((3, 2))), r"axis: got \(2,\), but the input has 2"),
        (lambda: Normalization(-3, 0.0, 1.0)(np.ones((3, 2))), r"axis: got \(-3,\), but the"),
        (lambda: Normalization(-1, [1.0, 2.0], [1.0, 2.0])(np.ones((2, 3))), r"mean: got shape"),
        (lambda: Normalization().adapt(np.ones((0, 2))), "data: got no inputs"),
        (lambda: Normalization().adapt([]), "data: got no inputs"),
        (
            lambda: Normalization().adapt([np.ones((2, 3)), np.ones((2, 1))]),
            r"data: got a batch with extents \(1,\) of axis \(-1,\), after one with \(3,\)",
        ),
    ],
)
def test_bad_arguments(call, message):
    with pytest.raises(ValueError, match=message):
        call()
