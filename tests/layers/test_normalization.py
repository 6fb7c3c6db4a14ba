"""Batch normalization in training, against central differences; layer and group norm as well."""

import numpy as np
import pytest

from fastconv.layers import BatchNormalization, GroupNormalization, LayerNormalization
from fastconv.testing import check_gradients


@pytest.mark.parametrize(
    ("shape", "options"),
    [
        ((6, 4), {}),
        ((3, 4, 3), {"scale": False}),
        ((2, 3, 4, 3), {"center": False, "epsilon": 0.1}),
        ((2, 3, 4, 2), {"axis": 1}),
        ((2, 2, 3, 2, 3), {}),
    ],
)
def test_batch_normalization(shape, options):
    x = np.random.default_rng(0).standard_normal(shape) * 2 + 1
    layer = BatchNormalization(dtype="float64", **options)
    layer.build(shape)
    rng = np.random.default_rng(1)
    for p in layer.parameters:
        p.value += rng.uniform(0.1, 0.9, p.value.shape)
    check_gradients(layer, x, training=True, rtol=1e-5, atol=1e-7)
    layer.trainable = False  # then it is the affine map of inference, also in training
    check_gradients(layer, x, rtol=1e-6)
    np.testing.assert_array_equal(layer.forward(x, training=True), layer(x))
    layer.release()


def test_moving_averages():
    x = np.random.default_rng(0).standard_normal((8, 5, 3)) * 3 - 2
    layer = BatchNormalization(momentum=0.75, dtype="float64")
    layer.build(x.shape)
    mean, variance = np.zeros(3), np.ones(3)
    for step in range(4):
        layer.forward(x + step, training=True)
        mean = 0.75 * mean + 0.25 * (x + step).mean((0, 1))
        variance = 0.75 * variance + 0.25 * x.var((0, 1))
    layer.release()
    np.testing.assert_allclose(layer.weight("moving_mean").array, mean, rtol=1e-12)
    np.testing.assert_allclose(layer.weight("moving_variance").array, variance, rtol=1e-12)


@pytest.mark.parametrize("cls", [BatchNormalization, GroupNormalization, LayerNormalization])
def test_large_means_keep_their_digits(cls):
    # The variance of float32 numbers around 1e4: squares would cancel all of its digits.
    x = np.random.default_rng(0).standard_normal((4, 16, 16, 32)) + 1e4
    options = {"groups": 4} if cls is GroupNormalization else {}
    layer, exact = cls(**options), cls(dtype="float64", **options)
    layer.build(x.shape)
    exact.build(x.shape)
    y = layer.forward(x.astype(np.float32), training=True)
    expected = exact.forward(x.astype(np.float32).astype(np.float64), training=True)
    assert np.abs(y - expected).max() < 5e-3
