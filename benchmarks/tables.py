"""A comparison as Markdown: geometric means by class, one table for each computation, checks.

Used by ``python -m benchmarks`` and ``python -m benchmarks report``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .problems import CONV_COMPUTATIONS, POOL_COMPUTATIONS
from .summary import NAMED, by_problem

TITLES = {
    ("conv", "forward"): "Convolution, forward",
    ("conv", "backward_input"): "Convolution, gradient of the input",
    ("conv", "backward_weight"): "Convolution, gradient of the weight",
    ("pool", "forward"): "Max pool, forward",
    ("pool", "forward_indices"): "Max pool, forward with int64 indices",
    ("pool", "forward_argmax"): "Max pool, forward with what the gradient needs",
    ("pool", "backward"): "Max pool, gradient from int64 indices",
    ("pool", "backward_argmax"): "Max pool, gradient from what forward kept",
    ("pool", "average"): "Average pool, forward",
    ("pool", "average_backward"): "Average pool, gradient",
}


def markdown(comparison: dict[str, Any]) -> str:
    """Return all the tables of a comparison."""
    parts = [setup(comparison), means(comparison), *layers(comparison), checks(comparison)]
    return "\n\n".join(part for part in parts if part) + "\n"


def setup(comparison: dict[str, Any]) -> str:
    """Return what was measured, where and how."""
    machine, environments = comparison["machine"], comparison["environments"]
    first = next(iter(environments.values()))
    versions = ", ".join(f"{name} {version}" for name, version in first["versions"].items())
    lines = [
        f"{machine['cpu']}, {comparison['threads']} of {machine['cpus']} CPUs, float32, "
        f"precision {first['precision']}. {versions}."
    ]
    for name, report in environments.items():
        top = report["ceilings"]
        lines.append(
            f"Ceilings ({name} environment, {top['isa']}): "
            f"FMA {top['fma_flops'] / 1e9:.0f} GFLOP/s, "
            f"micro-kernel {top['micro_kernel_flops'] / 1e9:.0f} GFLOP/s "
            f"({100 * top['micro_kernel_flops'] / top['fma_flops']:.0f} %), "
            f"copy {top['copy_bytes'] / 1e9:.1f} GB/s."
        )
    lines += [
        "",
        "Ratio: best peer's median / fastconv's, best layout each, same process; above 1 "
        "fastconv is faster. GFLOP/s count the operations of the direct sum, whatever the "
        "algorithm. Every result was verified against float64 before it was timed. Packed: the "
        "filters as a `PackedWeight`; ONNX Runtime and OpenVINO, which pack them once as well, "
        "are compared with that, PyTorch and JAX with the call that gets them as they are.",
    ]
    return "\n".join(lines)


# ---- geometric means


def means(comparison: dict[str, Any]) -> str:
    """Return the means by class, of convolutions and of pools."""
    found = comparison["summary"]["geometric_means"]
    lines = [f"## Geometric means of the ratios ({' / '.join(found)} peers)"]
    for kind, computations in (("conv", CONV_COMPUTATIONS), ("pool", POOL_COMPUTATIONS)):
        names = [
            name
            for name in dict.fromkeys(name for rows in found.values() for name in rows)
            if (name == "pools") == (kind == "pool")
        ]
        names.sort(key=lambda name: name == NAMED)
        columns = [
            c for c in computations if any(c in row for t in found.values() for row in t.values())
        ]
        if names:
            lines += ["", *_mean_rows(comparison, names, [*columns, "all"])]
    return "\n".join(lines) if len(lines) > 1 else ""


def _mean_rows(comparison: dict[str, Any], names: list[str], columns: list[str]) -> list[str]:
    summary = comparison["summary"]
    environments = summary["geometric_means"].values()
    lines = [line("class", "layers", *columns), line("---", *["--:"] * (1 + len(columns)))]
    for name in names:
        cells = [
            " / ".join(number(table.get(name, {}).get(column), ".2f") for table in environments)
            for column in columns
        ]
        shown = f"**{name}**" if name == NAMED else name
        lines.append(line(shown, str(summary["class_sizes"][name]), *cells))
    return lines


# ---- layer by layer


def layers(comparison: dict[str, Any]) -> list[str]:
    """Return one table for each computation."""
    entries = comparison["summary"]["ratios"]
    wanted = [key for key in TITLES if any((e["kind"], e["computation"]) == key for e in entries)]
    return [_layer_table(comparison, key) for key in wanted]


def _layer_table(comparison: dict[str, Any], key: tuple[str, str]) -> str:
    environments = comparison["environments"]
    main = "tuned" if "tuned" in environments else "default"
    unit, share, work = (
        ("GB/s", "% of copy", "bytes") if key[0] == "pool" else ("GFLOP/s", "% of peak", "flops")
    )
    header = ["layer", "planar ms", "channels-last ms"]
    packs = key == ("conv", "forward")
    header += ["packed ms", unit, share] if packs else [unit, share]
    for name in environments:
        header += [f"best {name} peer", "ms", "ratio"]
    header.append("error")
    ceilings = environments[main]["ceilings"]
    ceiling = ceilings["copy_bytes" if key[0] == "pool" else "fma_flops"]
    grouped = {name: by_problem(report["rows"]) for name, report in environments.items()}
    lines = [f"## {TITLES[key]}", "", line(*header), line("---", *["--:"] * (len(header) - 1))]
    for entry in comparison["summary"]["ratios"]:
        if (entry["kind"], entry["computation"]) != key or main not in entry:
            continue
        rows = {name: groups[entry["layer"], key[1]] for name, groups in grouped.items()}
        ours = entry[main]["fastconv"]
        rate = entry[work] / min(ours.values()) if ours else None
        disturbed = any(row.get("disturbed") for found in rows.values() for row in found)
        errors = [r["error"] for r in rows[main] if r["peer"] == "fastconv" and r["verified"]]
        cells = [entry["layer"] + (" \\*" if disturbed else "")]
        cells += [number(ours.get(v), ".3f", 1e3) for v in ("planar", "channels_last")]
        cells += [number(entry[main].get("packed"), ".3f", 1e3)] if packs else []
        cells += [number(rate, ".1f" if key[0] == "pool" else ".0f", 1e-9)]
        cells += [number(rate, ".0f", 100 / ceiling)]
        for name in environments:
            cells += _peer_cells(entry.get(name, {}))
        lines.append(line(*cells, number(max(errors, default=None), ".1e")))
    return "\n".join(lines)


def _peer_cells(found: dict[str, Any]) -> list[str]:
    peer = found.get("best_peer")
    return [
        f"{peer['peer']} {peer['variant']}" if peer else "-",
        number(peer["median_s"] if peer else None, ".3f", 1e3),
        number(found.get("ratio"), ".2f"),
    ]


def checks(comparison: dict[str, Any]) -> str:
    """Return the largest errors, what was disturbed and what failed."""
    summary = comparison["summary"]
    lines = ["## Checks", ""]
    for peer, errors in summary["worst_error"].items():
        listed = ", ".join(f"{name} {error:.1e}" for name, error in errors.items())
        lines.append(f"- Worst max|err| / max|ref|, {peer}: {listed}")
    lines.append(
        f"- {summary['repeated_turns']} turns were repeated because something else ran; "
        f"{summary['disturbed_rows']} rows stayed disturbed (\\*: measure again)."
    )
    lines += [
        f"- FAILED: {f['peer']} {f['variant']}, {f['layer']} {f['computation']} "
        f"({f['environment']}): {f['failure']}"
        for f in summary["failures"]
    ]
    return "\n".join(lines)


# ---- cells


def table(header: Sequence[str], rows: Sequence[Sequence[str]], text_columns: int = 1) -> str:
    """Return a table whose first columns are text and the others numbers."""
    sides = ["---" if i < text_columns else "--:" for i in range(len(header))]
    return "\n".join(line(*cells) for cells in (header, sides, *rows))


def number(value: float | None, form: str, factor: float = 1.0) -> str:
    """Format a number, or a dash where there is none."""
    return "-" if value is None else format(value * factor, form)


def line(*cells: str) -> str:
    """Return one row of a table."""
    return "| " + " | ".join(cells) + " |"
