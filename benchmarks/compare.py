"""Verify, then time, every contender on every problem, within one process.

Command: ``python -m benchmarks``, which runs this twice: once with the default environment and
settings of the peers, once with the tuned ones (malloc reads its tunables at start-up).
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any

from . import machine, peers
from .peers import Contender
from .problems import (
    TOLERANCE,
    Layer,
    Operands,
    load_layers,
    make_operands,
    reference,
    relative_error,
)
from .timing import QUICK, Effort, Guard, measure


@dataclass(frozen=True)
class Settings:
    """What to compare; travels to the process that does it as JSON."""

    peers: tuple[str, ...]
    computations: tuple[str, ...]
    layers: str
    threads: int
    tuned: bool
    quick: bool
    precision: str

    @property
    def effort(self) -> Effort:
        """How much to measure."""
        return QUICK if self.quick else Effort()


def work(**values: Any) -> dict[str, Any]:
    """Run in a process of its own, with the settings as they came through JSON."""
    lists = {name: tuple(value) for name, value in values.items() if isinstance(value, list)}
    return run(Settings(**{**values, **lists}))


def run(settings: Settings) -> dict[str, Any]:
    """Return the ceilings and one row for each layer, computation and contender."""
    versions = peers.installed(("fastconv", *settings.peers))
    for name in versions:
        peers.load(name).setup(settings.threads)
    from fastconv import runtime

    report: dict[str, Any] = {
        "versions": versions,
        "precision": settings.precision,
        "ceilings": ceilings(settings.threads, settings.quick),
    }
    with runtime.precision(settings.precision):
        report["rows"] = _rows(settings, list(versions))
    # Whatever disturbed the first measurement, a ceiling is the most that was ever seen.
    for name, value in ceilings(settings.threads, settings.quick).items():
        report["ceilings"][name] = max(report["ceilings"][name], value)
    return report


def _rows(settings: Settings, names: list[str]) -> list[dict[str, Any]]:
    found = []
    measured = {"tuned": settings.tuned, "effort": settings.effort, "guard": Guard()}
    for layer in load_layers(settings.layers):
        operands = make_operands(layer)
        for computation in layer.computations:
            if computation in settings.computations:
                rows = measure_problem(layer, operands, computation, names, **measured)
                found += rows
                _progress(layer, computation, rows)
    return found


def ceilings(threads: int, quick: bool) -> dict[str, Any]:
    """Measure what this machine can do: multiply-adds and memory copies."""
    from fastconv import runtime

    seconds = 0.1 if quick else 0.5
    return {
        "isa": runtime.isa(),
        "threads": threads,
        "fma_flops": runtime.measure_peak("fma", seconds=seconds, num_threads=threads),
        "micro_kernel_flops": runtime.measure_peak(
            "micro_kernel", seconds=seconds, num_threads=threads
        ),
        "copy_bytes": machine.copy_bandwidth(threads),
    }


def measure_problem(
    layer: Layer,
    operands: Operands,
    computation: str,
    names: list[str],
    tuned: bool,
    effort: Effort,
    guard: Guard,
) -> list[dict[str, Any]]:
    """Verify, then time, one computation of one layer: a row for each contender."""
    expected = reference(layer, operands, computation)
    rows, verified = [], []
    for name in names:
        try:
            found = peers.load(name).contenders(layer, operands, computation, tuned)
        except Exception as error:  # a peer's refusal is a finding, not our failure
            rows.append(_row(layer, computation, name, "-", failure=_line(error)))
            continue
        for contender in found:
            row = _verify(layer, computation, contender, expected)
            rows.append(row)
            if row["verified"]:
                verified.append((contender, row))
    del expected
    timings = measure([contender for contender, _ in verified], effort, guard)
    for (_, row), timing in zip(verified, timings, strict=True):
        row |= {
            "median_s": timing.median,
            "min_s": timing.minimum,
            "samples": len(timing.samples),
            "repeated": timing.repeated,
            "disturbed": timing.disturbed,
        }
    return rows


def _verify(layer: Layer, computation: str, contender: Contender, expected: Any) -> dict[str, Any]:
    try:
        error = relative_error(contender.result(contender.call()), expected)
    except Exception as problem:
        return _row(layer, computation, contender.peer, contender.variant, _line(problem))
    failure = None if error <= TOLERANCE else f"error {error:.1e} above {TOLERANCE:.0e}"
    return _row(layer, computation, contender.peer, contender.variant, failure, error)


def _row(
    layer: Layer,
    computation: str,
    peer: str,
    variant: str,
    failure: str | None = None,
    error: float | None = None,
) -> dict[str, Any]:
    return {
        "layer": layer.name,
        "kind": layer.kind,
        "extra": layer.extra,
        "category": layer.category,
        "computation": computation,
        "peer": peer,
        "variant": variant,
        "flops": layer.flops if layer.kind == "conv" else None,
        "bytes": layer.bytes_moved(computation),
        "verified": failure is None,
        "failure": failure,
        "error": error,
    }


def _line(error: Exception) -> str:
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}: {text[0] if text else ''}"[:200]


def _progress(layer: Layer, computation: str, rows: list[dict[str, Any]]) -> None:
    parts = [
        f"{row['peer']}/{row['variant']} "
        + (f"{1e3 * row['median_s']:.3f}" if row["verified"] else f"FAILED ({row['failure']})")
        for row in rows
    ]
    print(f"{layer.name:28} {computation:16} ms: {'  '.join(parts)}", file=sys.stderr, flush=True)
