"""What the interpolation points of Winograd's F(4x4, 3x3) do to its accuracy.

    python benchmarks/accuracy.py

The largest error of a sum over 256 channels of normal data in float32, as a part of the largest
output, for several sets of points; infinity is always one more. This chose the points of
`src/kernels/winograd_transform.h`.
"""

from __future__ import annotations

import numpy as np

TAPS, OUTPUTS = 3, 4
POINTS = {
    "0, +-1, +-2": (0, 1, -1, 2, -2),
    "0, +-1, +-1/2": (0, 1, -1, 1 / 2, -1 / 2),
    "0, +-1, 1/2, -2": (0, 1, -1, 1 / 2, -2),
    "0, +-1/2, +-3/2": (0, 1 / 2, -1 / 2, 3 / 2, -3 / 2),
    "0, +-5/8, +-5/4": (0, 5 / 8, -5 / 8, 5 / 4, -5 / 4),
    "0, +-3/4, +-3/2": (0, 3 / 4, -3 / 4, 3 / 2, -3 / 2),
}


def transforms(points: tuple[float, ...]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A^T, G and B^T for these points and infinity, as winograd_transform.h makes them."""
    n = OUTPUTS + TAPS - 1
    a_t, g, b_t = np.zeros((OUTPUTS, n)), np.zeros((n, TAPS)), np.zeros((n, n))
    for j, point in enumerate(points):
        others = np.delete(points, j)
        a_t[:, j] = float(point) ** np.arange(OUTPUTS)
        g[j] = float(point) ** np.arange(TAPS) / np.prod(point - others)
        b_t[j, : n - 1] = np.poly(others)[::-1]
    a_t[-1, -1] = g[-1, -1] = 1
    b_t[-1] = np.poly(points)[::-1]
    return a_t, g, b_t


def error(points: tuple[float, ...], rng: np.random.Generator) -> float:
    tiles, channels, n = 200, 256, OUTPUTS + TAPS - 1
    data = rng.standard_normal((tiles, channels, n, n)).astype(np.float32)
    filters = rng.standard_normal((channels, TAPS, TAPS)).astype(np.float32)
    a_t, g, b_t = (matrix.astype(np.float32) for matrix in transforms(points))
    u, v = g @ filters @ g.T, b_t @ data @ b_t.T
    sums = np.zeros((tiles, n, n), np.float32)
    for channel in range(channels):
        sums += v[:, channel] * u[channel]
    result = a_t @ sums @ a_t.T
    windows = np.lib.stride_tricks.sliding_window_view(
        data.astype(np.float64), (TAPS, TAPS), (2, 3)
    )
    reference = np.einsum("tcijkl,ckl->tij", windows, filters.astype(np.float64))
    return float(np.abs(result - reference).max() / np.abs(reference).max())


def main() -> None:
    for name, points in POINTS.items():
        errors = [error(points, np.random.default_rng(seed)) for seed in range(5)]
        print(f"{name:18} {np.mean(errors):.1e}  (at most {max(errors):.1e} of 5)")


if __name__ == "__main__":
    main()
