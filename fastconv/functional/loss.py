"""Losses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, SupportsIndex

import numpy as np

from fastconv import _core

if TYPE_CHECKING:
    from fastconv._typing import ArrayLike, Reduction


def cross_entropy(
    input: ArrayLike,
    target: ArrayLike,
    *,
    ignore_index: SupportsIndex = -100,
    reduction: Reduction = "mean",
    label_smoothing: float = 0.0,
) -> Any:
    """Cross-entropy of logits with class labels: (N, C, d...) and (N, d...).

    ``loss[n] = -sum over c of q[n, c] * log_softmax(input)[n, c]``, where q is 1 for the
    target class and 0 elsewhere; with label smoothing s, ``(1 - s) * q + s / C``.

    Parameters
    ----------
    input : array of shape (N, C, d...) or (C,)
        Unnormalised scores of C classes.
    target : int64 array of shape (N, d...) or ()
        Class labels in [0, C), or `ignore_index`.
    ignore_index : int
        Samples with this label have no loss and do not count in the mean.
    reduction : {"mean", "sum", "none"}
        Of the losses of all samples; the mean of no samples is NaN.
    label_smoothing : float
        In [0, 1].

    Returns
    -------
    scalar of the dtype of `input`, or array of the shape of `target` for ``"none"``

    Raises
    ------
    TypeError
        As for `conv2d`, and if the target is not int64.
    ValueError
        As for `conv2d`, and if a target is neither a class nor `ignore_index`.

    References
    ----------
    C. Szegedy et al., Rethinking the Inception architecture for computer vision, CVPR 2016,
    for label smoothing.

    Examples
    --------
    >>> logits = np.log(np.array([[0.5, 0.25, 0.25], [0.25, 0.25, 0.5]]))
    >>> cross_entropy(logits, np.array([0, 1]), reduction="none").round(4)
    array([0.6931, 1.3863])
    >>> round(float(cross_entropy(logits, np.array([0, 1]))), 4)
    1.0397
    """
    check_reduction(reduction)
    losses = _core.cross_entropy(input, target, ignore_index, label_smoothing)
    if reduction == "none":
        return losses
    total = losses.sum(dtype=np.float64)
    if reduction == "mean":
        counted = sample_count(target, ignore_index)
        total = total / counted if counted > 0 else np.nan
    return losses.dtype.type(total)


def sample_count(target: ArrayLike, ignore_index: SupportsIndex) -> int:
    """Return how many samples have a loss."""
    return int(np.count_nonzero(np.asarray(target) != ignore_index))


def check_reduction(reduction: str) -> None:
    """Raise ValueError unless `reduction` is one that the losses know."""
    if reduction not in ("mean", "sum", "none"):
        raise ValueError(f"reduction: expected 'mean', 'sum' or 'none', got {reduction!r}")
