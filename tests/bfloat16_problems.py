"""Convolutions of bfloat16, their results in float64, and how near to those they have to be."""

from __future__ import annotations

import zlib

import cases
import ml_dtypes
import numpy as np
import oracles
from cases import LAYOUTS
from ops import CONV, CONV_INPUT, CONV_WEIGHT

BFLOAT16 = ml_dtypes.bfloat16
UNIT = 2.0**-8  # of a bfloat16's rounding


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
    assert actual.dtype == BFLOAT16, actual.dtype
    assert actual.shape == expected.shape, actual.shape
    before = cases.tolerance(np.float32, terms) * magnitude
    if fast and expected.size > 0:
        before = np.maximum(before, cases.FAST_ERROR * np.abs(expected).max())
    error = np.abs(actual.astype(np.float64) - expected)
    bound = UNIT * np.abs(expected) + (1 + UNIT) * before
    assert np.all(error <= bound), f"{np.sum(~(error <= bound))} of {error.size} are wrong"
