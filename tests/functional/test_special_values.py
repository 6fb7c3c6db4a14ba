"""NaN and infinities in convolutions reach what sees them and nothing else.

Fast algorithms mix what direct summation keeps apart, and may compute what is near them in
another way, but what is finite there stays as exact.
"""

from __future__ import annotations

import numpy as np
import pytest
from cases import LAYOUTS

from fastconv import functional, grad


def assert_close_where(where, result, clean):
    assert np.isfinite(result[where]).all()
    limit = 1e-4 if result.dtype == np.float32 else 1e-12
    np.testing.assert_allclose(result[where], clean[where], rtol=0, atol=limit * abs(clean).max())


def special_operands(rng, dtype):
    x = rng.standard_normal((2, 17, 9, 15)).astype(dtype)
    w = rng.standard_normal((19, 17, 3, 3)).astype(dtype)
    return x, w


@pytest.mark.parametrize("special", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("padding", [0, 1])
def test_special_inputs_reach_exactly_the_outputs_that_see_them(special, padding, isa, dtype, rng):
    x, w = special_operands(rng, dtype)
    clean = functional.conv2d(x, w, padding=padding)
    x[1, 5, 4, 7] = special
    result = functional.conv2d(x, w, padding=padding)
    np.testing.assert_array_equal(result[0], clean[0])
    touched = np.zeros(result.shape, bool)
    touched[1, :, 2 + padding : 5 + padding, 5 + padding : 8 + padding] = True
    assert_close_where(~touched, result, clean)
    # The window that is h, w before the special pixel sees it with the tap h, w.
    expected = special * w[:, 5, ::-1, ::-1]
    np.testing.assert_array_equal(result[touched].reshape(19, 3, 3), expected)


@pytest.mark.parametrize("special", [np.nan, np.inf])
def test_special_weights_reach_exactly_their_output_channel(special, isa, dtype, rng):
    x, w = special_operands(rng, dtype)
    clean = functional.conv2d(x, w)
    w[18, 16, 2, 2] = special
    result = functional.conv2d(x, w)
    assert not np.isfinite(result[:, 18]).any()
    assert_close_where(np.s_[:, :18], result, clean)


def test_special_gradients_stay_where_they_belong(isa, dtype, rng):
    x, w = special_operands(rng, dtype)
    dy = rng.standard_normal((2, 19, 7, 13)).astype(dtype)
    clean_dx = grad.conv2d_input(x.shape, w, dy)
    clean_dw = grad.conv2d_weight(x, w.shape, dy)
    dy[1, 18, 3, 6] = np.nan
    dx = grad.conv2d_input(x.shape, w, dy)
    np.testing.assert_array_equal(dx[0], clean_dx[0])
    touched = np.zeros(dx.shape, bool)
    touched[1, :, 3:6, 6:9] = True
    assert np.isnan(dx[touched]).all()
    assert_close_where(~touched, dx, clean_dx)
    dw = grad.conv2d_weight(x, w.shape, dy)
    assert np.isnan(dw[18]).all()
    assert_close_where(np.s_[:18], dw, clean_dw)


@pytest.mark.parametrize("layout", ["planar", "channels_last"])
@pytest.mark.parametrize("width", [1, 3, 4, 8])
def test_special_values_stay_in_their_group(width, layout, isa, dtype, rng):
    groups = 5
    change = LAYOUTS[layout]
    x = rng.standard_normal((2, width * groups, 6, 19)).astype(dtype)
    w = rng.standard_normal((8 * groups, width, 3, 3)).astype(dtype)
    clean = functional.conv2d(change(x), w, padding=1, groups=groups)
    x[:, 2 * width : 3 * width] = np.nan
    result = functional.conv2d(change(x), w, padding=1, groups=groups)
    assert np.isnan(result[:, 16:24]).all()
    np.testing.assert_array_equal(result[:, :16], clean[:, :16])
    np.testing.assert_array_equal(result[:, 24:], clean[:, 24:])


def test_relu_epilogue_keeps_nan(isa, dtype):
    x = np.array([[[np.nan, -1.0, 1.0, -np.inf, np.inf]]], dtype)
    result = functional.conv1d(x, np.ones((1, 1, 1), dtype), activation="relu")
    np.testing.assert_array_equal(result[0, 0], [np.nan, 0, 1, 0, np.inf])
