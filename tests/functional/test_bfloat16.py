"""Convolutions of bfloat16: the sums are float32's, pair by pair, and are rounded once."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import zlib

import cases
import ml_dtypes
import numpy as np
import oracles
import pytest
from cases import CONVS, LARGE, LAYOUTS, conv
from ops import CONV, CONV_BIAS, CONV_INPUT, CONV_TRANSPOSE, CONV_WEIGHT, FAST

import fastconv
from fastconv import functional, grad, runtime

BFLOAT16 = ml_dtypes.bfloat16
UNIT = 2.0**-8  # of a bfloat16's rounding
COMPUTATIONS = ("forward", "backward_input", "backward_weight")
#: Of GRID, with its many groups and strides, every seventh.
SOME = {**cases.NAMED, **{str(case): case for case in cases.GRID[::7]}}


def same_bits(a: np.ndarray, b: np.ndarray) -> bool:
    return a.shape == b.shape and a.dtype == b.dtype and a.tobytes() == b.tobytes()


def random(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return rng.standard_normal(shape, np.float32).astype(BFLOAT16)


def operands(case: cases.Conv) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(zlib.crc32(str(case).encode()))
    shapes = (case.input_shape, case.weight_shape, case.output_shape)
    x, w, dy = (random(rng, shape) for shape in shapes)
    return x, w, dy


def run(case: cases.Conv, computation: str, layout="planar") -> np.ndarray:
    nd, change = case.nd, LAYOUTS[layout]
    x, w, dy = (change(a) for a in operands(case))
    if computation == "forward":
        return CONV[nd](x, w, **case.window)
    if computation == "backward_input":
        return CONV_INPUT[nd](case.input_shape, w, dy, **case.window)
    return CONV_WEIGHT[nd](x, case.weight_shape, dy, **case.window)


def in_float64(case: cases.Conv, computation: str) -> tuple[np.ndarray, np.ndarray]:
    """The result, and the sum of its terms' magnitudes."""
    window = (case.stride, case.pads, case.dilation, case.groups)
    x, w, dy = (a.astype(np.float64) for a in operands(case))

    def compute(x, w, dy):
        if computation == "forward":
            return oracles.conv(x, w, *window)
        if computation == "backward_input":
            return oracles.conv_input(dy, w, case.spatial, *window)
        return oracles.conv_weight(x, dy, case.kernel, *window)

    return compute(x, w, dy), compute(np.abs(x), np.abs(w), np.abs(dy))


def assert_rounded_once(actual, expected, magnitude, terms, fast) -> None:
    """One rounding to bfloat16 of a sum that is as exact as one in float32."""
    assert actual.dtype == BFLOAT16
    assert actual.shape == expected.shape
    before = cases.tolerance(np.float32, terms) * magnitude
    if fast and expected.size > 0:
        before = np.maximum(before, cases.FAST_ERROR * np.abs(expected).max())
    error = np.abs(actual.astype(np.float64) - expected)
    assert np.all(error <= UNIT * np.abs(expected) + (1 + UNIT) * before)


@pytest.mark.parametrize("name", SOME)
def test_computations_match_the_oracle(name, isa):
    case = SOME[name]
    layouts = ("planar",) if isa == "reference" else ("planar", "channels_last", "strided")
    for computation in COMPUTATIONS:
        expected, magnitude = in_float64(case, computation)
        terms = case.terms[computation]
        for layout in layouts:
            y = run(case, computation, layout)
            assert_rounded_once(y, expected, magnitude, terms, fast=True)
            with runtime.precision("highest"):
                y = run(case, computation, layout)
            assert_rounded_once(y, expected, magnitude, terms, fast=False)


@pytest.mark.parametrize("name", LARGE)
@pytest.mark.parametrize("layout", ["planar", "channels_last", "reversed", "fortran"])
@pytest.mark.parametrize("isa", FAST, indirect=True)
def test_large_problems_match_the_oracle(name, layout, isa):
    for computation in COMPUTATIONS:
        expected, magnitude = in_float64(LARGE[name], computation)
        y = run(LARGE[name], computation, layout)
        assert_rounded_once(y, expected, magnitude, LARGE[name].terms[computation], fast=True)


def test_what_is_written_stays_within_the_output(isa, rng):
    """Between the elements of a strided output lies somebody else's memory."""
    x, w = random(rng, (2, 20, 9, 15)), random(rng, (18, 20, 3, 3))
    expected = functional.conv2d(x, w, padding=1)
    larger = np.full((2, 37, 19, 31), 7, BFLOAT16)
    out = larger[:, 1::2, 1::2, 1::2]
    assert functional.conv2d(x, w, padding=1, out=out) is out
    assert np.array_equal(out, expected)
    out[...] = 7
    assert np.all(larger == 7)


# ---- the arithmetic


def exact(x: np.ndarray, w: np.ndarray, stride: int = 1, dilation: int = 1) -> np.ndarray:
    """conv2d without padding as the documentation has it, product by product.

    A sum of float64, exact to the last bit of a float32 since a product of two bfloat16 has 16,
    rounded to float32 after every product. Second channels of pairs come first.
    """
    oc, ic, kh, kw = w.shape
    oh = (x.shape[2] - dilation * (kh - 1) - 1) // stride + 1
    ow = (x.shape[3] - dilation * (kw - 1) - 1) // stride + 1
    tiny = np.finfo(np.float32).tiny

    def flushed(a):
        return np.where(np.abs(a) < tiny, 0, a)

    x64, w64 = flushed(x.astype(np.float64)), flushed(w.astype(np.float64))
    total = np.zeros((x.shape[0], oc, oh, ow))
    with np.errstate(all="ignore"):
        for i, j in np.ndindex(kh, kw):
            rows = slice(i * dilation, i * dilation + (oh - 1) * stride + 1, stride)
            columns = slice(j * dilation, j * dilation + (ow - 1) * stride + 1, stride)
            for first in range(0, ic, 2):
                for c in (first + 1, first):
                    if c < ic:
                        seen = x64[:, c, np.newaxis, rows, columns]
                        total = total + seen * w64[np.newaxis, :, c, i, j, np.newaxis, np.newaxis]
                        total = flushed(total.astype(np.float32)).astype(np.float64)
        return total.astype(np.float32).astype(BFLOAT16)


EXACT = {
    "3x3": ((2, 33, 9, 17), (40, 33, 3, 3), 1, 1),
    "1x1": ((1, 64, 5, 15), (33, 64, 1, 1), 1, 1),
    "odd channels": ((1, 3, 12, 30), (8, 3, 5, 5), 2, 1),
    "dilated": ((1, 18, 13, 14), (17, 18, 3, 2), 1, 3),
    "stride 3": ((1, 16, 13, 29), (64, 16, 1, 1), 3, 1),
}


@pytest.mark.parametrize("layout", ["planar", "channels_last"])
@pytest.mark.parametrize("name", EXACT)
@pytest.mark.parametrize("isa", FAST, indirect=True)
def test_the_highest_precision_has_the_documented_bits(name, layout, isa, rng):
    x_shape, w_shape, stride, dilation = EXACT[name]
    # Terms a thousand times the result, which then shows their order.
    x = (rng.standard_normal(x_shape) * 2.0 ** rng.integers(-6, 6, x_shape)).astype(BFLOAT16)
    w = random(rng, w_shape)
    expected = exact(x, w, stride, dilation)
    change = LAYOUTS[layout]
    with runtime.precision("highest"):
        y = functional.conv2d(change(x), change(w), stride=stride, dilation=dilation)
    assert np.array_equal(y, expected)


@pytest.mark.parametrize("isa", FAST, indirect=True)
def test_the_order_within_a_pair_shows(isa):
    """((2^12 + u) - 2^12) + u is u, while u + 2^12 + u - 2^12 is 0 and the sum 2 u."""
    x, u = np.ones((1, 4, 1, 1), BFLOAT16), 2.0**-20
    w = np.tile(np.array([u, 2.0**12, u, -(2.0**12)]).astype(BFLOAT16), (16, 1))
    with runtime.precision("highest"):
        y = functional.conv2d(x, w[:, :, np.newaxis, np.newaxis])
    assert np.all(y == BFLOAT16(u))


def scalars(values) -> np.ndarray:
    """Values as the centres of filters, with which ones become themselves."""
    return np.asarray(values, np.float32).astype(BFLOAT16).reshape(-1, 1, 1, 1)


def test_results_are_rounded_to_nearest_even(isa):
    """1 + k 2^-9 for k from 0 to 8: ties at 2 and 6."""
    rest = np.arange(9) * 2.0**-9
    w = np.concatenate([np.ones_like(scalars(rest)), scalars(rest)], axis=1)
    y = functional.conv2d(np.ones((1, 2, 1, 1), BFLOAT16), w)
    expected = 1 + np.array([0, 0, 0, 1, 1, 1, 2, 2, 2]) * 2.0**-7
    assert np.array_equal(y.astype(np.float64).ravel(), expected)
    y = functional.conv2d(-np.ones((1, 2, 1, 1), BFLOAT16), w)
    assert np.array_equal(y.astype(np.float64).ravel(), -expected)


@pytest.mark.parametrize("precision", ["high", "highest"])
@pytest.mark.parametrize("channels", [1, 2, 32])
def test_denormal_numbers_are_zeros(precision, channels, isa):
    tiny = float(ml_dtypes.finfo(BFLOAT16).smallest_normal)
    x = np.zeros((1, channels, 4, 5), BFLOAT16)
    w = np.zeros((16, channels, 1, 1), BFLOAT16)
    with runtime.precision(precision):
        x[:, 0], w[:, 0] = tiny / 2, 2.0**10
        assert np.all(functional.conv2d(x, w) == 0)  # an input
        x[:, 0], w[:, 0] = 2.0**10, -tiny / 2
        y = functional.conv2d(x, w)  # a filter
        assert np.all(y == 0)
        x[:, 0], w[:, 0] = -tiny, 0.5
        assert np.all(functional.conv2d(x, w) == 0)  # a result
        x[:, 0], w[:, 0] = -tiny, 1
        assert np.all(functional.conv2d(x, w) == BFLOAT16(-tiny))
        bias = np.full(16, tiny / 2, BFLOAT16)
        x[...] = 0
        assert np.all(functional.conv2d(x, w, bias) == 0)


@pytest.mark.parametrize("precision", ["high", "highest"])
@pytest.mark.parametrize("isa", FAST, indirect=True)
def test_infinities_and_nan_reach_what_sees_them_and_nothing_else(precision, isa, rng):
    """Odd extents: the zeros that fill a pair up must not meet an infinity."""
    x, w = random(rng, (1, 17, 7, 9)), random(rng, (19, 17, 3, 3))
    dy = random(rng, (1, 19, 5, 7))
    with runtime.precision(precision):
        clean = functional.conv2d(x, w).astype(np.float32)
        clean_dw = grad.conv2d_weight(x, w.shape, dy).astype(np.float32)
        for value in (np.inf, -np.inf, np.nan):
            bad = x.copy()
            bad[0, 16, 6, 8] = value
            y = functional.conv2d(bad, w).astype(np.float32)
            where = np.ones(y.shape, bool)
            where[:, :, 4, 6] = False
            assert np.all(np.isfinite(y) == where)
            assert np.allclose(y[where], clean[where], rtol=0.02, atol=0.1)
            sign = np.sign(w[:, 16, 2, 2].astype(np.float32))
            expected = sign * value
            assert np.array_equal(y[0, :, 4, 6], expected, equal_nan=True)
            dw = grad.conv2d_weight(bad, w.shape, dy).astype(np.float32)
            where = np.ones(dw.shape, bool)
            where[:, 16, 2, 2] = False
            assert np.all(np.isfinite(dw) == where)
            assert np.allclose(dw[where], clean_dw[where], rtol=0.02, atol=0.1)
            bad_dy = dy.copy()
            bad_dy[0, 0, 4, 6] = value
            dw = grad.conv2d_weight(x, w.shape, bad_dy)
            assert np.all(np.isfinite(dw[1:]))
            assert not np.any(np.isfinite(dw[0]))


def test_overflow_is_infinite(isa):
    largest = float(ml_dtypes.finfo(BFLOAT16).max)
    y = functional.conv2d(
        np.ones((1, 2, 1, 1), BFLOAT16), np.full((16, 2, 1, 1), largest, BFLOAT16)
    )
    assert np.all(y == np.inf)
    half_unit = 2.0**119  # of the largest: a tie, which goes to infinity, as it is even
    w = np.tile(np.array([largest, half_unit]).astype(BFLOAT16).reshape(1, 2, 1, 1), (16, 1, 1, 1))
    assert np.all(functional.conv2d(np.ones((1, 2, 1, 1), BFLOAT16), w) == np.inf)


# ---- the same bits


DIGEST = f"""
import sys
sys.path[:0] = [{os.path.dirname(__file__)!r}, {os.path.dirname(os.path.dirname(__file__))!r}]
import test_bfloat16
print(test_bfloat16.digests(sys.argv[1]))
"""

#: Problems that reach each form of the packing and of the outputs.
BITS = {
    **{name: LARGE[name] for name in ("3x3", "3x3 stride 2", "1x1", "groups", "1-D", "3-D")},
    "first layer": conv(2, 3, (23, 31), 33, 5, stride=2, padding=2),
    "odd row": conv(2, 20, (7, 7), 40, 3, padding=1),
}


def digests(isa: str) -> str:
    """Of all computations, with numbers of every size in them, in precision "highest"."""
    found = hashlib.sha256()
    rng = np.random.default_rng(3)
    with runtime.use_isa(isa), runtime.precision("highest"):
        for case in BITS.values():
            x, w, dy = (
                (a.astype(np.float32) * 2.0 ** rng.integers(-70, 60, a.shape)).astype(BFLOAT16)
                for a in operands(case)
            )
            for change in (LAYOUTS["planar"], LAYOUTS["channels_last"]):
                nd = case.nd
                results = [
                    CONV[nd](change(x), w, **case.window),
                    CONV_INPUT[nd](case.input_shape, w, change(dy), **case.window),
                    CONV_WEIGHT[nd](change(x), case.weight_shape, change(dy), **case.window),
                ]
                for y in results:
                    y = np.ascontiguousarray(y)
                    found.update(np.where(np.isnan(y), BFLOAT16(np.nan), y).tobytes())
    return found.hexdigest()


@pytest.mark.parametrize("isa", FAST)
def test_emulated_products_have_the_bits_of_the_instruction(isa):
    environment = {**os.environ, "FASTCONV_NO_EXTENSIONS": "1"}
    environment.pop("FASTCONV_ISA", None)
    done = subprocess.run(
        [sys.executable, "-c", DIGEST, isa],
        env=environment,
        cwd=os.path.dirname(__file__),  # away from the checkout's own package
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == digests(isa)


@pytest.mark.parametrize("name", BITS)
@pytest.mark.parametrize("layout", ["planar", "channels_last"])
def test_instruction_sets_agree_in_the_highest_precision(name, layout):
    for computation in ("forward", "backward_input"):
        found = []
        for isa in FAST:
            with runtime.use_isa(isa), runtime.precision("highest"):
                found.append(run(BITS[name], computation, layout))
        for y in found[1:]:
            assert same_bits(y, found[0])


@pytest.mark.parametrize("precision", ["high", "highest"])
@pytest.mark.parametrize("layout", ["planar", "channels_last"])
@pytest.mark.parametrize("name", LARGE)
@pytest.mark.parametrize("isa", FAST, indirect=True)
def test_neither_threads_nor_the_batch_change_a_bit(name, layout, precision, isa):
    case, change = LARGE[name], LAYOUTS[layout]
    nd = case.nd
    x, w, dy = operands(case)
    x, dy = change(np.concatenate([x, x, x])), change(np.concatenate([dy, dy, dy]))

    def all_three(part):
        return [
            CONV[nd](x[part], w, **case.window, activation="relu"),
            CONV_INPUT[nd](x[part].shape, w, dy[part], **case.window),
            CONV_WEIGHT[nd](x[part], w.shape, dy[part], **case.window),
            CONV_BIAS[nd](dy[part]),
        ]

    with runtime.precision(precision):
        with runtime.threads(1):
            expected = all_three(slice(0, None))
        for n in (2, 3):
            with runtime.threads(n):
                found = all_three(slice(0, None))
            assert all(same_bits(a, b) for a, b in zip(found, expected, strict=True))
        for part in (slice(0, 1), slice(1, 3)):
            for whole, alone in zip(expected[:2], all_three(part)[:2], strict=True):
                assert same_bits(whole[part], alone)


def test_a_batch_in_several_portions_is_the_sum_of_them(rng):
    """The float32 copies of 20 images of a megabyte do not all fit what is kept of them."""
    x, w = random(rng, (20, 8, 150, 151)), random(rng, (8, 1, 3, 3))
    dy = random(rng, x.shape)
    window = {"padding": 1, "groups": 8}
    y = functional.conv2d(x, w, **window)
    dx = grad.conv2d_input(x.shape, w, dy, **window)
    for i in range(0, 20, 7):
        assert same_bits(functional.conv2d(x[i : i + 1], w, **window), y[i : i + 1])
        alone = grad.conv2d_input((1, *x.shape[1:]), w, dy[i : i + 1], **window)
        assert same_bits(alone, dx[i : i + 1])
    case = cases.Conv(20, 8, (150, 151), 8, (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1), 8)
    args = ((1, 1), case.pads, (1, 1), 8)
    expected = oracles.conv_weight(x, dy, (3, 3), *args)
    magnitude = oracles.conv_weight(np.abs(x), np.abs(dy), (3, 3), *args)
    dw = grad.conv2d_weight(x, w.shape, dy, **window)
    assert_rounded_once(dw, expected, magnitude, case.terms["backward_weight"], fast=False)
    with runtime.precision("highest"):
        one = fastconv.explain("forward", x[:1], w, **window).workspace
        assert fastconv.explain("forward", x, w, **window).workspace < 20 * one


# ---- what surrounds a convolution


@pytest.mark.parametrize("layout", ["planar", "channels_last", "strided"])
@pytest.mark.parametrize("groups", [1, 24])
def test_bias_residual_and_activation_come_before_the_rounding(groups, layout, isa, rng):
    x, w = random(rng, (2, 24, 6, 17)), random(rng, (48, 24 // groups, 3, 3))
    bias, residual = random(rng, (48,)), random(rng, (2, 48, 6, 17))
    args = ((1, 1), ((1, 1), (1, 1)), (1, 1), groups)
    exact_sum = oracles.conv(x, w, *args)
    magnitude = oracles.conv(np.abs(x), np.abs(w), *args) + 8
    exact_sum += bias.astype(np.float64)[:, np.newaxis, np.newaxis] + residual.astype(np.float64)
    change = LAYOUTS[layout]
    for activation, expected in (
        (None, exact_sum),
        ("relu", np.maximum(exact_sum, 0)),
        (("leaky_relu", 0.25), np.where(exact_sum < 0, exact_sum / 4, exact_sum)),
        ("tanh", np.tanh(exact_sum)),
    ):
        y = functional.conv2d(
            change(x),
            w,
            bias,
            padding=1,
            groups=groups,
            activation=activation,
            residual=change(residual),
        )
        assert_rounded_once(y, expected, magnitude, w[0].size, fast=True)


@pytest.mark.parametrize("isa", FAST, indirect=True)
@pytest.mark.parametrize("name", ["VGG", "pointwise", "MobileNet", "AlexNet conv2", "1-D", "3-D"])
def test_packed_filters_give_the_same_bits(name, isa):
    case = cases.NAMED[name]
    nd = case.nd
    x, w, dy = operands(case)
    packed = functional.PackedWeight(w)
    for precision in ("high", "highest"):
        with runtime.precision(precision):
            for change in (LAYOUTS["planar"], LAYOUTS["channels_last"]):
                y = CONV[nd](change(x), packed, **case.window)
                assert same_bits(y, CONV[nd](change(x), w, **case.window))
                args = (case.input_shape, change(dy))
                dx = CONV_INPUT[nd](args[0], packed, args[1], **case.window)
                assert same_bits(dx, CONV_INPUT[nd](args[0], w, args[1], **case.window))
    if name != "MobileNet":
        assert packed.nbytes > 0


def test_a_transposed_convolution_is_the_gradient_of_the_input(isa, rng):
    y, w = random(rng, (2, 12, 5, 7)), random(rng, (12, 10, 3, 3))
    shape = CONV_TRANSPOSE[2](y, w, stride=2).shape
    assert same_bits(CONV_TRANSPOSE[2](y, w, stride=2), CONV_INPUT[2](shape, w, y, stride=2))


@pytest.mark.parametrize("layout", ["planar", "channels_last", "strided"])
def test_the_gradient_of_the_bias(layout, isa, rng):
    dy = random(rng, (3, 21, 13, 19))
    expected = dy.astype(np.float64).sum(axis=(0, 2, 3))
    magnitude = np.abs(dy.astype(np.float64)).sum(axis=(0, 2, 3))
    db = grad.conv2d_bias(LAYOUTS[layout](dy))
    assert_rounded_once(db, expected, magnitude, 64, fast=False)


def test_the_output_lies_in_memory_as_the_input_does(isa, rng):
    x, w = random(rng, (2, 16, 5, 6)), random(rng, (16, 16, 1, 1))
    y = functional.conv2d(LAYOUTS["channels_last"](x), w)
    assert y.dtype == BFLOAT16
    assert y.transpose(0, 2, 3, 1).flags.c_contiguous
    assert functional.conv2d(x, w).flags.c_contiguous


# ---- plans


def test_a_plan_says_how_bfloat16_is_computed():
    with runtime.use_isa(FAST[0]):
        plan = fastconv.explain(
            "forward", (1, 64, 56, 56), (64, 64, 1, 1), dtype="bfloat16", precision="highest"
        )
        assert plan.algorithm == "direct"
        assert plan.reason == "pairs of channels: the precision is highest"
        assert plan.packed_size > 64 * 64 * 2
        plan = fastconv.explain(
            "backward_weight", (1, 64, 56, 56), (64, 64, 1, 1), dtype=BFLOAT16, precision="highest"
        )
        assert plan.reason == "pairs of pixels: the precision is highest"
        plan = fastconv.explain(
            "forward", (1, 64, 56, 56), (64, 1, 3, 3), groups=64, padding=1, dtype="bfloat16"
        )
        assert plan.algorithm == "depthwise"
        assert plan.reason.startswith("in float32, ")


@pytest.mark.parametrize("isa", FAST, indirect=True)
@pytest.mark.parametrize("computation", COMPUTATIONS)
def test_measured_choices_hold_for_bfloat16(computation, isa, rng):
    x, w = random(rng, (1, 32, 20, 20)), random(rng, (32, 32, 3, 3))
    try:
        found = fastconv.autotune(computation, x, w, padding=1)
        numbers = {measurement.plan.number for measurement in found}
        assert {1, 8} < numbers or (computation == "backward_weight" and {1, 8} <= numbers)
        assert len(numbers) == len(found)
        assert all(measurement.error < 0.02 for measurement in found)
    finally:
        fastconv.plans.clear_choices()


# ---- arguments


def test_dtypes_do_not_mix(rng):
    x, w = random(rng, (1, 4, 5, 5)), random(rng, (8, 4, 3, 3))
    for arguments, message in (
        ((x, w.astype(np.float32)), "weight: expected the dtype of input, bfloat16, got float32"),
        ((x.astype(np.float32), w), "weight: expected the dtype of input, float32, got bfloat16"),
        ((x, w, np.ones(8, np.float32)), "bias: expected the dtype of out, bfloat16, got float32"),
        ((x.view(np.uint16), w), "input: dtype uint16 is not supported"),
        ((x.astype(np.float16), w), "input: dtype float16 is not supported"),
    ):
        with pytest.raises(TypeError, match=message):
            functional.conv2d(*arguments)
    with pytest.raises(TypeError, match="out: expected the dtype of input, bfloat16, got float32"):
        functional.conv2d(x, w, out=np.empty((1, 8, 3, 3), np.float32))


def test_other_functions_refuse_bfloat16(rng):
    x = random(rng, (1, 4, 6, 6))
    for compute in (
        lambda: functional.max_pool2d(x, 2),
        lambda: functional.relu(x),
        lambda: functional.linear(x[0, 0], x[0, 0]),
    ):
        with pytest.raises(TypeError, match="expected float32 or float64, got bfloat16"):
            compute()


def test_what_arrays_may_look_like(rng):
    x, w = random(rng, (2, 6, 7, 9)), random(rng, (8, 6, 3, 3))
    expected = functional.conv2d(x, w)
    for change in LAYOUTS.values():
        assert np.array_equal(functional.conv2d(change(x), change(w)), expected)
    assert np.array_equal(functional.conv2d(cases.unaligned(x), w), expected)
    assert np.array_equal(functional.conv2d(x[0], w), expected[0])
    frozen = expected.copy()
    frozen.flags.writeable = False
    with pytest.raises(ValueError, match="out: the array is read-only"):
        functional.conv2d(x, w, out=frozen)


def test_tensors_come_by_dlpack(rng):
    torch = pytest.importorskip("torch")
    x, w = random(rng, (2, 6, 7, 9)), random(rng, (8, 6, 3, 3))
    expected = functional.conv2d(x, w)

    def tensor(a):
        return torch.from_numpy(np.ascontiguousarray(a).view(np.int16)).view(torch.bfloat16)

    y = functional.conv2d(tensor(x), tensor(w))
    assert same_bits(y, expected)
    last = tensor(x).to(memory_format=torch.channels_last)
    assert np.array_equal(functional.conv2d(last, tensor(w)), expected)
    assert np.array_equal(
        functional.conv2d(tensor(x)[:, :, ::2], tensor(w)), functional.conv2d(x[:, :, ::2], w)
    )
    out = torch.empty(expected.shape, dtype=torch.bfloat16)
    assert functional.conv2d(tensor(x), tensor(w), out=out) is out
    assert np.array_equal(out.view(torch.int16).numpy(), expected.view(np.int16))
    with pytest.raises(TypeError, match="weight: cannot view Tensor as a NumPy array"):
        functional.conv2d(tensor(x), tensor(w).requires_grad_())


class Capsule:
    """What another library might hand over: a DLPack tensor without strides."""

    dtype = "bfloat16"

    def __init__(self, array, code=4, bits=16):
        self.fields, self.code, self.bits = array, code, bits

    def __dlpack__(self, **_):
        import ctypes

        class Tensor(ctypes.Structure):
            _fields_ = (
                ("data", ctypes.c_void_p),
                ("device", ctypes.c_int32 * 2),
                ("ndim", ctypes.c_int32),
                ("code", ctypes.c_uint8),
                ("bits", ctypes.c_uint8),
                ("lanes", ctypes.c_uint16),
                ("shape", ctypes.POINTER(ctypes.c_int64)),
                ("strides", ctypes.c_void_p),
                ("offset", ctypes.c_uint64),
                ("context", ctypes.c_void_p),
                ("deleter", ctypes.c_void_p),
            )

        a = self.fields
        self.shape = (ctypes.c_int64 * a.ndim)(*a.shape)
        self.tensor = Tensor(
            a.ctypes.data - 8, (1, 0), a.ndim, self.code, self.bits, 1, self.shape, None, 8
        )
        make = ctypes.pythonapi.PyCapsule_New
        make.restype = ctypes.py_object
        make.argtypes = (ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p)
        return make(ctypes.addressof(self.tensor), b"dltensor", None)


def test_a_dlpack_tensor_without_strides_is_dense(rng):
    x, w = random(rng, (2, 6, 7, 9)), random(rng, (8, 6, 3, 3))
    borrowed = Capsule(x)
    assert same_bits(functional.conv2d(borrowed, w), functional.conv2d(x, w))
    with pytest.raises(TypeError, match="input: cannot view Capsule as a NumPy array: expected"):
        functional.conv2d(Capsule(x, bits=8), w)


def test_an_unbatched_empty_and_every_small_problem(isa, rng):
    for name in ("no images", "pixel", "one of everything"):
        case = CONVS[name]
        for computation in COMPUTATIONS:
            expected, magnitude = in_float64(case, computation)
            y = run(case, computation)
            assert_rounded_once(y, expected, magnitude, case.terms[computation], fast=True)
