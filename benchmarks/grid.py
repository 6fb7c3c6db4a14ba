"""A seeded random grid of problems against PyTorch at its best: where fastconv is slow.

Command: ``python -m benchmarks grid --count 300 --seed 0``

Every computation of every problem, both layouts of both, verified against float64 and timed in
turns, as all comparisons here. Listed are the lowest ratios and the least work a second, each
with the algorithm that ``fastconv.explain`` names where fastconv has that.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from typing import Any

from . import compare, machine, peers, summary
from .problems import CONV_COMPUTATIONS, Layer, make_operands
from .processes import in_own_process
from .shapes import describe, problems
from .tables import number, table
from .timing import QUICK, Effort, Guard

LISTED = 25
#: Hundreds of problems: a quarter of the samples of a named layer.
EFFORT = Effort(turns=5, turn_seconds=0.015, limit_seconds=1.0)


def run(count: int, seed: int, threads: int, quick: bool, isa: str | None) -> dict[str, Any]:
    """Measure in a fresh process in the tuned environment and print the lists."""
    settings = {"count": count, "seed": seed, "threads": threads, "quick": quick}
    answer = in_own_process("grid", settings, threads=threads, tuned=True, isa=isa)
    result = {"machine": machine.facts(), "count": count, "seed": seed, **answer}
    print(markdown(result))
    return result


def work(count: int, seed: int, threads: int, quick: bool) -> dict[str, Any]:
    """Return one row for each problem and computation."""
    versions = peers.installed(("torch", "fastconv"))
    for name in versions:
        peers.load(name).setup(threads)
    measured = {"tuned": True, "effort": QUICK if quick else EFFORT, "guard": Guard()}
    rows = []
    for layer in problems(count, seed):
        operands = make_operands(layer)
        for computation in CONV_COMPUTATIONS:
            found = compare.measure_problem(
                layer, operands, computation, list(versions), **measured
            )
            rows.append(_row(layer, computation, found))
        print(f"{layer.name:18} {describe(layer)}", file=sys.stderr, flush=True)
    return {
        "versions": versions,
        "ceilings": compare.ceilings(threads, quick),
        "rows": rows,
    }


def _row(layer: Layer, computation: str, found: list[dict[str, Any]]) -> dict[str, Any]:
    compared = summary.compare(found)
    ours = compared["fastconv"]
    layout = min(ours, key=ours.__getitem__, default="planar")
    return {
        "layer": layer.name,
        "family": layer.name.partition(".")[0],
        "problem": describe(layer),
        "computation": computation,
        "flops": layer.flops,
        "bytes": layer.bytes_moved(computation),
        "layout": layout,
        "seconds": ours.get(layout),
        "peer": compared["best_peer"],
        "ratio": compared["ratio"],
        "ratios": compared["ratios"],
        "disturbed": any(row.get("disturbed") for row in found),
        "failures": [
            f"{row['peer']} {row['variant']}: {row['failure']}"
            for row in found
            if not row["verified"]
        ],
        **explanation(layer, computation, layout),
    }


def explanation(layer: Layer, computation: str, layout: str) -> dict[str, str]:
    """Return the algorithm and the reason for it, or dashes where nobody can be asked."""
    try:
        from fastconv import explain
    except ImportError:
        return {"algorithm": "-", "reason": "-"}
    shape = layer.input_shape
    if layer.transposed:
        # Its gradients are those of the convolution from its output to its input.
        shape = layer.input_shape if computation == "forward" else layer.output_shape
        names = {"forward": "conv_transpose", "backward_input": "forward"}
        computation = names.get(computation, computation)
    plan = explain(
        computation,
        shape,
        layer.weight_shape,
        stride=layer.stride,
        padding=layer.padding,
        dilation=layer.dilation,
        groups=layer.groups,
        data_format="channels_last" if layout == "channels_last" else "channels_first",
    )
    return {"algorithm": plan.algorithm, "reason": plan.reason}


# ---- tables


def markdown(result: dict[str, Any]) -> str:
    """Return means by family, the lowest ratios, the least work a second, and failures."""
    rows, ceilings = result["rows"], result["ceilings"]
    compared = [row for row in rows if row["ratio"] is not None]
    timed = [row for row in rows if row["seconds"] is not None]
    below = sum(row["ratio"] < 1 for row in compared)
    slowest = sorted(timed, key=lambda row: row["seconds"] / row["flops"], reverse=True)
    failures = [
        f"- FAILED: {row['problem']} {row['computation']}: {text}"
        for row in rows
        for text in row["failures"]
    ]
    parts = [
        f"{result['count']} problems (seed {result['seed']}), {len(compared)} computations "
        f"compared; {below} slower than PyTorch's best layout; "
        f"{sum(row['disturbed'] for row in rows)} stayed disturbed.",
        _families(compared),
        "### Lowest ratios",
        _list(sorted(compared, key=lambda row: row["ratio"])[:LISTED], ceilings),
        "### Most time a multiply-add",
        _list(slowest[:LISTED], ceilings),
        "\n".join(failures),
    ]
    return "\n\n".join(part for part in parts if part)


def _families(rows: list[dict[str, Any]]) -> str:
    found: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        for family in (row["family"], "all"):
            for computation in (row["computation"], "all"):
                found[family][computation].append(row["ratio"])
    names = sorted(found, key=lambda name: name == "all")
    columns = [*CONV_COMPUTATIONS, "all"]
    cells = [
        [
            name,
            *(number(_mean(found[name][column]), ".2f") for column in columns),
            number(min(found[name]["all"]), ".2f"),
        ]
        for name in names
    ]
    return table(["family", *columns, "lowest"], cells) if cells else ""


def _mean(values: list[float]) -> float | None:
    return summary.geometric_mean(values) if values else None


def _list(rows: list[dict[str, Any]], ceilings: dict[str, Any]) -> str:
    cells = []
    for row in rows:
        rate = row["flops"] / row["seconds"]
        roof = min(ceilings["fma_flops"], ceilings["copy_bytes"] * row["flops"] / row["bytes"])
        peer = row["peer"]
        cells.append(
            [
                row["family"],
                row["problem"],
                row["computation"],
                row["algorithm"],
                number(row["seconds"], ".3f", 1e3),
                number(peer and peer["median_s"], ".3f", 1e3),
                number(row["ratio"], ".2f"),
                number(2e12 / rate, ".1f"),
                number(100 * rate / roof, ".0f"),
            ]
        )
    header = ["family", "problem", "computation", "algorithm", "ms", "PyTorch ms", "ratio"]
    return table([*header, "ps a multiply-add", "% of roof"], cells, 4) if cells else ""
