"""FASTCONV_ISA: each instruction set can be forced, is the one that runs, or fails loudly."""

import pytest

from fastconv import runtime

#: Whether a * b + c is rounded once (fused) in the kernels of an instruction set.
FUSED = {"avx512": True, "avx2": True, "neon": True, "sse2": False}

ACTIVE = "from fastconv import runtime; print(runtime.isa())"

# x^2 + c over two channels, with c = -(x^2 rounded): zero where the product is rounded, the
# rounding error where it is fused to a sum already there. Both orders of the channels.
WHICH_ARITHMETIC = """
import numpy as np
from fastconv import functional
x = np.float32(1 + 2.0**-12)
c = -(x * x)
found = []
for pairs in (((c, 1), (x, x)), ((x, x), (c, 1))):
    image = np.array([a for a, _ in pairs], np.float32).reshape(1, 2, 1, 1)
    weight = np.array([b for _, b in pairs], np.float32).reshape(1, 2, 1, 1)
    # Filled to a whole register tile, so that the main loop is what runs.
    image = np.tile(image, (1, 1, 32, 32))
    weight = np.tile(weight, (64, 1, 1, 1))
    found.append(functional.conv2d(image, weight))
assert all((y == y.flat[0]).all() for y in found)
values = {float(y.flat[0]) for y in found}
assert values <= {0.0, 2.0**-24}, values
print(values != {0.0})
"""

# The sums of 2000 products: the oracle's are float64's, rounded once; no other's all are.
WHICH_ACCUMULATOR = """
import numpy as np
from fastconv import functional
generator = np.random.default_rng(0)
image = generator.standard_normal((1, 2000, 1, 1), np.float32)
weight = generator.standard_normal((64, 2000, 1, 1), np.float32)
expected = weight.reshape(64, -1).astype(np.float64) @ image.reshape(-1).astype(np.float64)
print(np.array_equal(functional.conv2d(image, weight).reshape(-1), expected.astype(np.float32)))
"""


@pytest.mark.parametrize("isa", runtime.available_isas())
def test_forced(isa, run_python):
    assert run_python(ACTIVE, env={"FASTCONV_ISA": isa}) == isa


@pytest.mark.parametrize("isa", [n for n in runtime.available_isas() if n in FUSED])
def test_forced_arithmetic_is_what_runs(isa, run_python):
    assert run_python(WHICH_ARITHMETIC, env={"FASTCONV_ISA": isa}) == str(FUSED[isa])


@pytest.mark.parametrize("isa", runtime.available_isas())
def test_forced_accumulator_is_what_runs(isa, run_python):
    expected = str(isa == "reference")
    assert run_python(WHICH_ACCUMULATOR, env={"FASTCONV_ISA": isa}) == expected


def test_default_is_the_best(run_python):
    assert run_python(ACTIVE) == runtime.available_isas()[0]
    assert runtime.available_isas()[-1] == "reference"


def test_unknown_fails_at_import(run_python):
    message = run_python("import fastconv", env={"FASTCONV_ISA": "nonsense"}, fails=True)
    last = message.strip().splitlines()[-1]
    assert "FASTCONV_ISA" in last
    assert "nonsense" in last
    for isa in runtime.available_isas():
        assert isa in last


def test_unavailable_fails_at_import(run_python):
    """One that is real, but not this machine's."""
    foreign = "neon" if "neon" not in runtime.available_isas() else "avx2"
    message = run_python("import fastconv", env={"FASTCONV_ISA": foreign}, fails=True)
    assert foreign in message.strip().splitlines()[-1]


def test_chosen_at_run_time(run_python):
    program = """
from fastconv import runtime
for name in runtime.available_isas():
    with runtime.use_isa(name):
        assert runtime.isa() == name
assert runtime.isa() == runtime.available_isas()[0]
try:
    with runtime.use_isa("nonsense"):
        pass
except (ValueError, RuntimeError) as error:
    assert "nonsense" in str(error)
else:
    raise SystemExit("accepted nonsense")
assert runtime.isa() == runtime.available_isas()[0]
"""
    run_python(program)
