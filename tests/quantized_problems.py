"""Quantized convolutions and their exact results."""

from __future__ import annotations

import zlib

import cases
import numpy as np
import oracles

from fastconv import functional as F

TYPES = {"uint8": np.uint8, "int8": np.int8}


def exactly(x, x_scale, x_zero, w, w_scale, w_zero, y_scale, y_zero, bias, dtype, *window):
    """ONNX's equation, with sums in float64, which are exact below 2^53."""
    zeros = np.broadcast_to(np.asarray(w_zero, np.int64), w.shape[:1])
    each = (-1, *(1,) * (w.ndim - 2))
    sums = oracles.conv(
        x.astype(np.float64) - x_zero,
        w.astype(np.float64) - zeros.reshape(-1, *(1,) * (w.ndim - 1)),
        *window,
    ).astype(np.int64)
    if bias is not None:
        sums = sums + bias.astype(np.int64).reshape(each)
    sums = (sums & 0xFFFFFFFF).astype(np.uint32).view(np.int32)
    scales = np.broadcast_to(np.asarray(w_scale, np.float32), w.shape[:1])
    factor = np.float32(x_scale) * scales / np.float32(y_scale)
    limits = np.iinfo(dtype)
    rounded = np.rint(sums.astype(np.float32) * factor.reshape(each)).astype(np.float64)
    return np.clip(rounded + y_zero, limits.min, limits.max).astype(dtype)


class Problem:
    """Quantized operands of a case over their whole range, and what they have to give."""

    def __init__(self, case: cases.Conv, types: str = "uint8 int8 uint8", zeros: str = "any"):
        rng = np.random.default_rng(zlib.crc32(f"{case} {types} {zeros}".encode()))
        self.case = case
        x_type, w_type, self.y_type = (TYPES[name] for name in types.split())

        def whole_range(dtype, shape=None):
            limits = np.iinfo(dtype)
            return rng.integers(limits.min, limits.max + 1, shape).astype(dtype)

        self.x = whole_range(x_type, case.input_shape)
        self.w = whole_range(w_type, case.weight_shape)
        self.bias = rng.integers(-(2**15), 2**15, case.oc).astype(np.int32)
        if zeros == "symmetric":  # filters whose signed bytes have no zero point
            x_zero, y_zero = whole_range(x_type), whole_range(self.y_type)
            w_zero = np.array(0 if w_type == np.int8 else 128, w_type)
        else:
            x_zero, y_zero = whole_range(x_type), whole_range(self.y_type)
            w_zero = whole_range(w_type, case.oc)
        x_scale = np.float32(rng.uniform(0.01, 0.1))
        w_scale = rng.uniform(0.001, 0.01, case.oc).astype(np.float32)
        # Sums of this many terms fill the range of the output, and some of them exceed it.
        terms = case.terms["forward"]
        y_scale = np.float32(x_scale * 0.005 * 75 * 75 * terms**0.5 / 60)
        self.quantization = (x_scale, x_zero, w_scale, w_zero, y_scale, y_zero)
        window = (case.stride, case.pads, case.dilation, case.groups)
        self.expected = exactly(
            self.x, x_scale, int(x_zero), self.w, w_scale, w_zero, y_scale, int(y_zero),
            self.bias, self.y_type, *window,
        )  # fmt: skip

    def run(self, layout=np.asarray, out=None) -> np.ndarray:
        x_scale, x_zero, w_scale, w_zero, y_scale, y_zero = self.quantization
        return F.qlinear_conv(
            layout(self.x),
            x_scale,
            x_zero,
            layout(self.w),
            w_scale,
            w_zero,
            y_scale,
            np.array(y_zero, self.y_type),
            self.bias,
            **self.case.window,
            out=out,
        )

    def check(self, result: np.ndarray) -> None:
        assert result.dtype == self.y_type, result.dtype
        np.testing.assert_array_equal(result, self.expected)
