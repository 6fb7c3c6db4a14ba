"""Turn the rows of a comparison into ratios and their geometric means.

A ratio is the best peer's median over fastconv's, best layout each, both from the same
process; above 1 fastconv is faster. Only the one against the tuned peers counts.
The extra layers count in the means of their class only.
Used by ``python -m benchmarks`` and ``python -m benchmarks report``.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from .peers.fastconv import PACKED

Row = dict[str, Any]
Key = tuple[str, str]

#: The class of all the layers that are not extra.
NAMED = "all named layers"
#: Peers that pack the filters once, before the first call.
PACKS_ONCE = ("onnxruntime", "openvino")
_OF_LAYER = ("kind", "extra", "category", "flops", "bytes")


def summarize(environments: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Return the ratios of every layer and their geometric means by class and computation."""
    ratios: dict[Key, dict[str, Any]] = {}
    for environment, report in environments.items():
        for key, rows in by_problem(report["rows"]).items():
            entry = ratios.setdefault(
                key,
                {name: rows[0][name] for name in ("layer", "computation", *_OF_LAYER)},
            )
            entry[environment] = compare(rows)
    return {
        "ratios": list(ratios.values()),
        "geometric_means": {
            environment: _means(ratios.values(), environment) for environment in environments
        },
        "class_sizes": _class_sizes(ratios.values()),
        "worst_error": _worst_errors(environments),
        "failures": _failures(environments),
        "repeated_turns": sum(_count(environments, "repeated")),
        "disturbed_rows": sum(1 for count in _count(environments, "disturbed") if count),
    }


def by_problem(rows: Iterable[Row]) -> dict[Key, list[Row]]:
    """Group rows by layer and computation."""
    problems = defaultdict(list)
    for row in rows:
        problems[row["layer"], row["computation"]].append(row)
    return problems


def compare(rows: list[Row]) -> dict[str, Any]:
    """Return the ratio of one problem: best layout of ours, best variant of theirs.

    A peer that packs the filters once, before the first call, is compared with the call of ours
    that does; one that gets them with each call, with the one that gets them so.
    """
    timed = [row for row in rows if row["verified"]]
    ours = {row["variant"]: row["median_s"] for row in timed if row["peer"] == "fastconv"}
    plain = {name: seconds for name, seconds in ours.items() if not name.endswith(PACKED)}
    packed = {name: min(plain[name], ours.get(name + PACKED, plain[name])) for name in plain}
    theirs = [row for row in timed if row["peer"] != "fastconv"]
    found: dict[str, Any] = {"fastconv": plain, "best_peer": None, "ratio": None, "ratios": {}}
    if len(plain) < len(ours):
        found["packed"] = min(ours[name] for name in ours if name not in plain)
    if not theirs:
        return found

    def ratio(row: Row, layout: str) -> float:
        mine = packed if row["peer"] in PACKS_ONCE else plain
        return row["median_s"] / mine[layout]

    found["ratios"] = {name: min(ratio(row, name) for row in theirs) for name in plain}
    layout = max(found["ratios"], key=found["ratios"].__getitem__, default=None)
    if layout is None:
        best = min(theirs, key=lambda row: row["median_s"])
    else:
        best = min(theirs, key=lambda row: ratio(row, layout))
        found["ratio"] = found["ratios"][layout]
    found["best_peer"] = {name: best[name] for name in ("peer", "variant", "median_s")}
    return found


def _means(entries: Iterable[dict[str, Any]], environment: str) -> dict[str, dict[str, float]]:
    collected: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for entry in entries:
        ratio = entry.get(environment, {}).get("ratio")
        if ratio is not None:
            names = [entry["category"]]
            if entry["kind"] == "conv" and not entry["extra"]:
                names.append(NAMED)
            for name in names:
                collected[name][entry["computation"]].append(ratio)
                collected[name]["all"].append(ratio)
    return {
        name: {computation: geometric_mean(values) for computation, values in columns.items()}
        for name, columns in collected.items()
    }


def _class_sizes(entries: Iterable[dict[str, Any]]) -> dict[str, int]:
    members: dict[str, set[str]] = defaultdict(set)
    for entry in entries:
        members[entry["category"]].add(entry["layer"])
        if entry["kind"] == "conv" and not entry["extra"]:
            members[NAMED].add(entry["layer"])
    return {name: len(layers) for name, layers in members.items()}


def geometric_mean(values: list[float]) -> float:
    """Return the n-th root of the product."""
    return math.exp(math.fsum(map(math.log, values)) / len(values))


def _worst_errors(environments: dict[str, dict[str, Any]]) -> dict[str, dict[str, float]]:
    worst: dict[str, dict[str, float]] = defaultdict(dict)
    for report in environments.values():
        for row in report["rows"]:
            if row["error"] is not None and math.isfinite(row["error"]):
                column = worst[row["peer"]]
                name = f"{'pool ' if row['kind'] == 'pool' else ''}{row['computation']}"
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
