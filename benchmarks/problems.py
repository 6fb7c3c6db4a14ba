"""The named problems of layers.json: shapes, operands, work, and the float64 reference.

Used by every command: ``python -m benchmarks``.
"""

from __future__ import annotations

import json
import math
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

LAYERS = Path(__file__).with_name("layers.json")
CONV_COMPUTATIONS = ("forward", "backward_input", "backward_weight")
#: Of the maximum: alone, with PyTorch's indices and with whatever a gradient needs (fastconv: a
#: byte), and the gradient from either; then of the average.
POOL_COMPUTATIONS = (
    "forward",
    "forward_indices",
    "forward_argmax",
    "backward",
    "backward_argmax",
    "average",
    "average_backward",
)

#: Classes that the goals take together.
SHARED_CLASSES = dict.fromkeys(("7x7 s2", "5x5 s2"), "7x7 s2 and 5x5 s2")
#: What remembers a maximum, in bytes.
INDEX_BYTES = {"forward_indices": 8, "backward": 8, "forward_argmax": 1, "backward_argmax": 1}

#: An error above this is a wrong result, whoever made it: max|err| / max|ref|.
TOLERANCE = 1e-4


@dataclass(frozen=True)
class Layer:
    """One named convolution or pool; ``oc`` and ``groups`` mean nothing for a pool.

    A transposed convolution has a weight of (IC, OC / groups, kernel...).
    """

    name: str
    kind: str
    n: int
    ic: int
    spatial: tuple[int, ...]
    oc: int
    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[int, ...]
    groups: int
    dilation: tuple[int, ...] = ()
    transposed: bool = False
    extra: bool = False

    def __post_init__(self) -> None:
        if not self.dilation:
            object.__setattr__(self, "dilation", (1,) * self.ndim)

    @property
    def ndim(self) -> int:
        """Number of spatial dimensions."""
        return len(self.spatial)

    @property
    def out_spatial(self) -> tuple[int, ...]:
        """Spatial extents of the output."""
        axes = zip(self.spatial, self.kernel, self.stride, self.padding, self.dilation, strict=True)
        if self.transposed:
            return tuple((i - 1) * s - 2 * p + d * (k - 1) + 1 for i, k, s, p, d in axes)
        return tuple((i + 2 * p - d * (k - 1) - 1) // s + 1 for i, k, s, p, d in axes)

    @property
    def input_shape(self) -> tuple[int, ...]:
        """(N, IC, spatial...)."""
        return (self.n, self.ic, *self.spatial)

    @property
    def weight_shape(self) -> tuple[int, ...]:
        """(OC, IC / groups, kernel...)."""
        outer, inner = (self.ic, self.oc) if self.transposed else (self.oc, self.ic)
        return (outer, inner // self.groups, *self.kernel)

    @property
    def output_shape(self) -> tuple[int, ...]:
        """(N, OC, out...)."""
        return (self.n, self.oc, *self.out_spatial)

    @property
    def category(self) -> str:
        """The class over which ratios are averaged."""
        if self.kind == "pool":
            return "pools"
        if self.n == 1:
            return "batch 1"
        if self.groups > 1:
            return "depthwise" if self.groups == self.ic else "grouped"
        if self.ndim != 2:
            return "conv1d and conv3d"
        size, stride = "x".join(map(str, self.kernel)), max(self.stride)
        if stride > 1:
            name = f"{size} s{stride}"
            return SHARED_CLASSES.get(name, name)
        if size == "3x3" and self.ic <= 4:
            return "first 3x3"
        if size == "3x3" and max(self.out_spatial) <= 13:
            return "3x3 small"
        return size

    @property
    def flops(self) -> int:
        """Floating-point operations of the direct sum, padding included; the same each way."""
        places = self.input_shape if self.transposed else self.output_shape
        return 2 * math.prod(places) * math.prod(self.weight_shape[1:])

    def bytes_moved(self, computation: str) -> int:
        """Least memory traffic in bytes: each operand and the result once."""
        size = 4 * (math.prod(self.output_shape) + math.prod(self.input_shape))
        if self.kind == "conv":
            return size + 4 * math.prod(self.weight_shape)
        return size + INDEX_BYTES.get(computation, 0) * math.prod(self.output_shape)

    @property
    def computations(self) -> tuple[str, ...]:
        """What can be asked of this layer."""
        return CONV_COMPUTATIONS if self.kind == "conv" else POOL_COMPUTATIONS


def load_layers(pattern: str = "") -> list[Layer]:
    """Return the layers, extra layers and pools whose name matches the regular expression."""
    table = json.loads(LAYERS.read_text(encoding="utf-8"))
    layers = [_parse(entry, "conv") for entry in table["layers"]]
    layers += [replace(_parse(entry, "conv"), extra=True) for entry in table["extra"]]
    layers += [_parse(entry, "pool") for entry in table["pools"]]
    return [layer for layer in layers if re.search(pattern, layer.name)]


def _parse(entry: dict[str, Any], kind: str) -> Layer:
    channels = entry["ic"] if kind == "conv" else entry["c"]
    return Layer(
        name=entry["name"],
        kind=kind,
        n=entry["n"],
        ic=channels,
        spatial=tuple(entry["in"]),
        oc=entry.get("oc", channels),
        kernel=tuple(entry["k"]),
        stride=tuple(entry["s"]),
        padding=tuple(entry["p"]),
        groups=entry.get("g", 1),
    )


@dataclass(frozen=True)
class Operands:
    """Contiguous, 64-byte aligned float32 arrays in logical order (N, C, spatial)."""

    input: np.ndarray
    weight: np.ndarray
    grad_output: np.ndarray


def make_operands(layer: Layer) -> Operands:
    """Draw the operands; the same ones for the same layer in every process."""
    generator = np.random.default_rng(zlib.crc32(layer.name.encode()))

    def draw(shape: tuple[int, ...], scale: float = 1.0) -> np.ndarray:
        array = aligned_empty(shape)
        generator.standard_normal(out=array, dtype=np.float32)
        array *= np.float32(scale)
        return array

    weight_shape = layer.weight_shape if layer.kind == "conv" else (0,)
    scale = 1 / math.sqrt(max(1, math.prod(weight_shape[1:])))
    return Operands(draw(layer.input_shape), draw(weight_shape, scale), draw(layer.output_shape))


def aligned_empty(shape: tuple[int, ...], dtype: Any = np.float32) -> np.ndarray:
    """Allocate on a cache line, as every framework's own allocator does."""
    size = np.dtype(dtype).itemsize * math.prod(shape)
    memory = np.empty(size + 64, np.uint8)
    start = -memory.ctypes.data % 64
    return memory[start : start + size].view(dtype).reshape(shape)


def channels_last(array: np.ndarray) -> np.ndarray:
    """Return the same logical array with the channels innermost in memory."""
    moved = np.moveaxis(array, 1, -1)
    copy = aligned_empty(moved.shape, array.dtype)
    copy[...] = moved
    return np.moveaxis(copy, -1, 1)


def reference(layer: Layer, operands: Operands, computation: str) -> np.ndarray:
    """Compute the result in float64: by PyTorch where installed, else by fastconv's oracle."""
    try:
        import torch  # noqa: F401
    except ImportError:
        from .peers import fastconv as oracle
    else:
        from .peers import torch as oracle  # type: ignore[no-redef]
    return oracle.reference(layer, operands, computation)


def relative_error(result: np.ndarray, expected: np.ndarray) -> float:
    """Return max|err| / max|ref|; infinity for a wrong shape or a NaN."""
    if result.shape != expected.shape:
        return math.inf
    largest = float(np.max(np.abs(expected), initial=0.0))
    error = 0.0
    for part, whole in _pieces(result, expected):
        error = max(error, float(np.max(np.abs(part - whole), initial=0.0)))
        if not math.isfinite(error) or np.isnan(part).any():
            return math.inf
    return error / (largest or 1.0)


def _pieces(result: np.ndarray, expected: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield one leading index at a time: bounds the memory of the comparison."""
    if result.ndim == 0:
        yield result, expected
        return
    yield from zip(result, expected, strict=True)


def indices_of(argmax: np.ndarray, layer: Layer) -> np.ndarray:
    """Turn positions in the windows of a 2-D pool into flat positions in the unpadded plane."""
    row, column = np.divmod(np.asarray(argmax).astype(np.int64), layer.kernel[1])
    (top, left), (down, right) = layer.padding, layer.stride
    row += np.arange(layer.out_spatial[0])[:, None] * down - top
    column += np.arange(layer.out_spatial[1]) * right - left
    return row * layer.spatial[1] + column


def picked_by(indices: np.ndarray, layer: Layer, operands: Operands) -> np.ndarray:
    """Return the input values at pooling indices: equal to the pooled values if they are right."""
    planes = operands.input.reshape(layer.n, layer.ic, -1)
    flat = np.asarray(indices).reshape(layer.n, layer.ic, -1)
    return np.take_along_axis(planes, flat, axis=2).reshape(layer.output_shape)
