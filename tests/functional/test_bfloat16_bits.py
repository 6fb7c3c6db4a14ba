"""The bits of bfloat16 convolutions depend on neither the CPU, the threads nor the batch."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys

import cases
import numpy as np
import oracles
import pytest
from bfloat16_problems import BFLOAT16, assert_rounded_once, operands, random, run, same_bits
from cases import LARGE, LAYOUTS, conv
from ops import CONV, CONV_BIAS, CONV_INPUT, CONV_WEIGHT, FAST

import fastconv
from fastconv import functional, grad, runtime

DIGEST = f"""
import sys
sys.path[:0] = [{os.path.dirname(__file__)!r}, {os.path.dirname(os.path.dirname(__file__))!r}]
import test_bfloat16_bits
print(test_bfloat16_bits.digests(sys.argv[1]))
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
