"""Problems that tests and benchmarks share, how exact their results have to be, and layouts."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

Pads = tuple[tuple[int, int], ...]


def same_pads(spatial, kernel, stride, dilation) -> Pads:
    """TensorFlow's rule: out = ceil(in / stride), the odd element after."""
    pads = []
    for i, k, s, d in zip(spatial, kernel, stride, dilation, strict=True):
        total = max((math.ceil(i / s) - 1) * s + d * (k - 1) + 1 - i, 0)
        pads.append((total // 2, total - total // 2))
    return tuple(pads)


def pool_reach(kernel, dilation) -> tuple[int, ...]:
    """The extents of a dilated window."""
    return tuple(d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True))


@dataclass(frozen=True)
class Conv:
    """A convolution: input (n, ic, spatial...), weight (oc, ic / groups, kernel...)."""

    n: int
    ic: int
    spatial: tuple[int, ...]
    oc: int
    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    padding: Pads | str
    dilation: tuple[int, ...]
    groups: int

    @property
    def nd(self) -> int:
        return len(self.spatial)

    @property
    def pads(self) -> Pads:
        if self.padding == "same":
            return same_pads(self.spatial, self.kernel, self.stride, self.dilation)
        return ((0, 0),) * self.nd if self.padding == "valid" else self.padding

    @property
    def out(self) -> tuple[int, ...]:
        return tuple(
            (i + sum(p) - d * (k - 1) - 1) // s + 1
            for i, k, s, p, d in zip(
                self.spatial, self.kernel, self.stride, self.pads, self.dilation, strict=True
            )
        )

    @property
    def input_shape(self) -> tuple[int, ...]:
        return (self.n, self.ic, *self.spatial)

    @property
    def weight_shape(self) -> tuple[int, ...]:
        return (self.oc, self.ic // self.groups, *self.kernel)

    @property
    def output_shape(self) -> tuple[int, ...]:
        return (self.n, self.oc, *self.out)

    @property
    def window(self) -> dict:
        """The keyword arguments that functional and grad share."""
        return {
            "stride": self.stride,
            "padding": self.padding,
            "dilation": self.dilation,
            "groups": self.groups,
        }

    @property
    def terms(self) -> dict[str, int]:
        """How many products each computation adds up for one result."""
        taps = math.prod(self.kernel)
        return {
            "forward": self.ic // self.groups * taps,
            "backward_input": self.oc // self.groups * taps,
            "backward_weight": self.n * math.prod(self.out),
        }

    def __str__(self) -> str:
        def text(values) -> str:
            return "x".join(map(str, values))

        pads = self.padding
        if not isinstance(pads, str):
            pads = ",".join(f"{b}{a}" for b, a in pads)
        return (
            f"{self.n}x{self.ic}@{text(self.spatial)}-{self.oc}k{text(self.kernel)}"
            f"s{text(self.stride)}p{pads}d{text(self.dilation)}g{self.groups}"
        )


def conv(n, ic, spatial, oc, kernel, stride=1, padding=0, dilation=1, groups=1) -> Conv:
    """Spell out the ints of the short form."""
    nd = len(spatial)

    def each(value):
        return (value,) * nd if isinstance(value, int) else tuple(value)

    if isinstance(padding, int):
        padding = ((padding, padding),) * nd
    return Conv(n, ic, spatial, oc, each(kernel), each(stride), padding, each(dilation), groups)


# Around the vector lengths (4, 8, 16) and register tiles (6, 8, 14), one more and one less.
CHANNELS = (1, 3, 8, 15, 16, 17, 31, 32, 33)
WIDTHS = (1, 13, 14, 15, 28)


def _grid() -> list[Conv]:
    """Groups x stride x dilation x padding, the sizes of each taken in turn from the lists."""
    channels, widths = itertools.cycle(CHANNELS), itertools.cycle(WIDTHS)
    heights, batches = itertools.cycle((5, 4, 7)), itertools.cycle((1, 2, 3))
    kernels = itertools.cycle(((3, 3), (2, 3), (1, 1), (3, 1), (5, 3)))
    found = []
    for grouping, stride, dilation, padding in itertools.product(
        ("one", "two", "three", "depthwise", "multiplier"),
        ((1, 1), (2, 2), (3, 2)),
        ((1, 1), (2, 1)),
        (((0, 0), (0, 0)), ((1, 1), (1, 1)), ((0, 2), (2, 1)), "same"),
    ):
        ic, oc, groups = next(channels), next(channels), 1
        if grouping == "two":
            ic, oc, groups = 2 * min(ic, 17), 2 * min(oc, 17), 2
        elif grouping == "three":
            ic, oc, groups = 3 * min(ic, 8), 3 * min(oc, 8), 3
        elif grouping == "depthwise":
            oc = groups = ic
        elif grouping == "multiplier":
            oc, groups = 2 * ic, ic
        kernel, spatial = next(kernels), (next(heights), next(widths))
        pads = ((0, 0), (0, 0)) if isinstance(padding, str) else padding
        # Grow an image that the window does not fit into.
        spatial = tuple(
            max(i, d * (k - 1) + 1 - sum(p))
            for i, k, p, d in zip(spatial, kernel, pads, dilation, strict=True)
        )
        found.append(
            Conv(next(batches), ic, spatial, oc, kernel, stride, padding, dilation, groups)
        )
    return found


#: 2-D problems that cross groups, stride, dilation and padding.
GRID = _grid()

#: What a grid does not reach, and the layers of well-known networks made small.
NAMED = {
    "one of everything": conv(1, 1, (1, 1), 1, 1),
    "pixel": conv(2, 33, (1, 1), 17, 1),
    "pixel under a padded window": conv(2, 3, (1, 1), 5, 3, padding=1),
    "window of the whole image": conv(2, 5, (6, 7), 9, (6, 7)),
    "window of the whole volume": conv(3, 4, (3, 2, 5), 7, (3, 2, 5), stride=2),
    "window of the whole row": conv(2, 6, (3, 7), 20, (1, 7)),
    "window larger than the image": conv(1, 2, (2, 3), 3, 5, padding=2),
    "stride larger than the window": conv(1, 3, (11, 13), 4, 2, stride=5),
    "stride and padding larger than the window": conv(1, 2, (9, 9), 3, 2, stride=4, padding=3),
    "all in the padding": conv(1, 2, (3, 3), 3, 2, padding=((4, 0), (0, 4))),
    "row": conv(2, 16, (1, 29), 16, (1, 5), padding=((0, 0), (2, 2))),
    "column": conv(2, 16, (29, 1), 16, (5, 1), padding=((2, 2), (0, 0))),
    "wide dilation": conv(1, 4, (13, 14), 6, 3, padding=4, dilation=5),
    "pointwise": conv(2, 64, (7, 7), 48, 1),
    "pointwise stride 2": conv(2, 33, (7, 9), 31, 1, stride=2),
    "AlexNet conv1": conv(1, 3, (43, 43), 20, 11, stride=4),
    "AlexNet conv2": conv(1, 12, (13, 13), 24, 5, padding=2, groups=2),
    "ResNet conv1": conv(1, 3, (30, 30), 16, 7, stride=2, padding=3),
    "VGG": conv(1, 32, (14, 14), 48, 3, padding=1),
    "MNIST": conv(2, 1, (28, 28), 32, 5, padding="same"),
    "MobileNet": conv(1, 40, (14, 14), 40, 3, padding=1, groups=40),
    "groups of 4": conv(2, 20, (9, 19), 20, 3, padding=1, groups=5),
    "groups of 8, stride 2": conv(1, 40, (9, 17), 40, 3, stride=2, padding=1, groups=5),
    "groups of 3": conv(1, 21, (5, 12), 21, 3, padding=1, groups=7),
    "groups of 2 to 6": conv(2, 14, (6, 9), 42, 3, padding=((0, 2), (2, 1)), groups=7),
    "groups of 2 to 8, dilated": conv(1, 10, (9, 12), 40, 3, padding=2, dilation=2, groups=5),
    "multiplier 3": conv(1, 19, (7, 11), 57, 3, stride=(1, 2), padding=1, groups=19),
    "pointwise, 14 columns and a panel": conv(1, 31, (1, 14), 32, 1),
    "pointwise, 15 columns, a panel and 1": conv(1, 33, (1, 15), 33, 1),
    "pointwise of a cropped image": conv(2, 16, (9, 30), 47, 1, stride=(2, 3)),
    "pointwise, longer than a group": conv(2, 1040, (3, 5), 49, 1),
    "3x3, longer than a group": conv(1, 130, (5, 9), 40, 3, padding=1),
    "3x3 of many panels": conv(1, 96, (4, 15), 130, 3, padding=1),
    "more padding than image": conv(1, 20, (3, 15), 18, (3, 2), padding=3),
    "first layer, stride 4": conv(1, 3, (40, 61), 17, 7, stride=4, padding=2),
    "first layer, stride 4, dilated": conv(1, 3, (40, 61), 5, 3, stride=4, padding=2, dilation=3),
    "short sums, many outputs": conv(1, 3, (4, 66), 70, 3, padding=1),
    "short sums of short rows": conv(2, 2, (8, 14), 21, 3, padding=1),
    "short sums, stride 2": conv(1, 3, (9, 63), 9, 3, stride=2, padding=1),
    "pointwise, short sums": conv(1, 20, (5, 31), 70, 1),
    "long reduction": conv(1, 150, (6, 5), 7, 3, padding=1),
    "many outputs": conv(1, 5, (5, 6), 150, 3, padding=1),
    "no images": conv(0, 3, (5, 6), 4, 3, padding=1),
    "1-D": conv(2, 17, (31,), 16, 3, padding="same"),
    "1-D dilated, causal": conv(2, 8, (40,), 15, 2, padding=((8, 0),), dilation=8),
    "1-D stride 3, groups 5": conv(3, 15, (28,), 10, 4, stride=3, padding=((1, 2),), groups=5),
    "1-D depthwise": conv(1, 33, (15,), 33, 7, padding=3, groups=33),
    "1-D single": conv(1, 1, (10,), 1, 3),
    "3-D": conv(1, 8, (5, 6, 7), 17, 3, padding=1),
    "3-D uneven": conv(
        2, 6, (4, 5, 13), 4, (2, 3, 3), (1, 2, 1), ((0, 1), (1, 0), (2, 2)), (2, 1, 2), 2
    ),
    "3-D same": conv(1, 3, (5, 4, 9), 15, (3, 2, 3), stride=(2, 1, 2), padding="same"),
    "3-D depthwise": conv(1, 16, (4, 5, 6), 16, 3, padding=1, groups=16),
}

#: Large enough that a call uses several threads.
LARGE = {
    "3x3": conv(3, 33, (28, 29), 40, 3, padding=1),
    "3x3 stride 2": conv(3, 32, (41, 40), 33, 3, stride=2, padding="same"),
    "1x1": conv(2, 96, (30, 31), 65, 1),
    "groups": conv(2, 48, (28, 28), 64, 3, padding=1, groups=4),
    "depthwise": conv(2, 96, (56, 57), 96, 3, padding=1, groups=96),
    "small groups": conv(2, 96, (30, 31), 96, 3, padding=1, groups=12),
    "first layer, stride 4": conv(4, 3, (99, 121), 33, 7, stride=4, padding=2),
    "pointwise, many channels": conv(2, 600, (12, 13), 130, 1),
    "one channel in": conv(4, 1, (56, 56), 32, 5, padding=2),
    "one image": conv(1, 64, (30, 30), 64, 3, padding=1),
    "1-D": conv(2, 48, (1500,), 40, 5, padding=2),
    "3-D": conv(1, 16, (12, 14, 15), 33, 3, padding=1),
}

CONVS = {**{str(case): case for case in GRID}, **NAMED}


# ---- exactness


def tolerance(dtype, terms: int) -> float:
    """Error of a sum of `terms` products, in units of the sum of their magnitudes.

    A summation in any order is off by at most terms * epsilon; four more operations for what
    happens before and after it.
    """
    return (terms + 4) * float(np.finfo(dtype).eps)


#: What precision "high" promises in float32, of the largest result.
FAST_ERROR = 1e-4


def assert_close(actual, expected, magnitude, terms: int, fast: bool = False) -> None:
    """Compare with a float64 result whose terms have the given sum of magnitudes.

    With `fast` a float32 result may also be what algorithms that mix the elements of a tile
    make of it.
    """
    assert actual.shape == expected.shape
    bound = tolerance(actual.dtype, terms) * magnitude + np.finfo(actual.dtype).tiny
    if fast and actual.dtype == np.float32 and expected.size > 0:
        bound = np.maximum(bound, FAST_ERROR * np.abs(expected).max())
    error = np.abs(actual.astype(np.float64) - expected)
    wrong = ~(error <= bound)
    if np.any(wrong):
        where = np.unravel_index(np.argmax(np.where(wrong, error / bound, -1.0)), error.shape)
        where = tuple(map(int, where))
        raise AssertionError(
            f"{int(wrong.sum())} of {wrong.size} are wrong; worst at {where}: "
            f"{actual[where]!r}, expected {expected[where]!r} +- {np.asarray(bound)[where]:.3g}"
        )


# ---- memory layouts


def _channels_last(a: np.ndarray) -> np.ndarray:
    return np.moveaxis(np.ascontiguousarray(np.moveaxis(a, 1, -1)), -1, 1)


def _strided(a: np.ndarray) -> np.ndarray:
    """Every third element of each dimension of a larger array, whose others are poison."""
    poison = np.iinfo(a.dtype).min if a.dtype.kind in "iu" else np.nan  # bfloat16 is kind V
    larger = np.full([3 * n + 1 for n in a.shape], poison, a.dtype)
    view = larger[(..., *(slice(1, 3 * n + 1, 3) for n in a.shape))]
    view[...] = a
    return view


def _reversed(a: np.ndarray) -> np.ndarray:
    flip = (slice(None, None, -1),) * a.ndim
    return a[flip].copy()[flip]


def _fortran(a: np.ndarray) -> np.ndarray:
    return np.array(a, order="F")


def _read_only(a: np.ndarray) -> np.ndarray:
    a = a.copy()
    a.flags.writeable = False
    return a


def unaligned(a: np.ndarray) -> np.ndarray:
    """The same values one byte off their natural alignment."""
    view = np.frombuffer(bytearray(a.nbytes + 1), np.uint8)[1:].view(a.dtype).reshape(a.shape)
    view[...] = a
    return view


#: What a caller's memory may look like; each leaves the values as they are.
LAYOUTS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "planar": np.asarray,
    "channels_last": _channels_last,
    "strided": _strided,
    "reversed": _reversed,
    "fortran": _fortran,
    "read_only": _read_only,
}
