"""Compact argmax, average and adaptive pooling against oracles."""

from __future__ import annotations

import cases
import numpy as np
import oracles
import pytest
from cases import LAYOUTS, assert_close
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ops import (
    ADAPTIVE_AVG_POOL,
    ADAPTIVE_AVG_POOL_BACKWARD,
    ADAPTIVE_MAX_POOL,
    AVG_POOL,
    AVG_POOL_BACKWARD,
    FAST,
    MAX_POOL,
    MAX_POOL_ARGMAX_BACKWARD,
    MAX_POOL_BACKWARD,
)
from window_cases import POOLS, pads, windows

from fastconv import functional, grad

#: More than test_windows has: strides whose windows are far apart, and windows that are large.
MORE = {
    "3x4 stride 3": ((2, 5, 14, 40), (3, 4), (3, 3), ((1, 0), (2, 1)), (1, 1)),
    "5x5 stride 1": ((1, 20, 12, 37), (5, 5), (1, 1), ((2, 2), (2, 2)), (1, 1)),
    "dilated, stride 1": ((1, 3, 14, 60), (3, 4), (1, 1), ((2, 2), (1, 3)), (2, 3)),
    "dilated, stride 2": ((1, 3, 14, 70), (3, 3), (2, 2), ((1, 1), (2, 2)), (2, 2)),
    "wide, stride 1": ((1, 2, 7, 300), (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1)),
    "wide, stride 2": ((1, 2, 8, 301), (3, 2), (2, 2), ((1, 0), (1, 1)), (1, 1)),
    "many rows": ((1, 3, 90, 59), (3, 3), (2, 2), ((0, 1), (1, 0)), (1, 1)),
    "whole image of 255": ((2, 18, 15, 17), (15, 17), (2, 3), ((0, 0), (0, 0)), (1, 1)),
    "15x17": ((1, 2, 20, 40), (15, 17), (2, 1), ((0, 0), (8, 8)), (1, 1)),
}
ALL = POOLS | MORE


@pytest.mark.parametrize("ceil_mode", [False, True], ids=["floor", "ceil"])
@pytest.mark.parametrize("name", ALL)
def test_argmax_says_what_indices_say(name, ceil_mode, isa, dtype, rng):
    shape, kernel, stride, padding, dilation = ALL[name]
    nd = len(kernel)
    x = rng.integers(-3, 4, shape).astype(dtype)
    explicit = (kernel, stride, pads(*ALL[name]), dilation)
    values, at = oracles.max_pool(x, *explicit, ceil_mode=ceil_mode)
    expected = oracles.argmax_of(at, shape[2:], *explicit)
    dy = rng.standard_normal(values.shape).astype(dtype)
    window = (kernel, stride, padding, dilation, ceil_mode)
    for layout in LAYOUTS.values():
        result, argmax = MAX_POOL[nd](layout(x), *window, return_argmax=True)
        assert argmax.dtype == np.uint8
        np.testing.assert_array_equal(result, values)
        np.testing.assert_array_equal(argmax, expected)
        back = MAX_POOL_ARGMAX_BACKWARD[nd](layout(dy), layout(expected), shape, *window)
        assert back.dtype == dtype
        np.testing.assert_array_equal(back, MAX_POOL_BACKWARD[nd](dy, at, shape))


def test_argmax_of_nan_infinity_and_padding(isa, dtype):
    nan, inf = np.nan, np.inf
    x = np.array([[[1, nan, 2, 3, -inf, -inf, inf, nan, nan, nan, -inf, 0]]], dtype)
    values, argmax = functional.max_pool1d(x, 2, return_argmax=True)
    np.testing.assert_array_equal(values[0, 0], [nan, 3, -inf, nan, nan, 0])
    np.testing.assert_array_equal(argmax[0, 0], [1, 1, 0, 1, 0, 1])
    x = np.full((1, 17, 4, 5), -inf, dtype)
    values, argmax = functional.max_pool2d(x, 3, 2, 1, return_argmax=True)
    assert (values == -inf).all()
    np.testing.assert_array_equal(argmax[0, 0], [[4, 3, 3], [1, 0, 0]])


def test_a_window_in_the_padding_has_no_argmax(isa, dtype):
    x = np.ones((2, 3, 1), dtype)
    window = {"kernel_size": 2, "stride": 1, "padding": 2, "dilation": 4}
    values, argmax = functional.max_pool1d(x, **window, return_argmax=True)
    np.testing.assert_array_equal(values[0, 0], [-np.inf])
    assert (argmax == 255).all()
    dx = grad.max_pool1d_argmax_backward(np.ones_like(values), argmax, x.shape, **window)
    assert (dx == 0).all()


@pytest.mark.parametrize("stride", [1, 2, 3])
def test_an_argmax_of_anything_is_harmless(stride, isa, dtype, rng):
    x = np.zeros((2, 5, 9, 21), dtype)
    y = functional.max_pool2d(x, 3, stride, 1)
    argmax = rng.integers(0, 256, y.shape).astype(np.uint8)
    dy = rng.standard_normal(y.shape).astype(dtype)
    for layout in LAYOUTS.values():
        frame = np.full((2, 5, 13, 25), 7, dtype)
        out = frame[:, :, 2:-2, 2:-2]
        grad.max_pool2d_argmax_backward(layout(dy), layout(argmax), x.shape, 3, stride, 1, out=out)
        assert np.abs(out).sum() <= np.abs(dy).sum() * 1.001
        out[...] = 7
        assert (frame == 7).all()


def test_a_nan_gradient_stays_where_its_maximum_was(isa, dtype):
    x = np.arange(36, dtype=dtype).reshape(1, 1, 6, 6)
    y, argmax = functional.max_pool2d(x, 3, 1, return_argmax=True)
    dy = np.ones_like(y)
    dy[0, 0, 0, 0] = np.nan
    dy[0, 0, 1, 1] = np.inf
    dx = grad.max_pool2d_argmax_backward(dy, argmax, x.shape, 3, 1)
    assert np.isnan(dx[0, 0, 2, 2])
    assert np.isinf(dx[0, 0, 3, 3])
    assert np.isfinite(dx).sum() == 34


# ---- average


DENSE = [name for name in ALL if set(ALL[name][4]) == {1}]


@pytest.mark.parametrize("divisor", ["padding counted", "not counted", "overridden"])
@pytest.mark.parametrize("ceil_mode", [False, True], ids=["floor", "ceil"])
@pytest.mark.parametrize("name", DENSE)
def test_avg_pool_and_its_gradient(name, ceil_mode, divisor, isa, dtype, rng):
    shape, kernel, stride, padding, _ = ALL[name]
    nd = len(kernel)
    include, override = divisor == "padding counted", 7 if divisor == "overridden" else None
    explicit = (kernel, stride, pads(*ALL[name]), ceil_mode, include, override)
    x = rng.standard_normal(shape).astype(dtype)
    expected, magnitude = (oracles.avg_pool(v, *explicit) for v in (x, abs(x)))
    dy = rng.standard_normal(expected.shape).astype(dtype)
    dx, dx_magnitude = (oracles.avg_pool_backward(v, shape, *explicit) for v in (dy, abs(dy)))
    window = (kernel, stride, padding, ceil_mode, include, override)
    terms = int(np.prod(kernel))
    for layout in LAYOUTS.values():
        assert_close(AVG_POOL[nd](layout(x), *window), expected, magnitude, min(terms, 16))
        back = AVG_POOL_BACKWARD[nd](layout(dy), shape, *window)
        assert_close(back, dx, dx_magnitude, terms)


def test_avg_pool_of_nan_and_infinity(isa, dtype):
    nan, inf = np.nan, np.inf
    x = np.array([[[1, nan, inf, 3, -inf, inf, 2, 4]]], dtype)
    np.testing.assert_array_equal(functional.avg_pool1d(x, 2)[0, 0], [nan, inf, nan, 3])


@pytest.mark.parametrize("layout", ["planar", "channels_last"])
@pytest.mark.parametrize("isa", FAST, indirect=True)
def test_the_mean_of_a_large_image_is_exact_to_few_ulp(layout, isa, dtype, rng):
    x = rng.random((2, 5, 224, 225)).astype(dtype) + dtype(1)
    expected = x.astype(np.longdouble).mean((2, 3), keepdims=True)
    for result in (
        functional.avg_pool2d(LAYOUTS[layout](x), (224, 225)),
        functional.adaptive_avg_pool2d(LAYOUTS[layout](x), 1),
    ):
        error = np.abs(result - expected) / expected
        assert error.max() <= 8 * np.finfo(dtype).eps


def test_the_mean_of_equals_is_their_value(isa, dtype):
    for kernel in (2, 3, 5, 7):
        x = np.full((1, 17, 28, 29), 0.7, dtype)
        y = functional.avg_pool2d(x, kernel, 1, kernel // 2, count_include_pad=False)
        np.testing.assert_allclose(y, dtype(0.7), rtol=4 * np.finfo(dtype).eps)


# ---- one window over the whole plane


@pytest.mark.parametrize("shape", [(2, 35, 7, 7), (3, 5, 1, 3), (1, 17, 28, 29), (1, 2, 3, 5, 4)])
def test_whole_planes(shape, isa, dtype, rng):
    nd, kernel = len(shape) - 2, shape[2:]
    x = rng.integers(-40, 40, shape).astype(dtype)
    x[0, 0] = -np.inf
    x[0, 1, ..., -1] = np.inf
    x[-1, -1, ..., 1] = np.nan
    values, at = oracles.max_pool(x, kernel, kernel, ((0, 0),) * nd, (1,) * nd)
    dy = rng.standard_normal(values.shape).astype(dtype)
    for layout in LAYOUTS.values():
        result, indices = MAX_POOL[nd](layout(x), kernel, return_indices=True)
        np.testing.assert_array_equal(result, values)
        np.testing.assert_array_equal(indices, at)
        np.testing.assert_array_equal(MAX_POOL[nd](layout(x), kernel), values)
        np.testing.assert_array_equal(ADAPTIVE_MAX_POOL[nd](layout(x), 1), values)
        mean = AVG_POOL[nd](layout(x), kernel)
        np.testing.assert_allclose(
            mean, x.mean(tuple(range(2, nd + 2)), keepdims=True), rtol=1e-5, atol=1e-5
        )
        back = AVG_POOL_BACKWARD[nd](layout(dy), shape, kernel)
        np.testing.assert_allclose(
            back, np.broadcast_to(dy / dtype(np.prod(kernel)), shape), rtol=1e-6
        )


def test_a_plane_does_not_change_its_neighbours(isa, dtype, rng):
    """Planes are finished together, as many as a vector has lanes."""
    x = rng.standard_normal((1, 33, 9, 11)).astype(dtype)
    together = functional.avg_pool2d(x, (9, 11))
    for c in (0, 5, 16, 32):
        alone = functional.avg_pool2d(x[:, c : c + 1], (9, 11))
        assert alone.tobytes() == together[:, c : c + 1].tobytes()


@pytest.mark.parametrize("offset", [0, 1])
def test_gradients_larger_than_the_caches(offset, isa):
    """They are written by other stores."""
    shape = (1, 700, 80, 81)
    out = np.full(1 + int(np.prod(shape)), 7, np.float32)[offset : offset + int(np.prod(shape))]
    out = out.reshape(shape)
    dy = np.arange(1, 701, dtype=np.float32).reshape(1, 700, 1, 1)
    grad.avg_pool2d_backward(dy, shape, (80, 81), out=out)
    np.testing.assert_allclose(out, np.broadcast_to(dy / np.float32(6480), shape), rtol=1e-6)
    y, argmax = functional.max_pool2d(out, 2, return_argmax=True)
    grad.max_pool2d_argmax_backward(y, argmax, shape, 2, out=out)
    assert (out[:, :, ::2, :-1:2] == y).all()
    assert (out[:, :, 1::2] == 0).all()
    assert (out[:, :, :, -1] == 0).all()


# ---- adaptive


SIZES = {
    "smaller": ((2, 19, 7, 10), (3, 4)),
    "dividing": ((2, 33, 9, 40), (3, 10)),
    "one": ((2, 17, 7, 9), (1, 1)),
    "larger": ((1, 4, 5, 3), (7, 9)),
    "the same": ((1, 16, 5, 6), (5, 6)),
    "1-D": ((2, 5, 45), (7,)),
    "3-D": ((1, 6, 5, 7, 19), (2, 7, 8)),
    "no images": ((0, 3, 6, 6), (4, 4)),
}


@pytest.mark.parametrize("name", SIZES)
def test_adaptive_pools_and_their_gradients(name, isa, dtype, rng):
    shape, size = SIZES[name]
    nd = len(size)
    x = rng.standard_normal(shape).astype(dtype)
    mean, magnitude = (oracles.adaptive_avg_pool(v, size) for v in (x, abs(x)))
    ties = rng.integers(-3, 4, shape).astype(dtype)
    values, at = oracles.adaptive_max_pool(ties, size)
    dy = rng.standard_normal(mean.shape).astype(dtype)
    dx, dx_magnitude = (oracles.adaptive_avg_pool_backward(v, shape) for v in (dy, abs(dy)))
    for layout in LAYOUTS.values():
        assert_close(ADAPTIVE_AVG_POOL[nd](layout(x), size), mean, magnitude, 16)
        back = ADAPTIVE_AVG_POOL_BACKWARD[nd](layout(dy), shape)
        assert_close(back, dx, dx_magnitude, 16)
        result, indices = ADAPTIVE_MAX_POOL[nd](layout(ties), size, True)
        np.testing.assert_array_equal(result, values)
        np.testing.assert_array_equal(indices, at)
        np.testing.assert_array_equal(ADAPTIVE_MAX_POOL[nd](layout(ties), size), values)


def test_adaptive_output_sizes(rng):
    x = rng.standard_normal((2, 3, 8, 10))
    assert functional.adaptive_avg_pool2d(x, 4).shape == (2, 3, 4, 4)
    assert functional.adaptive_avg_pool2d(x, (None, 5)).shape == (2, 3, 8, 5)
    assert functional.adaptive_max_pool2d(x[0], (3, None)).shape == (3, 3, 10)


# ---- all of it, at random


@given(
    problem=windows(),
    ceil_mode=st.booleans(),
    include=st.booleans(),
    layout=st.sampled_from(sorted(LAYOUTS)),
    seed=st.integers(0, 2**32 - 1),
)
@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_random_pools(isa, problem, ceil_mode, include, layout, seed):
    shape, kernel, stride, padding, dilation = problem
    nd, change = len(kernel), LAYOUTS[layout]
    rng = np.random.default_rng(seed)
    x = rng.integers(-2, 3, shape).astype(np.float32)
    explicit = (kernel, stride, padding, dilation)
    _, at = oracles.max_pool(x, *explicit, ceil_mode=ceil_mode)
    values, argmax = MAX_POOL[nd](change(x), *explicit, ceil_mode, return_argmax=True)
    np.testing.assert_array_equal(argmax, oracles.argmax_of(at, shape[2:], *explicit))
    dy = rng.standard_normal(values.shape).astype(np.float32)
    back = MAX_POOL_ARGMAX_BACKWARD[nd](change(dy), change(argmax), shape, *explicit, ceil_mode)
    expected = MAX_POOL_ARGMAX_BACKWARD[nd](dy, argmax, shape, *explicit, ceil_mode)
    np.testing.assert_array_equal(back, expected)
    reach = cases.pool_reach(kernel, dilation)
    dense = (reach, stride, padding)
    if any(max(p) * 2 > r for p, r in zip(padding, reach, strict=True)):
        return  # half of an even window more than half of its elements
    mean = oracles.avg_pool(x, *dense, ceil_mode, include, None)
    dy = rng.standard_normal(mean.shape).astype(np.float32)
    result = AVG_POOL[nd](change(x), *dense, ceil_mode, include)
    np.testing.assert_allclose(result, mean, rtol=0, atol=1e-6)
    back = AVG_POOL_BACKWARD[nd](change(dy), shape, *dense, ceil_mode, include)
    expected = oracles.avg_pool_backward(dy, shape, *dense, ceil_mode, include, None)
    np.testing.assert_allclose(back, expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("channels", [1, 3, 37])
@pytest.mark.parametrize("spatial", [(1, 1), (7, 7), (5, 61)])
def test_gradient_of_one_output_a_plane(channels, spatial, isa, dtype, rng):
    size = (2, channels, *spatial)
    indices = rng.integers(0, spatial[0] * spatial[1], (2, channels, 1, 1))
    dy = rng.standard_normal(indices.shape).astype(dtype)
    dy[0, 0] = -0.0
    expected = np.zeros(size, dtype)
    flat = expected.reshape(2, channels, -1)
    np.put_along_axis(flat, indices[..., 0], dy[..., 0], axis=2)
    unpooled = functional.max_unpool2d(dy, indices, spatial, output_size=spatial)
    np.testing.assert_array_equal(unpooled, expected)
    np.testing.assert_array_equal(np.signbit(unpooled), np.signbit(expected))
    for layout in LAYOUTS.values():
        back = grad.max_pool2d_backward(layout(dy), layout(indices), size)
        np.testing.assert_array_equal(back, expected)
        assert not np.signbit(back[0, 0]).any()  # 0 + -0
    for wrong in (-1, spatial[0] * spatial[1]):
        indices[-1, -1] = wrong
        with pytest.raises(ValueError, match="indices"):
            grad.max_pool2d_backward(dy, indices, size)
