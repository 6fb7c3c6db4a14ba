"""What fastconv costs where there is hardly any work: importing it, and a tiny convolution.

Command: ``python -m benchmarks overhead``
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
from typing import Any

import numpy as np

from . import machine, peers
from .timing import Guard, settle

_IMPORT = """
import time, numpy
start = time.perf_counter()
import {module}
print(time.perf_counter() - start)
"""

_CALLS = 1000


def run(threads: int, quick: bool) -> dict[str, Any]:
    """Measure import time beyond NumPy's and microseconds a call."""
    repeats = 5 if quick else 15
    versions = peers.installed(("torch", "fastconv"))
    result: dict[str, Any] = {
        "machine": machine.facts(),
        "versions": versions,
        "import_s": {name: _import_time(name, repeats) for name in ("fastconv", "fastconv.layers")},
        "call_s": _call_times(threads, list(versions), repeats),
    }
    for name, seconds in result["import_s"].items():
        print(f"import {name:18} {1e3 * seconds:8.1f} ms beyond numpy")
    for name, seconds in result["call_s"].items():
        print(f"conv2d 1x8x8x8     {1e6 * seconds:8.2f} us  {name}")
    return result


def _import_time(module: str, repeats: int) -> float:
    """Median over fresh processes, outside the checkout; the first one fills the file cache."""
    times = []
    with tempfile.TemporaryDirectory() as elsewhere:
        for _ in range(repeats + 1):
            command = [sys.executable, "-c", _IMPORT.format(module=module)]
            run = subprocess.run(command, check=True, capture_output=True, text=True, cwd=elsewhere)
            times.append(float(run.stdout))
    return statistics.median(times[1:])


def _call_times(threads: int, names: list[str], repeats: int) -> dict[str, float]:
    """Median of many calls, in turns: 8 -> 8 channels, 3x3, an 8x8 image."""
    generator = np.random.default_rng(0)
    x = generator.standard_normal((1, 8, 8, 8), np.float32)
    weight = generator.standard_normal((8, 8, 3, 3), np.float32)
    calls = {}
    for name in names:
        peers.load(name).setup(threads)
    if "torch" in names:
        import torch

        tensors = torch.from_numpy(x), torch.from_numpy(weight)
        calls["torch.nn.functional.conv2d"] = lambda: torch.nn.functional.conv2d(
            *tensors, padding=1
        )
    from fastconv import functional

    calls["fastconv.functional.conv2d"] = lambda: functional.conv2d(x, weight, padding=1)
    results = [np.asarray(call()) for call in calls.values()]
    if not all(np.allclose(results[0], result, atol=1e-4) for result in results):
        raise SystemExit("the results differ: not timed")
    return _in_turns(calls, repeats)


def _in_turns(calls: dict[str, Any], repeats: int) -> dict[str, float]:
    import timeit

    guard = Guard()
    samples: dict[str, list[float]] = {name: [] for name in calls}
    for turn in range(3 * repeats):
        for name, call in calls.items():
            settle()
            guard.begin()
            seconds = timeit.timeit(call, number=_CALLS) / _CALLS
            if guard.undisturbed() or turn >= 2 * repeats:
                samples[name].append(seconds)
        if all(len(found) >= repeats for found in samples.values()):
            break
    return {name: statistics.median(found) for name, found in samples.items()}
