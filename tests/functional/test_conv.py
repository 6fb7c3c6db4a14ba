"""The three computations of a convolution, and its epilogue, against float64 oracles."""

from __future__ import annotations

import functools

import cases
import numpy as np
import oracles
import pytest
from cases import CONVS, LARGE, LAYOUTS, assert_close, conv
from conv_problems import COMPUTATIONS, Problem, problem
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ops import CONV, CONV_BIAS, CONV_INPUT, CONV_WEIGHT, FAST

from fastconv import functional, grad, runtime


@pytest.mark.parametrize("name", CONVS)
def test_computations_match_the_oracle_in_every_layout(name, isa, dtype):
    it = problem(CONVS[name], dtype)
    layouts = ("planar", "channels_last") if isa == "reference" else LAYOUTS
    for computation in COMPUTATIONS:
        for layout in layouts:
            it.check(computation, it.run(computation, LAYOUTS[layout]))
            with runtime.precision("highest"):
                direct = it.run(computation, LAYOUTS[layout])
            it.check(computation, direct, fast=False)


@pytest.mark.parametrize("name", LARGE)
@pytest.mark.parametrize("isa", FAST, indirect=True)
def test_large_problems_match_the_oracle(name, isa, dtype, threads):
    it = problem(LARGE[name], dtype)
    layout = LAYOUTS["channels_last" if threads == 4 else "planar"]
    for computation in COMPUTATIONS:
        it.check(computation, it.run(computation, layout))


@pytest.mark.parametrize("name", LARGE)
@pytest.mark.parametrize("layout", ["planar", "channels_last", "strided"])
@pytest.mark.parametrize("isa", FAST, indirect=True)
def test_results_agree_with_the_reference_instruction_set(name, layout, isa, dtype):
    it = problem(LARGE[name], dtype)
    for computation in COMPUTATIONS:
        fast = it.run(computation, LAYOUTS[layout])
        _, magnitude = it.expected[computation]
        expected = reference(name, dtype, computation)
        assert_close(fast, expected, magnitude, it.case.terms[computation], fast=True)


@functools.cache
def reference(name: str, dtype: type, computation: str) -> np.ndarray:
    with runtime.use_isa("reference"):
        return problem(LARGE[name], dtype).run(computation).astype(np.float64)


@pytest.mark.parametrize("name", ["3x3", "3x3 stride 2", "one image", "1-D", "3-D"])
@pytest.mark.parametrize("layout", ["planar", "channels_last"])
@pytest.mark.parametrize("isa", FAST, indirect=True)
def test_the_highest_precision_is_direct_summation(name, layout, isa, rng):
    """Direct sums of small integers are exact; transformed ones are not."""
    case = LARGE[name]
    nd, change = case.nd, LAYOUTS[layout]
    shapes = (case.input_shape, case.weight_shape, case.output_shape)
    x, w, dy = (rng.integers(-3, 4, shape).astype(np.float32) for shape in shapes)
    window = (case.stride, case.pads, case.dilation, case.groups)
    with runtime.precision("highest"):
        y = CONV[nd](change(x), w, **case.window)
        dx = CONV_INPUT[nd](x.shape, w, change(dy), **case.window)
        dw = CONV_WEIGHT[nd](change(x), w.shape, change(dy), **case.window)
    np.testing.assert_array_equal(y, oracles.conv(x, w, *window))
    np.testing.assert_array_equal(dx, oracles.conv_input(dy, w, case.spatial, *window))
    np.testing.assert_array_equal(dw, oracles.conv_weight(x, dy, case.kernel, *window))


# ---- operands that share memory with themselves


@pytest.mark.parametrize("axes", [(0,), (1,), (2, 3), (0, 1, 2, 3)], ids=str)
def test_inputs_may_be_broadcast(axes, isa, dtype, rng):
    case = conv(3, 17, (6, 15), 16, 3, padding=1)

    def broadcast(shape):
        small = [1 if axis in axes else n for axis, n in enumerate(shape)]
        return np.broadcast_to(rng.standard_normal(small).astype(dtype), shape)

    x, w, dy = map(broadcast, (case.input_shape, case.weight_shape, case.output_shape))
    window = (case.stride, case.pads, case.dilation, case.groups)
    assert_close(
        functional.conv2d(x, w, padding=1),
        oracles.conv(x, w, *window),
        oracles.conv(abs(x), abs(w), *window),
        case.terms["forward"],
        fast=True,
    )
    assert_close(
        grad.conv2d_input(case.input_shape, w, dy, padding=1),
        oracles.conv_input(dy, w, case.spatial, *window),
        oracles.conv_input(abs(dy), abs(w), case.spatial, *window),
        case.terms["backward_input"],
        fast=True,
    )
    assert_close(
        grad.conv2d_weight(x, case.weight_shape, dy, padding=1),
        oracles.conv_weight(x, dy, case.kernel, *window),
        oracles.conv_weight(abs(x), abs(dy), case.kernel, *window),
        case.terms["backward_weight"],
        fast=True,
    )


# ---- epilogue


EPILOGUES = [
    "pixel",
    "row",
    "VGG",
    "short sums, many outputs",
    "short sums of short rows",
    "MobileNet",
    "1-D stride 3, groups 5",
    "3-D uneven",
    "no images",
]


@pytest.mark.parametrize("name", EPILOGUES)
@pytest.mark.parametrize("layout", ["planar", "channels_last", "strided"])
@pytest.mark.parametrize("activation", [None, "relu"])
@pytest.mark.parametrize("with_residual", [False, True])
def test_bias_residual_and_activation(name, layout, activation, with_residual, isa, dtype):
    it = problem(CONVS[name], dtype)
    case, nd = it.case, it.case.nd
    expected, magnitude = it.expected["forward"]
    per_channel = it.bias.reshape(-1, *(1,) * nd)
    expected = expected + per_channel
    magnitude = magnitude + abs(per_channel)
    if with_residual:
        expected = expected + it.dy
        magnitude = magnitude + abs(it.dy)
    if activation == "relu":
        expected = np.maximum(expected, 0)
    change = LAYOUTS[layout]
    result = CONV[nd](
        change(it.x),
        it.w,
        it.bias[::-1].copy()[::-1],
        **case.window,
        activation=activation,
        residual=change(it.dy) if with_residual else None,
    )
    assert_close(result, expected, magnitude, case.terms["forward"], fast=True)


@pytest.mark.parametrize("name", EPILOGUES)
@pytest.mark.parametrize("layout", ["planar", "channels_last", "reversed"])
def test_bias_gradient(name, layout, isa, dtype):
    it = problem(CONVS[name], dtype)
    axes = (0, *range(2, it.dy.ndim))
    terms = it.dy.size // it.case.oc
    expected, magnitude = (a.astype(np.float64).sum(axis=axes) for a in (it.dy, abs(it.dy)))
    assert_close(CONV_BIAS[it.case.nd](LAYOUTS[layout](it.dy)), expected, magnitude, terms)


# ---- whatever else there may be


@st.composite
def convs(draw) -> cases.Conv:
    nd = draw(st.integers(1, 3))

    def each(strategy):
        return tuple(draw(strategy) for _ in range(nd))

    kernel = each(st.integers(1, 5 if nd < 3 else 3))
    dilation = each(st.integers(1, 3))
    if draw(st.booleans()):
        padding, least = "same", (1,) * nd
    else:
        padding = each(st.tuples(st.integers(0, 4), st.integers(0, 4)))
        least = tuple(
            max(1, d * (k - 1) + 1 - sum(p))
            for d, k, p in zip(dilation, kernel, padding, strict=True)
        )
    groups = draw(st.integers(1, 4))
    return cases.Conv(
        n=draw(st.integers(0, 3)),
        ic=groups * draw(st.integers(1, 9)),
        spatial=tuple(small + draw(st.integers(0, 17 if nd == 1 else 7)) for small in least),
        oc=groups * draw(st.integers(1, 18)),
        kernel=kernel,
        stride=each(st.integers(1, 4)),
        padding=padding,
        dilation=dilation,
        groups=groups,
    )


@given(case=convs(), layout=st.sampled_from(sorted(LAYOUTS)), double=st.booleans())
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_random_problems(isa, case, layout, double):
    it = Problem(case, np.float64 if double else np.float32)
    for computation in COMPUTATIONS:
        it.check(computation, it.run(computation, LAYOUTS[layout]))
