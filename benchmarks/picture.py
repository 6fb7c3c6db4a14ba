"""A comparison as pictures; needs matplotlib (the ``train`` extra).

``ratios``: one bar for each layer and computation. ``roofline``: what each layer reaches, over
what its arithmetic intensity and the measured peaks of the machine allow a direct sum.
Used by ``python -m benchmarks report``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from .problems import CONV_COMPUTATIONS
from .tables import TITLES

FIRST, SECOND, THIRD = "#1d5c80", "#61a5c2", "#a9d6e5"
#: A row of bars of a pool is what training does: keep what the gradient needs.
BARS = {
    "forward": (FIRST, ""),
    "backward_input": (SECOND, ""),
    "backward_weight": (THIRD, ""),
    "forward_argmax": (SECOND, ""),
    "backward_argmax": (THIRD, ""),
    "average": (FIRST, " average"),
    "average_backward": (THIRD, " average"),
}
#: Dark enough for white numbers.
CLASS_COLORS = (
    *("#1d5c80", "#d1495b", "#2e7d32", "#b36b00", "#7b4fa3", "#7a4a3a"),
    *("#c2478c", "#555555", "#7d7a00", "#0a8a94", "#3f51b5", "#222222"),
)
LEGEND = {
    "forward": FIRST,
    "backward input (pool: with argmax)": SECOND,
    "backward weight (pool: backward)": THIRD,
}


def ratios(comparison: dict[str, Any], path: Path) -> None:
    """Draw how many times as fast as the best peer each computation of each layer is."""
    plt = _pyplot()
    environment = _environment(comparison)
    bars: dict[str, dict[str, float]] = {}
    for entry in comparison["summary"]["ratios"]:
        ratio = entry.get(environment, {}).get("ratio")
        if ratio is not None and entry["computation"] in BARS:
            row = entry["layer"] + BARS[entry["computation"]][1]
            bars.setdefault(row, {})[entry["computation"]] = ratio
    figure, axes = plt.subplots(figsize=(8, 1 + 0.32 * len(bars)), dpi=110)
    for row, (layer, found) in enumerate(bars.items()):
        for place, (computation, ratio) in enumerate(found.items()):
            offset = 0.27 * (place - (len(found) - 1) / 2)
            axes.barh(row + offset, ratio, 0.25, color=BARS[computation][0])
        # Horizontal positions in parts of the axes, vertical ones in rows.
        where = {"ha": "right", "va": "center", "transform": axes.get_yaxis_transform()}
        axes.text(-0.01, row, layer, fontsize=8, **where)
    axes.axvline(1, color="#444444", linewidth=1)
    axes.set_ylim(len(bars) - 0.5, -0.5)
    axes.set_yticks([])
    axes.set_xlabel(f"times as fast as the fastest {environment} peer", fontsize=9)
    axes.tick_params(labelsize=8)
    axes.spines[["top", "right", "left"]].set_visible(False)
    handles = [plt.Rectangle((0, 0), 1, 1, color=color) for color in LEGEND.values()]
    place = {"loc": "lower left", "bbox_to_anchor": (0, 1), "ncols": 3, "frameon": False}
    axes.legend(handles, list(LEGEND), fontsize=8, **place)
    _save(plt, figure, path)


def roofline(comparison: dict[str, Any], path: Path) -> None:
    """Draw GFLOP/s of the direct sum over flops a byte, a panel for each computation."""
    plt = _pyplot()
    environment = _environment(comparison)
    ceilings = comparison["environments"][environment]["ceilings"]
    points = roofline_points(comparison, environment)
    names = list(dict.fromkeys(point["layer"] for point in points))
    classes = list(dict.fromkeys(point["category"] for point in points))
    colors = {name: CLASS_COLORS[i % len(CLASS_COLORS)] for i, name in enumerate(classes)}
    computations = [c for c in CONV_COMPUTATIONS if any(p["computation"] == c for p in points)]
    key_height, legend_height = (
        0.13 * -(-len(names) // 4) + 0.2,
        0.3 + 0.2 * (len(classes) // 5 + 1),
    )
    height = 4.2 * len(computations) + key_height + legend_height
    figure, panels = plt.subplots(
        len(computations), 1, sharex=True, sharey=True, squeeze=False, figsize=(9, height)
    )
    for axes, computation in zip(panels[:, 0], computations, strict=True):
        for point in points:
            if point["computation"] == computation:
                number = str(names.index(point["layer"]) + 1)
                _draw_point(axes, point, number, colors[point["category"]])
        axes.set_title(TITLES["conv", computation], fontsize=9, loc="left")
        axes.set_ylabel("GFLOP/s of the direct sum", fontsize=8)
    for axes in panels[:, 0]:
        _roof(axes, ceilings)
    panels[-1, 0].set_xlabel(
        "operations a byte, each operand and the result moved once", fontsize=8
    )
    dots = [{"color": color} for color in colors.values()]
    dots += [{"color": "black"}, {"color": "black", "markerfacecolor": "white"}]
    handles = [plt.Line2D([], [], marker="o", linestyle="", **dot) for dot in dots]
    labels = [*classes, "fastconv", f"best {environment} peer"]
    figure.legend(handles, labels, fontsize=8, ncols=5, loc="upper center", frameon=False)
    for i, name in enumerate(names):
        x, y = 0.03 + 0.245 * (i % 4), key_height - 0.13 * (1 + i // 4)
        figure.text(x, y / height, f"{i + 1}  {name}", fontsize=7)
    figure.tight_layout(rect=(0, key_height / height, 1, 1 - legend_height / height))
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _draw_point(axes: Any, point: dict[str, Any], number: str, color: Any) -> None:
    x, ours, theirs = point["intensity"], point["fastconv"] / 1e9, point["peer"]
    if theirs is not None:
        axes.plot([x, x], [ours, theirs / 1e9], color=color, linewidth=0.8)
        axes.plot(x, theirs / 1e9, "o", color=color, markersize=6, markerfacecolor="white")
    axes.plot(x, ours, "o", color=color, markersize=10)
    middle = {"ha": "center", "va": "center_baseline", "color": "white", "fontweight": "bold"}
    axes.text(x, ours, number, fontsize=6, **middle)


def roofline_points(comparison: dict[str, Any], environment: str) -> list[dict[str, Any]]:
    """Return intensity, and flops a second of fastconv and of the best peer, of convolutions."""
    points = []
    for entry in comparison["summary"]["ratios"]:
        found = entry.get(environment, {})
        if entry["kind"] != "conv" or not found.get("fastconv"):
            continue
        peer = found["best_peer"]
        points.append(
            {name: entry[name] for name in ("layer", "computation", "category")}
            | {
                "intensity": entry["flops"] / entry["bytes"],
                "fastconv": entry["flops"] / min(found["fastconv"].values()),
                "peer": entry["flops"] / peer["median_s"] if peer else None,
            }
        )
    return points


def _roof(axes: Any, ceilings: dict[str, Any]) -> None:
    """Draw what a direct sum is allowed, after all points have been drawn."""
    from matplotlib.ticker import LogLocator, NullFormatter, ScalarFormatter

    axes.set_xscale("log")
    axes.set_yscale("log")
    peak, bandwidth = ceilings["fma_flops"], ceilings["copy_bytes"]
    left, right = axes.get_xlim()
    knee = peak / bandwidth
    x = np.array([min(left, knee / 4), knee, max(right, knee * 4)])
    axes.plot(x, np.minimum(peak, x * bandwidth) / 1e9, color="#444444", linewidth=1, zorder=1)
    beside = {"textcoords": "offset points", "fontsize": 7, "color": "#444444"}
    axes.annotate(f"FMA {peak / 1e9:.0f} GFLOP/s", (x[1], peak / 1e9), (0, 4), **beside)
    slope = (x[0], x[0] * bandwidth / 1e9)
    axes.annotate(f"copy {bandwidth / 1e9:.0f} GB/s", slope, (16, 6), **beside)
    axes.set_xlim(x[0], x[2])
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.set_major_formatter(ScalarFormatter())
        axis.set_minor_formatter(NullFormatter())
    axes.tick_params(labelsize=8)
    axes.grid(which="major", color="#dddddd", linewidth=0.5)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def _environment(comparison: dict[str, Any]) -> str:
    return "tuned" if "tuned" in comparison["environments"] else "default"


def _pyplot() -> Any:
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    return plt


def _save(plt: Any, figure: Any, path: Path) -> None:
    figure.tight_layout()
    figure.savefig(path)
    plt.close(figure)
