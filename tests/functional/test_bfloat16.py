"""Convolutions of bfloat16: the sums are float32's, pair by pair, and are rounded once."""

from __future__ import annotations

import cases
import numpy as np
import oracles
import pytest
from bfloat16_problems import (
    BFLOAT16,
    assert_rounded_once,
    in_float64,
    operands,
    random,
    run,
    same_bits,
)
from cases import CONVS, LARGE, LAYOUTS
from conv_problems import COMPUTATIONS
from ops import CONV, CONV_INPUT, CONV_TRANSPOSE, FAST

import fastconv
from fastconv import functional, grad, runtime

#: Of GRID, with its many groups and strides, every seventh.
SOME = {**cases.NAMED, **{str(case): case for case in cases.GRID[::7]}}


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


def test_an_unbatched_empty_and_every_small_problem(isa, rng):
    for name in ("no images", "pixel", "one of everything"):
        case = CONVS[name]
        for computation in COMPUTATIONS:
            expected, magnitude = in_float64(case, computation)
            y = run(case, computation)
            assert_rounded_once(y, expected, magnitude, case.terms[computation], fast=True)


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
