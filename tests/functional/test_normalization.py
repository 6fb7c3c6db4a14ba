"""Normalisation and its gradients against float64 formulas and finite differences."""

from __future__ import annotations

import numpy as np
import pytest
from cases import LAYOUTS
from ops import FAST

from fastconv import functional as F
from fastconv import grad as G
from fastconv import runtime

SHAPES = [
    (2, 1), (5, 3), (1, 4, 7), (3, 6, 1, 1), (2, 6, 5, 7), (4, 34, 7, 7), (2, 2, 16, 17),
    (2, 16, 9, 8),
    (3, 66, 3, 33), (1, 2, 3, 4, 5), (2, 2, 150, 300), (40, 16, 47, 51),
]  # fmt: skip
LAYOUT_NAMES = ["planar", "channels_last", "strided", "reversed", "fortran", "read_only"]


def per_channel(a, ndim):
    return a.reshape(-1, *(1,) * (ndim - 2)) if ndim > 2 else a


def batch_norm(x, axes, eps):
    """Normalised x in float64, mean and invstd with the reduced axes kept."""
    x = x.astype(np.float64)
    mean = x.mean(axis=axes, keepdims=True)
    invstd = 1 / np.sqrt(((x - mean) ** 2).mean(axis=axes, keepdims=True) + eps)
    return (x - mean) * invstd, mean, invstd


def backward(g, normal, invstd, weight, axes):
    """Gradient of the input, from g behind the activation."""
    g = g.astype(np.float64) * weight
    return invstd * (
        g - g.mean(axis=axes, keepdims=True) - normal * (g * normal).mean(axis=axes, keepdims=True)
    )


def layouts(a, names=LAYOUT_NAMES):
    for name in names:
        if name != "channels_last" or a.ndim > 2:
            yield LAYOUTS[name](a)


def near(actual, expected, scale, eps):
    np.testing.assert_allclose(actual, expected, rtol=0, atol=scale * eps)


@pytest.mark.parametrize("activation", [None, "relu"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_batch_norm_and_its_gradient(shape, activation, isa, dtype, rng):
    if isa == "reference" and np.prod(shape) > 1e5:
        pytest.skip("slow, and compared by the other sizes")
    ndim, c = len(shape), shape[1]
    axes = (0, *range(2, ndim))
    x = (rng.standard_normal(shape) * 2 + 3).astype(dtype)
    dy = rng.standard_normal(shape).astype(dtype)
    w, b = rng.standard_normal(c).astype(dtype), rng.standard_normal(c).astype(dtype)
    eps = np.finfo(dtype).eps
    normal, mean, invstd = batch_norm(x, axes, 1e-5)
    y = normal * per_channel(w, ndim) + per_channel(b, ndim)
    small = 100 * (1 + abs(invstd).max())
    options = {"training": True, "activation": activation}
    for view, dview in zip(layouts(x), layouts(dy), strict=True):
        result, m, s = F.batch_norm(view, None, None, w, b, return_statistics=True, **options)
        near(result, np.maximum(y, 0) if activation else y, small, eps)
        near(m, mean.ravel(), 20, eps)
        np.testing.assert_allclose(s, invstd.ravel(), rtol=100 * eps)
        assert result.strides == F.relu(view).strides
        g = np.where((result > 0) | (activation is None), dy, 0).astype(np.float64)
        dx, dw, db = G.batch_norm_backward(dview, view, w, m, s, bias=b, activation=activation)
        count = x.size // c
        near(dx, backward(g, normal, invstd, per_channel(w, ndim), axes), 4 * small**2, eps)
        near(dw, (g * normal).sum(axis=axes), 100 * count**0.5 * small, eps)
        near(db, g.sum(axis=axes), 100 * count**0.5, eps)


@pytest.mark.parametrize("shape", [(3, 5, 4, 6), (2, 18, 7, 7)], ids=str)
def test_batch_norm_at_inference(shape, isa, dtype, rng):
    x, dy = (rng.standard_normal(shape).astype(dtype) for _ in range(2))
    mean, w, b = (rng.standard_normal(shape[1]).astype(dtype) for _ in range(3))
    var = rng.random(shape[1]).astype(dtype) + dtype(0.5)
    eps = np.finfo(dtype).eps
    scale = per_channel(w.astype(np.float64) / np.sqrt(var.astype(np.float64) + 0.25), 4)
    y = (x - per_channel(mean.astype(np.float64), 4)) * scale + per_channel(b, 4)
    kept = mean.copy(), var.copy()
    for view, dview in zip(layouts(x), layouts(dy), strict=True):
        result, m, s = F.batch_norm(view, mean, var, w, b, eps=0.25, return_statistics=True)
        near(result, y, 100, eps)
        dx, dw, db = G.batch_norm_backward(dview, view, w, m, s, training=False)
        near(dx, dy * scale, 100, eps)
        normal = (x - per_channel(mean.astype(np.float64), 4)) * per_channel(s, 4)
        near(dw, (dy * normal).sum(axis=(0, 2, 3)), 1000, eps)
        near(db, dy.sum(axis=(0, 2, 3), dtype=np.float64), 1000, eps)
    np.testing.assert_array_equal(mean, kept[0])
    np.testing.assert_array_equal(var, kept[1])


def test_running_statistics(isa, dtype, rng):
    x = (rng.standard_normal((4, 5, 6, 7)) + 2).astype(dtype)
    mean, var = np.full(5, 7, dtype), np.full(5, 3, dtype)
    F.batch_norm(x, mean, var, training=True, momentum=0.25)
    wide = x.astype(np.float64)
    expected = 0.75 * 7 + 0.25 * wide.mean(axis=(0, 2, 3))
    np.testing.assert_allclose(mean, expected, rtol=10 * np.finfo(dtype).eps)
    expected = 0.75 * 3 + 0.25 * wide.var(axis=(0, 2, 3), ddof=1)
    np.testing.assert_allclose(var, expected, rtol=10 * np.finfo(dtype).eps)


@pytest.mark.parametrize("layout", ["planar", "channels_last", "strided"])
@pytest.mark.parametrize("mean", [100.0, 1e4])
def test_statistics_far_from_zero(mean, layout, isa, dtype, rng):
    x = (rng.standard_normal((8, 6, 31, 33)) + mean).astype(dtype)
    _, exact_mean, exact_invstd = batch_norm(x, (0, 2, 3), 0.0)
    _, m, s = F.batch_norm(
        LAYOUTS[layout](x), None, None, training=True, eps=0.0, return_statistics=True
    )
    # In float64 it is the formula that is inexact.
    eps = np.finfo(dtype).eps * (1 if dtype == np.float32 else mean)
    np.testing.assert_allclose(m, exact_mean.ravel(), rtol=2 * eps)
    np.testing.assert_allclose(s, exact_invstd.ravel(), rtol=8 * eps)
    rows = x.reshape(48, -1)
    _, exact_mean, exact_invstd = batch_norm(rows, (1,), 0.0)
    _, m, s = F.layer_norm(rows, rows.shape[1], eps=0.0, return_statistics=True)
    np.testing.assert_allclose(m, exact_mean.ravel(), rtol=2 * eps)
    np.testing.assert_allclose(s, exact_invstd.ravel(), rtol=8 * eps)


@pytest.mark.parametrize("groups", [1, 2, 3, 18])
@pytest.mark.parametrize(
    "shape", [(3, 18), (2, 18, 5, 7), (1, 36, 20, 19), (2, 18, 2, 3, 4)], ids=str
)
def test_group_norm_and_its_gradient(shape, groups, isa, dtype, rng):
    if groups == shape[1] and len(shape) == 2:
        pytest.skip("one element a group")
    ndim = len(shape)
    x = (rng.standard_normal(shape) * 2 + 3).astype(dtype)
    dy = rng.standard_normal(shape).astype(dtype)
    w, b = (rng.standard_normal(shape[1]).astype(dtype) for _ in range(2))
    eps = np.finfo(dtype).eps
    normal, mean, invstd = batch_norm(x.reshape(shape[0], groups, -1), (2,), 1e-5)
    wide = per_channel(w, ndim)
    y = normal.reshape(shape) * wide + per_channel(b, ndim)
    gw = (dy.astype(np.float64) * wide).reshape(normal.shape)
    dx = backward(gw, normal, invstd, 1, (2,)).reshape(shape)
    small = 100 * (1 + abs(invstd).max())
    axes = (0, *range(2, ndim))
    for view, dview in zip(layouts(x), layouts(dy), strict=True):
        result, m, s = F.group_norm(view, groups, w, b, return_statistics=True)
        near(result, y, small, eps)
        near(m, mean[..., 0], 200, eps)
        np.testing.assert_allclose(s, invstd[..., 0], rtol=100 * eps)
        got, dw, db = G.group_norm_backward(dview, view, groups, w, m, s)
        near(got, dx, 4 * small**2, eps)
        near(dw, (dy * normal.reshape(shape)).sum(axis=axes), 100 * small, eps)
        near(db, dy.sum(axis=axes, dtype=np.float64), 3000, eps)


ROWS = [
    ((5,), 1), ((3, 17), 1), ((2, 3, 33), 1), ((2, 3, 33), 2), ((2, 3, 33), 3), ((2, 4, 5, 6), 2),
    ((1, 2, 3, 4, 5), 3), ((300, 40), 1), ((70, 3000), 1), ((3, 20000), 1), ((0, 4), 1),
]  # fmt: skip


@pytest.mark.parametrize(("shape", "columns"), ROWS, ids=str)
def test_layer_norm_and_its_gradient(shape, columns, isa, dtype, rng):
    if isa == "reference" and np.prod(shape) > 1e5:
        pytest.skip("slow, and compared by the other sizes")
    row = shape[len(shape) - columns :]
    axes = tuple(range(len(shape) - columns, len(shape)))
    lead = tuple(range(len(shape) - columns))
    x = (rng.standard_normal(shape) * 2 + 3).astype(dtype)
    dy = rng.standard_normal(shape).astype(dtype)
    w, b = (rng.standard_normal(row).astype(dtype) for _ in range(2))
    eps = np.finfo(dtype).eps
    normal, mean, invstd = batch_norm(x, axes, 1e-5)
    small = 100 * (1 + abs(invstd).max(initial=0))
    for view, dview in zip(layouts(x), layouts(dy), strict=True):
        result, m, s = F.layer_norm(view, row, w, b, return_statistics=True)
        near(result, normal * w + b, small, eps)
        near(m, mean.reshape(m.shape), 20, eps)
        got, dw, db = G.layer_norm_backward(dview, view, row, w, m, s)
        near(got, backward(dy, normal, invstd, w, axes), 4 * small**2, eps)
        near(dw, (dy * normal).sum(axis=lead), 100 * small, eps)
        near(db, dy.sum(axis=lead, dtype=np.float64), 3000, eps)
        near(F.layer_norm(view, row), normal, small, eps)
        got, _, _ = G.layer_norm_backward(dview, view, row, None, m, s)
        near(got, backward(dy, normal, invstd, 1, axes), 4 * small**2, eps)


def local_response_norm(x, size, alpha, beta, k):
    squares = np.zeros((x.shape[0], x.shape[1] + size - 1, *x.shape[2:]))
    squares[:, size // 2 : size // 2 + x.shape[1]] = x.astype(np.float64) ** 2
    total = sum(squares[:, j : j + x.shape[1]] for j in range(size))
    return k + alpha / size * total


@pytest.mark.parametrize("size", [1, 2, 5, 8, 50])
@pytest.mark.parametrize(
    "shape", [(2, 1, 3, 3), (3, 7), (2, 17, 5, 7), (1, 40, 9, 9), (2, 5, 2, 3, 33)], ids=str
)
def test_local_response_norm_and_its_gradient(shape, size, isa, dtype, rng):
    x, dy = (rng.standard_normal(shape).astype(dtype) for _ in range(2))
    eps = np.finfo(dtype).eps
    for alpha, beta, k in ((0.5, 0.75, 2.0), (1.5, 0.6, 1.0)):
        d = local_response_norm(x, size, alpha, beta, k)
        terms = np.zeros((shape[0], shape[1] + size - 1, *shape[2:]))
        terms[:, (size - 1) // 2 : (size - 1) // 2 + shape[1]] = dy * x * d ** (-beta - 1)
        total = sum(terms[:, j : j + shape[1]] for j in range(size))
        dx = dy * d**-beta - 2 * alpha * beta / size * x * total
        for view, dview in zip(layouts(x), layouts(dy), strict=True):
            y = F.local_response_norm(view, size, alpha, beta, k)
            near(y, x * d**-beta, 40, eps)
            near(G.local_response_norm_backward(dview, view, size, alpha, beta, k), dx, 200, eps)


def test_local_response_norm_of_extreme_sums(isa, dtype, rng):
    # Sums near 0, negative or huge leave the range of the steps that take a power of the others.
    tiny = np.finfo(dtype).tiny
    x = rng.standard_normal((2, 37, 3, 5)).astype(dtype)
    for scale in (1.0, 1e-15, 1e-18, 1e12, 1e18, float(np.sqrt(tiny) / 8)):
        scaled = (x * dtype(scale)).astype(dtype)
        scaled[0, 5] = x[0, 5]  # beside each other in a vector
        for k in (0.0, 1.0, -0.25):
            d = local_response_norm(scaled.astype(np.float64), 3, 3.0, 0.75, k)
            sure = np.abs(d) > 1e-2 * np.abs(d - k) + 4 * float(tiny)
            with np.errstate(invalid="ignore"):
                expected = np.where(d < 0, np.nan, scaled * np.abs(d) ** -0.75)
            got = F.local_response_norm(scaled, 3, 3.0, 0.75, k)
            np.testing.assert_allclose(
                got[sure], expected[sure].astype(dtype), rtol=400 * np.finfo(dtype).eps, atol=0
            )


def test_gradients_against_finite_differences(isa, rng):
    def differences(f, x, dy, step=1e-4):
        result = np.empty_like(x)
        for where in np.ndindex(*x.shape):
            saved = x[where]
            values = []
            for shift in (-2, -1, 1, 2):
                x[where] = saved + shift * step
                values.append(float((f(x) * dy).sum()))
            x[where] = saved
            result[where] = (values[0] - 8 * values[1] + 8 * values[2] - values[3]) / (12 * step)
        return result

    x, dy = rng.standard_normal((3, 4, 2, 3)), rng.standard_normal((3, 4, 2, 3))
    w, b = rng.standard_normal(4), rng.standard_normal(4)
    _, m, s = F.batch_norm(x, None, None, w, b, True, return_statistics=True)
    for got, f, at in zip(
        G.batch_norm_backward(dy, x, w, m, s, bias=b, activation="relu"),
        (
            lambda v: F.batch_norm(v, None, None, w, b, True, activation="relu"),
            lambda v: F.batch_norm(x, None, None, v, b, True, activation="relu"),
            lambda v: F.batch_norm(x, None, None, w, v, True, activation="relu"),
        ),
        (x, w, b),
        strict=True,
    ):
        np.testing.assert_allclose(got, differences(f, at, dy), rtol=0, atol=1e-7)
    _, m, s = F.group_norm(x, 2, w, b, return_statistics=True)
    got = G.group_norm_backward(dy, x, 2, w, m, s)[0]
    expected = differences(lambda v: F.group_norm(v, 2, w, b), x, dy)
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-7)
    row = rng.standard_normal((2, 3))
    _, m, s = F.layer_norm(x, (2, 3), row, return_statistics=True)
    got = G.layer_norm_backward(dy, x, (2, 3), row, m, s)[0]
    expected = differences(lambda v: F.layer_norm(v, (2, 3), row), x, dy)
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-7)
    got = G.local_response_norm_backward(dy, x, 3, 0.7, 0.75, 1.5)
    expected = differences(lambda v: F.local_response_norm(v, 3, 0.7, 0.75, 1.5), x, dy)
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-7)


def test_in_place(isa, dtype, rng):
    x, dy = (rng.standard_normal((3, 4, 5, 6)).astype(dtype) for _ in range(2))
    _, m, s = F.batch_norm(x, None, None, training=True, return_statistics=True)
    dx = G.batch_norm_backward(dy, x, None, m, s)[0]
    assert G.batch_norm_backward(dy, x, None, m, s, out=dy)[0] is dy
    np.testing.assert_array_equal(dy, dx)
    for f in (
        lambda v, **o: F.batch_norm(v, None, None, training=True, **o),
        lambda v, **o: F.group_norm(v, 2, **o),
        lambda v, **o: F.layer_norm(v, 6, **o),
    ):
        z = x.copy()
        expected = f(x)
        assert f(z, out=z) is z
        np.testing.assert_array_equal(z, expected)


def test_nan_stays_in_its_channel_or_row(isa, dtype, rng):
    x = rng.standard_normal((2, 4, 3, 3)).astype(dtype)
    clean = F.batch_norm(x, None, None, training=True)
    x[1, 2, 0, 0] = np.nan
    y = F.batch_norm(x, None, None, training=True)
    assert np.isnan(y[:, 2]).all()
    np.testing.assert_array_equal(np.delete(y, 2, 1), np.delete(clean, 2, 1))
    assert np.isnan(F.layer_norm(x, 3)).sum() == 3
    assert np.isnan(F.group_norm(x, 4)).sum() == 9
    assert np.isnan(F.batch_norm(x, None, None, training=True, activation="relu")[:, 2]).all()


def test_an_empty_batch(isa, dtype):
    x = np.empty((0, 3, 4), dtype)
    mean, var = np.ones(3, dtype), np.ones(3, dtype)
    y, m, s = F.batch_norm(x, mean, var, training=True, return_statistics=True)
    assert y.shape == x.shape
    assert (np.concatenate([mean, var, m + 1]) == 1).all()
    assert np.isfinite(s).all()
    dx, dw, db = G.batch_norm_backward(x, x, None, m, s)
    assert dx.shape == x.shape
    assert (np.concatenate([dw, db]) == 0).all()
    y, m, s = F.group_norm(x, 3, return_statistics=True)
    assert (G.group_norm_backward(x, x, 3, None, m, s)[1] == 0).all()
    assert F.local_response_norm(x, 3).shape == x.shape


@pytest.mark.parametrize("layout", ["planar", "channels_last"])
@pytest.mark.parametrize("isa", FAST, indirect=True)
def test_bits_do_not_depend_on_threads(layout, isa, dtype, rng):
    x = LAYOUTS[layout](rng.standard_normal((6, 34, 47, 51)).astype(dtype))
    dy = LAYOUTS[layout](rng.standard_normal(x.shape).astype(dtype))
    row = (47, 51)

    def compute():
        results = []
        y, m, s = F.batch_norm(x, None, None, training=True, return_statistics=True)
        results += [y, m, s, *G.batch_norm_backward(dy, x, None, m, s)]
        y, m, s = F.group_norm(x, 17, return_statistics=True)
        results += [y, m, s, *G.group_norm_backward(dy, x, 17, None, m, s)]
        y, m, s = F.layer_norm(x, row, return_statistics=True)
        results += [y, m, s, *G.layer_norm_backward(dy, x, row, None, m, s)]
        results += [F.local_response_norm(x, 5), G.local_response_norm_backward(dy, x, 5)]
        return results

    with runtime.threads(1):
        expected = compute()
    for n in (2, 3, 8):
        with runtime.threads(n):
            for got, want in zip(compute(), expected, strict=True):
                assert got.tobytes() == want.tobytes(), f"{n} threads"
    # Nor on the batch, where the statistics are those of a sample.
    alone = F.group_norm(x[2:3], 17)
    assert alone.tobytes() == F.group_norm(x, 17)[2:3].tobytes()
    assert F.layer_norm(x[2:3], row).tobytes() == F.layer_norm(x, row)[2:3].tobytes()


def test_folding_into_a_convolution(dtype, rng):
    x = rng.standard_normal((2, 6, 7, 8)).astype(dtype)
    w, b = rng.standard_normal((8, 6, 3, 3)).astype(dtype), rng.standard_normal(8).astype(dtype)
    mean, gamma, beta = (rng.standard_normal(8).astype(dtype) for _ in range(3))
    var = (rng.random(8) + 0.5).astype(dtype)
    expected = F.batch_norm(F.conv2d(x, w, b), mean, var, gamma, beta)
    folded, shift = F.fold_batch_norm(w, b, mean, var, gamma, beta)
    assert folded.dtype == shift.dtype == dtype
    near(F.conv2d(x, folded, shift), expected, 1000, np.finfo(dtype).eps)
    tw = rng.standard_normal((6, 4, 3, 3)).astype(dtype)
    expected = F.batch_norm(F.conv_transpose2d(x, tw, groups=2), mean, var, gamma, beta)
    folded, shift = F.fold_batch_norm(tw, None, mean, var, gamma, beta, transposed=True, groups=2)
    near(F.conv_transpose2d(x, folded, shift, groups=2), expected, 1000, np.finfo(dtype).eps)
