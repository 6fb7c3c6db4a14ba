"""Errors of the three computations on easy and on hard data, beside PyTorch's.

Command: ``python -m benchmarks errors``

``max|err| / max|ref|`` against float64, the worst of both layouts, for the named convolutions in
batches small enough for a float64 reference. With zero-sum filters on data of a large mean the
result is what little is left after cancellation, and a ratio to it would measure the data: there
the scale is ``max|x| * sum|w|``, the largest that the sum of one output could have become.
"""

from __future__ import annotations

import math
import sys
import zlib
from dataclasses import replace
from typing import Any

import numpy as np

from . import machine, peers
from .problems import CONV_COMPUTATIONS, Layer, Operands, load_layers, reference
from .processes import in_own_process
from .tables import number, table

#: Each draws the input and the gradient of the output; the filters are always normal.
DATA = {
    "random": lambda generator, shape: generator.standard_normal(shape),
    "constant": lambda generator, shape: np.full(shape, 0.7),
    "large mean": lambda generator, shape: 100 + generator.standard_normal(shape),
    "heavy tails": lambda generator, shape: generator.standard_t(2, shape),
}
ZERO_SUM = "large mean, zero-sum filters"
KINDS = {
    "random": "normal, mean 0, std 1",
    "constant": "0.7 throughout",
    "large mean": "normal, mean 100, std 1",
    "heavy tails": "Student's t with two degrees of freedom",
    ZERO_SUM: "as before, and filters whose sum is zero; the scale is max|x| * sum|w|",
}
COLUMNS = ("high", "highest", "torch")
#: Operations of the direct sum: a tenth of a second of float64.
MOST_FLOPS = 8e9


def run(layers: str, threads: int, quick: bool, isa: str | None) -> dict[str, Any]:
    """Measure in a fresh process and print the tables."""
    settings = {"layers": layers, "threads": threads, "quick": quick}
    answer = in_own_process("errors", settings, threads=threads, tuned=True, isa=isa)
    result = {"machine": machine.facts(), **answer}
    print(markdown(result))
    return result


def work(layers: str, threads: int, quick: bool) -> dict[str, Any]:
    """Return one row for each layer, kind of data and computation."""
    versions = peers.installed(("torch", "fastconv"))
    for name in versions:
        peers.load(name).setup(threads)
    rows = []
    for layer in load_layers(layers):
        if layer.kind == "conv" and not layer.extra:
            small = _small(layer, MOST_FLOPS / 16 if quick else MOST_FLOPS)
            for kind in KINDS:
                rows += [_errors(small, kind, c, "torch" in versions) for c in CONV_COMPUTATIONS]
            print(f"{layer.name:28} errors", file=sys.stderr, flush=True)
    return {"versions": versions, "rows": rows}


def _small(layer: Layer, most: float) -> Layer:
    return replace(layer, n=int(max(1, min(layer.n, most * layer.n // layer.flops))))


def _errors(layer: Layer, kind: str, computation: str, with_torch: bool) -> dict[str, Any]:
    from fastconv import runtime

    operands = draw(layer, kind, computation)
    expected = reference(layer, operands, computation)
    scale = _scale(layer, kind, computation, operands, expected)
    row: dict[str, Any] = {
        "layer": layer.name,
        "n": layer.n,
        "data": kind,
        "computation": computation,
    }
    for precision in ("high", "highest"):
        with runtime.precision(precision):
            row[precision] = _worst("fastconv", layer, operands, computation, expected) / scale
    if with_torch:
        row["torch"] = _worst("torch", layer, operands, computation, expected) / scale
    return row


def draw(layer: Layer, kind: str, computation: str) -> Operands:
    """Return operands of one kind of data, the same ones in every process."""
    generator = np.random.default_rng(zlib.crc32(f"{layer.name} {kind}".encode()))
    data = DATA["large mean" if kind == ZERO_SUM else kind]
    x, dy = (data(generator, shape) for shape in (layer.input_shape, layer.output_shape))
    weight = generator.standard_normal(layer.weight_shape)
    weight /= math.sqrt(math.prod(layer.weight_shape[1:]))
    if kind == ZERO_SUM:
        axes = _summed(layer)
        if computation == "backward_weight":  # here dy is what slides over x
            dy -= dy.mean(axes["dy"], keepdims=True)
        else:
            grouped = _grouped(layer, weight)
            grouped -= grouped.mean(axes[computation], keepdims=True)
            weight = grouped.reshape(layer.weight_shape)
    return Operands(*(np.ascontiguousarray(a, dtype=np.float32) for a in (x, weight, dy)))


def _grouped(layer: Layer, weight: np.ndarray) -> np.ndarray:
    return weight.reshape(layer.groups, -1, *layer.weight_shape[1:])


def _summed(layer: Layer) -> dict[str, tuple[int, ...]]:
    """Axes that one output sums over, of grouped filters (G, OC / G, IC / G, k...) or of dy."""
    taps, places = (tuple(range(first, first + layer.ndim)) for first in (3, 2))
    return {"forward": (2, *taps), "backward_input": (1, *taps), "dy": (0, *places)}


def _scale(
    layer: Layer, kind: str, computation: str, operands: Operands, expected: np.ndarray
) -> float:
    if kind != ZERO_SUM:
        return float(np.abs(expected).max())
    axes = _summed(layer)
    if computation == "backward_weight":
        data, sums = operands.input, np.abs(operands.grad_output).sum(axes["dy"], dtype=np.float64)
    else:
        data = operands.input if computation == "forward" else operands.grad_output
        weight = np.abs(_grouped(layer, operands.weight))
        sums = weight.sum(axes[computation], dtype=np.float64)
    return float(np.abs(data).max() * sums.max())


def _worst(
    peer: str, layer: Layer, operands: Operands, computation: str, expected: np.ndarray
) -> float:
    worst = 0.0
    for contender in peers.load(peer).contenders(layer, operands, computation, peer == "fastconv"):
        result = contender.result(contender.call())
        worst = max(worst, float(np.abs(result - expected).max()))
    return worst


# ---- tables


def markdown(result: dict[str, Any]) -> str:
    """Return the worst of each kind of data, then every layer."""
    rows = result["rows"]
    summary = []
    for kind in KINDS:
        for computation in CONV_COMPUTATIONS:
            found = [r for r in rows if (r["data"], r["computation"]) == (kind, computation)]
            if found:
                worst = max(found, key=lambda row: row["high"])
                cells = [number(_most(found, name), ".1e") for name in COLUMNS]
                summary.append([kind, computation, worst["layer"], *cells])
    parts = [
        "The largest errors of all layers, and the layer where the default precision has it:",
        table(["data", "computation", "layer", "default", "highest", "PyTorch"], summary, 3),
    ]
    for kind, text in KINDS.items():
        found = [row for row in rows if row["data"] == kind]
        parts += [f"### Data: {kind}", f"{text[0].upper()}{text[1:]}.", _layers(found)]
    return "\n\n".join(parts)


def _layers(rows: list[dict[str, Any]]) -> str:
    cells: dict[str, list[str]] = {}
    for row in rows:  # in the order of CONV_COMPUTATIONS
        shown = " / ".join(number(row.get(name), ".1e") for name in COLUMNS)
        cells.setdefault(row["layer"], [str(row["n"])]).append(shown)
    header = ["default / highest / PyTorch", "batch", *CONV_COMPUTATIONS]
    return table(header, [[layer, *found] for layer, found in cells.items()])


def _most(rows: list[dict[str, Any]], name: str) -> float | None:
    return max((row[name] for row in rows if name in row), default=None)
