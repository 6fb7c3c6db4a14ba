"""Outputs that cannot be written: the exceptions and their texts."""

from __future__ import annotations

import numpy as np
import pytest
from wrong_calls import W, X, Y, check, huge, read_only

from fastconv import functional as F
from fastconv import grad as G


def inside(a, shape):
    """An output that begins within the memory of `a`."""
    return a.reshape(-1)[: int(np.prod(shape))].reshape(shape)


# what is wrong: (call, exception, what the text has to say)
WRONG = {
    "out of another shape": (
        lambda: F.conv2d(X, W, out=np.ones((2, 8, 5, 4), np.float32)),
        ValueError,
        ["out", "(2, 8, 4, 5)", "(2, 8, 5, 4)"],
    ),
    "out of another shape than input_size": (
        lambda: G.conv2d_input(X.shape, W, Y, out=np.ones((1, 4, 6, 7), np.float32)),
        ValueError,
        ["out", "(2, 4, 6, 7)", "(1, 4, 6, 7)"],
    ),
    "out of another shape than weight_size": (
        lambda: G.conv2d_weight(X, W.shape, Y, out=np.ones((8, 3, 4, 3), np.float32)),
        ValueError,
        ["out", "(8, 4, 3, 3)", "(8, 3, 4, 3)"],
    ),
    "out of another shape, unbatched": (
        lambda: F.conv2d(X[0], W, out=np.ones((8, 4, 6), np.float32)),
        ValueError,
        ["out", "(8, 4, 5)", "(8, 4, 6)"],
    ),
    "out with a batch for one image": (
        lambda: F.conv2d(X[0], W, out=np.ones((2, 8, 4, 5), np.float32)),
        ValueError,
        ["out", "(8, 4, 5)"],
    ),
    "out of another dtype": (
        lambda: F.conv2d(X, W, out=np.ones(Y.shape)),
        TypeError,
        ["out", "float32", "float64"],
    ),
    "out of an unsupported dtype": (
        lambda: F.conv2d(X, W, out=np.ones(Y.shape, np.float16)),
        TypeError,
        ["out", "float16"],
    ),
    "out is read-only": (
        lambda: F.conv2d(X, W, out=read_only(Y)),
        ValueError,
        ["out", "read-only"],
    ),
    "out is bytes": (lambda: F.relu(X, out=b"1234"), ValueError, ["out", "read-only"]),
    "out is a list": (lambda: F.relu([1.0], out=[0.0]), TypeError, ["out", "writable", "list"]),
    "out is unaligned": (
        lambda: F.relu(X[0, 0, 0], out=np.zeros(29, np.uint8)[1:].view(np.float32)),
        ValueError,
        ["out", "aligned"],
    ),
    "out overlaps the input": (
        lambda: F.conv2d(X, W[:4], padding=1, out=X),
        ValueError,
        ["out", "overlaps", "input"],
    ),
    "out overlaps the weight": (
        lambda: F.conv2d(X[:1], W, out=inside(W, (1, 8, 4, 5))),
        ValueError,
        ["out", "overlaps", "weight"],
    ),
    "out overlaps part of the input": (
        lambda: F.relu(X.reshape(-1)[:10], out=X.reshape(-1)[5:15]),
        ValueError,
        ["out", "overlaps", "input"],
    ),
    "elements of out overlap": (
        lambda: F.conv2d(X, W, out=huge(*Y.shape)),
        ValueError,
        ["out", "share memory"],
    ),
    "windows of out overlap": (
        lambda: F.relu(
            X[0, 0, :4, :4],
            out=np.lib.stride_tricks.as_strided(np.zeros(7, np.float32), (4, 4), (4, 4)),
        ),
        ValueError,
        ["out", "share memory"],
    ),
    "leading dimensions of out do not form one": (
        lambda: F.linear(
            np.ones((2, 3, 4)), np.ones((5, 4)), out=np.ones((3, 2, 5)).transpose(1, 0, 2)
        ),
        ValueError,
        ["out", "leading dimensions"],
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_call(name):
    check(*WRONG[name])
