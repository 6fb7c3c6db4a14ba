"""Quantized convolution against exact sums."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
from cases import CONVS, LARGE, LAYOUTS, conv
from ops import FAST
from quantized_problems import TYPES, Problem

from fastconv import functional as F
from fastconv import runtime


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


def test_no_images(isa):
    y = F.qlinear_conv(
        np.zeros((0, 3, 5, 5), np.uint8), 1.0, 0, np.zeros((4, 3, 3, 3), np.int8), 1.0, 0, 1.0, 0
    )
    assert y.shape == (0, 4, 3, 3)
    assert y.dtype == np.uint8


# ---- the same bits


_HASH = """
import hashlib, sys
sys.path.insert(0, {tests!r})
import cases, quantized_problems
from fastconv import runtime
assert runtime.isa() == {isa!r}
digest = hashlib.sha256()
for name in ("VGG", "ResNet conv1", "MobileNet", "3-D uneven", "pointwise", "multiplier 3"):
    for types in ("uint8 int8 uint8", "int8 uint8 int8"):
        for zeros in ("symmetric", "any"):
            it = quantized_problems.Problem(cases.CONVS[name], types, zeros)
            digest.update(it.run(cases.LAYOUTS["channels_last"]).tobytes())
print(digest.hexdigest())
"""


@pytest.mark.parametrize("isa", FAST, indirect=True)
def test_the_cpu_s_own_instructions_do_not_change_a_bit(isa, tmp_path):
    """Where there are none, the two runs are the same and so is what they print."""
    tests = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    program = _HASH.format(tests=tests, isa=isa)
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


def test_instruction_sets_agree(rng):
    it = Problem(CONVS["groups of 3"], "int8 uint8 int8")
    results = set()
    for isa in runtime.available_isas():
        with runtime.use_isa(isa):
            results.add(it.run().tobytes())
    assert len(results) == 1
