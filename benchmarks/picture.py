"""The ratios of a comparison as a picture; needs matplotlib (the ``train`` extra).

Command: ``python -m benchmarks --picture docs/images/benchmarks.png``, or from results already
there: ``python -m benchmarks report --json FILE --picture docs/images/benchmarks.png``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

FIRST, SECOND, THIRD = "#1d5c80", "#61a5c2", "#a9d6e5"
COLORS = {
    "forward": FIRST,
    "backward_input": SECOND,
    "forward_indices": SECOND,
    "backward_weight": THIRD,
    "backward": THIRD,
}
LEGEND = {
    "forward": FIRST,
    "backward input (pool: with indices)": SECOND,
    "backward weight (pool: backward)": THIRD,
}


def draw(result: dict[str, Any], path: Path) -> None:
    """Draw one bar for each layer and computation: how many times as fast as the best peer."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    environment = "tuned" if "tuned" in result["environments"] else "default"
    bars: dict[str, dict[str, float]] = {}
    for entry in result["summary"]["ratios"]:
        ratio = entry.get(environment, {}).get("ratio")
        if ratio is not None:
            bars.setdefault(entry["layer"], {})[entry["computation"]] = ratio
    figure, axes = plt.subplots(figsize=(8, 1 + 0.32 * len(bars)), dpi=110)
    for row, (layer, ratios) in enumerate(bars.items()):
        for place, (computation, ratio) in enumerate(ratios.items()):
            offset = 0.27 * (place - (len(ratios) - 1) / 2)
            axes.barh(row + offset, ratio, 0.25, color=COLORS[computation])
        axes.text(-0.01, row, layer, ha="right", va="center", transform=_rows(axes), fontsize=8)
    axes.axvline(1, color="#444444", linewidth=1)
    axes.set_ylim(len(bars) - 0.5, -0.5)
    axes.set_yticks([])
    axes.set_xlabel(f"times as fast as the fastest {environment} peer", fontsize=9)
    axes.tick_params(labelsize=8)
    axes.spines[["top", "right", "left"]].set_visible(False)
    handles = [plt.Rectangle((0, 0), 1, 1, color=color) for color in LEGEND.values()]
    place = {"loc": "lower left", "bbox_to_anchor": (0, 1), "ncols": 3, "frameon": False}
    axes.legend(handles, list(LEGEND), fontsize=8, **place)
    figure.tight_layout()
    figure.savefig(path)
    plt.close(figure)


def _rows(axes: Any) -> Any:
    """Horizontal positions in parts of the axes, vertical ones in rows."""
    return axes.get_yaxis_transform()
