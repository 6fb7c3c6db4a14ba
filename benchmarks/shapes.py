"""Random convolutions of the kinds that real networks have, over sizes nobody named.

Each family draws a problem; one that is too small or too large to time is drawn again.
Used by ``python -m benchmarks grid``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from .problems import Layer

#: Of the direct sum: a hundred times the overhead of a call, and some milliseconds.
LEAST_FLOPS, MOST_FLOPS = 4e6, 2e9
MOST_BYTES = 64e6


class Draw:
    """Choices of a seeded generator."""

    def __init__(self, seed: int) -> None:
        self._generator = np.random.default_rng(seed)

    def of(self, *values: Any) -> Any:
        """Return one of the values."""
        return values[self._generator.integers(len(values))]

    def between(self, low: int, high: int) -> int:
        """Return an integer, either end included."""
        return int(self._generator.integers(low, high + 1))

    def multiple(self, of: int, low: int, high: int) -> int:
        """Return a multiple of a number."""
        return of * self.between(-(-low // of), high // of)


def problems(count: int, seed: int) -> list[Layer]:
    """Return `count` different problems, the families in turns."""
    draw, found = Draw(seed), dict[Layer, None]()
    while len(found) < count:
        name = list(FAMILIES)[len(found) % len(FAMILIES)]
        layer = FAMILIES[name](draw)
        if _measurable(layer):
            found[replace(layer, name=name)] = None
    return [replace(layer, name=f"{layer.name}.{i}") for i, layer in enumerate(found)]


def _measurable(layer: Layer) -> bool:
    return (
        min(layer.out_spatial) > 0
        and LEAST_FLOPS <= layer.flops <= MOST_FLOPS
        and layer.bytes_moved("forward") <= MOST_BYTES
    )


def describe(layer: Layer) -> str:
    """Return the problem as text: N,IC,spatial->OC kernel, and what is not the default."""
    parts = [
        f"{layer.n},{layer.ic},{_times(layer.spatial)}->{layer.oc}",
        ("transposed " if layer.transposed else "") + _times(layer.kernel),
    ]
    for letter, values, default in (
        ("s", layer.stride, 1),
        ("p", layer.padding, 0),
        ("d", layer.dilation, 1),
    ):
        if set(values) != {default}:
            parts.append(letter + _times(values[:1] if len(set(values)) == 1 else values))
    if layer.groups > 1:
        parts.append(f"g{layer.groups}")
    return " ".join(parts)


def _times(values: tuple[int, ...]) -> str:
    return "x".join(map(str, values))


def _conv(
    n: int,
    ic: int,
    spatial: tuple[int, ...],
    oc: int,
    kernel: tuple[int, ...],
    *,
    stride: int | tuple[int, ...] = 1,
    padding: int | tuple[int, ...] | None = None,
    dilation: int = 1,
    groups: int = 1,
    transposed: bool = False,
) -> Layer:
    """Make a problem; without a padding the size stays, apart from the stride."""
    ndim = len(spatial)
    if padding is None:
        padding = tuple(dilation * (k - 1) // 2 for k in kernel)
    strides, paddings = (v if isinstance(v, tuple) else (v,) * ndim for v in (stride, padding))
    dilations = (dilation,) * ndim
    return Layer(
        "", "conv", n, ic, spatial, oc, kernel, strides, paddings, groups, dilations, transposed
    )


def _depthwise(draw: Draw, channels: int, size: int, kernel: int, stride: int) -> Layer:
    n, window = draw.of(1, 2, 4, 8), (kernel, kernel)
    return _conv(n, channels, (size, size), channels, window, stride=stride, groups=channels)


def _mobilenet(draw: Draw) -> Layer:
    channels, size = draw.multiple(8, 16, 960), draw.of(7, 14, 28, 56, 112)
    if draw.of(True, False):
        return _depthwise(draw, channels, size, 3, draw.of(1, 2))
    return _conv(draw.of(1, 2, 4, 8), channels, (size, size), draw.multiple(8, 16, 320), (1, 1))


def _efficientnet(draw: Draw) -> Layer:
    channels, size = draw.multiple(8, 32, 1152), draw.of(10, 15, 19, 33, 38, 65, 75, 95)
    if draw.of(True, True, False):
        return _depthwise(draw, channels, size, draw.of(3, 5), draw.of(1, 2))
    return _conv(draw.of(1, 2, 4), channels, (size, size), draw.multiple(8, 16, 192), (1, 1))


def _convnext(draw: Draw) -> Layer:
    n, channels, size = draw.of(1, 2, 4, 8), draw.of(96, 128, 192, 384, 768), draw.of(7, 14, 28, 56)
    stage = draw.between(0, 3)
    if stage == 0:
        return _conv(n, channels, (size, size), 2 * channels, (2, 2), stride=2, padding=0)
    if stage == 1:
        return _conv(n, 3, (4 * size, 4 * size), channels, (4, 4), stride=4, padding=0)
    return _conv(n, channels, (size, size), channels, (7, 7), groups=channels)


def _unet(draw: Draw) -> Layer:
    n, channels = draw.of(1, 2), draw.of(16, 24, 32, 64, 128, 256)
    height, width = draw.between(15, 140), draw.between(15, 140)
    if draw.of(True, False):
        options = {"stride": 2, "padding": 0, "transposed": True}
        return _conv(n, 2 * channels, (height, width), channels, (2, 2), **options)
    more = channels * draw.of(1, 2)
    return _conv(n, more, (height, width), channels, (3, 3), padding=draw.of(0, 1))


def _wavenet(draw: Draw) -> Layer:
    n, channels, length = draw.of(1, 2, 4), draw.of(16, 32, 64, 128, 256), draw.between(500, 16000)
    outputs = channels * draw.of(1, 2)
    dilation = 2 ** draw.between(0, 9)
    kernel = draw.of(2, 2, 3)
    return _conv(n, channels, (length,), outputs, (kernel,), padding=0, dilation=dilation)


def _video(draw: Draw) -> Layer:
    channels, size = draw.of(3, 16, 24, 48, 64, 96), draw.of(14, 28, 56, 112)
    kernel = draw.of((3, 3, 3), (3, 3, 3), (1, 3, 3), (3, 1, 1), (1, 1, 1), (5, 1, 1))
    stride = draw.of((1, 1, 1), (1, 1, 1), (1, 2, 2), (2, 2, 2))
    spatial = (draw.of(4, 8, 13, 16), size, size)
    return _conv(draw.of(1, 2), channels, spatial, draw.of(16, 32, 45, 64), kernel, stride=stride)


def _resnext(draw: Draw) -> Layer:
    groups, width, size = draw.of(8, 16, 32), draw.of(2, 4, 8, 16, 32, 24), draw.of(7, 14, 28, 56)
    channels, stride = groups * width, draw.of(1, 1, 2)
    n = draw.of(1, 2, 4, 8)
    return _conv(n, channels, (size, size), channels, (3, 3), stride=stride, groups=groups)


def _lines(draw: Draw) -> Layer:
    length = draw.of(3, 5, 7, 9, 15)
    kernel = draw.of((1, length), (length, 1))
    n, channels, size = draw.of(1, 2, 4, 8), draw.multiple(8, 8, 256), draw.between(8, 70)
    return _conv(n, channels, (size, draw.between(8, 70)), draw.multiple(8, 8, 256), kernel)


def _odd(draw: Draw) -> Layer:
    kernel = (draw.between(1, 7), draw.between(1, 7))
    return _conv(
        draw.between(1, 9),
        2 * draw.between(0, 60) + 1,
        (draw.between(9, 90), draw.between(9, 90)),
        2 * draw.between(0, 60) + 1,
        kernel,
        stride=(draw.between(1, 3), draw.between(1, 3)),
        padding=tuple(draw.between(0, k // 2) for k in kernel),
        dilation=draw.of(1, 1, 1, 2),
    )


FAMILIES: dict[str, Callable[[Draw], Layer]] = {
    "mobilenet": _mobilenet,
    "efficientnet": _efficientnet,
    "convnext": _convnext,
    "unet": _unet,
    "wavenet": _wavenet,
    "video": _video,
    "resnext": _resnext,
    "1xN": _lines,
    "odd": _odd,
}
