"""The named convolutions in bfloat16, against PyTorch's and against fastconv's own float32.

Command: ``python -m benchmarks bfloat16 --layers resnet --threads 1``

Both layouts of each; verified against float64 on the same rounded operands before it is timed.
Needs torch and ml_dtypes.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from . import machine, peers
from .peers import Contender
from .problems import (
    CONV_COMPUTATIONS,
    Layer,
    Operands,
    channels_last,
    load_layers,
    make_operands,
    reference,
    relative_error,
)
from .processes import in_own_process
from .tables import number, table
from .timing import QUICK, Effort, Guard, measure

#: Of the largest result: its rounding, and what precision "high" promises before that.
TOLERANCE = 2.0**-8 + 1e-4


def run(layers: str, threads: int, quick: bool, isa: str | None) -> dict[str, Any]:
    """Measure in a fresh process in the tuned environment and print the table."""
    settings = {"layers": layers, "threads": threads, "quick": quick}
    answer = in_own_process("bfloat16", settings, threads=threads, tuned=True, isa=isa)
    result = {"machine": machine.facts(), "threads": threads, **answer}
    print(markdown(result["rows"]))
    return result


def work(layers: str, threads: int, quick: bool) -> dict[str, Any]:
    """Return one row for each layer and computation."""
    versions = peers.installed(("torch", "fastconv"))
    for name in versions:
        peers.load(name).setup(threads)
    guard, effort = Guard(), QUICK if quick else Effort()
    rows = []
    for layer in load_layers(layers):
        for computation in CONV_COMPUTATIONS if layer.kind == "conv" else ():
            rows.append(_row(layer, computation, effort, guard))
            print(f"{layer.name} {computation}", file=sys.stderr, flush=True)
    return {"versions": versions, "rows": rows}


def _row(layer: Layer, computation: str, effort: Effort, guard: Guard) -> dict[str, Any]:
    from ml_dtypes import bfloat16

    drawn = make_operands(layer)
    rounded = {name: array.astype(bfloat16) for name, array in vars(drawn).items()}
    wide = {name: array.astype(np.float32) for name, array in rounded.items()}
    expected = reference(layer, Operands(**wide), computation)
    row: dict[str, Any] = {"layer": layer.name, "computation": computation, "failures": []}
    verified = []
    for peer, arrays in (("torch", rounded), ("fastconv", rounded), ("fastconv float32", wide)):
        for contender in _contenders(layer, computation, peer, list(arrays.values())):
            error = relative_error(contender.result(contender.call()), expected)
            if error <= TOLERANCE:
                verified.append(contender)
            else:
                row["failures"].append(f"{peer} {contender.variant}: error {error:.1e}")
    timings = measure(verified, effort, guard)
    for contender, timing in zip(verified, timings, strict=True):
        row[contender.peer] = min(row.get(contender.peer, np.inf), timing.median)
    return row


def _contenders(
    layer: Layer, computation: str, peer: str, arrays: list[np.ndarray]
) -> list[Contender]:
    last = [channels_last(a) if a.ndim > 2 else a for a in arrays]
    call = peers.load(peer.split()[0]).call
    return [
        Contender(peer, variant, call(layer, computation, *operands), _result)
        for variant, operands in (("planar", arrays), ("channels_last", last))
    ]


def _result(out: Any) -> np.ndarray:
    """Turn an array, a tensor or PyTorch's three gradients, of which one is there, to float32."""
    if isinstance(out, tuple):
        out = next(tensor for tensor in out if tensor is not None)
    return np.asarray(out.float() if hasattr(out, "float") else out, np.float32)


def markdown(rows: list[dict[str, Any]]) -> str:
    """Return the table: milliseconds of each, its best layout, and the ratios."""
    names = ("fastconv", "torch", "fastconv float32")

    def ratio(row: dict[str, Any], name: str) -> float | None:
        return row[name] / row["fastconv"] if name in row and "fastconv" in row else None

    cells = [
        [
            row["layer"],
            row["computation"],
            *(number(row.get(name), ".3f", 1e3) for name in names),
            *(number(ratio(row, name), ".2f") for name in names[1:]),
            "; ".join(row["failures"]),
        ]
        for row in rows
    ]
    header = ["layer", "computation", "ms", "torch, ms", "float32, ms", "torch / ours"]
    return table([*header, "float32 / ours", "failed"], cells, text_columns=2)
