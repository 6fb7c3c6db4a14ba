"""The forms that an argument may take: no batch, integers and tuples, padding."""

from __future__ import annotations

import numpy as np
import pytest
from array_arguments import operands
from cases import same_pads

from fastconv import functional, grad


def test_one_image_without_a_batch(rng, dtype):
    x, w = operands(rng, dtype)
    b = rng.standard_normal(8).astype(dtype)
    dy = rng.standard_normal((2, 8, 4, 5)).astype(dtype)
    pooled, indices = functional.max_pool2d(x, 2, return_indices=True)
    for one, batch in (
        (functional.conv2d(x[1], w, b), functional.conv2d(x, w, b)),
        (
            functional.conv2d(x[1], w, residual=dy[1], activation="relu"),
            functional.conv2d(x, w, residual=dy, activation="relu"),
        ),
        (functional.conv_transpose2d(dy[1], w), functional.conv_transpose2d(dy, w)),
        (functional.max_pool2d(x[1], 2), pooled),
        (functional.max_pool2d(x[1], 2, return_indices=True)[1], indices),
        (
            functional.max_unpool2d(pooled[1], indices[1], 2, output_size=(6, 7)),
            functional.max_unpool2d(pooled, indices, 2, output_size=(6, 7)),
        ),
        (functional.unfold(x[1], 3), functional.unfold(x, 3)),
        (grad.conv2d_input(x.shape[1:], w, dy[1]), grad.conv2d_input(x.shape, w, dy)),
        (
            grad.max_pool2d_backward(pooled[1], indices[1], x.shape[1:]),
            grad.max_pool2d_backward(pooled, indices, x.shape),
        ),
        (
            grad.max_unpool2d_backward(x[1], indices[1]),
            grad.max_unpool2d_backward(x, indices),
        ),
    ):
        np.testing.assert_array_equal(one, batch[1])
    np.testing.assert_array_equal(
        grad.conv2d_weight(x[1], w.shape, dy[1]), grad.conv2d_weight(x[1:], w.shape, dy[1:])
    )
    np.testing.assert_array_equal(grad.conv2d_bias(dy[1]), grad.conv2d_bias(dy[1:]))
    out = np.empty((8, 4, 5), dtype)
    assert functional.conv2d(x[1], w, out=out) is out
    np.testing.assert_array_equal(out, functional.conv2d(x, w)[1])


def test_forms_of_integers(rng):
    x, w = operands(rng)
    expected = functional.conv2d(x, w, None, (2, 2), (1, 1), (1, 1))
    for two, one in ((np.int64(2), np.uint8(1)), ([2, 2], [1, 1]), ((np.int32(2), 2), (1, 1))):
        np.testing.assert_array_equal(functional.conv2d(x, w, None, two, one, one, 1), expected)


def test_forms_of_padding(rng):
    x, w = operands(rng)
    plain = functional.conv2d(x, w)
    for none in (0, (0, 0), ((0, 0), (0, 0)), [[0, 0], [0, 0]], "valid"):
        np.testing.assert_array_equal(functional.conv2d(x, w, padding=none), plain)
    padded = functional.conv2d(np.pad(x, ((0, 0), (0, 0), (1, 1), (2, 2))), w)
    for forms in ((1, 2), ((1, 1), (2, 2)), [1, 2]):
        np.testing.assert_allclose(functional.conv2d(x, w, padding=forms), padded, atol=1e-5)
    uneven = functional.conv2d(np.pad(x, ((0, 0), (0, 0), (0, 2), (1, 0))), w)
    result = functional.conv2d(x, w, padding=((0, 2), (1, 0)))
    np.testing.assert_allclose(result, uneven, atol=1e-5)


@pytest.mark.parametrize("stride", [1, 2, 3, 4])
@pytest.mark.parametrize("dilation", [1, 2])
@pytest.mark.parametrize("kernel", [1, 2, 3, 5])
@pytest.mark.parametrize("size", [1, 6, 7])
def test_same_padding(size, kernel, dilation, stride, rng):
    x = rng.standard_normal((1, 2, size))
    w = rng.standard_normal((3, 2, kernel))
    options = {"stride": stride, "dilation": dilation}
    pads = same_pads((size,), (kernel,), (stride,), (dilation,))
    y = functional.conv1d(x, w, padding="same", **options)
    assert y.shape == (1, 3, -(-size // stride))
    np.testing.assert_array_equal(y, functional.conv1d(x, w, padding=pads, **options))
    dy = rng.standard_normal(y.shape)
    np.testing.assert_array_equal(
        grad.conv1d_input(x.shape, w, dy, padding="same", **options),
        grad.conv1d_input(x.shape, w, dy, padding=pads, **options),
    )
    np.testing.assert_array_equal(
        grad.conv1d_weight(x, w.shape, dy, padding="same", **options),
        grad.conv1d_weight(x, w.shape, dy, padding=pads, **options),
    )


def test_the_defaults_of_pooling(rng):
    x, _ = operands(rng)
    np.testing.assert_array_equal(
        functional.max_pool2d(x, 2), functional.max_pool2d(x, (2, 2), (2, 2), (0, 0), (1, 1))
    )
