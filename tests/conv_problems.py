"""Operands of convolutions, and what each of the three computations has to give."""

from __future__ import annotations

import functools
import zlib

import cases
import numpy as np
import oracles
from cases import assert_close
from ops import CONV, CONV_INPUT, CONV_WEIGHT

COMPUTATIONS = ("forward", "backward_input", "backward_weight")


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
        assert result.dtype == self.x.dtype, result.dtype
        assert_close(result, expected, magnitude, self.case.terms[computation], fast)


@functools.cache
def problem(case: cases.Conv, dtype: type) -> Problem:
    return Problem(case, dtype)
