"""Softmax and the cross-entropy loss, with their gradients, against oracles."""

from __future__ import annotations

import numpy as np
import oracles
import pytest
from cases import LAYOUTS
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fastconv import functional, grad

SHAPES = [(1,), (17,), (5, 33), (3, 7, 15), (2, 16, 5, 13), (1, 3, 4, 5, 6), (0, 4), (300, 200)]


def _every_layout(a):
    for name, layout in LAYOUTS.items():
        if name != "channels_last" or a.ndim > 2:
            yield layout(a)


# ---- softmax


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_softmax_and_its_gradient(shape, isa, dtype, rng):
    x = rng.standard_normal(shape).astype(dtype) * 4
    dy = rng.standard_normal(shape).astype(dtype)
    eps = np.finfo(dtype).eps
    for dim in range(-1, len(shape)):
        log_y = oracles.log_softmax(x, dim) if x.size else x.astype(np.float64)
        y = np.exp(log_y)
        terms = shape[dim] + 8
        # exp turns the absolute error of its argument into a relative one.
        reach = float(np.ptp(x)) if x.size else 0.0
        for view, dview in zip(_every_layout(x), _every_layout(dy), strict=True):
            result = functional.softmax(view, dim)
            np.testing.assert_allclose(result, y, rtol=(terms + 4 * reach) * eps, atol=0)
            logs = functional.log_softmax(view, dim)
            np.testing.assert_allclose(logs, log_y, rtol=0, atol=(terms + 4 * reach) * eps)
            np.testing.assert_allclose(
                grad.softmax_backward(dview, result, dim),
                y * (dy - (dy * y).sum(axis=dim, keepdims=True)),
                rtol=0,
                atol=4 * (terms + 4 * reach) * eps,
            )
            np.testing.assert_allclose(
                grad.log_softmax_backward(dview, logs, dim),
                dy - y * dy.sum(axis=dim, keepdims=True),
                rtol=0,
                atol=4 * (terms + 4 * reach) * eps * max(1, shape[dim]),
            )


def test_softmax_does_not_overflow(isa, dtype):
    largest = np.finfo(dtype).max
    x = np.array([[largest, largest, -largest], [-largest, -largest, -largest]], dtype)
    np.testing.assert_allclose(
        functional.softmax(x, 1), [[0.5, 0.5, 0], [1 / 3, 1 / 3, 1 / 3]], rtol=1e-6
    )
    x = np.array([-np.inf, 0, 0], dtype)
    np.testing.assert_array_equal(functional.softmax(x, 0), [0, 0.5, 0.5])
    assert functional.log_softmax(x, 0)[0] == -np.inf


def test_softmax_of_nan_is_nan_in_its_row_alone(isa, dtype, rng):
    x = rng.standard_normal((4, 19)).astype(dtype)
    x[2, 5] = np.nan
    result = functional.softmax(x, 1)
    assert np.isnan(result[2]).all()
    assert np.isfinite(np.delete(result, 2, 0)).all()


def test_softmax_in_place(isa, dtype, rng):
    for dim in (0, 1, 2):
        x = rng.standard_normal((5, 17, 9)).astype(dtype)
        expected = functional.softmax(x, dim)
        assert functional.softmax(x, dim, out=x) is x
        np.testing.assert_array_equal(x, expected)


@given(
    x=hnp.arrays(
        np.float64,
        hnp.array_shapes(max_dims=5, max_side=6),
        elements=st.floats(-700, 700, allow_nan=False),
    ),
    data=st.data(),
)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_softmax_sums_to_one(isa, x, data):
    dim = data.draw(st.integers(-x.ndim, x.ndim - 1))
    y = functional.softmax(x, dim)
    assert (y >= 0).all()
    np.testing.assert_allclose(y.sum(axis=dim), 1, rtol=1e-14)


# ---- cross-entropy


LOSSES = [((1, 1), 0.0), ((5, 17), 0.0), ((5, 10), 0.1), ((2, 3, 7), 0.2), ((2, 33, 4, 5), 1.0)]


@pytest.mark.parametrize(("shape", "smoothing"), LOSSES, ids=str)
def test_cross_entropy_and_its_gradient(shape, smoothing, isa, dtype, rng):
    x = rng.standard_normal(shape).astype(dtype) * 3
    target = rng.integers(0, shape[1], (shape[0], *shape[2:]))
    target.flat[::4] = 0
    losses = oracles.cross_entropy(x, target, smoothing)
    dloss = rng.standard_normal(target.shape).astype(dtype)
    dx = oracles.cross_entropy_backward(x, target, dloss, smoothing)
    atol = 40 * (shape[1] + 8) * np.finfo(dtype).eps
    options = {"reduction": "none", "label_smoothing": smoothing}
    for view in _every_layout(x):
        result = functional.cross_entropy(view, target, **options)
        assert result.dtype == dtype
        np.testing.assert_allclose(result, losses, rtol=0, atol=atol)
        back = grad.cross_entropy_backward(view, target, dloss, **options)
        np.testing.assert_allclose(back, dx, rtol=0, atol=atol)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_cross_entropy_reductions_and_ignored_samples(reduction, isa, dtype, rng):
    x = rng.standard_normal((6, 5)).astype(dtype)
    target = np.array([0, -100, 4, 2, -100, 1])
    losses = oracles.cross_entropy(x, target, 0.1)
    counted = target != -100
    expected = {"mean": losses.sum() / 4, "sum": losses.sum(), "none": losses}[reduction]
    options = {"reduction": reduction, "label_smoothing": 0.1}
    loss = functional.cross_entropy(x, target, **options)
    assert loss.dtype == dtype
    np.testing.assert_allclose(loss, expected, rtol=50 * np.finfo(dtype).eps)
    scale = 2 / 4 if reduction == "mean" else 2
    dx = oracles.cross_entropy_backward(x, target, np.full(6, float(scale)), 0.1)
    given = np.full(6, 2, dtype) if reduction == "none" else 2
    result = grad.cross_entropy_backward(x, target, given, **options)
    np.testing.assert_allclose(result, dx, rtol=0, atol=50 * np.finfo(dtype).eps)
    assert (result[~counted] == 0).all()
    once = grad.cross_entropy_backward(x, target, **options)
    np.testing.assert_allclose(once, dx / 2, rtol=0, atol=50 * np.finfo(dtype).eps)


def test_cross_entropy_of_ignored_samples_alone(isa, dtype):
    x, target = np.zeros((2, 3), dtype), np.array([7, 7])
    assert np.isnan(functional.cross_entropy(x, target, ignore_index=7))
    assert functional.cross_entropy(x, target, ignore_index=7, reduction="sum") == 0
    assert (grad.cross_entropy_backward(x, target, ignore_index=7) == 0).all()


def test_cross_entropy_of_one_sample_without_a_batch(isa, dtype, rng):
    x = rng.standard_normal(5).astype(dtype)
    loss = functional.cross_entropy(x, np.int64(3))
    np.testing.assert_array_equal(loss, functional.cross_entropy(x[None], np.array([3])))
    dx = grad.cross_entropy_backward(x, np.int64(3))
    np.testing.assert_array_equal(dx, grad.cross_entropy_backward(x[None], np.array([3]))[0])
    assert functional.cross_entropy(x, np.int64(3), reduction="none").shape == ()


def test_cross_entropy_of_extreme_logits(isa, dtype):
    x = np.array([[1e4, 0.0], [0.0, 1e4]], dtype)
    losses = functional.cross_entropy(x, np.array([0, 0]), reduction="none")
    np.testing.assert_array_equal(losses, [0, 1e4])
