"""Settings of the library: the exceptions and their texts."""

from __future__ import annotations

import numpy as np
import pytest
from wrong_calls import X, check

from fastconv import functional as F
from fastconv import runtime


def run_with_threads(num_threads):
    with runtime.threads(num_threads):
        F.relu(X)


# what is wrong: (call, exception, what the text has to say)
WRONG = {
    "no threads": (lambda: runtime.set_num_threads(0), ValueError, ["num_threads", "0"]),
    "negative threads": (lambda: runtime.set_num_threads(-1), ValueError, ["num_threads", "-1"]),
    "too many threads": (
        lambda: runtime.set_num_threads(1 << 20),
        ValueError,
        ["num_threads", str(1 << 20)],
    ),
    "threads beyond 32 bits": (
        lambda: runtime.set_num_threads((1 << 32) + 1),
        ValueError,
        ["num_threads"],
    ),
    "threads is a string": (
        lambda: runtime.set_num_threads("2"),
        TypeError,
        ["num_threads: expected an int, got '2'"],
    ),
    "no threads here": (
        lambda: runtime.threads(0).__enter__(),
        ValueError,
        ["num_threads", "0"],
    ),
    "too many threads here": (
        lambda: run_with_threads(1 << 20),
        ValueError,
        ["num_threads", str(1 << 20)],
    ),
    "unknown precision": (
        lambda: runtime.precision("medium").__enter__(),
        ValueError,
        ["precision", "'highest'", "'medium'"],
    ),
    "unknown instruction set": (
        lambda: runtime.set_isa("mmx"),
        RuntimeError,
        ["mmx", "reference"],
    ),
    "instruction set is a number": (lambda: runtime.set_isa(2), TypeError, ["name", "2"]),
    "unknown instruction set for a block": (
        lambda: runtime.use_isa("mmx").__enter__(),
        RuntimeError,
        ["mmx"],
    ),
    "unknown probe": (
        lambda: runtime.measure_peak("memory"),
        ValueError,
        ["probe", "'fma'", "'memory'"],
    ),
    "probe of integers": (
        lambda: runtime.measure_peak(dtype=np.int64),
        TypeError,
        ["dtype", "int64"],
    ),
    "probe of no time": (lambda: runtime.measure_peak(seconds=0), ValueError, ["seconds", "0"]),
    "probe of a string": (
        lambda: runtime.measure_peak(seconds="1"),
        TypeError,
        ["seconds: expected a number, got '1'"],
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_call(name):
    check(*WRONG[name])
