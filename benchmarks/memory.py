"""Peak memory of a forward pass and both gradients, fastconv beside PyTorch.

Command: ``python -m benchmarks memory``

Each measurement is a fresh process: it imports the library, makes a small convolution, resets
the kernel's high-water mark (/proc/self/clear_refs), then draws the operands and makes all three
computations, twice, keeping the results of each time until its end. What the mark rises by is
operands, results and scratch; what importing the library costs is listed apart. The environment
is the default one: huge pages would be counted whole.
"""

from __future__ import annotations

import gc
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np

from . import machine, peers
from .problems import CONV_COMPUTATIONS, Layer, aligned_empty, load_layers
from .processes import in_own_process
from .tables import number, table

SMALL = Layer("small", "conv", 1, 16, (8, 8), 16, (3, 3), (1, 1), (1, 1), 1)
MEGABYTE = 1e6


def run(layers: str, threads: int, isa: str | None) -> dict[str, Any]:
    """Measure the named convolutions in both layouts and print the table."""
    names = peers.installed(("torch", "fastconv"))
    rows = []
    for layer in load_layers(layers):
        if layer.kind != "conv" or layer.extra:
            continue
        row: dict[str, Any] = {"layer": layer.name, "needed": _needed(layer)}
        for name in names:
            # PyTorch has no channels-last format for 3-D tensors.
            layouts = (False,) if name == "torch" and layer.ndim == 1 else (False, True)
            row[name] = {}
            for last in layouts:
                settings = {"name": layer.name, "peer": name, "last": last, "threads": threads}
                found = in_own_process("memory", settings, threads=threads, tuned=False, isa=isa)
                row[name]["channels_last" if last else "planar"] = found
        rows.append(row)
        print(f"{layer.name:28} memory", file=sys.stderr, flush=True)
    result = {"machine": machine.facts(), "versions": names, "threads": threads, "rows": rows}
    print(markdown(result))
    return result


def work(name: str, peer: str, last: bool, threads: int) -> dict[str, int]:
    """Return the bytes of one layer in one layout, measured in this process."""
    module = peers.load(peer)
    module.version()  # imports the library
    module.setup(threads)
    _steps(module, SMALL, last, 1)
    layer = next(layer for layer in load_layers() if layer.name == name)
    if peer == "fastconv":
        from fastconv import runtime

        runtime.trim()
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    imported = resident("VmRSS")
    _steps(module, layer, last, 2)
    peak = resident("VmHWM")
    found = {"imported": imported, "step": peak - imported}
    if peer == "fastconv":
        stats = runtime.pool_stats()
        found["pool"] = stats.in_use + stats.cached
    return found


def _steps(module: Any, layer: Layer, last: bool, count: int) -> None:
    shapes = (layer.input_shape, layer.weight_shape, layer.output_shape)
    arrays = [_draw(shape, last) for shape in shapes]
    for _ in range(count):
        results = [module.call(layer, name, *arrays)() for name in CONV_COMPUTATIONS]
        del results


def _draw(shape: tuple[int, ...], last: bool) -> np.ndarray:
    """Draw normal numbers, in their own memory from the start."""
    stored = (shape[0], *shape[2:], shape[1]) if last else shape
    array = aligned_empty(stored)
    np.random.default_rng(0).standard_normal(out=array, dtype=np.float32)
    return np.moveaxis(array, -1, 1) if last else array


def resident(field: str) -> int:
    """Return VmRSS or VmHWM of this process in bytes."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    found = re.search(rf"^{field}:\s*(\d+) kB$", status, re.MULTILINE)
    if found is None:
        raise OSError(f"/proc/self/status: expected a line {field}, got none")
    return 1024 * int(found[1])


def _needed(layer: Layer) -> int:
    """Return the bytes of three operands and three results."""
    return 2 * layer.bytes_moved("forward")


def ratio(row: dict[str, Any]) -> float | None:
    """Return fastconv's bytes over PyTorch's, best layout each; None without PyTorch."""
    ours, theirs = (_best(row, name) for name in ("fastconv", "torch"))
    return ours["step"] / theirs["step"] if ours and theirs else None


def _best(row: dict[str, Any], name: str) -> dict[str, int] | None:
    return min(row.get(name, {}).values(), key=lambda found: found["step"], default=None)


def markdown(result: dict[str, Any]) -> str:
    """Return one row for each layer, and which of them need more than PyTorch."""
    rows, exceeding = [], []
    for row in result["rows"]:
        ours, theirs, share = _best(row, "fastconv"), _best(row, "torch"), ratio(row)
        if share is not None and share > 1:
            exceeding.append(f"{row['layer']} ({share:.2f})")
        cells = [number(row["needed"], ".1f", 1 / MEGABYTE)]
        for found, name in ((ours, "step"), (ours, "pool"), (theirs, "step")):
            cells.append(number(found and found[name], ".1f", 1 / MEGABYTE))
        rows.append([row["layer"], *cells, number(share, ".2f")])
    header = ["layer", "operands and results MB", "fastconv MB", "its pool at the end MB"]
    parts = [table([*header, "PyTorch MB", "ratio"], rows)]
    for name in result["versions"]:
        sizes = [found["imported"] for row in result["rows"] for found in row[name].values()]
        if sizes:
            parts.append(f"Importing {name}: {max(sizes) / MEGABYTE:.0f} MB.")
    parts.append(f"More than PyTorch: {', '.join(exceeding) or 'none'}.")
    return "\n\n".join(parts)
