"""Normalisation, dropout, softmax and loss: the exceptions and their texts."""

from __future__ import annotations

import numpy as np
import pytest
from wrong_calls import LOGITS, B, W, X, check, read_only

from fastconv import functional as F
from fastconv import grad as G

LABELS = np.array([0, 1, 2, 0, 1])

# what is wrong: (call, exception, what the text has to say)
WRONG = {
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
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_call(name):
    check(*WRONG[name])
