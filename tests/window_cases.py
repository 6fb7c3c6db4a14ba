"""Windows that tests of pooling, im2col and col2im share."""

from __future__ import annotations

import cases
from hypothesis import strategies as st


def window(shape, kernel, stride=None, padding=0, dilation=1):
    """A window over an array of `shape`, spelled out."""
    nd = len(shape) - 2

    def each(value):
        return (value,) * nd if isinstance(value, int) else tuple(value)

    kernel, dilation = each(kernel), each(dilation)
    stride = kernel if stride is None else each(stride)
    if isinstance(padding, int):
        padding = ((padding, padding),) * nd
    return shape, kernel, stride, padding, dilation


POOLS = {
    "2x2": window((2, 17, 8, 28), 2),
    "2x2, does not fit": window((2, 16, 7, 15), 2),
    "3x3 stride 2": window((1, 15, 13, 14), 3, 2),
    "3x3 stride 1 padded": window((2, 33, 5, 13), 3, 1, 1),
    "3x3 stride 2 uneven": window((1, 8, 9, 15), 3, 2, ((0, 1), (1, 0))),
    "same": window((1, 3, 7, 11), (2, 3), (2, 3), "same"),
    "stride larger than the window": window((1, 4, 13, 13), 2, 5),
    "3x3 stride 3 of long rows": window((2, 3, 10, 70), 3, 3, 1),
    "apart, with gaps": window((1, 2, 13, 61), (4, 5), (4, 7), ((2, 0), (1, 2))),
    "further apart than a vector": window((1, 2, 9, 60), 3, 17),
    "dilated": window((2, 8, 14, 13), (2, 3), 2, 1, (3, 2)),
    "one element": window((2, 5, 6, 6), 1),
    "whole image": window((2, 31, 6, 5), (6, 5)),
    "pixel": window((3, 7, 1, 1), 1),
    "1-D": window((2, 16, 29), 3, 2, ((1, 0),)),
    "3-D": window((1, 5, 6, 7, 15), (2, 3, 2), (2, 2, 1), 1),
    "no images": window((0, 3, 6, 6), 2),
}


def pads(shape, kernel, stride, padding, dilation):
    if padding == "same":
        return cases.same_pads(shape[2:], kernel, stride, dilation)
    return padding


@st.composite
def windows(draw):
    nd = draw(st.integers(1, 3))

    def each(strategy):
        return tuple(draw(strategy) for _ in range(nd))

    kernel, dilation = each(st.integers(1, 4)), each(st.integers(1, 2))
    reach = [d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True)]
    padding = tuple((draw(st.integers(0, r // 2)), draw(st.integers(0, r // 2))) for r in reach)
    spatial = tuple(
        max(r - sum(p), d) + draw(st.integers(0, 6))
        for r, p, d in zip(reach, padding, dilation, strict=True)
    )
    shape = (draw(st.integers(0, 2)), draw(st.integers(1, 18)), *spatial)
    return shape, kernel, each(st.integers(1, 4)), padding, dilation
