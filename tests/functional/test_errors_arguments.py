"""Wrong integers, padding and activations, sizes that overflow: the exceptions, their texts."""

from __future__ import annotations

import numpy as np
import pytest
from wrong_calls import LOGITS, W, X, Y, check, huge

from fastconv import functional as F
from fastconv import grad as G

# what is wrong: (call, exception, what the text has to say)
WRONG = {
    # ---- integers
    "stride is a string": (
        lambda: F.conv2d(X, W, stride="abc"),
        TypeError,
        ["stride: expected an int or a tuple of 2 ints, got 'abc'"],
    ),
    "stride is a float": (lambda: F.conv2d(X, W, stride=1.0), TypeError, ["stride", "1.0"]),
    "stride is a bool": (lambda: F.conv2d(X, W, stride=True), TypeError, ["stride", "True"]),
    "stride is None": (lambda: F.conv2d(X, W, stride=None), TypeError, ["stride", "None"]),
    "stride of three": (
        lambda: F.conv2d(X, W, stride=(1, 2, 3)),
        ValueError,
        ["stride", "a tuple of 2 ints", "(1, 2, 3)"],
    ),
    "floats in a tuple": (
        lambda: F.conv2d(X, W, dilation=(1, 1.5)),
        TypeError,
        ["dilation", "(1, 1.5)"],
    ),
    "zero stride": (lambda: F.conv2d(X, W, stride=0), ValueError, ["stride", "(0, 0)", "positive"]),
    "negative stride": (lambda: F.conv2d(X, W, stride=(1, -2)), ValueError, ["stride", "(1, -2)"]),
    "zero dilation": (lambda: F.conv2d(X, W, dilation=0), ValueError, ["dilation", "(0, 0)"]),
    "beyond 64 bits": (
        lambda: F.conv2d(X, W, stride=10**30),
        ValueError,
        ["stride", str(10**30), "64-bit"],
    ),
    "zero groups": (lambda: F.conv2d(X, W, groups=0), ValueError, ["groups", "0"]),
    "groups do not divide the input": (
        lambda: F.conv2d(X, W, groups=3),
        ValueError,
        ["groups", "4", "input", "3"],
    ),
    "groups do not divide the output": (
        lambda: F.conv2d(X, W[:7, :1], groups=4),
        ValueError,
        ["groups", "7", "weight", "4"],
    ),
    "groups is a tuple": (
        lambda: F.conv2d(X, W, groups=(1,)),
        ValueError,
        ["groups: expected an int, got (1,)"],
    ),
    "groups is a float": (
        lambda: F.conv2d(X, W, groups=1.5),
        TypeError,
        ["groups: expected an int, got 1.5"],
    ),
    # ---- padding
    "negative padding": (lambda: F.conv2d(X, W, padding=-1), ValueError, ["padding", "-1"]),
    "unknown padding": (
        lambda: F.conv2d(X, W, padding="full"),
        ValueError,
        ["padding", "'valid'", "'same'", "'full'"],
    ),
    "upper-case padding": (lambda: F.conv2d(X, W, padding="SAME"), ValueError, ["padding", "SAME"]),
    "three paddings": (
        lambda: F.conv2d(X, W, padding=(1, 1, 1)),
        ValueError,
        ["padding", "a tuple of 2 ints", "(1, 1, 1)"],
    ),
    "triples for pairs": (
        lambda: F.conv2d(X, W, padding=((1, 1, 1), (1, 1, 1))),
        ValueError,
        ["padding", "a tuple of 2 ints for each dimension", "(1, 1, 1)"],
    ),
    "pairs mixed with ints": (
        lambda: F.conv2d(X, W, padding=((1, 1), 1)),
        TypeError,
        ["padding", "((1, 1), 1)"],
    ),
    "padding is a float": (lambda: F.conv2d(X, W, padding=0.5), TypeError, ["padding", "0.5"]),
    "kernel larger than the padded input": (
        lambda: F.conv2d(X[:, :, :2], W),
        ValueError,
        ["kernel_size", "3", "input", "2 + 0 + 0"],
    ),
    "dilated kernel larger than the padded input": (
        lambda: F.conv2d(X, W, padding=1, dilation=5),
        ValueError,
        ["kernel_size", "3", "dilation 5", "6 + 1 + 1"],
    ),
    # ---- sizes that overflow
    "huge output": (
        lambda: F.conv2d(huge(1 << 20, 1, 1 << 20, 1 << 20), huge(1 << 20, 1, 1, 1)),
        ValueError,
        ["(1048576, 1", "64-bit"],
    ),
    "huge padding": (
        lambda: F.conv2d(X, W, padding=1 << 62),
        ValueError,
        [str(1 << 62)],
    ),
    "more memory than there is": (
        lambda: F.relu(huge(1 << 30, 1 << 29)),
        MemoryError,
        [str(1 << 61)],
    ),
    "huge input_size": (
        lambda: G.conv2d_input((2, 4, 1 << 40, 1 << 40), W, Y),
        ValueError,
        ["(2, 4, 1099511627776, 1099511627776)", "too large"],
    ),
    "huge columns": (
        lambda: F.unfold(huge(1, 1 << 30, 1 << 10, 1 << 10), 1 << 9),
        ValueError,
        ["columns", "64-bit"],
    ),
    # ---- epilogue
    "unknown activation": (
        lambda: F.conv2d(X, W, activation="rule"),
        ValueError,
        ["activation", "'relu'", "'gelu'", "'rule'"],
    ),
    "activation with too many parameters": (
        lambda: F.conv2d(X, W, activation=("leaky_relu", 0.1, 2)),
        ValueError,
        ["activation", "leaky_relu has 1 parameter", "('leaky_relu', 0.1, 2)"],
    ),
    "activation without a name": (
        lambda: F.conv2d(X, W, activation=(0.1,)),
        ValueError,
        ["activation", "(0.1,)"],
    ),
    "activation with a parameter that is no number": (
        lambda: F.conv2d(X, W, activation=("elu", "1")),
        TypeError,
        ["activation", "number", "'1'"],
    ),
    "bounds the wrong way round": (
        lambda: F.conv2d(X, W, activation=("clipped_relu", 2, 1)),
        ValueError,
        ["activation", "lower bound", "2 and 1"],
    ),
    "parameter is NaN": (lambda: F.elu(X, np.nan), ValueError, ["activation", "NaN"]),
    "softplus without a slope": (lambda: F.softplus(X, 0.0), ValueError, ["positive beta", "0"]),
    "gelu approximated by what": (
        lambda: F.gelu(X, "erf"),
        ValueError,
        ["approximate", "'tanh'", "'erf'"],
    ),
    "slope that hides the sign": (
        lambda: G.leaky_relu_backward(X, X, -0.5),
        ValueError,
        ["negative_slope", "-0.5"],
    ),
    "alpha that hides the sign": (
        lambda: G.elu_backward(X, X, -0.5),
        ValueError,
        ["alpha", "-0.5"],
    ),
    "input of another shape": (
        lambda: G.silu_backward(X, X[:, :3]),
        ValueError,
        ["input", "(2, 4, 6, 7)", "(2, 3, 6, 7)"],
    ),
    "activation is a function": (
        lambda: F.linear(LOGITS, LOGITS, activation=F.relu),
        ValueError,
        ["activation", "function relu"],
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_call(name):
    check(*WRONG[name])
