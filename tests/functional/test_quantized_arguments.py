"""What operands of a quantized convolution may be, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from fastconv import functional as F


def test_numbers_stand_for_arrays_and_none_for_zero(isa, rng):
    x = rng.integers(-128, 128, (2, 3, 8, 8)).astype(np.int8)
    w = rng.integers(-128, 128, (5, 3, 3, 3)).astype(np.int8)
    scales = [0.01, 0.02, 0.03, 0.04, 0.05]
    expected = F.qlinear_conv(
        x, np.float32([0.5]), np.int8([0]), w, np.float32(scales), np.zeros(5, np.int8),
        np.float32(2), np.array(-3, np.int8),
    )  # fmt: skip
    assert expected.dtype == np.int8
    y = F.qlinear_conv(x, 0.5, None, w, scales, None, 2, -3)
    np.testing.assert_array_equal(y, expected)
    y = F.qlinear_conv(x, 0.5, 0, w, scales, [0] * 5, 2.0, -3, np.zeros(5, np.int32))
    np.testing.assert_array_equal(y, expected)


def test_inputs_are_only_read(isa, rng):
    def read_only(a):
        a.flags.writeable = False
        return a

    x = read_only(rng.integers(0, 256, (1, 64, 6, 6)).astype(np.uint8))
    w = read_only(rng.integers(-128, 128, (32, 64, 1, 1)).astype(np.int8))
    scales = read_only(rng.uniform(0.1, 1, 32).astype(np.float32))
    zeros = read_only(np.zeros(32, np.int8))
    bias = read_only(np.zeros(32, np.int32))
    assert F.qlinear_conv(x, 0.1, 3, w, scales, zeros, 9.0, 4, bias).shape == (1, 32, 6, 6)


# ---- wrong arguments


X = np.zeros((1, 4, 6, 6), np.uint8)
W = np.zeros((3, 4, 3, 3), np.int8)


def call(*, x=X, xs=1.0, xz=0, w=W, ws=1.0, wz=0, ys=1.0, yz=0, bias=None, **more):
    return F.qlinear_conv(x, xs, xz, w, ws, wz, ys, yz, bias, **more)


WRONG = {
    "float input": ({"x": X.astype(np.float32)}, TypeError, ["input", "uint8 or int8", "float32"]),
    "float weight": ({"w": W.astype(np.float32)}, TypeError, ["weight", "uint8 or int8"]),
    "int32 weight": ({"w": W.astype(np.int32)}, TypeError, ["weight", "uint8 or int8", "int32"]),
    "float64 scale": ({"ws": np.ones(3)}, TypeError, ["weight_scale", "float32", "float64"]),
    "int64 bias": ({"bias": np.zeros(3, np.int64)}, TypeError, ["bias", "int32", "int64"]),
    "float bias": ({"bias": np.zeros(3, np.float32)}, TypeError, ["bias", "int32", "float32"]),
    "zero point of another type": (
        {"xz": np.array(0, np.int8)},
        TypeError,
        ["input_zero_point", "uint8", "int8"],
    ),
    "weight zero point of another type": (
        {"wz": np.zeros(3, np.uint8)},
        TypeError,
        ["weight_zero_point", "int8", "uint8"],
    ),
    "zero point out of range": ({"wz": 128}, ValueError, ["weight_zero_point", "128", "int8"]),
    "zero point is no integer": ({"yz": [0.5]}, TypeError, ["output_zero_point", "0.5"]),
    "bytes": ({"x": b"image"}, TypeError, ["input", "S5"]),
    "zero points as bytes": ({"xz": b"\0"}, TypeError, ["input_zero_point"]),
    "bias is one short": ({"bias": np.zeros(2, np.int32)}, ValueError, ["bias", "(3,)", "(2,)"]),
    "scales of other channels": ({"ws": [1.0] * 4}, ValueError, ["weight_scale", "3", "4"]),
    "zero points of other channels": ({"wz": [0] * 2}, ValueError, ["weight_zero_point", "3"]),
    "two input scales": ({"xs": [1.0, 2.0]}, ValueError, ["input_scale", "one element", "2"]),
    "two output zero points": ({"yz": [1, 2]}, ValueError, ["output_zero_point", "one element"]),
    "no scale": ({"ws": []}, ValueError, ["weight_scale", "0"]),
    "scales as a matrix": ({"ws": [[1.0]]}, ValueError, ["weight_scale", "dimensions"]),
    "scale of 0": ({"ys": 0.0}, ValueError, ["output_scale", "positive", "0"]),
    "negative scale": ({"xs": -1.0}, ValueError, ["input_scale", "positive", "-1"]),
    "scale is NaN": ({"ws": [1.0, float("nan"), 1.0]}, ValueError, ["weight_scale", "nan"]),
    "infinite scale": ({"ws": float("inf")}, ValueError, ["weight_scale", "finite", "inf"]),
    "channels": ({"x": X[:, :3]}, ValueError, ["weight", "(3, 4, 3, 3)"]),
    "rank": ({"w": W[0, 0]}, ValueError, ["weight", "dimensions", "2"]),
    "rank of input": ({"x": X[0, 0]}, ValueError, ["input", "dimensions"]),
    "window": ({"x": X[..., :2]}, ValueError, ["kernel_size"]),
    "out of another shape": ({"out": np.zeros((1, 3, 4, 5), np.uint8)}, ValueError, ["out"]),
    "out of another type": (
        {"yz": np.array(0, np.uint8), "out": np.zeros((1, 3, 4, 4), np.int8)},
        TypeError,
        ["output_zero_point", "int8"],
    ),
    "float out": (
        {"yz": np.array(0, np.uint8), "out": np.zeros((1, 3, 4, 4), np.float32)},
        TypeError,
        ["out", "uint8 or int8", "float32"],
    ),
    "out is an operand": (
        {"x": X.copy(), "w": np.zeros((4, 4, 1, 1), np.int8), "out": "input"},
        ValueError,
        ["out", "overlaps", "input"],
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_arguments_are_named(name):
    arguments, kind, words = WRONG[name]
    if isinstance(arguments.get("out"), str):
        arguments = arguments | {"out": arguments["x"]}
    with pytest.raises(kind) as error:
        call(**arguments)
    for word in words:
        assert word in str(error.value)


@pytest.mark.parametrize("dtype", [np.int8, np.int32, np.uint8])
def test_other_functions_take_no_bytes(dtype):
    with pytest.raises(TypeError, match=f"input.*{np.dtype(dtype)}.*float32 or float64"):
        F.conv2d(X.astype(dtype), W.astype(dtype))
