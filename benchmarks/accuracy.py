"""What the interpolation points of Winograd's F(m, r) do to its accuracy.

Command: ``python -m benchmarks points`` (about a minute)

For every F(m, r) of ``src/kernels/winograd_transform.h``, nested with itself in two dimensions:
the largest error in float32, as a part of the largest result, of the forward sum over the channels
and of the gradient of the filters, summed over the tiles, on normal data. Compared are the points
chosen in ``winograd_matrices.h`` (``struct Points``, read from that file), the usual ones of small
integers and their reciprocals, and the best of all sets of pairs a, -a of eighths up to 2. Infinity
is always one more, and 0 where the number of the others is odd. Best is the least product of the
two errors; shown is the mean over draws that the search has not seen.
"""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

KERNELS = Path(__file__).resolve().parent.parent / "src" / "kernels"
#: The points, and the transforms that are made of them.
HEADERS = (KERNELS / "winograd_matrices.h", KERNELS / "winograd_transform.h")
#: In the order in which they are taken as n grows (wincnn, after Lavin and Gray).
USUAL = (0, 1, -1, 2, -2, 1 / 2, -1 / 2)
EIGHTHS = tuple(i / 8 for i in range(1, 17))
#: Sets that the first draw leaves for a closer look; draws of the search, and as many others.
CLOSER, DRAWS, QUICK_DRAWS = 20, 10, 2

Points = tuple[float, ...]


@dataclass(frozen=True)
class Problem:
    """Tiles of data, filters and gradients, with the two sums in float64."""

    data: np.ndarray  # (tiles, channels, n, n)
    filters: np.ndarray  # (channels, r, r)
    gradients: np.ndarray  # (tiles, m, m)
    outputs: np.ndarray  # (tiles, m, m)
    weights: np.ndarray  # (channels, r, r)


def run(quick: bool) -> dict[str, Any]:
    """Compare the sets of points of every transform and print them."""
    source = read_headers()
    chosen = chosen_points(source)
    rows = []
    for m, r in transforms_listed(source):
        n = m + r - 1
        draws = QUICK_DRAWS if quick else DRAWS
        drawn = (make_problem(m, r, np.random.default_rng(seed)) for seed in range(2 * draws))
        seen = list(itertools.islice(drawn, draws))
        sets = {"chosen": chosen[n], "usual": USUAL[: n - 1]}
        sets["best of eighths"] = search(m, r, seen, EIGHTHS[1::2] if quick else EIGHTHS)
        problems = list(drawn)
        for name, points in sets.items():
            row = {"m": m, "r": r, "set": name, "points": points}
            row |= dict(
                zip(("forward", "gradient"), mean_errors(m, r, points, problems), strict=True)
            )
            rows.append(row)
            print(
                f"F({m}, {r})  {name:16} {row['forward']:.1e}  gradient {row['gradient']:.1e}  "
                f"{spelled(points)}",
                flush=True,
            )
    return {"rows": rows}


# ---- what winograd_matrices.h and winograd_transform.h say


def read_headers() -> str:
    """Return both in one."""
    return "".join(header.read_text(encoding="utf-8") for header in HEADERS)


def chosen_points(source: str) -> dict[int, Points]:
    """Return the finite points of each n."""
    found = re.findall(r"struct Points<(\d+)> \{[^}]*?at\[\] = \{([^}]*)\}", source)
    return {int(n): tuple(float(x) for x in values.split(",")) for n, values in found}


def transforms_listed(source: str) -> list[tuple[int, int]]:
    """Return every (m, r) of ``kTransforms`` that has points: those of more than one tap."""
    listed = [(int(m), int(r)) for m, r in re.findall(r"Lines<T, (\d+), (\d+)>::", source)]
    return [(m, r) for m, r in listed if r > 1]


def transforms(m: int, r: int, points: Points) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A^T, G and B^T for these points and infinity, as winograd_matrices.h makes them."""
    n = m + r - 1
    a_t, g, b_t = np.zeros((m, n)), np.zeros((n, r)), np.zeros((n, n))
    for j, point in enumerate(points):
        others = np.delete(points, j)
        a_t[:, j] = float(point) ** np.arange(m)
        g[j] = float(point) ** np.arange(r) / np.prod(point - others)
        b_t[j, : n - 1] = np.poly(others)[::-1]
    a_t[-1, -1] = g[-1, -1] = 1
    b_t[-1] = np.poly(points)[::-1]
    return a_t, g, b_t


# ---- errors


def make_problem(
    m: int, r: int, rng: np.random.Generator, tiles: int = 64, channels: int = 256
) -> Problem:
    """Draw the operands and sum in float64."""
    n = m + r - 1
    data = rng.standard_normal((tiles, channels, n, n), np.float32)
    filters = rng.standard_normal((channels, r, r), np.float32)
    gradients = rng.standard_normal((tiles, m, m), np.float32)
    outputs, weights = np.zeros((tiles, m, m)), np.zeros((channels, r, r))
    for k, j in itertools.product(range(r), range(r)):
        window = data[:, :, k : k + m, j : j + m].astype(np.float64)
        outputs += np.tensordot(filters[:, k, j].astype(np.float64), window, (0, 1))
        weights[:, k, j] = np.einsum("tcij,tij->c", window, gradients.astype(np.float64))
    return Problem(data, filters, gradients, outputs, weights)


def errors(m: int, r: int, points: Points, problem: Problem) -> tuple[float, float]:
    """Return max|err| / max|ref| of the forward sum and of the gradient of the filters."""
    a_t, g, b_t = (matrix.astype(np.float32) for matrix in transforms(m, r, points))
    data = b_t @ problem.data @ b_t.T
    filters = g @ problem.filters @ g.T
    gradients = a_t.T @ problem.gradients @ a_t
    # One term after the other, as the kernels sum.
    sums = np.zeros_like(gradients)
    for channel in range(len(filters)):
        sums += data[:, channel] * filters[channel]
    products = np.zeros_like(filters)
    for tile in range(len(gradients)):
        products += data[tile] * gradients[tile]
    return (
        _relative(a_t @ sums @ a_t.T, problem.outputs),
        _relative(g.T @ products @ g, problem.weights),
    )


def _relative(result: np.ndarray, expected: np.ndarray) -> float:
    return float(np.abs(result - expected).max() / np.abs(expected).max())


def mean_errors(m: int, r: int, points: Points, problems: list[Problem]) -> np.ndarray:
    """Return both errors, each the mean over the problems."""
    return np.mean([errors(m, r, points, problem) for problem in problems], axis=0)


# ---- the search


def candidates(n: int, positive: tuple[float, ...]) -> list[Points]:
    """Return all sets of n - 1 points: pairs of opposite sign, and 0 where that is odd."""
    zero = (0.0,) if n % 2 == 0 else ()
    return [
        zero + tuple(sign * a for a in pairs for sign in (1, -1))
        for pairs in itertools.combinations(positive, (n - 1) // 2)
    ]


def search(m: int, r: int, problems: list[Problem], positive: tuple[float, ...]) -> Points:
    """Return the set of least forward error times gradient error."""

    def product(points: Points, count: int) -> float:
        return float(np.prod(mean_errors(m, r, points, problems[:count])))

    first = sorted(candidates(m + r - 1, positive), key=lambda points: product(points, 1))
    return min(first[:CLOSER], key=lambda points: product(points, len(problems)))


def spelled(points: Points) -> str:
    """Return the points as fractions, pairs once."""
    texts = []
    for point in points:
        if point < 0 and -point in points:
            continue
        numerator, denominator = float(abs(point)).as_integer_ratio()
        text = str(numerator) if denominator == 1 else f"{numerator}/{denominator}"
        texts.append(f"+-{text}" if point and -point in points else "-" * (point < 0) + text)
    return ", ".join(texts)
