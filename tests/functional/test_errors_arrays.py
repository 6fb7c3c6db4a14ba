"""Arrays that are none, or of another dtype, rank or shape: the exceptions and their texts."""

from __future__ import annotations

import array
import datetime

import numpy as np
import pytest
from wrong_calls import LOGITS, B, W, X, Y, check

from fastconv import functional as F
from fastconv import grad as G


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
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_call(name):
    check(*WRONG[name])
