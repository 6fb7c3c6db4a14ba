"""The dense layer and its gradients against float64 matrix products."""

from __future__ import annotations

import numpy as np
import pytest
from cases import LAYOUTS, assert_close

from fastconv import functional, grad

SIZES = [
    (1, 1, 1), (1, 17, 33), (2, 8, 16), (3, 15, 31), (14, 16, 32), (15, 33, 17), (28, 64, 10),
    (0, 5, 4), (64, 300, 150),
]  # fmt: skip


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_linear_and_its_gradients(size, isa, dtype, rng):
    rows, inputs, outputs = size
    x = rng.standard_normal((rows, inputs)).astype(dtype)
    w = rng.standard_normal((outputs, inputs)).astype(dtype)
    b = rng.standard_normal(outputs).astype(dtype)
    dy = rng.standard_normal((rows, outputs)).astype(dtype)
    x64, w64, b64, dy64 = (a.astype(np.float64) for a in (x, w, b, dy))
    for name in ("planar", "fortran", "strided", "reversed", "read_only"):
        layout = LAYOUTS[name]
        assert_close(
            functional.linear(layout(x), layout(w), layout(b)),
            x64 @ w64.T + b64,
            abs(x64) @ abs(w64.T) + abs(b64),
            inputs,
        )
        assert_close(
            grad.linear_input(layout(dy), layout(w)), dy64 @ w64, abs(dy64) @ abs(w64), outputs
        )
        assert_close(
            grad.linear_weight(layout(x), layout(dy)), dy64.T @ x64, abs(dy64.T) @ abs(x64), rows
        )
        assert_close(grad.linear_bias(layout(dy)), dy64.sum(0), abs(dy64).sum(0), rows)


@pytest.mark.parametrize("activation", [None, "relu"])
@pytest.mark.parametrize("with_residual", [False, True])
def test_epilogue(activation, with_residual, isa, dtype, rng):
    x = rng.standard_normal((7, 15)).astype(dtype)
    w = rng.standard_normal((33, 15)).astype(dtype)
    b = rng.standard_normal(33).astype(dtype)
    residual = rng.standard_normal((7, 33)).astype(dtype) if with_residual else None
    expected = x.astype(np.float64) @ w.T + b + (residual if with_residual else 0)
    magnitude = abs(x.astype(np.float64)) @ abs(w.T) + abs(b)
    magnitude += abs(residual) if with_residual else 0
    if activation:
        expected = np.maximum(expected, 0)
    result = functional.linear(x, w, b, activation=activation, residual=residual)
    assert_close(result, expected, magnitude, 15)


@pytest.mark.parametrize("lead", [(), (5,), (2, 3), (2, 1, 3), (1, 2, 3, 2, 1), (0, 3)], ids=str)
def test_leading_dimensions(lead, dtype, rng):
    x = rng.standard_normal((*lead, 6)).astype(dtype)
    w = rng.standard_normal((4, 6)).astype(dtype)
    dy = rng.standard_normal((*lead, 4)).astype(dtype)
    residual = rng.standard_normal((*lead, 4)).astype(dtype)
    rows_x, rows_dy = x.reshape(-1, 6), dy.reshape(-1, 4)
    y = functional.linear(x, w, residual=residual)
    assert y.shape == (*lead, 4)
    np.testing.assert_array_equal(
        y.reshape(-1, 4), functional.linear(rows_x, w, residual=residual.reshape(-1, 4))
    )
    dx = grad.linear_input(dy, w)
    assert dx.shape == x.shape
    np.testing.assert_array_equal(dx.reshape(-1, 6), grad.linear_input(rows_dy, w))
    np.testing.assert_array_equal(grad.linear_weight(x, dy), grad.linear_weight(rows_x, rows_dy))
    np.testing.assert_array_equal(grad.linear_bias(dy), grad.linear_bias(rows_dy))
    out = np.empty((*lead, 4), dtype)
    assert functional.linear(x, w, residual=residual, out=out) is out
    np.testing.assert_array_equal(out, y)
    out = np.empty(x.shape, dtype)
    assert grad.linear_input(dy, w, out=out) is out
    np.testing.assert_array_equal(out, dx)


def test_nan_stays_in_its_row(isa, dtype, rng):
    x = rng.standard_normal((15, 17)).astype(dtype)
    w = rng.standard_normal((16, 17)).astype(dtype)
    clean = functional.linear(x, w)
    x[7, 3] = np.nan
    result = functional.linear(x, w)
    assert np.isnan(result[7]).all()
    np.testing.assert_array_equal(np.delete(result, 7, 0), np.delete(clean, 7, 0))
