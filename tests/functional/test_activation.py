"""Activations, whole and in epilogues, with their gradients: against the formulas in float64."""

from __future__ import annotations

import math

import numpy as np
import pytest
from cases import LAYOUTS
from ops import FAST

from fastconv import functional as F
from fastconv import grad as G

SHAPES = [
    (),
    (1,),
    (15,),
    (16,),
    (17,),
    (5, 33),
    (2, 16, 5, 13),
    (1, 3, 4, 5, 6),
    (0, 4),
    (300, 200),
]

SCALE, ALPHA = 1.0507009873554804934, 1.6732632423543772848


def sigmoid(x):
    e = np.exp(-abs(x))
    return np.where(x < 0, e / (1 + e), 1 / (1 + e))


def softplus(x):
    return np.maximum(x, 0) + np.log1p(np.exp(-abs(x)))


def phi(x):
    return np.vectorize(lambda v: 0.5 * math.erfc(-v * math.sqrt(0.5)), otypes=[float])(x)


# name: (function, gradient, what the gradient needs, formula, parameters)
FUNCTIONS = {
    "relu": (F.relu, G.relu_backward, "output", lambda x: np.where(x < 0, 0, x), ()),
    "leaky_relu": (
        F.leaky_relu,
        G.leaky_relu_backward,
        "output",
        lambda x, slope: np.where(x < 0, slope * x, x),
        (0.25,),
    ),
    "relu6": (F.relu6, G.relu6_backward, "output", lambda x: np.clip(x, 0, 6), ()),
    "hardtanh": (F.hardtanh, G.hardtanh_backward, "output", np.clip, (-0.75, 1.5)),
    "sigmoid": (F.sigmoid, G.sigmoid_backward, "output", sigmoid, ()),
    "tanh": (F.tanh, G.tanh_backward, "output", np.tanh, ()),
    "silu": (F.silu, G.silu_backward, "input", lambda x: x * sigmoid(x), ()),
    "gelu": (F.gelu, G.gelu_backward, "input", lambda x: x * phi(x), ()),
    "gelu_tanh": (
        lambda x, **o: F.gelu(x, "tanh", **o),
        lambda dy, x, **o: G.gelu_backward(dy, x, "tanh", **o),
        "input",
        lambda x: x * sigmoid(2 * math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)),
        (),
    ),
    "elu": (
        F.elu,
        G.elu_backward,
        "output",
        lambda x, alpha: np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0))),
        (1.5,),
    ),
    "selu": (
        F.selu,
        G.selu_backward,
        "output",
        lambda x: SCALE * np.where(x > 0, x, ALPHA * np.expm1(np.minimum(x, 0))),
        (),
    ),
    "softplus": (
        F.softplus,
        G.softplus_backward,
        "input",
        lambda x, beta, threshold: np.where(beta * x > threshold, x, softplus(beta * x) / beta),
        (2.0, 20.0),
    ),
    "hardsigmoid": (
        F.hardsigmoid,
        G.hardsigmoid_backward,
        "output",
        lambda x: np.clip(x + 3, 0, 6) / 6,
        (),
    ),
    "hardswish": (
        F.hardswish,
        G.hardswish_backward,
        "input",
        lambda x: x * np.clip(x + 3, 0, 6) / 6,
        (),
    ),
    "mish": (F.mish, G.mish_backward, "input", lambda x: x * np.tanh(softplus(x)), ()),
}
NAMES = list(FUNCTIONS)


def epilogue(name):
    """The function as a kernel's argument."""
    parameters = FUNCTIONS[name][4]
    return (name, *parameters) if parameters else name


def every_layout(a):
    for name, layout in LAYOUTS.items():
        if name != "channels_last" or a.ndim > 2:
            yield layout(a)


def ulps(result, exact):
    """Error in units of the last place of the exact result, subnormal ones included."""
    exact = exact.astype(result.dtype).astype(np.float64), exact
    size = np.maximum(abs(exact[0]), np.finfo(result.dtype).tiny).astype(result.dtype)
    return abs(result.astype(np.float64) - exact[1]) / np.spacing(size).astype(np.float64)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", NAMES)
def test_function_and_its_gradient(name, shape, isa, dtype, rng):
    function, gradient, needs, formula, parameters = FUNCTIONS[name]
    x = np.asarray((rng.standard_normal(shape) * 4).astype(dtype))
    dy = np.asarray(rng.standard_normal(shape).astype(dtype))
    exact = formula(x.astype(np.float64), *parameters)
    eps = np.finfo(dtype).eps
    y = function(x, *parameters)
    # The argument of the exponential is rounded, here or in the oracle: an error as large.
    far = 2 * abs(x.astype(np.float64)) ** 3 if name.startswith("gelu") else 0
    assert (ulps(y, exact) < 40 + far).all()
    dx = gradient(dy, y if needs == "output" else x, *parameters)
    for view, dview in zip(every_layout(x), every_layout(dy), strict=True):
        # The same bits whatever the layout, hence wherever an element falls.
        np.testing.assert_array_equal(function(view, *parameters), y)
        saved = y if needs == "output" else view
        np.testing.assert_array_equal(gradient(dview, saved, *parameters), dx)
    # Finite differences of the formula, away from the kinks.
    h = 1e-5
    at = x.astype(np.float64)
    slope = (formula(at + h, *parameters) - formula(at - h, *parameters)) / (2 * h)
    kinks = np.array([0, -3, 3, 6, 10, *parameters])
    near = (abs(at[..., None] - kinks) < 1e-3).any(-1)
    np.testing.assert_allclose(
        np.where(near, 0, dx), np.where(near, 0, dy * slope), rtol=0, atol=40 * eps + 1e-8
    )


# The largest error over numbers of every size, and where that of the tail is larger: the
# argument of the exponential is rounded, and its error is as large as the argument.
ACCURACY = {"gelu": 12, "gelu_tanh": 40}


@pytest.mark.parametrize("name", NAMES)
def test_accuracy(name, isa, dtype, rng):
    function, _, _, formula, parameters = FUNCTIONS[name]
    if dtype == np.float32:  # the formulas in float64 are exact enough for float32 only
        sizes = np.exp2(rng.uniform(-30, 6, 20000))
        x = np.concatenate([sizes, -sizes]).astype(dtype)
        if name == "gelu_tanh":
            x = x[abs(x) < 3]
        exact = formula(x.astype(np.float64), *parameters)
        assert ulps(function(x, *parameters), exact).max() < ACCURACY.get(name, 4)
    else:
        x = rng.standard_normal(20000) * 3
        exact = formula(x, *parameters)
        oracle = abs(x) ** 3 if name.startswith("gelu") else 0  # its own error, of the same kind
        assert (ulps(function(x, *parameters), exact) < 20 + 2 * oracle).all()


LIMITS = {  # at minus infinity, -0, 0, infinity
    "relu": (0, 0, 0, np.inf),
    "leaky_relu": (-np.inf, 0, 0, np.inf),
    "relu6": (0, 0, 0, 6),
    "hardtanh": (-0.75, 0, 0, 1.5),
    "sigmoid": (0, 0.5, 0.5, 1),
    "tanh": (-1, 0, 0, 1),
    "silu": (np.nan, 0, 0, np.inf),
    "gelu": (np.nan, 0, 0, np.inf),
    "gelu_tanh": (np.nan, 0, 0, np.inf),
    "elu": (-1.5, 0, 0, np.inf),
    "selu": (-SCALE * ALPHA, 0, 0, np.inf),
    "softplus": (0, math.log(2) / 2, math.log(2) / 2, np.inf),
    "hardsigmoid": (0, 0.5, 0.5, 1),
    "hardswish": (np.nan, 0, 0, np.inf),
    "mish": (np.nan, 0, 0, np.inf),
}


@pytest.mark.filterwarnings("ignore:invalid value")
@pytest.mark.parametrize("name", NAMES)
def test_special_values(name, isa, dtype):
    function, gradient, needs, _, parameters = FUNCTIONS[name]
    x = np.array([np.nan, -np.inf, -0.0, 0.0, np.inf], dtype)
    y = function(x, *parameters)
    np.testing.assert_allclose(y, [np.nan, *LIMITS[name]], rtol=1e-6)
    dx = gradient(np.ones(5, dtype), y if needs == "output" else x, *parameters)
    # Where the result is finite, or the limit of the derivative known, no NaN appears.
    assert np.isfinite(dx[2:]).all()
    assert needs == "output" or (dx[1] == 0 and dx[4] == 1)


def test_tanh_keeps_the_sign_of_zero(isa, dtype):
    assert np.signbit(F.tanh(np.array([-0.0, 0.0], dtype))).tolist() == [True, False]


@pytest.mark.parametrize("name", NAMES)
def test_in_place(name, isa, dtype, rng):
    function, gradient, _, _, parameters = FUNCTIONS[name]
    x = rng.standard_normal((3, 17, 9)).astype(dtype)
    dy = rng.standard_normal(x.shape).astype(dtype)
    y, dx = function(x, *parameters), gradient(dy, x, *parameters)
    assert gradient(dy, x, *parameters, out=dy) is dy
    np.testing.assert_array_equal(dy, dx)
    assert function(x, *parameters, out=x) is x
    np.testing.assert_array_equal(x, y)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("isa", FAST, indirect=True)
def test_large_results_past_the_caches(name, isa, rng):
    function, _, _, _, parameters = FUNCTIONS[name]
    x = np.zeros(9_000_001, np.float32)
    x[-40:] = x[:40] = rng.standard_normal(40)
    expected = function(x[:40].copy(), *parameters)
    for out in (None, np.empty(x.size + 1, np.float32)[1:]):
        y = function(x, *parameters, out=out)
        np.testing.assert_array_equal(y[:40], expected)
        np.testing.assert_array_equal(y[-40:], expected)


# ---- epilogues

PROBLEMS = {  # input, weight, options: one for each way a kernel stores its sums
    "channels and more": ((2, 24, 9, 11), (40, 24, 3, 3), {"padding": 1}),
    "direct": ((2, 5, 9, 11), (33, 5, 3, 3), {"stride": 2}),
    "few outputs": ((1, 4, 9, 18), (3, 4, 3, 3), {}),
    "depthwise": ((2, 19, 8, 9), (19, 1, 3, 3), {"groups": 19, "padding": 1}),
}


@pytest.mark.parametrize("layout", ["planar", "channels_last", "strided"])
@pytest.mark.parametrize("problem", PROBLEMS)
@pytest.mark.parametrize("name", NAMES)
def test_epilogue_of_a_convolution(name, problem, layout, isa, dtype, rng):
    x_shape, w_shape, options = PROBLEMS[problem]
    x, w = rng.standard_normal(x_shape).astype(dtype), rng.standard_normal(w_shape).astype(dtype)
    x, b = LAYOUTS[layout](x), rng.standard_normal(w_shape[0]).astype(dtype)
    plain = result = None
    if layout == "strided":  # the outputs, too: where they lie decides which kernel runs
        shape = F.conv2d(x, w, **options).shape
        plain, result = (np.empty((*shape, 2), dtype)[..., i] for i in range(2))
    plain = F.conv2d(x, w, b, **options, out=plain)
    result = F.conv2d(x, w, b, **options, activation=epilogue(name), out=result)
    function, _, _, _, parameters = FUNCTIONS[name]
    if isa == "reference":  # which rounds once, after the function
        atol = 40 * np.finfo(dtype).eps * abs(plain).max()
        np.testing.assert_allclose(result, function(plain, *parameters), rtol=0, atol=atol)
    else:
        np.testing.assert_array_equal(result, function(plain, *parameters))


@pytest.mark.parametrize("name", NAMES)
def test_epilogue_of_the_others(name, isa, dtype, rng):
    x = rng.standard_normal((2, 6, 5, 7)).astype(dtype)
    w = rng.standard_normal((6, 4, 3, 3)).astype(dtype)
    rows, matrix = x.reshape(-1, 7), rng.standard_normal((9, 7)).astype(dtype)
    function, _, _, _, parameters = FUNCTIONS[name]
    atol = 100 * np.finfo(dtype).eps
    residual = rng.standard_normal((60, 9)).astype(dtype)
    for few in (rows, rows[:1]):
        for added in (None, residual[: len(few)]):
            np.testing.assert_allclose(
                F.linear(few, matrix, residual=added, activation=epilogue(name)),
                function(F.linear(few, matrix, residual=added), *parameters),
                rtol=0,
                atol=atol,
            )
    np.testing.assert_allclose(
        F.conv_transpose2d(x, w, stride=2, activation=epilogue(name)),
        function(F.conv_transpose2d(x, w, stride=2), *parameters),
        rtol=0,
        atol=atol,
    )


def test_parameters_of_an_epilogue_have_defaults(dtype):
    x, w = np.array([[-2.0], [9.0]], dtype), np.ones((1, 1), dtype)
    for activation, expected in (
        ("leaky_relu", [-0.02, 9]),
        (("leaky_relu", 0.5), [-1, 9]),
        ("relu6", [0, 6]),
        ("clipped_relu", [0, 6]),
        (("clipped_relu", -1), [-1, 6]),
        (("clipped_relu", -1, 7.5), [-1, 7.5]),
        (("relu",), [0, 9]),
        ("hardtanh", [-1, 1]),
    ):
        result = F.linear(x, w, activation=activation)
        np.testing.assert_allclose(result.ravel(), expected, rtol=1e-6)


@pytest.mark.parametrize("shape", [(3, 1), (5, 17), (2, 6, 5, 7), (4, 66, 9, 9)], ids=str)
@pytest.mark.parametrize("name", NAMES)
def test_gradient_of_activation_and_bias_at_once(name, shape, isa, dtype, rng):
    _, gradient, _, _, parameters = FUNCTIONS[name]
    saved, dy = (rng.standard_normal(shape).astype(dtype) for _ in range(2))
    dx = gradient(dy, saved, *parameters)
    dbias = dx.sum(axis=(0, *range(2, len(shape))), dtype=np.float64)
    for view, dview in zip(every_layout(saved), every_layout(dy), strict=True):
        got, db = G.activation_bias_backward(dview, view, epilogue(name))
        np.testing.assert_array_equal(got, dx)
        np.testing.assert_allclose(db, dbias, rtol=0, atol=300 * np.finfo(dtype).eps)
    got, _ = G.activation_bias_backward(dy, saved, epilogue(name), out=dy)
    assert got is dy
    np.testing.assert_array_equal(dy, dx)
