"""The transposed convolution, which is the gradient of the input called forward."""

from __future__ import annotations

import cases
import numpy as np
import oracles
import pytest
from cases import CONVS, LAYOUTS, assert_close
from conv_problems import problem
from ops import CONV_TRANSPOSE

from fastconv import functional


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
    plain = functional.conv_transpose2d(x, w, bias, stride=2)
    result = functional.conv_transpose2d(x, w, bias, stride=2, activation="relu", residual=residual)
    np.testing.assert_allclose(
        result,
        np.maximum(plain.astype(np.float64) + residual, 0),
        rtol=0,
        atol=20 * np.finfo(dtype).eps,
    )
    expected, magnitude = (
        oracles.conv_input(of(x), of(w), (9, 11), (2, 2), ((0, 0), (0, 0)), (1, 1), 1)
        + of(bias)[:, None, None]
        + of(residual)
        for of in (np.asarray, np.abs)
    )
    assert_close(result, np.maximum(expected, 0), magnitude, 9 * 4)
