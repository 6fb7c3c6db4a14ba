"""The three computations of a convolution, and the transposed one, against float64 oracles."""

from __future__ import annotations

import functools
import zlib

import cases
import numpy as np
import oracles
import pytest
from cases import CONVS, LARGE, LAYOUTS, assert_close, conv
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ops import CONV, CONV_BIAS, CONV_INPUT, CONV_TRANSPOSE, CONV_WEIGHT, FAST

from fastconv import functional, grad, runtime


class Problem:
    """Operands of a case, and what each computation has to give, with its magnitude."""

    def __init__(self, case: cases.Conv, dtype: type) -> None:
        rng = np.random.default_rng(zlib.crc32(str(case).encode()))
        self.case = case
        self.x = rng.standard_normal(case.input_shape).astype(dtype)
        self.w = rng.standard_normal(case.weight_shape).astype(dtype)
        self.dy = rng.standard_normal(case.output_shape).astype(dtype)
        self.bias = rng.standard_normal(case.oc).astype(dtype)
        window = (case.stride, case.pads, case.dilation, case.groups)

        def forward(x, w):
            return oracles.conv(x, w, *window)

        def backward_input(dy, w):
            return oracles.conv_input(dy, w, case.spatial, *window)

        def backward_weight(x, dy):
            return oracles.conv_weight(x, dy, case.kernel, *window)

        self.expected = {
            "forward": self._with_magnitude(forward, self.x, self.w),
            "backward_input": self._with_magnitude(backward_input, self.dy, self.w),
            "backward_weight": self._with_magnitude(backward_weight, self.x, self.dy),
        }

    @staticmethod
    def _with_magnitude(compute, a, b):
        return compute(a, b), compute(np.abs(a), np.abs(b))

    def run(self, computation: str, layout=np.asarray) -> np.ndarray:
        case, nd = self.case, self.case.nd
        x, w, dy = layout(self.x), layout(self.w), layout(self.dy)
        if computation == "forward":
            return CONV[nd](x, w, **case.window)
        if computation == "backward_input":
            return CONV_INPUT[nd](case.input_shape, w, dy, **case.window)
        return CONV_WEIGHT[nd](x, case.weight_shape, dy, **case.window)

    def check(self, computation: str, result: np.ndarray, fast: bool = True) -> None:
        expected, magnitude = self.expected[computation]
        assert result.dtype == self.x.dtype
        assert_close(result, expected, magnitude, self.case.terms[computation], fast)


@functools.cache
def problem(case: cases.Conv, dtype: type) -> Problem:
    return Problem(case, dtype)


COMPUTATIONS = ("forward", "backward_input", "backward_weight")


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


# ---- transposed convolution


def output_padding(case: cases.Conv) -> tuple[int, ...]:
    """What picks the input size of a convolution among those that give its output size."""
    return tuple(
        i - ((o - 1) * s - sum(p) + d * (k - 1) + 1)
        for i, o, s, p, d, k in zip(
            case.spatial, case.out, case.stride, case.pads, case.dilation, case.kernel, strict=True
        )
    )


@pytest.mark.parametrize("name", CONVS)
def test_transposed_convolution_is_the_input_gradient_called_forward(name, isa, dtype):
    it = problem(CONVS[name], dtype)
    case, nd = it.case, it.case.nd
    bias = np.resize(it.bias, case.ic)
    per_channel = bias.reshape(-1, *(1,) * nd)
    expected, magnitude = it.expected["backward_input"]
    for layout in ("planar", "channels_last", "strided"):
        result = CONV_TRANSPOSE[nd](
            LAYOUTS[layout](it.dy),
            it.w,
            bias,
            **{**case.window, "padding": case.pads},
            output_padding=output_padding(case),
        )
        assert_close(
            result,
            expected + per_channel,
            magnitude + abs(per_channel),
            case.terms["backward_input"],
            fast=True,
        )


def test_output_padding_below_the_dilation_adds_positions_that_no_tap_reaches(isa, dtype):
    x, w, b = np.ones((1, 1, 4), dtype), np.ones((1, 1, 2), dtype), np.full(1, 5, dtype)
    y = functional.conv_transpose1d(x, w, b, dilation=3, output_padding=2)
    assert y[0, 0].tolist() == [6, 6, 6, 7, 6, 6, 6, 5, 5]


def test_transposed_convolution_epilogue(isa, dtype, rng):
    x, w = rng.standard_normal((2, 9, 4, 5)), rng.standard_normal((9, 7, 3, 3))
    bias, residual = rng.standard_normal(7), rng.standard_normal((2, 7, 9, 11))
    x, w, bias, residual = (a.astype(dtype) for a in (x, w, bias, residual))
    plain = functional.conv_transpose2d(x, w, stride=2)
    result = functional.conv_transpose2d(x, w, bias, stride=2, activation="relu", residual=residual)
    expected = np.maximum(plain.astype(np.float64) + bias[:, None, None] + residual, 0)
    np.testing.assert_allclose(result, expected, rtol=0, atol=20 * np.finfo(dtype).eps)


# ---- NaN and infinities: fast algorithms mix what direct summation keeps apart, and may
# compute what is near them in another way, but what is finite there stays as exact


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
