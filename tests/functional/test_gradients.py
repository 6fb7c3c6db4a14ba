"""Every gradient against finite differences in float64, and every pair against adjointness."""

from __future__ import annotations

import cases
import numpy as np
import pytest
from cases import CONVS, conv
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ops import CONV, CONV_BIAS, CONV_INPUT, CONV_TRANSPOSE, CONV_WEIGHT

from fastconv import functional, grad


def differences(f, x, dy, step=1e-3):
    """Gradient of sum(f(x) * dy) with respect to x by fourth-order central differences."""
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


def check(f, x, dy, gradient, atol=1e-8):
    np.testing.assert_allclose(gradient, differences(f, x, dy), rtol=0, atol=atol)


SMALL = {
    "plain": conv(2, 2, (4, 5), 3, (2, 3)),
    "stride": conv(1, 2, (7, 6), 2, (2, 3), stride=(2, 3)),
    "dilation": conv(1, 1, (7, 6), 2, (3, 2), dilation=(2, 3)),
    "uneven padding": conv(1, 2, (3, 4), 2, (3, 2), padding=((0, 2), (1, 0))),
    "same, stride 2": conv(1, 2, (5, 4), 2, 3, stride=2, padding="same"),
    "groups": conv(1, 4, (4, 3), 6, 2, groups=2),
    "depthwise": conv(2, 3, (4, 4), 3, 3, padding=1, groups=3),
    "all at once": conv(2, 4, (7, 6), 4, (3, 2), (2, 1), ((1, 2), (0, 1)), (2, 3), groups=2),
    "1-D": conv(2, 3, (8,), 2, 3, stride=2, padding=((2, 1),), dilation=2),
    "3-D": conv(1, 2, (3, 4, 3), 2, (2, 3, 1), (1, 2, 2), ((0, 1), (1, 1), (0, 0)), groups=2),
}


@pytest.mark.parametrize("name", SMALL)
def test_convolution(name, isa, rng):
    case = SMALL[name]
    nd = case.nd
    x = rng.standard_normal(case.input_shape)
    w = rng.standard_normal(case.weight_shape)
    b = rng.standard_normal(case.oc)
    dy = rng.standard_normal(case.output_shape)
    check(
        lambda v: CONV[nd](v, w, b, **case.window),
        x,
        dy,
        CONV_INPUT[nd](x.shape, w, dy, **case.window),
    )
    check(
        lambda v: CONV[nd](x, v, b, **case.window),
        w,
        dy,
        CONV_WEIGHT[nd](x, w.shape, dy, **case.window),
    )
    check(lambda v: CONV[nd](x, w, v, **case.window), b, dy, CONV_BIAS[nd](dy))


def test_convolution_with_relu(isa, rng):
    x, w = rng.standard_normal((2, 3, 6, 6)), rng.standard_normal((4, 3, 3, 3))
    b = rng.standard_normal(4)
    y = functional.conv2d(x, w, b, padding=1, activation="relu")
    dy = rng.standard_normal(y.shape)
    through = grad.relu_backward(dy, y)

    def f(x=x, w=w, b=b):
        return functional.conv2d(x, w, b, padding=1, activation="relu")

    # Small steps, for the kinks; the rounding errors grow accordingly.
    for array, result in (
        (x, grad.conv2d_input(x.shape, w, through, padding=1)),
        (w, grad.conv2d_weight(x, w.shape, through, padding=1)),
        (b, grad.conv2d_bias(through)),
    ):
        keyword = {id(x): "x", id(w): "w", id(b): "b"}[id(array)]
        expected = differences(lambda v, k=keyword: f(**{k: v}), array, dy, step=1e-6)
        np.testing.assert_allclose(result, expected, rtol=0, atol=1e-7)


@pytest.mark.parametrize(
    "name", ["stride", "uneven padding", "groups", "all at once", "1-D", "3-D"]
)
def test_transposed_convolution(name, isa, rng):
    case = SMALL[name]
    nd = case.nd
    x = rng.standard_normal(case.output_shape)
    w = rng.standard_normal(case.weight_shape)
    y = CONV_TRANSPOSE[nd](x, w, **case.window)
    dy = rng.standard_normal(y.shape)
    # As the docstring of conv_transpose2d says: no functions of their own are needed.
    check(lambda v: CONV_TRANSPOSE[nd](v, w, **case.window), x, dy, CONV[nd](dy, w, **case.window))
    check(
        lambda v: CONV_TRANSPOSE[nd](x, v, **case.window),
        w,
        dy,
        CONV_WEIGHT[nd](dy, w.shape, x, **case.window),
    )


def test_linear(isa, rng):
    x, w, b = rng.standard_normal((3, 5)), rng.standard_normal((4, 5)), rng.standard_normal(4)
    dy = rng.standard_normal((3, 4))
    check(lambda v: functional.linear(v, w, b), x, dy, grad.linear_input(dy, w))
    check(lambda v: functional.linear(x, v, b), w, dy, grad.linear_weight(x, dy))
    check(lambda v: functional.linear(x, w, v), b, dy, grad.linear_bias(dy))


@pytest.mark.parametrize("ceil_mode", [False, True], ids=["floor", "ceil"])
def test_max_pool(ceil_mode, isa, rng):
    # A permutation: no ties, and neighbours further apart than the steps are long.
    x = rng.permutation(2 * 3 * 7 * 6).reshape(2, 3, 7, 6).astype(np.float64)

    def f(v):
        return functional.max_pool2d(v, (3, 2), 2, (1, 0), ceil_mode=ceil_mode)

    y, indices = functional.max_pool2d(
        x, (3, 2), 2, (1, 0), ceil_mode=ceil_mode, return_indices=True
    )
    dy = rng.standard_normal(y.shape)
    check(f, x, dy, grad.max_pool2d_backward(dy, indices, x.shape))

    _, argmax = functional.max_pool2d(x, (3, 2), 2, (1, 0), ceil_mode=ceil_mode, return_argmax=True)
    check(
        f,
        x,
        dy,
        grad.max_pool2d_argmax_backward(
            dy, argmax, x.shape, (3, 2), 2, (1, 0), ceil_mode=ceil_mode
        ),
    )


@pytest.mark.parametrize("include", [False, True], ids=["exclude", "include"])
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_avg_pool(stride, include, isa, rng):
    x = rng.standard_normal((2, 3, 7, 6))
    window = ((3, 2), stride, ((1, 0), (0, 1)), True, include)
    dy = rng.standard_normal(functional.avg_pool2d(x, *window).shape)
    check(
        lambda v: functional.avg_pool2d(v, *window),
        x,
        dy,
        grad.avg_pool2d_backward(dy, x.shape, *window),
    )


@pytest.mark.parametrize("size", [(1, 1), (3, 2), (7, 9)], ids=str)
def test_adaptive_pool(size, isa, rng):
    x = rng.permutation(2 * 3 * 7 * 6).reshape(2, 3, 7, 6).astype(np.float64)
    dy = rng.standard_normal((2, 3, *size))
    check(
        lambda v: functional.adaptive_avg_pool2d(v, size),
        x,
        dy,
        grad.adaptive_avg_pool2d_backward(dy, x.shape),
        atol=1e-7,
    )
    _, indices = functional.adaptive_max_pool2d(x, size, return_indices=True)
    check(
        lambda v: functional.adaptive_max_pool2d(v, size),
        x,
        dy,
        grad.max_pool2d_backward(dy, indices, x.shape),
    )


def test_max_unpool(isa, rng):
    _, indices = functional.max_pool2d(rng.standard_normal((2, 3, 6, 5)), 2, return_indices=True)
    x = rng.standard_normal(indices.shape)
    dy = rng.standard_normal((2, 3, 6, 5))

    def f(v):
        return functional.max_unpool2d(v, indices, 2, output_size=(6, 5))

    check(f, x, dy, grad.max_unpool2d_backward(dy, indices))


def test_unfold_and_fold(isa, rng):
    x = rng.standard_normal((2, 2, 5, 4))
    window = {"kernel_size": (2, 3), "dilation": (2, 1), "padding": ((1, 0), (0, 2)), "stride": 2}
    cols = functional.unfold(x, **window)
    dcols = rng.standard_normal(cols.shape)
    check(
        lambda v: functional.unfold(v, **window),
        x,
        dcols,
        grad.unfold_backward(dcols, x.shape, **window),
    )
    dx = rng.standard_normal(x.shape)
    check(
        lambda v: functional.fold(v, (5, 4), **window), cols, dx, grad.fold_backward(dx, **window)
    )


def test_relu(isa, rng):
    x = rng.standard_normal((4, 5))
    x[abs(x) < 0.01] = 1
    dy = rng.standard_normal(x.shape)
    check(functional.relu, x, dy, grad.relu_backward(dy, functional.relu(x)))


@pytest.mark.parametrize("dim", [0, 1, 2])
def test_softmax(dim, isa, rng):
    x, dy = rng.standard_normal((2, 3, 4)), rng.standard_normal((2, 3, 4))
    y = functional.softmax(x, dim)
    check(lambda v: functional.softmax(v, dim), x, dy, grad.softmax_backward(dy, y, dim))
    y = functional.log_softmax(x, dim)
    check(lambda v: functional.log_softmax(v, dim), x, dy, grad.log_softmax_backward(dy, y, dim))


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_cross_entropy(reduction, smoothing, isa, rng):
    x = rng.standard_normal((3, 4, 2))
    target = np.array([[0, 3], [-100, 1], [2, 2]])
    options = {"reduction": reduction, "label_smoothing": smoothing}
    dloss = rng.standard_normal(target.shape) if reduction == "none" else 1.5
    check(
        lambda v: functional.cross_entropy(v, target, **options),
        x,
        dloss,
        grad.cross_entropy_backward(x, target, dloss, **options),
    )


# ---- adjointness: <A x, y> = <x, A* y>, exactly but for rounding


def inner(a, b):
    return float(np.vdot(a.astype(np.float64), b.astype(np.float64)))


@pytest.mark.parametrize("name", CONVS)
def test_the_three_computations_are_adjoint(name, isa, rng):
    case = CONVS[name]
    nd = case.nd
    x = rng.standard_normal(case.input_shape)
    w = rng.standard_normal(case.weight_shape)
    dy = rng.standard_normal(case.output_shape)
    forward = inner(CONV[nd](x, w, **case.window), dy)
    # All three are the same sum over n, oc, o, ic, k; so are those of the magnitudes.
    scale = inner(CONV[nd](abs(x), abs(w), **case.window), abs(dy))
    terms = max(*case.terms.values(), dy.size)
    atol = cases.tolerance(np.float64, terms) * scale
    assert inner(x, CONV_INPUT[nd](x.shape, w, dy, **case.window)) == pytest.approx(
        forward, abs=atol
    )
    assert inner(w, CONV_WEIGHT[nd](x, w.shape, dy, **case.window)) == pytest.approx(
        forward, abs=atol
    )


@given(
    kernel=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    stride=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    dilation=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    pads=st.tuples(*[st.tuples(st.integers(0, 3), st.integers(0, 3))] * 2),
    more=st.tuples(st.integers(0, 9), st.integers(0, 9)),
    channels=st.integers(1, 6),
    seed=st.integers(0, 2**32 - 1),
)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_unfold_and_fold_are_adjoint(isa, kernel, stride, dilation, pads, more, channels, seed):
    spatial = tuple(
        max(1, d * (k - 1) + 1 - sum(p)) + m
        for d, k, p, m in zip(dilation, kernel, pads, more, strict=True)
    )
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((2, channels, *spatial))
    cols = functional.unfold(x, kernel, dilation, pads, stride)
    other = rng.standard_normal(cols.shape)
    folded = functional.fold(other, spatial, kernel, dilation, pads, stride)
    atol = cases.tolerance(np.float64, cols.size) * inner(abs(cols), abs(other))
    assert inner(cols, other) == pytest.approx(inner(x, folded), abs=atol)
