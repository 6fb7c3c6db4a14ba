"""The arithmetic of bfloat16 convolutions: order, rounding, denormal and special numbers."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest
from bfloat16_problems import BFLOAT16, random
from cases import LAYOUTS
from ops import FAST

from fastconv import functional, grad, runtime


def exact(x: np.ndarray, w: np.ndarray, stride: int = 1, dilation: int = 1) -> np.ndarray:
    """conv2d without padding as the documentation has it, product by product.

    A sum of float64, exact to the last bit of a float32 since a product of two bfloat16 has 16,
    rounded to float32 after every product. Second channels of pairs come first.
    """
    oc, ic, kh, kw = w.shape
    oh = (x.shape[2] - dilation * (kh - 1) - 1) // stride + 1
    ow = (x.shape[3] - dilation * (kw - 1) - 1) // stride + 1
    tiny = np.finfo(np.float32).tiny

    def flushed(a):
        return np.where(np.abs(a) < tiny, 0, a)

    x64, w64 = flushed(x.astype(np.float64)), flushed(w.astype(np.float64))
    total = np.zeros((x.shape[0], oc, oh, ow))
    with np.errstate(all="ignore"):
        for i, j in np.ndindex(kh, kw):
            rows = slice(i * dilation, i * dilation + (oh - 1) * stride + 1, stride)
            columns = slice(j * dilation, j * dilation + (ow - 1) * stride + 1, stride)
            for first in range(0, ic, 2):
                for c in (first + 1, first):
                    if c < ic:
                        seen = x64[:, c, np.newaxis, rows, columns]
                        total = total + seen * w64[np.newaxis, :, c, i, j, np.newaxis, np.newaxis]
                        total = flushed(total.astype(np.float32)).astype(np.float64)
        return total.astype(np.float32).astype(BFLOAT16)


EXACT = {
    "3x3": ((2, 33, 9, 17), (40, 33, 3, 3), 1, 1),
    "1x1": ((1, 64, 5, 15), (33, 64, 1, 1), 1, 1),
    "odd channels": ((1, 3, 12, 30), (8, 3, 5, 5), 2, 1),
    "dilated": ((1, 18, 13, 14), (17, 18, 3, 2), 1, 3),
    "stride 3": ((1, 16, 13, 29), (64, 16, 1, 1), 3, 1),
}


@pytest.mark.parametrize("layout", ["planar", "channels_last"])
@pytest.mark.parametrize("name", EXACT)
@pytest.mark.parametrize("isa", FAST, indirect=True)
def test_the_highest_precision_has_the_documented_bits(name, layout, isa, rng):
    x_shape, w_shape, stride, dilation = EXACT[name]
    # Terms a thousand times the result, which then shows their order.
    x = (rng.standard_normal(x_shape) * 2.0 ** rng.integers(-6, 6, x_shape)).astype(BFLOAT16)
    w = random(rng, w_shape)
    expected = exact(x, w, stride, dilation)
    change = LAYOUTS[layout]
    with runtime.precision("highest"):
        y = functional.conv2d(change(x), change(w), stride=stride, dilation=dilation)
    assert np.array_equal(y, expected)


@pytest.mark.parametrize("isa", FAST, indirect=True)
def test_the_order_within_a_pair_shows(isa):
    """((2^12 + u) - 2^12) + u is u, while u + 2^12 + u - 2^12 is 0 and the sum 2 u."""
    x, u = np.ones((1, 4, 1, 1), BFLOAT16), 2.0**-20
    w = np.tile(np.array([u, 2.0**12, u, -(2.0**12)]).astype(BFLOAT16), (16, 1))
    with runtime.precision("highest"):
        y = functional.conv2d(x, w[:, :, np.newaxis, np.newaxis])
    assert np.all(y == BFLOAT16(u))


def scalars(values) -> np.ndarray:
    """Values as the centres of filters, with which ones become themselves."""
    return np.asarray(values, np.float32).astype(BFLOAT16).reshape(-1, 1, 1, 1)


def test_results_are_rounded_to_nearest_even(isa):
    """1 + k 2^-9 for k from 0 to 8: ties at 2 and 6."""
    rest = np.arange(9) * 2.0**-9
    w = np.concatenate([np.ones_like(scalars(rest)), scalars(rest)], axis=1)
    y = functional.conv2d(np.ones((1, 2, 1, 1), BFLOAT16), w)
    expected = 1 + np.array([0, 0, 0, 1, 1, 1, 2, 2, 2]) * 2.0**-7
    assert np.array_equal(y.astype(np.float64).ravel(), expected)
    y = functional.conv2d(-np.ones((1, 2, 1, 1), BFLOAT16), w)
    assert np.array_equal(y.astype(np.float64).ravel(), -expected)


@pytest.mark.parametrize("precision", ["high", "highest"])
@pytest.mark.parametrize("channels", [1, 2, 32])
def test_denormal_numbers_are_zeros(precision, channels, isa):
    tiny = float(ml_dtypes.finfo(BFLOAT16).smallest_normal)
    x = np.zeros((1, channels, 4, 5), BFLOAT16)
    w = np.zeros((16, channels, 1, 1), BFLOAT16)
    with runtime.precision(precision):
        x[:, 0], w[:, 0] = tiny / 2, 2.0**10
        assert np.all(functional.conv2d(x, w) == 0)  # an input
        x[:, 0], w[:, 0] = 2.0**10, -tiny / 2
        y = functional.conv2d(x, w)  # a filter
        assert np.all(y == 0)
        x[:, 0], w[:, 0] = -tiny, 0.5
        assert np.all(functional.conv2d(x, w) == 0)  # a result
        x[:, 0], w[:, 0] = -tiny, 1
        assert np.all(functional.conv2d(x, w) == BFLOAT16(-tiny))
        bias = np.full(16, tiny / 2, BFLOAT16)
        x[...] = 0
        assert np.all(functional.conv2d(x, w, bias) == 0)


@pytest.mark.parametrize("precision", ["high", "highest"])
@pytest.mark.parametrize("isa", FAST, indirect=True)
def test_infinities_and_nan_reach_what_sees_them_and_nothing_else(precision, isa, rng):
    """Odd extents: the zeros that fill a pair up must not meet an infinity."""
    x, w = random(rng, (1, 17, 7, 9)), random(rng, (19, 17, 3, 3))
    dy = random(rng, (1, 19, 5, 7))
    with runtime.precision(precision):
        clean = functional.conv2d(x, w).astype(np.float32)
        clean_dw = grad.conv2d_weight(x, w.shape, dy).astype(np.float32)
        for value in (np.inf, -np.inf, np.nan):
            bad = x.copy()
            bad[0, 16, 6, 8] = value
            y = functional.conv2d(bad, w).astype(np.float32)
            where = np.ones(y.shape, bool)
            where[:, :, 4, 6] = False
            assert np.all(np.isfinite(y) == where)
            assert np.allclose(y[where], clean[where], rtol=0.02, atol=0.1)
            sign = np.sign(w[:, 16, 2, 2].astype(np.float32))
            expected = sign * value
            assert np.array_equal(y[0, :, 4, 6], expected, equal_nan=True)
            dw = grad.conv2d_weight(bad, w.shape, dy).astype(np.float32)
            where = np.ones(dw.shape, bool)
            where[:, 16, 2, 2] = False
            assert np.all(np.isfinite(dw) == where)
            assert np.allclose(dw[where], clean_dw[where], rtol=0.02, atol=0.1)
            bad_dy = dy.copy()
            bad_dy[0, 0, 4, 6] = value
            dw = grad.conv2d_weight(x, w.shape, bad_dy)
            assert np.all(np.isfinite(dw[1:]))
            assert not np.any(np.isfinite(dw[0]))


def test_overflow_is_infinite(isa):
    largest = float(ml_dtypes.finfo(BFLOAT16).max)
    y = functional.conv2d(
        np.ones((1, 2, 1, 1), BFLOAT16), np.full((16, 2, 1, 1), largest, BFLOAT16)
    )
    assert np.all(y == np.inf)
    half_unit = 2.0**119  # of the largest: a tie, which goes to infinity, as it is even
    w = np.tile(np.array([largest, half_unit]).astype(BFLOAT16).reshape(1, 2, 1, 1), (16, 1, 1, 1))
    assert np.all(functional.conv2d(np.ones((1, 2, 1, 1), BFLOAT16), w) == np.inf)
