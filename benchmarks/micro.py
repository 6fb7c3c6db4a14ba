"""How much of the FMA peak the micro-kernel and one direct convolution reach.

Command: ``python -m benchmarks micro``
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from . import machine
from .peers import fastconv as ours
from .problems import TOLERANCE, Layer, Operands, make_operands, reference, relative_error
from .timing import QUICK, Effort, Guard, measure

#: 14.8 GFLOP, and operands that do not fit the caches: what a plain forward pass makes.
DIRECT = Layer("direct.3x3", "conv", 4, 256, (56, 56), 256, (3, 3), (1, 1), (1, 1), 1)


def run(threads: int, isas: list[str], quick: bool) -> dict[str, Any]:
    """Measure every dtype and instruction set with one thread and with all."""
    from fastconv import runtime

    seconds = 0.1 if quick else 0.5
    operands = make_operands(DIRECT)
    expected = reference(DIRECT, operands, "forward")
    probes, direct = [], []
    for isa in isas or [name for name in runtime.available_isas() if name != "reference"]:
        with runtime.use_isa(isa):
            for count in sorted({1, threads}):
                for dtype in ("float32", "float64"):
                    probes.append(_probe(isa, dtype, count, seconds))
                direct.append(_direct(isa, count, quick, operands, expected))
    return {"machine": machine.facts(), "probes": probes, "direct": direct}


def _probe(isa: str, dtype: str, threads: int, seconds: float) -> dict[str, Any]:
    from fastconv import runtime

    def best(probe: str) -> float:
        return max(
            runtime.measure_peak(probe, dtype=dtype, seconds=seconds / 3, num_threads=threads)
            for _ in range(3)
        )

    peak, reached = best("fma"), best("micro_kernel")
    row = {
        "isa": isa,
        "dtype": dtype,
        "threads": threads,
        "fma_flops": peak,
        "micro_kernel_flops": reached,
        "percent": 100 * reached / peak,
    }
    _print(isa, dtype, threads, "micro-kernel", reached, peak)
    return row


def _direct(
    isa: str, threads: int, quick: bool, operands: Operands, expected: np.ndarray
) -> dict[str, Any]:
    from fastconv import runtime

    with runtime.threads(threads), runtime.precision("highest"):
        found = ours.contenders(DIRECT, operands, "forward", tuned=True)
        for contender in found:
            error = relative_error(contender.result(contender.call()), expected)
            if error > TOLERANCE:
                raise SystemExit(f"{isa} {contender.variant}: error {error:.1e}, not timed")
        timings = measure(found, QUICK if quick else Effort(), Guard())
    peak = runtime.measure_peak("fma", seconds=0.2, num_threads=threads)
    row: dict[str, Any] = {"isa": isa, "threads": threads, "fma_flops": peak}
    for contender, timing in zip(found, timings, strict=True):
        flops = DIRECT.flops / timing.median
        row[contender.variant] = {
            "median_s": timing.median,
            "flops": flops,
            "percent": 100 * flops / peak,
            "repeated": timing.repeated,
        }
        _print(isa, "float32", threads, f"direct {contender.variant}", flops, peak)
    return row


def _print(isa: str, dtype: str, threads: int, what: str, flops: float, peak: float) -> None:
    print(
        f"{isa:8} {dtype}  {threads} thread{'s' if threads > 1 else ' '}  {what:22} "
        f"{flops / 1e9:7.1f} of {peak / 1e9:7.1f} GFLOP/s  {100 * flops / peak:5.1f} %"
    )
    sys.stdout.flush()
