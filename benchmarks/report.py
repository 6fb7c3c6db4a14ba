"""Turn the rows of a comparison into ratios, geometric means, JSON and Markdown.

A ratio is the best peer's median over fastconv's, best layout each, both from the same
process; above 1 fastconv is faster. Only the one against the tuned peers counts.
Used by ``python -m benchmarks --json FILE --markdown FILE``.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

Row = dict[str, Any]
Key = tuple[str, str]


def summarize(environments: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Return the ratios of every layer and their geometric means by class and computation."""
    ratios: dict[Key, dict[str, Any]] = {}
    for environment, report in environments.items():
        for key, rows in _by_problem(report["rows"]).items():
            entry = ratios.setdefault(
                key,
                {"layer": key[0], "computation": key[1], "category": rows[0]["category"]},
            )
            entry[environment] = _compare(rows)
    return {
        "ratios": list(ratios.values()),
        "geometric_means": {
            environment: _means(ratios.values(), environment) for environment in environments
        },
        "worst_error": _worst_errors(environments),
        "failures": _failures(environments),
        "repeated_turns": sum(_count(environments, "repeated")),
        "disturbed_rows": sum(1 for count in _count(environments, "disturbed") if count),
    }


def _by_problem(rows: Iterable[Row]) -> dict[Key, list[Row]]:
    problems = defaultdict(list)
    for row in rows:
        problems[row["layer"], row["computation"]].append(row)
    return problems


def _compare(rows: list[Row]) -> dict[str, Any]:
    timed = [row for row in rows if row["verified"]]
    ours = {row["variant"]: row["median_s"] for row in timed if row["peer"] == "fastconv"}
    theirs = [row for row in timed if row["peer"] != "fastconv"]
    best = min(theirs, key=lambda row: row["median_s"], default=None)
    found: dict[str, Any] = {"fastconv": ours, "best_peer": None, "ratio": None, "ratios": {}}
    if best is not None:
        found["best_peer"] = {name: best[name] for name in ("peer", "variant", "median_s")}
        found["ratios"] = {name: best["median_s"] / seconds for name, seconds in ours.items()}
        found["ratio"] = max(found["ratios"].values(), default=None)
    return found


def _means(entries: Iterable[dict[str, Any]], environment: str) -> dict[str, dict[str, float]]:
    collected: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for entry in entries:
        ratio = entry.get(environment, {}).get("ratio")
        if ratio is not None:
            names = [entry["category"]]
            if entry["category"] != "pool":
                names.append("all convolutions")
            for name in names:
                collected[name][entry["computation"]].append(ratio)
                collected[name]["all"].append(ratio)
    return {
        name: {computation: geometric_mean(values) for computation, values in columns.items()}
        for name, columns in collected.items()
    }


def geometric_mean(values: list[float]) -> float:
    """Return the n-th root of the product."""
    return math.exp(math.fsum(map(math.log, values)) / len(values))


def _worst_errors(environments: dict[str, dict[str, Any]]) -> dict[str, dict[str, float]]:
    worst: dict[str, dict[str, float]] = defaultdict(dict)
    for report in environments.values():
        for row in report["rows"]:
            if row["error"] is not None and math.isfinite(row["error"]):
                column = worst[row["peer"]]
                name = f"{'pool ' if 'bytes' in row else ''}{row['computation']}"
                column[name] = max(column.get(name, 0.0), row["error"])
    return dict(worst)


def _failures(environments: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    names = ("layer", "computation", "peer", "variant", "failure")
    return [
        {"environment": environment} | {name: row[name] for name in names}
        for environment, report in environments.items()
        for row in report["rows"]
        if not row["verified"]
    ]


def _count(environments: dict[str, dict[str, Any]], what: str) -> list[int]:
    return [row.get(what, 0) for report in environments.values() for row in report["rows"]]


# ---- Markdown ---------------------------------------------------------------------------


def markdown(result: dict[str, Any]) -> str:
    """Return the tables for a reader."""
    parts = [_heading(result), _mean_table(result)]
    parts += [_layer_table(result, name) for name in _computations(result)]
    parts.append(_footer(result))
    return "\n\n".join(part for part in parts if part) + "\n"


def _heading(result: dict[str, Any]) -> str:
    machine, environments = result["machine"], result["environments"]
    lines = [
        "# fastconv against its peers",
        "",
        f"`{result['command']}`",
        "",
        f"{machine['cpu']}, {result['threads']} of {machine['cpus']} CPUs, fp32, "
        f"precision {_first(environments)['precision']}. "
        + ", ".join(f"{k} {v}" for k, v in _first(environments)["versions"].items())
        + ".",
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
        "algorithm. Every result was verified against float64 before it was timed.",
    ]
    return "\n".join(lines)


def _first(environments: dict[str, dict[str, Any]]) -> dict[str, Any]:
    return next(iter(environments.values()))


def _computations(result: dict[str, Any]) -> list[tuple[str, bool]]:
    seen: dict[tuple[str, bool], None] = {}
    for entry in result["summary"]["ratios"]:
        seen[entry["computation"], entry["category"] == "pool"] = None
    return list(seen)


def _mean_table(result: dict[str, Any]) -> str:
    means = result["summary"]["geometric_means"]
    names = list(dict.fromkeys(name for table in means.values() for name in table))
    if not names:
        return ""
    names.sort(key=lambda name: (name == "pool", name == "all convolutions"))
    columns = list(
        dict.fromkeys(c for table in means.values() for row in table.values() for c in row)
    )
    columns.sort(key=lambda name: name == "all")
    lines = [
        f"## Geometric means of the ratios ({' / '.join(means)} peers)",
        "",
        _line("class", *columns),
        _line("---", *["--:"] * len(columns)),
    ]
    for name in names:
        cells = [
            " / ".join(_number(table.get(name, {}).get(c), ".2f") for table in means.values())
            for c in columns
        ]
        lines.append(_line(name, *("" if set(cell) <= set("- /") else cell for cell in cells)))
    return "\n".join(lines)


def _layer_table(result: dict[str, Any], which: tuple[str, bool]) -> str:
    computation, pool = which
    environments = result["environments"]
    main = "tuned" if "tuned" in environments else "default"
    header = ["layer", "planar ms", "channels-last ms", "GB/s" if pool else "GFLOP/s"]
    header += ["% of copy" if pool else "% of peak"]
    for name in environments:
        header += [f"best {name} peer", "ms", "ratio"]
    header.append("error")
    lines = [
        f"## {'Max pool' if pool else 'Convolution'}, {computation}",
        "",
        _line(*header),
        _line("---", *["--:"] * (len(header) - 1)),
    ]
    rows = _by_problem(environments[main]["rows"])
    ceiling = environments[main]["ceilings"]["copy_bytes" if pool else "fma_flops"]
    for entry in result["summary"]["ratios"]:
        if (entry["computation"], entry["category"] == "pool") != which or main not in entry:
            continue
        ours = entry[main]["fastconv"]
        ours_rows = [
            row
            for row in rows[entry["layer"], computation]
            if row["peer"] == "fastconv" and row["verified"]
        ]
        best = min(ours.values(), default=None)
        rate = ours_rows[0]["bytes" if pool else "flops"] / best if best else None
        disturbed = any(
            row.get("disturbed")
            for report in environments.values()
            for row in report["rows"]
            if (row["layer"], row["computation"]) == (entry["layer"], computation)
        )
        cells = [entry["layer"] + (" \\*" if disturbed else "")]
        cells += [_number(ours.get(v), ".3f", 1e3) for v in ("planar", "channels_last")]
        cells += [_number(rate, ".1f" if pool else ".0f", 1e-9)]
        cells += [_number(rate, ".0f", 100 / ceiling)]
        for name in environments:
            found = entry.get(name, {})
            peer = found.get("best_peer")
            cells.append(f"{peer['peer']} {peer['variant']}" if peer else "-")
            cells.append(_number(peer["median_s"] if peer else None, ".3f", 1e3))
            cells.append(_number(found.get("ratio"), ".2f"))
        worst = max((row["error"] for row in ours_rows), default=None)
        cells.append(_number(worst, ".1e"))
        lines.append(_line(*cells))
    return "\n".join(lines)


def _footer(result: dict[str, Any]) -> str:
    summary = result["summary"]
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


def _number(value: float | None, form: str, factor: float = 1.0) -> str:
    return "-" if value is None else format(value * factor, form)


def _line(*cells: str) -> str:
    return "| " + " | ".join(cells) + " |"
