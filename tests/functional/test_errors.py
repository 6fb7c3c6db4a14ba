"""Wrong calls: the exception, and that its text names the argument, what came and what may."""

from __future__ import annotations

import array
import datetime

import numpy as np
import pytest

from fastconv import functional as F
from fastconv import grad as G
from fastconv import runtime

X = np.ones((2, 4, 6, 7), np.float32)
W = np.ones((8, 4, 3, 3), np.float32)
B = np.ones(8, np.float32)
Y = np.ones((2, 8, 4, 5), np.float32)
SIGNAL = np.ones((2, 4, 9), np.float32)
VALUES, INDICES = F.max_pool2d(X, 2, return_indices=True)
ARGMAX = F.max_pool2d(X, 2, return_argmax=True)[1]
LOGITS = np.ones((5, 3), np.float32)
LABELS = np.array([0, 1, 2, 0, 1])


def huge(*shape, dtype=np.float32):
    """An array of any size, all of whose elements are one."""
    return np.lib.stride_tricks.as_strided(np.ones(1, dtype), shape, (0,) * len(shape))


def read_only(a):
    a = a.copy()
    a.flags.writeable = False
    return a


def inside(a, shape):
    """An output that begins within the memory of `a`."""
    return a.reshape(-1)[: int(np.prod(shape))].reshape(shape)


class NoArray:
    """Something that refuses to become an array."""

    def __array__(self, *args, **kwargs):
        raise RuntimeError("call detach() first")


# what is wrong: (call, exception, what the text has to say)
WRONG = {
    # ---- arrays
    "None": (lambda: F.conv2d(None, W), TypeError, ["input", "NoneType"]),
    "string": (lambda: F.conv2d("image", W), TypeError, ["input", "<U5"]),
    "bytes": (lambda: F.conv2d(b"image", W), TypeError, ["input", "S5", "float32 or float64"]),
    "object that cannot be an array": (
        lambda: F.conv2d(NoArray(), W),
        TypeError,
        ["input", "NoArray", "call detach() first"],
    ),
    "array for a size": (
        lambda: G.conv2d_input(Y, W, X),
        TypeError,
        ["input_size", "tuple of 4 ints", "ndarray of shape (2, 8, 4, 5)"],
    ),
    "ragged list": (lambda: F.relu([[1.0], [1.0, 2.0]]), TypeError, ["input", "list"]),
    "float16": (
        lambda: F.conv2d(X.astype(np.float16), W),
        TypeError,
        ["input", "float16", "float32 or float64"],
    ),
    "complex": (lambda: F.relu(X.astype(complex)), TypeError, ["input", "complex128"]),
    "long double": (
        lambda: F.relu(X.astype(np.longdouble)),
        TypeError,
        ["input", str(np.dtype(np.longdouble))],
    ),
    "integers": (lambda: F.relu(np.arange(3)), TypeError, ["input", "int64", "float32 or float64"]),
    "list of integers": (lambda: F.linear([[1, 2]], [[1, 2]]), TypeError, ["input", "int64"]),
    "dates": (
        lambda: F.relu(np.array([datetime.date(2024, 2, 29)], "datetime64[D]")),
        TypeError,
        ["input", "datetime64"],
    ),
    "foreign byte order": (
        lambda: F.relu(X.astype(X.dtype.newbyteorder())),
        TypeError,
        ["input", ">f4", "native byte order"],
    ),
    "array.array of shorts": (
        lambda: F.relu(array.array("h", [1, 2])),
        TypeError,
        ["input", "int16"],
    ),
    "mixed dtypes": (
        lambda: F.conv2d(X, W.astype(np.float64)),
        TypeError,
        ["weight", "float64", "input", "float32"],
    ),
    "mixed bias": (
        lambda: F.conv2d(X, W, B.astype(np.float64)),
        TypeError,
        ["bias", "float64", "float32"],
    ),
    "list meets float32": (
        lambda: F.conv2d(X, W, [1.0] * 8),
        TypeError,
        ["bias", "float64", "float32"],
    ),
    "mixed residual": (
        lambda: F.conv2d(X, W, residual=Y.astype(np.float64)),
        TypeError,
        ["residual", "float64", "float32"],
    ),
    "mixed gradient": (
        lambda: G.conv2d_weight(X, W.shape, Y.astype(np.float64)),
        TypeError,
        ["float64", "float32"],
    ),
    # ---- ranks and shapes
    "rank 2": (lambda: F.conv2d(X[0, 0], W), ValueError, ["input", "(6, 7)", "4"]),
    "rank 5": (lambda: F.conv2d(X[None], W), ValueError, ["input", "(1, 2, 4, 6, 7)", "4"]),
    "rank 6": (lambda: F.relu(np.ones((1,) * 6)), ValueError, ["input", "5", "(1, 1, 1, 1, 1, 1)"]),
    "weight rank": (lambda: F.conv2d(X, W[0]), ValueError, ["weight", "(4, 3, 3)", "4"]),
    "bias rank": (lambda: F.conv2d(X, W, B[:, None]), ValueError, ["bias", "(8, 1)"]),
    "bias size": (lambda: F.conv2d(X, W, B[:7]), ValueError, ["bias", "(8,)", "(7,)"]),
    "residual shape": (
        lambda: F.conv2d(X, W, residual=X),
        ValueError,
        ["residual", "(2, 8, 4, 5)", "(2, 4, 6, 7)"],
    ),
    "channels": (lambda: F.conv2d(X[:, :3], W), ValueError, ["weight", "3", "(8, 4, 3, 3)"]),
    "no channels": (lambda: F.conv2d(X[:, :0], W[:, :0]), ValueError, ["input", "(2, 0, 6, 7)"]),
    "no pixels": (lambda: F.conv2d(X[:, :, :0], W), ValueError, ["input", "(2, 4, 0, 7)"]),
    "no taps": (lambda: F.conv2d(X, W[..., :0]), ValueError, ["kernel_size", "(3, 0)"]),
    "linear features": (
        lambda: F.linear(LOGITS, np.ones((4, 2), np.float32)),
        ValueError,
        ["weight", "(4, 2)", "(5, 3)"],
    ),
    "linear weight rank": (
        lambda: F.linear(LOGITS, np.ones(3, np.float32)),
        ValueError,
        ["weight", "(3,)"],
    ),
    "linear scalar": (lambda: F.linear(np.float32(1), W), ValueError, ["input", "()"]),
    "linear residual": (
        lambda: F.linear(np.ones((2, 3, 4)), np.ones((5, 4)), residual=np.ones((3, 2, 5))),
        ValueError,
        ["residual", "(2, 3)", "(3, 2, 5)"],
    ),
    "input_size does not fit": (
        lambda: G.conv2d_input((2, 4, 9, 7), W, Y),
        ValueError,
        ["grad_output", "(2, 8, 7, 5)", "(2, 8, 4, 5)"],
    ),
    "input_size of another rank": (
        lambda: G.conv2d_input((6, 7), W, Y),
        ValueError,
        ["input_size", "a tuple of 4 ints", "(6, 7)"],
    ),
    "input_size is one int": (
        lambda: G.conv2d_input(7, W, Y),
        TypeError,
        ["input_size", "a tuple of 4 ints", "7"],
    ),
    "weight_size does not fit": (
        lambda: G.conv2d_weight(X, (8, 4, 2, 2), Y),
        ValueError,
        ["grad_output", "(2, 8, 5, 6)", "(2, 8, 4, 5)"],
    ),
    "negative weight_size": (
        lambda: G.conv2d_weight(X, (-8, 4, 3, 3), Y),
        ValueError,
        ["(-8, 4, 3, 3)", "negative"],
    ),
    "bias gradient rank": (lambda: G.conv2d_bias(B), ValueError, ["grad_output", "(8,)", "4"]),
    "relu gradient shape": (
        lambda: G.relu_backward(X, X[..., :3]),
        ValueError,
        ["output", "(2, 4, 6, 7)", "(2, 4, 6, 3)"],
    ),
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
    # ---- out
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
    # ---- normalisation and dropout
    "batch norm: no running mean": (
        lambda: F.batch_norm(X, None, B[:4]),
        ValueError,
        ["running_mean", "training", "none"],
    ),
    "batch norm: running statistics of another size": (
        lambda: F.batch_norm(X, B, B),
        ValueError,
        ["running_mean", "(4,)", "(8,)"],
    ),
    "batch norm: read-only running statistics": (
        lambda: F.batch_norm(X, read_only(B[:4]), B[:4].copy(), training=True),
        ValueError,
        ["running_mean", "read-only"],
    ),
    "batch norm: weight dtype": (
        lambda: F.batch_norm(X, B[:4], B[:4], B[:4].astype(np.float64)),
        TypeError,
        ["weight", "float64", "float32"],
    ),
    "batch norm: one value a channel": (
        lambda: F.batch_norm(LOGITS[:1], None, None, training=True),
        ValueError,
        ["input", "more than one value", "(1, 3)"],
    ),
    "batch norm: rank": (
        lambda: F.batch_norm(B, B, B),
        ValueError,
        ["input", "2 to 5 dimensions", "(8,)"],
    ),
    "batch norm: activation": (
        lambda: F.batch_norm(X, B[:4], B[:4], activation="gelu"),
        ValueError,
        ["activation", "'relu'", "'gelu'"],
    ),
    "batch norm: eps": (
        lambda: F.batch_norm(X, B[:4], B[:4], eps=-1.0),
        ValueError,
        ["eps", "-1"],
    ),
    "batch norm: gradient without statistics": (
        lambda: G.batch_norm_backward(X, X, None, None, None),
        TypeError,
        ["mean", "NoneType"],
    ),
    "batch norm: statistics of another size": (
        lambda: G.batch_norm_backward(X, X, None, B, B),
        ValueError,
        ["mean", "(4,)", "(8,)"],
    ),
    "group norm: groups": (
        lambda: F.group_norm(X, 3),
        ValueError,
        ["num_groups", "divisor of the 4 channels", "3"],
    ),
    "group norm: no groups": (lambda: F.group_norm(X, 0), ValueError, ["num_groups", "0"]),
    "layer norm: shape": (
        lambda: F.layer_norm(X, (6, 6)),
        ValueError,
        ["normalized_shape", "(6, 6)", "(2, 4, 6, 7)"],
    ),
    "layer norm: no shape": (lambda: F.layer_norm(X, ()), ValueError, ["normalized_shape", "()"]),
    "layer norm: weight": (
        lambda: F.layer_norm(X, 7, B),
        ValueError,
        ["weight", "(7,)", "(8,)"],
    ),
    "local response norm: size": (
        lambda: F.local_response_norm(X, 0),
        ValueError,
        ["size", "positive", "0"],
    ),
    "local response norm in place": (
        lambda: F.local_response_norm(X, 3, out=X),
        ValueError,
        ["out", "overlaps", "input"],
    ),
    "folding: size": (
        lambda: F.fold_batch_norm(W, None, B[:7], B),
        ValueError,
        ["mean", "(8,)", "(7,)"],
    ),
    "dropout: probability": (lambda: F.dropout(X, 1.5, seed=1), ValueError, ["p", "[0, 1]", "1.5"]),
    "dropout: seed": (lambda: F.dropout(X, seed=1.5), TypeError, ["seed", "1.5"]),
    "dropout: negative seed": (lambda: F.dropout(X, seed=-1), ValueError, ["seed", "-1"]),
    "dropout: more spatial dimensions than there are": (
        lambda: F.dropout3d(LOGITS, seed=1),
        ValueError,
        ["shared_ndim", "2 dimensions", "3"],
    ),
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
    # ---- softmax and loss
    "softmax: dim too large": (lambda: F.softmax(LOGITS, 2), ValueError, ["dim", "2"]),
    "softmax: dim too small": (lambda: F.softmax(LOGITS, -3), ValueError, ["dim", "-3"]),
    "softmax: dim is None": (
        lambda: F.softmax(LOGITS, None),
        TypeError,
        ["dim: expected an int, got None"],
    ),
    "softmax: dim beyond 32 bits": (
        lambda: F.softmax(LOGITS, 1 << 32),
        ValueError,
        ["dim", str(1 << 32)],
    ),
    "softmax: scalar": (lambda: F.softmax(np.float32(1), 0), ValueError, ["dim", "0"]),
    "loss: target too large": (
        lambda: F.cross_entropy(LOGITS, LABELS + 1),
        ValueError,
        ["target", "[0, 3)", "3"],
    ),
    "loss: negative target": (
        lambda: F.cross_entropy(LOGITS, LABELS - 1),
        ValueError,
        ["target", "[0, 3)", "-1"],
    ),
    "loss: int32 target": (
        lambda: F.cross_entropy(LOGITS, LABELS.astype(np.int32)),
        TypeError,
        ["target", "int32", "int64"],
    ),
    "loss: one-hot target": (
        lambda: F.cross_entropy(LOGITS, LOGITS),
        TypeError,
        ["target", "int64", "float32"],
    ),
    "loss: target of another size": (
        lambda: F.cross_entropy(LOGITS, LABELS[:4]),
        ValueError,
        ["target", "(5,)", "(4,)"],
    ),
    "loss: reduction": (
        lambda: F.cross_entropy(LOGITS, LABELS, reduction="average"),
        ValueError,
        ["reduction", "'mean'", "'average'"],
    ),
    "loss: smoothing": (
        lambda: F.cross_entropy(LOGITS, LABELS, label_smoothing=1.5),
        ValueError,
        ["label_smoothing", "1.5"],
    ),
    "loss: smoothing is NaN": (
        lambda: F.cross_entropy(LOGITS, LABELS, label_smoothing=float("nan")),
        ValueError,
        ["label_smoothing", "nan"],
    ),
    "loss: smoothing is a string": (
        lambda: F.cross_entropy(LOGITS, LABELS, label_smoothing="0.1"),
        TypeError,
        ["label_smoothing: expected a number, got '0.1'"],
    ),
    "loss gradient: target out of range": (
        lambda: G.cross_entropy_backward(LOGITS, LABELS + 1),
        ValueError,
        ["target", "[0, 3)", "3"],
    ),
    "loss gradient: array for the mean": (
        lambda: G.cross_entropy_backward(LOGITS, LABELS, np.ones(5)),
        TypeError,
        ["grad_output", "number"],
    ),
    "loss gradient: shape": (
        lambda: G.cross_entropy_backward(LOGITS, LABELS, LOGITS[:4, 0], reduction="none"),
        ValueError,
        ["(5,)", "(4,)"],
    ),
    # ---- runtime
    "no threads": (lambda: runtime.set_num_threads(0), ValueError, ["num_threads", "0"]),
    "negative threads": (lambda: runtime.set_num_threads(-1), ValueError, ["num_threads", "-1"]),
    "too many threads": (
        lambda: runtime.set_num_threads(1 << 20),
        ValueError,
        ["num_threads", str(1 << 20)],
    ),
    "threads beyond 32 bits": (
        lambda: runtime.set_num_threads((1 << 32) + 1),
        ValueError,
        ["num_threads"],
    ),
    "threads is a string": (
        lambda: runtime.set_num_threads("2"),
        TypeError,
        ["num_threads: expected an int, got '2'"],
    ),
    "no threads here": (
        lambda: runtime.threads(0).__enter__(),
        ValueError,
        ["num_threads", "0"],
    ),
    "too many threads here": (
        lambda: run_with_threads(1 << 20),
        ValueError,
        ["num_threads", str(1 << 20)],
    ),
    "unknown precision": (
        lambda: runtime.precision("medium").__enter__(),
        ValueError,
        ["precision", "'highest'", "'medium'"],
    ),
    "unknown instruction set": (
        lambda: runtime.set_isa("mmx"),
        RuntimeError,
        ["mmx", "reference"],
    ),
    "instruction set is a number": (lambda: runtime.set_isa(2), TypeError, ["name", "2"]),
    "unknown instruction set for a block": (
        lambda: runtime.use_isa("mmx").__enter__(),
        RuntimeError,
        ["mmx"],
    ),
    "unknown probe": (
        lambda: runtime.measure_peak("memory"),
        ValueError,
        ["probe", "'fma'", "'memory'"],
    ),
    "probe of integers": (
        lambda: runtime.measure_peak(dtype=np.int64),
        TypeError,
        ["dtype", "int64"],
    ),
    "probe of no time": (lambda: runtime.measure_peak(seconds=0), ValueError, ["seconds", "0"]),
    "probe of a string": (
        lambda: runtime.measure_peak(seconds="1"),
        TypeError,
        ["seconds: expected a number, got '1'"],
    ),
}


def run_with_threads(num_threads):
    with runtime.threads(num_threads):
        F.relu(X)


@pytest.mark.parametrize("name", WRONG)
def test_wrong_call(name):
    call, exception, parts = WRONG[name]
    threads, isa = runtime.get_num_threads(), runtime.isa()
    with pytest.raises(exception) as caught:
        call()
    assert type(caught.value) is exception
    for part in parts:
        assert part in str(caught.value)
    assert (runtime.get_num_threads(), runtime.isa()) == (threads, isa)
