"""The report of the engine: docs/performance.md and its pictures.

Command: ``python -m benchmarks report [--json FILE]``

Each command with ``--json FILE`` keeps its results there as a section of its own. The report
measures the sections that FILE lacks, keeps them too, and writes what they say. To renew one,
run its command with the same FILE and then the report.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from . import errors, grid, memory, picture, tables
from .problems import CONV_COMPUTATIONS
from .summary import NAMED

DOCS = Path(__file__).resolve().parent.parent / "docs"
PAGE, BARS, ROOFLINE = "performance.md", "images/benchmarks.png", "images/roofline.png"
#: Sections that the report needs, in the order of the page.
SECTIONS = ("comparison", "errors", "memory", "grid")


def write(results: dict[str, Any], docs: Path) -> None:
    """Write the page and the pictures under a folder."""
    (docs / "images").mkdir(parents=True, exist_ok=True)
    picture.ratios(results["comparison"], docs / BARS)
    picture.roofline(results["comparison"], docs / ROOFLINE)
    (docs / PAGE).write_text(page(results), encoding="utf-8")


def page(results: dict[str, Any]) -> str:
    """Return the page as Markdown."""
    comparison = results["comparison"]
    parts = [
        "# Performance",
        headline(comparison),
        tables.setup(comparison),
        tables.means(comparison),
        "Classes are the goals' own; those of the extra layers of `benchmarks/layers.json` count "
        "in the mean of their class, not in that of the named layers.",
        f"![Speed against the fastest tuned peer, layer by layer]({BARS})",
        "## Roofline",
        "GFLOP/s of the direct sum over its operations a byte, each operand and the result moved "
        "once. The line is what the measured FMA peak and copy bandwidth allow a direct sum; "
        "algorithms with fewer multiplications go above it, and so does data found in the caches.",
        f"![Roofline of the convolutions]({ROOFLINE})",
        *tables.layers(comparison),
        "## Accuracy",
        "max|err| / max|ref| against float64, in the default precision, in "
        '`runtime.precision("highest")` and of PyTorch.',
        errors.markdown(results["errors"]),
        "## Memory",
        "Rise of the resident set over a forward pass and both gradients, in a fresh process "
        "each, best layout of both; operands and results are in it.",
        memory.markdown(results["memory"]),
        "## Shapes nobody named",
        "A seeded random grid, against the best of PyTorch's two layouts.",
        grid.markdown(results["grid"]),
        tables.checks(comparison),
        commands(results),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def headline(comparison: dict[str, Any]) -> str:
    """Return the means over the named layers in one sentence."""
    found = comparison["summary"]["geometric_means"]
    environment = "tuned" if "tuned" in found else "default"
    named = found[environment].get(NAMED)
    if named is None:
        return ""
    count = comparison["summary"]["class_sizes"][NAMED]
    each = ", ".join(f"{c} {named[c]:.2f}" for c in CONV_COMPUTATIONS if c in named)
    return (
        f"Geometric mean over the {count} named layers against the fastest {environment} peer on "
        f"each: **{named['all']:.2f} times as fast** ({each})."
    )


def commands(results: dict[str, Any]) -> str:
    """Return what made the sections."""
    made = [results[name]["command"] for name in SECTIONS]
    lines = ["## How this page is made", "", "On a quiet machine with the peers installed:", ""]
    lines += ["```sh", *made, "python -m benchmarks report --json FILE", "```", ""]
    lines.append(
        "each with `--json FILE`, or the last one alone, which measures what FILE lacks. "
        "`python -m benchmarks points` shows what the interpolation points of the Winograd "
        "transforms do to the errors, `micro` what the micro-kernel makes of the peak, "
        "`overhead` what a call costs."
    )
    return "\n".join(lines)
