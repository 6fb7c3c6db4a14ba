"""Quantized convolution against exact sums, and the two ways to quantized tensors and back."""

from __future__ import annotations

import os
import subprocess
import sys
import zlib

import cases
import numpy as np
import oracles
import pytest
from cases import CONVS, LARGE, LAYOUTS, conv
from ops import FAST

from fastconv import functional as F
from fastconv import runtime

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
        assert result.dtype == self.y_type
        np.testing.assert_array_equal(result, self.expected)


@pytest.mark.parametrize("name", CONVS)
@pytest.mark.parametrize("zeros", ["symmetric", "any"])
def test_every_problem_is_exact_in_every_layout(name, zeros, isa):
    it = Problem(CONVS[name], zeros=zeros)
    layouts = ("planar", "channels_last") if isa == "reference" else LAYOUTS
    for layout in layouts:
        it.check(it.run(LAYOUTS[layout]))


@pytest.mark.parametrize("types", [f"{x} {w} {y}" for x in TYPES for w in TYPES for y in TYPES])
@pytest.mark.parametrize("name", ["VGG", "ResNet conv1", "MobileNet", "pointwise", "3-D uneven"])
@pytest.mark.parametrize("zeros", ["symmetric", "any"])
def test_every_combination_of_types(types, name, zeros, isa):
    it = Problem(CONVS[name], types, zeros)
    for layout in ("planar", "channels_last"):
        it.check(it.run(LAYOUTS[layout]))


@pytest.mark.parametrize("name", LARGE)
@pytest.mark.parametrize("layout", ["planar", "channels_last"])
@pytest.mark.parametrize("isa", FAST, indirect=True)
def test_large_problems_on_any_number_of_threads(name, layout, isa, threads):
    it = Problem(LARGE[name], zeros="any" if threads == 2 else "symmetric")
    it.check(it.run(LAYOUTS[layout]))


#: Around the bytes of a vector, the outputs of a panel and the rows of a tile.
SIZES = [
    conv(1, ic, (2, width), oc, 3, padding=1, groups=groups)
    for ic, oc, groups in [
        (1, 1, 1), (2, 15, 1), (3, 17, 1), (4, 31, 1), (5, 33, 1), (63, 64, 1), (65, 8, 1),
        (15, 15, 15), (17, 17, 17), (63, 63, 63), (64, 64, 64), (65, 65, 65), (130, 130, 130),
        (8, 8, 2), (6, 12, 3), (5, 10, 5),
    ]
    for width in (1, 3, 4, 5, 9, 10, 11, 13, 14, 15, 29)
]  # fmt: skip


@pytest.mark.parametrize("case", SIZES, ids=str)
@pytest.mark.parametrize("isa", FAST, indirect=True)
def test_sizes_around_vectors_and_tiles(case, isa):
    for zeros in ("symmetric", "any"):
        it = Problem(case, zeros=zeros)
        for layout in ("planar", "channels_last", "strided"):
            it.check(it.run(LAYOUTS[layout]))


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", ["VGG", "MobileNet", "pointwise", "3-D uneven"])
def test_outputs_have_any_layout_and_what_is_between_them_stays(name, layout, isa):
    it = Problem(CONVS[name])
    larger = np.full([2 * n + 1 for n in it.expected.shape], 77, it.y_type)
    view = larger[(..., *(slice(1, 2 * n + 1, 2) for n in it.expected.shape))]
    assert it.run(LAYOUTS[layout], out=view) is view
    it.check(view)
    view[...] = 77
    assert (larger == 77).all()


@pytest.mark.parametrize("shape", [(4, 9, 12, 12), (4, 70, 12, 12)])
@pytest.mark.parametrize("groups", [1, "depthwise"])
def test_an_image_does_not_depend_on_its_batch(shape, groups, isa, rng):
    groups = shape[1] if groups == "depthwise" else 1
    x = rng.integers(0, 256, shape).astype(np.uint8)
    w = rng.integers(-128, 128, (shape[1], shape[1] // groups, 3, 3)).astype(np.int8)

    def run(part):
        return F.qlinear_conv(part, 0.1, 7, w, 0.01, 3, 2.5, 100, groups=groups, padding=1)

    whole = run(x)
    for part in (slice(0, 1), slice(2, 4)):
        np.testing.assert_array_equal(run(x[part]), whole[part])
    np.testing.assert_array_equal(run(x[3]), whole[3])


def test_ties_go_to_the_even_integer_before_the_zero_point_is_added(isa):
    x = np.arange(11, dtype=np.uint8).reshape(1, 1, 11)
    one = np.ones((1, 1, 1), np.int8)
    for zero in (100, 101):
        y = F.qlinear_conv(x, 1.0, 5, one, 0.5, 0, 1.0, zero)
        expected = np.array([-2, -2, -2, -1, 0, 0, 0, 1, 2, 2, 2]) + zero
        assert y[0, 0].tolist() == expected.tolist()


@pytest.mark.parametrize("dtype", [np.uint8, np.int8])
@pytest.mark.parametrize("zero", ["lowest", "highest"])
@pytest.mark.parametrize("groups", [1, 8])
def test_both_ends_saturate(dtype, zero, groups, isa):
    limits = np.iinfo(dtype)
    y_zero = np.array(limits.min if zero == "lowest" else limits.max, dtype)
    x = np.full((1, 8, 6, 6), 255, np.uint8)
    for w, scale, end in ((127, 1e30, limits.max), (-128, 1e30, limits.min)):
        filters = np.full((8, 8 // groups, 3, 3), w, np.int8)
        y = F.qlinear_conv(x, 1.0, 0, filters, scale, 0, 1e-30, y_zero, groups=groups)
        assert (y == end).all()  # the factor is infinite
    small = F.qlinear_conv(x, 1e-30, 0, filters, 1e-30, 0, 1.0, y_zero, groups=groups)
    assert (small == y_zero).all()  # and 0
    zeros = np.zeros_like(filters)
    y = F.qlinear_conv(x, 1.0, 0, zeros, 1e30, 0, 1e-30, y_zero, groups=groups)
    assert (y == limits.min).all()  # 0 times infinity


def test_the_bias_wraps_around_with_the_sums(isa):
    x, w = np.full((1, 1, 1), 1, np.uint8), np.full((1, 1, 1), 1, np.int8)
    most = np.array([2**31 - 1], np.int32)
    y = F.qlinear_conv(x, 1.0, 0, w, 1e-7, 0, 1.0, np.array(0, np.int8), most)
    assert y.ravel().tolist() == [-128]  # -2^31 / 10^7


def test_sums_beyond_32_bits_wrap_around(isa):
    x = np.full((1, 40000, 1), 255, np.uint8)
    w = np.full((3, 40000, 1), 255, np.uint8)
    total = 40000 * 255 * 255 - 2**32
    y = F.qlinear_conv(x, 1.0, 0, w, 1.0, 0, -total / 100, np.array(0, np.int8))
    assert y.ravel().tolist() == [-100] * 3


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


def test_no_images(isa):
    y = F.qlinear_conv(
        np.zeros((0, 3, 5, 5), np.uint8), 1.0, 0, np.zeros((4, 3, 3, 3), np.int8), 1.0, 0, 1.0, 0
    )
    assert y.shape == (0, 4, 3, 3)
    assert y.dtype == np.uint8


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


_HASH = """
import hashlib, sys
sys.path.insert(0, {tests!r})
import cases
sys.path.insert(0, {here!r})
import test_quantized as t
from fastconv import runtime
assert runtime.isa() == {isa!r}
digest = hashlib.sha256()
for name in ("VGG", "ResNet conv1", "MobileNet", "3-D uneven", "pointwise", "multiplier 3"):
    for types in ("uint8 int8 uint8", "int8 uint8 int8"):
        for zeros in ("symmetric", "any"):
            it = t.Problem(cases.CONVS[name], types, zeros)
            digest.update(it.run(cases.LAYOUTS["channels_last"]).tobytes())
print(digest.hexdigest())
"""


@pytest.mark.parametrize("isa", FAST, indirect=True)
def test_the_cpu_s_own_instructions_do_not_change_a_bit(isa, tmp_path):
    """Where there are none, the two runs are the same and so is what they print."""
    here = os.path.dirname(os.path.abspath(__file__))
    program = _HASH.format(tests=os.path.dirname(here), here=here, isa=isa)
    digests = set()
    for off in ("0", "1"):  # in processes of their own, outside the checkout
        environment = os.environ | {"FASTCONV_NO_EXTENSIONS": off, "FASTCONV_ISA": isa}
        run = subprocess.run(
            [sys.executable, "-c", program],
            env=environment,
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )
        assert run.returncode == 0, run.stderr
        digests.add(run.stdout)
    assert len(digests) == 1


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


# ---- quantize, dequantize


@pytest.mark.parametrize("dtype", [np.uint8, np.int8])
def test_quantize_rounds_to_even_and_saturates(dtype):
    limits = np.iinfo(dtype)
    x = np.float32([-np.inf, -1e30, -1.5, -0.5, -0.0, 0.5, 1.5, 2.5, 1e30, np.inf, np.nan])
    y = F.quantize_linear(x, 1.0, np.array(10, dtype))
    ends = [limits.min, limits.min, 8, 10, 10, 10, 12, 12, limits.max, limits.max, limits.min]
    assert y.tolist() == ends
    assert y.dtype == dtype


def test_quantize_and_back_is_off_by_half_a_step(rng):
    x = rng.uniform(-1, 1, (3, 5, 7)).astype(np.float32)
    scale, zero = np.float32([0.01, 0.02, 0.03, 0.04, 0.05]), np.uint8([128, 127, 100, 90, 80])
    back = F.dequantize_linear(F.quantize_linear(x, scale, zero), scale, zero)
    assert back.dtype == np.float32
    assert (abs(back - x) <= 0.5001 * scale[:, None]).all()
    last = F.quantize_linear(x.transpose(0, 2, 1), scale, zero, axis=-1)
    np.testing.assert_array_equal(last, F.quantize_linear(x, scale, zero).transpose(0, 2, 1))


def test_quantized_convolution_is_near_the_real_one(isa, rng):
    x = rng.uniform(0, 1, (1, 8, 9, 9)).astype(np.float32)
    w = rng.uniform(-1, 1, (6, 8, 3, 3)).astype(np.float32)
    w_scale = (abs(w).max((1, 2, 3)) / 127).astype(np.float32)
    real = F.conv2d(x, w, padding=1)
    q = F.qlinear_conv(
        F.quantize_linear(x, 1 / 255), 1 / 255, 0,
        F.quantize_linear(w, w_scale, axis=0, dtype=np.int8), w_scale, 0,
        0.08, 128, padding=1,
    )  # fmt: skip
    assert abs(F.dequantize_linear(q, 0.08, 128) - real).max() < 0.04 + 0.01 * abs(real).max()


@pytest.mark.parametrize(
    ("call", "kind", "words"),
    [
        (lambda: F.quantize_linear(np.zeros(3), 1.0), TypeError, ["input", "float64"]),
        (lambda: F.quantize_linear(np.float32([1]), 1.0, 256), ValueError, ["zero_point", "256"]),
        (lambda: F.quantize_linear(np.float32([1]), 1.0, dtype=float), TypeError, ["uint8"]),
        (
            lambda: F.quantize_linear(np.zeros((2, 3), np.float32), [1.0, 1.0]),
            ValueError,
            ["scale", "3"],
        ),
        (
            lambda: F.quantize_linear(np.zeros((2, 3), np.float32), [1.0, 1.0], axis=2),
            ValueError,
            ["axis", "2"],
        ),
        (
            lambda: F.quantize_linear(np.float32([1]), np.ones(1), 0),
            TypeError,
            ["scale", "float64"],
        ),
        (lambda: F.dequantize_linear(np.float32([1]), 1.0), TypeError, ["input", "float32"]),
        (
            lambda: F.dequantize_linear(np.uint8([1]), 1.0, np.int8([1])),
            TypeError,
            ["zero_point", "uint8", "int8"],
        ),
    ],
)
def test_wrong_arguments_of_quantization_are_named(call, kind, words):
    with pytest.raises(kind) as error:
        call()
    for word in words:
        assert word in str(error.value)


def test_instruction_sets_agree(rng):
    it = Problem(CONVS["groups of 3"], "int8 uint8 int8")
    results = set()
    for isa in runtime.available_isas():
        with runtime.use_isa(isa):
            results.add(it.run().tobytes())
    assert len(results) == 1
