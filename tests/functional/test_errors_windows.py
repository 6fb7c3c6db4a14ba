"""Transposed convolution, pooling, unfolding: the exceptions and their texts."""

from __future__ import annotations

import numpy as np
import pytest
from wrong_calls import INDICES, VALUES, B, W, X, check

from fastconv import functional as F
from fastconv import grad as G

ARGMAX = F.max_pool2d(X, 2, return_argmax=True)[1]

# what is wrong: (call, exception, what the text has to say)
WRONG = {
    # ---- transposed convolution
    "transposed: channels": (
        lambda: F.conv_transpose2d(X, W),
        ValueError,
        ["weight", "4", "(8, 4, 3, 3)"],
    ),
    "transposed: output_padding": (
        lambda: F.conv_transpose2d(X, W[:4], stride=2, output_padding=2),
        ValueError,
        ["output_padding", "2"],
    ),
    "transposed: negative output_padding": (
        lambda: F.conv_transpose2d(X, W[:4], output_padding=-1),
        ValueError,
        ["output_padding", "-1"],
    ),
    "transposed: padding leaves nothing": (
        lambda: F.conv_transpose2d(X, W[:4], padding=6),
        ValueError,
        ["padding", "output"],
    ),
    "transposed: negative padding": (
        lambda: F.conv_transpose2d(X, W[:4], padding=-1),
        ValueError,
        ["padding", "-1"],
    ),
    "transposed: same": (
        lambda: F.conv_transpose2d(X, W[:4], padding="same"),
        ValueError,
        ["padding", "'same'"],
    ),
    "transposed: stride": (
        lambda: F.conv_transpose2d(X, W[:4], stride=0),
        ValueError,
        ["stride", "(0, 0)"],
    ),
    # ---- windows
    "pool: rank": (lambda: F.max_pool2d(X[0, 0], 2), ValueError, ["input", "(6, 7)"]),
    "pool: zero window": (lambda: F.max_pool2d(X, 0), ValueError, ["kernel_size", "(0, 0)"]),
    "pool: window too large": (lambda: F.max_pool2d(X, 8), ValueError, ["kernel_size", "8"]),
    "pool: padding beyond half the window": (
        lambda: F.max_pool2d(X, 2, padding=2),
        ValueError,
        ["padding", "half", "2"],
    ),
    "pool: stride": (lambda: F.max_pool2d(X, 2, stride=-1), ValueError, ["stride", "(-1, -1)"]),
    "pool: no images of no size": (
        lambda: F.max_pool2d(X[:, :, :, :0], 1),
        ValueError,
        ["input", "(2, 4, 6, 0)"],
    ),
    "pool gradient: float indices": (
        lambda: G.max_pool2d_backward(VALUES, VALUES, X.shape),
        TypeError,
        ["indices", "int64", "float32"],
    ),
    "pool gradient: int32 indices": (
        lambda: G.max_pool2d_backward(VALUES, INDICES.astype(np.int32), X.shape),
        TypeError,
        ["indices", "int32", "int64"],
    ),
    "pool gradient: index too large": (
        lambda: G.max_pool2d_backward(VALUES, INDICES + 100, X.shape),
        ValueError,
        ["indices", "[0, 42)"],
    ),
    "pool gradient: negative index": (
        lambda: G.max_pool2d_backward(VALUES, INDICES - 100, X.shape),
        ValueError,
        ["indices", "[0, 42)", "-"],
    ),
    "pool gradient: shapes differ": (
        lambda: G.max_pool2d_backward(VALUES, INDICES[:1], X.shape),
        ValueError,
        ["indices", "(2, 4, 3, 3)", "(1, 4, 3, 3)"],
    ),
    "pool gradient: other channels": (
        lambda: G.max_pool2d_backward(VALUES, INDICES, (2, 5, 6, 7)),
        ValueError,
        ["grad_output", "(2, 5)", "(2, 4, 3, 3)"],
    ),
    "argmax: window too large": (
        lambda: F.max_pool2d(np.zeros((1, 1, 16, 16)), 16, return_argmax=True),
        ValueError,
        ["kernel_size", "255", "16"],
    ),
    "argmax: with indices": (
        lambda: F.max_pool2d(X, 2, return_indices=True, return_argmax=True),
        ValueError,
        ["return_argmax", "return_indices"],
    ),
    "argmax gradient: int64": (
        lambda: G.max_pool2d_argmax_backward(VALUES, INDICES, X.shape, 2),
        TypeError,
        ["argmax", "uint8", "int64"],
    ),
    "argmax gradient: shapes differ": (
        lambda: G.max_pool2d_argmax_backward(VALUES, ARGMAX[:1], X.shape, 2),
        ValueError,
        ["argmax", "(2, 4, 3, 3)", "(1, 4, 3, 3)"],
    ),
    "argmax gradient: another window": (
        lambda: G.max_pool2d_argmax_backward(VALUES, ARGMAX, X.shape, 3),
        ValueError,
        ["grad_output", "(2, 4, 2, 2)", "(2, 4, 3, 3)"],
    ),
    "argmax gradient: input_size": (
        lambda: G.max_pool2d_argmax_backward(VALUES, ARGMAX, (2, 4, 6), 2),
        ValueError,
        ["input_size", "(2, 4, 6)"],
    ),
    "pool: argmax for an image": (
        lambda: F.max_pool2d(ARGMAX, 2),
        TypeError,
        ["input", "uint8", "float32"],
    ),
    "average: rank": (lambda: F.avg_pool2d(X[0, 0], 2), ValueError, ["input", "(6, 7)"]),
    "average: padding beyond half the window": (
        lambda: F.avg_pool2d(X, 2, padding=2),
        ValueError,
        ["padding", "half", "2"],
    ),
    "average: divisor": (
        lambda: F.avg_pool2d(X, 2, divisor_override=0),
        ValueError,
        ["divisor_override", "positive", "0"],
    ),
    "average: float divisor": (
        lambda: F.avg_pool2d(X, 2, divisor_override=1.5),
        TypeError,
        ["divisor_override", "1.5"],
    ),
    "average: out": (
        lambda: F.avg_pool2d(X, 2, out=np.zeros_like(X)),
        ValueError,
        ["out", "(2, 4, 3, 3)", "(2, 4, 6, 7)"],
    ),
    "average gradient: another window": (
        lambda: G.avg_pool2d_backward(VALUES, X.shape, 3),
        ValueError,
        ["grad_output", "(2, 4, 2, 2)", "(2, 4, 3, 3)"],
    ),
    "adaptive: zero": (
        lambda: F.adaptive_avg_pool2d(X, 0),
        ValueError,
        ["output_size", "positive", "0"],
    ),
    "adaptive: three sizes": (
        lambda: F.adaptive_max_pool2d(X, (1, 2, 3)),
        ValueError,
        ["output_size", "(1, 2, 3)"],
    ),
    "adaptive: rank": (lambda: F.adaptive_avg_pool2d(B, 1), ValueError, ["input", "(8,)"]),
    "adaptive: dtype": (
        lambda: F.adaptive_avg_pool2d(INDICES, 1),
        TypeError,
        ["input", "int64", "float32"],
    ),
    "adaptive gradient: channels": (
        lambda: G.adaptive_avg_pool2d_backward(VALUES, (2, 5, 6, 7)),
        ValueError,
        ["grad_output", "(2, 5)", "(2, 4, 3, 3)"],
    ),
    "unpool: index outside": (
        lambda: F.max_unpool2d(VALUES, INDICES, 2, output_size=(4, 4)),
        ValueError,
        ["indices", "[0, 16)"],
    ),
    "unpool: output_size": (
        lambda: F.max_unpool2d(VALUES, INDICES, 2, output_size=(1, 2, 3)),
        ValueError,
        ["output_size", "(1, 2, 3)"],
    ),
    "unpool: whole output_size": (
        lambda: F.max_unpool2d(VALUES, INDICES, 2, output_size=(3, 4, 6, 7)),
        ValueError,
        ["output_size", "(2, 4)", "(3, 4, 6, 7)"],
    ),
    "unpool: rank": (lambda: F.max_unpool2d(B, B, 2), ValueError, ["input", "(8,)"]),
    "unpool gradient: index outside": (
        lambda: G.max_unpool2d_backward(VALUES, INDICES),
        ValueError,
        ["indices", "[0, 9)"],
    ),
    "unpool gradient: negative index": (
        lambda: G.max_unpool2d_backward(X, INDICES - 100),
        ValueError,
        ["indices", "[0, 42)"],
    ),
    "unpool gradient: dtype": (
        lambda: G.max_unpool2d_backward(X, VALUES),
        TypeError,
        ["indices", "int64", "float32"],
    ),
    "unpool gradient: shapes": (
        lambda: G.max_unpool2d_backward(X, INDICES[:1]),
        ValueError,
        ["indices", "(2, 4)", "(1, 4, 3, 3)"],
    ),
    "unpool gradient: rank": (
        lambda: G.max_unpool2d_backward(B, INDICES),
        ValueError,
        ["grad_output", "(8,)"],
    ),
    "unfold: four dimensions": (
        lambda: F.unfold(X, (1, 1, 1, 1)),
        ValueError,
        ["kernel_size", "(1, 1, 1, 1)"],
    ),
    "unfold: rank": (lambda: F.unfold(X, (2,)), ValueError, ["input", "(2, 4, 6, 7)"]),
    "fold: rows": (
        lambda: F.fold(np.ones((1, 10, 30), np.float32), (6, 7), (2, 3)),
        ValueError,
        ["input", "(1, 10, 30)", "(1, 6, 25)"],
    ),
    "fold: columns": (
        lambda: F.fold(np.ones((1, 12, 30), np.float32), (6, 7), (2, 3)),
        ValueError,
        ["input", "(1, 12, 25)", "(1, 12, 30)"],
    ),
    "unfold gradient: input_size": (
        lambda: G.unfold_backward(F.unfold(X, 2), (2, 5, 6, 7), 2),
        ValueError,
        ["input_size", "(2, 4, 6, 7)", "(2, 5, 6, 7)"],
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_call(name):
    check(*WRONG[name])
