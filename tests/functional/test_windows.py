"""Pooling, unpooling, im2col and col2im against oracles."""

from __future__ import annotations

import numpy as np
import oracles
import pytest
from cases import LAYOUTS, assert_close
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ops import MAX_POOL, MAX_POOL_BACKWARD, MAX_UNPOOL, MAX_UNPOOL_BACKWARD
from window_cases import POOLS, pads, window, windows

from fastconv import functional, grad


@pytest.mark.parametrize("ceil_mode", [False, True], ids=["floor", "ceil"])
@pytest.mark.parametrize("name", POOLS)
def test_max_pool_and_its_gradient(name, ceil_mode, isa, dtype, rng):
    shape, kernel, stride, padding, dilation = POOLS[name]
    nd = len(kernel)
    # Few different values, so that there are many ties.
    x = rng.integers(-3, 4, shape).astype(dtype)
    values, at = oracles.max_pool(
        x, kernel, stride, pads(*POOLS[name]), dilation, ceil_mode=ceil_mode
    )
    dy = rng.standard_normal(values.shape).astype(dtype)
    dx = oracles.max_pool_backward(dy, at, shape)
    magnitude = oracles.max_pool_backward(abs(dy), at, shape)
    for layout in LAYOUTS.values():
        arguments = (layout(x), kernel, stride, padding, dilation, ceil_mode)
        result, indices = MAX_POOL[nd](*arguments, return_indices=True)
        assert result.dtype == dtype
        assert indices.dtype == np.int64
        np.testing.assert_array_equal(result, values)
        np.testing.assert_array_equal(indices, at)
        np.testing.assert_array_equal(MAX_POOL[nd](*arguments), values)
        back = MAX_POOL_BACKWARD[nd](layout(dy), layout(at), shape)
        assert_close(back, dx, magnitude, terms=int(np.prod(kernel)))


def test_max_pool_of_nan_and_infinity(isa, dtype):
    nan, inf = np.nan, np.inf
    x = np.array([[[1, nan, 2, 3, -inf, -inf, inf, nan, nan, nan, -inf, 0]]], dtype)
    values, indices = functional.max_pool1d(x, 2, return_indices=True)
    np.testing.assert_array_equal(values[0, 0], [nan, 3, -inf, nan, nan, 0])
    np.testing.assert_array_equal(indices[0, 0], [1, 3, 4, 7, 8, 11])


@pytest.mark.parametrize("position", range(9))
def test_max_pool_nan_wins_wherever_it_is(position, isa, dtype, rng):
    x = rng.standard_normal((2, 33, 3, 3)).astype(dtype)
    x.reshape(2, 33, 9)[1, :, position] = np.nan
    values, indices = functional.max_pool2d(x, 3, return_indices=True)
    assert np.isnan(values[1]).all()
    assert (indices[1] == position).all()
    assert np.isfinite(values[0]).all()


def test_max_pool_padding_never_wins(isa, dtype):
    x = np.full((1, 17, 4, 5), -np.inf, dtype)
    values, indices = functional.max_pool2d(x, 3, 2, 1, return_indices=True)
    assert (values == -np.inf).all()
    np.testing.assert_array_equal(indices[0, 0], [[0, 1, 3], [5, 6, 8]])


def test_max_pool_of_broadcast_input(isa, dtype, rng):
    x = np.broadcast_to(rng.standard_normal((1, 16, 1, 15)).astype(dtype), (3, 16, 6, 15))
    values, indices = functional.max_pool2d(x, 2, return_indices=True)
    expected, at = oracles.max_pool(x, (2, 2), (2, 2), ((0, 0), (0, 0)), (1, 1))
    np.testing.assert_array_equal(values, expected)
    np.testing.assert_array_equal(indices, at)


# ---- unpooling


@pytest.mark.parametrize("name", ["2x2", "2x2, does not fit", "3x3 stride 1 padded", "1-D", "3-D"])
def test_max_unpool_puts_values_back(name, isa, dtype, rng):
    shape, kernel, stride, _, dilation = POOLS[name]
    nd = len(kernel)
    x = rng.standard_normal(shape).astype(dtype)
    values, at = oracles.max_pool(x, kernel, stride, pads(*POOLS[name]), dilation)
    values = values.astype(dtype)
    dy = rng.standard_normal(shape).astype(dtype)
    gathered = np.take_along_axis(
        dy.reshape(*shape[:2], -1), at.reshape(*shape[:2], -1), axis=2
    ).reshape(at.shape)
    for layout in LAYOUTS.values():
        result = MAX_UNPOOL[nd](layout(values), layout(at), kernel, stride, output_size=shape[2:])
        np.testing.assert_array_equal(result, oracles.max_unpool(values, at, shape))
        back = MAX_UNPOOL_BACKWARD[nd](layout(dy), layout(at))
        np.testing.assert_array_equal(back, gathered)


def test_max_unpool_of_a_repeated_index_keeps_the_last(isa, dtype):
    x = np.array([[[1, 2, 3, 4]]], dtype)
    at = np.array([[[5, 1, 5, 1]]])
    result = functional.max_unpool1d(x, at, 2)
    np.testing.assert_array_equal(result[0, 0], [0, 4, 0, 0, 0, 3, 0, 0])


def test_max_unpool_output_sizes(dtype):
    x = np.ones((2, 3, 4, 5), dtype)
    at = np.zeros((2, 3, 4, 5), np.int64)
    assert functional.max_unpool2d(x, at, 2).shape == (2, 3, 8, 10)
    assert functional.max_unpool2d(x, at, 3, 2).shape == (2, 3, 9, 11)
    assert functional.max_unpool2d(x, at, 3, 2, 1).shape == (2, 3, 7, 9)
    assert functional.max_unpool2d(x, at, 2, output_size=(9, 11)).shape == (2, 3, 9, 11)
    assert functional.max_unpool2d(x, at, 2, output_size=(2, 3, 9, 11)).shape == (2, 3, 9, 11)
    assert functional.max_unpool2d(x[0], at[0], 2, output_size=(9, 11)).shape == (3, 9, 11)


# ---- im2col and col2im


COLUMNS = {
    "2x3": window((2, 5, 7, 15), (2, 3), 1),
    "padded": window((1, 17, 6, 13), 3, 1, 1),
    "uneven, strided, dilated": window((2, 3, 9, 14), (3, 2), (2, 3), ((0, 2), (1, 0)), (2, 1)),
    "same": window((1, 16, 7, 8), 3, 2, "same"),
    "pixel": window((2, 33, 1, 1), 1, 1),
    "only padding": window((1, 2, 1, 1), 2, 1, ((3, 3), (3, 3))),
    "1-D": window((3, 4, 28), 5, 3, 2),
    "3-D": window((1, 3, 4, 5, 6), (2, 1, 3), (1, 2, 1), 1),
    "no images": window((0, 3, 6, 6), 2, 1),
}


@pytest.mark.parametrize("name", COLUMNS)
def test_im2col_and_col2im(name, isa, dtype, rng):
    shape, kernel, stride, padding, dilation = COLUMNS[name]
    explicit = (kernel, stride, pads(*COLUMNS[name]), dilation)
    x = rng.standard_normal(shape).astype(dtype)
    cols = oracles.im2col(x, *explicit)
    dcols = rng.standard_normal(cols.shape).astype(dtype)
    summed = oracles.col2im(dcols, shape[1], shape[2:], *explicit)
    magnitude = oracles.col2im(abs(dcols), shape[1], shape[2:], *explicit)
    taps = int(np.prod(kernel))
    for layout in LAYOUTS.values():
        np.testing.assert_array_equal(
            functional.im2col(layout(x), kernel, dilation, padding, stride), cols
        )
        result = functional.col2im(layout(dcols), shape[2:], kernel, dilation, padding, stride)
        assert_close(result, summed, magnitude, taps)
        np.testing.assert_array_equal(
            grad.fold_backward(layout(x), kernel, dilation, padding, stride), cols
        )
        back = grad.unfold_backward(layout(dcols), shape, kernel, dilation, padding, stride)
        np.testing.assert_array_equal(back, result)


def test_an_int_window_has_two_dimensions(dtype, rng):
    x = rng.standard_normal((3, 5, 6)).astype(dtype)  # one image of 3 channels
    cols = functional.unfold(x, 2, padding=1)
    np.testing.assert_array_equal(cols, functional.unfold(x[None], (2, 2), padding=(1, 1))[0])
    np.testing.assert_array_equal(
        functional.fold(cols, (5, 6), 2, padding=1),
        functional.fold(cols[None], (5, 6), (2, 2), padding=1)[0],
    )
    assert functional.unfold(x, (2,)).shape == (3, 10, 5)  # three signals of 5 channels


@given(
    problem=windows(),
    ceil_mode=st.booleans(),
    layout=st.sampled_from(sorted(LAYOUTS)),
    seed=st.integers(0, 2**32 - 1),
)
@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_random_windows(isa, problem, ceil_mode, layout, seed):
    shape, kernel, stride, padding, dilation = problem
    x = np.random.default_rng(seed).integers(-2, 3, shape).astype(np.float32)
    explicit = (kernel, stride, padding, dilation)
    expected, at = oracles.max_pool(x, *explicit, ceil_mode=ceil_mode)
    values, indices = MAX_POOL[len(kernel)](
        LAYOUTS[layout](x), *explicit, ceil_mode, return_indices=True
    )
    np.testing.assert_array_equal(values, expected)
    np.testing.assert_array_equal(indices, at)
    cols = functional.unfold(LAYOUTS[layout](x), kernel, dilation, padding, stride)
    np.testing.assert_array_equal(cols, oracles.im2col(x, *explicit))
    back = functional.fold(LAYOUTS[layout](cols), shape[2:], kernel, dilation, padding, stride)
    np.testing.assert_array_equal(back, oracles.col2im(cols, *shape[1:2], shape[2:], *explicit))
