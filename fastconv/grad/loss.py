"""Gradients of losses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, SupportsIndex

import numpy as np

from fastconv import _core
from fastconv.functional.loss import check_reduction, sample_count

if TYPE_CHECKING:
    from fastconv._typing import Array, ArrayLike, Reduction


def cross_entropy_backward(
    input: ArrayLike,
    target: ArrayLike,
    grad_output: Any = None,
    *,
    ignore_index: SupportsIndex = -100,
    reduction: Reduction = "mean",
    label_smoothing: float = 0.0,
    out: Array | None = None,
) -> Array:
    """Gradient of `cross_entropy` with respect to the logits: to (N, C, d...).

    ``dx[n, c, d] = (softmax(input)[n, c, d] - q[n, c, d]) * dloss[n, d]``, where dloss is
    `grad_output`, for the mean divided by the number of samples that count.

    Parameters
    ----------
    input, target
        As they were given to `cross_entropy`.
    grad_output : float, or array of the shape of `target`, optional
        Gradient of the loss; an array for ``reduction="none"`` only. 1 by default.
    ignore_index, reduction, label_smoothing
        As they were given to `cross_entropy`.
    out : array of the shape of `input`, optional
        Where to write the result.

    Returns
    -------
    array of the shape and memory layout of `input`

    Raises
    ------
    TypeError, ValueError
        As for `cross_entropy`.

    Examples
    --------
    >>> logits = np.log(np.array([[0.5, 0.25, 0.25]]))
    >>> cross_entropy_backward(logits, np.array([1]))
    array([[ 0.5 , -0.75,  0.25]])
    """
    check_reduction(reduction)
    if reduction == "none" and grad_output is not None:
        grad_loss = grad_output
    else:
        try:
            scale = 1.0 if grad_output is None else float(grad_output)
        except TypeError:
            raise TypeError(f"grad_output: expected a number, got {grad_output!r}") from None
        if reduction == "mean":
            scale /= max(sample_count(target, ignore_index), 1)
        dtype = np.asarray(input).dtype
        grad_loss = np.broadcast_to(np.asarray(scale, dtype), np.shape(target))
    return _core.cross_entropy_backward(
        grad_loss, input, target, ignore_index, label_smoothing, out
    )
