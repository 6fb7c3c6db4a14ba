"""Gradients of dropout; the mask is made again from the seed of the forward call."""

from __future__ import annotations

from typing import TYPE_CHECKING, SupportsIndex

from fastconv import _core

if TYPE_CHECKING:
    from fastconv._typing import Array, ArrayLike


def dropout_backward(
    grad_output: ArrayLike,
    p: float = 0.5,
    training: bool = True,
    *,
    seed: SupportsIndex,
    out: Array | None = None,
) -> Array:
    """Gradient of `dropout`.

    ``dx = dy / (1 - p)`` where the forward call kept the element, else 0.

    Parameters
    ----------
    grad_output : array of at most 5 dimensions
        Gradient of the output.
    p, training, seed
        As they were given to `dropout`.
    out : array of the same shape, optional
        Where to write the result; may be `grad_output` itself.

    Returns
    -------
    array of the shape and memory layout of `grad_output`

    Raises
    ------
    TypeError, ValueError
        As for `dropout`.

    Examples
    --------
    >>> dropout_backward(np.ones(8), 0.5, seed=1)
    array([2., 2., 0., 2., 0., 0., 0., 0.])
    """
    return _core.dropout(True, grad_output, p if training else 0.0, seed, False, 0, out)


def alpha_dropout_backward(
    grad_output: ArrayLike,
    p: float = 0.5,
    training: bool = True,
    *,
    seed: SupportsIndex,
    out: Array | None = None,
) -> Array:
    """Gradient of `alpha_dropout`.

    The parameters, errors and layouts are those of `dropout_backward`.

    Examples
    --------
    >>> alpha_dropout_backward(np.ones(4), 0.5, seed=1).round(4)
    array([0.8864, 0.8864, 0.    , 0.8864])
    """
    return _core.dropout(True, grad_output, p if training else 0.0, seed, True, 0, out)


def dropout1d_backward(
    grad_output: ArrayLike,
    p: float = 0.5,
    training: bool = True,
    *,
    seed: SupportsIndex,
    out: Array | None = None,
) -> Array:
    """Gradient of `dropout1d`.

    The parameters, errors and layouts are those of `dropout_backward`.

    Examples
    --------
    >>> dropout1d_backward(np.ones((2, 2)), 0.5, seed=1)[:, 0]
    array([2., 2.])
    """
    return _core.dropout(True, grad_output, p if training else 0.0, seed, False, 1, out)


def dropout2d_backward(
    grad_output: ArrayLike,
    p: float = 0.5,
    training: bool = True,
    *,
    seed: SupportsIndex,
    out: Array | None = None,
) -> Array:
    """Gradient of `dropout2d`.

    The parameters, errors and layouts are those of `dropout_backward`.

    Examples
    --------
    >>> dropout2d_backward(np.ones((2, 2, 2)), 0.5, seed=1)[:, 0, 0]
    array([2., 2.])
    """
    return _core.dropout(True, grad_output, p if training else 0.0, seed, False, 2, out)


def dropout3d_backward(
    grad_output: ArrayLike,
    p: float = 0.5,
    training: bool = True,
    *,
    seed: SupportsIndex,
    out: Array | None = None,
) -> Array:
    """Gradient of `dropout3d`.

    The parameters, errors and layouts are those of `dropout_backward`.

    Examples
    --------
    >>> dropout3d_backward(np.ones((2, 2, 2, 2)), 0.5, seed=1)[:, 0, 0, 0]
    array([2., 2.])
    """
    return _core.dropout(True, grad_output, p if training else 0.0, seed, False, 3, out)


def feature_alpha_dropout_backward(
    grad_output: ArrayLike,
    p: float = 0.5,
    training: bool = True,
    *,
    seed: SupportsIndex,
    out: Array | None = None,
) -> Array:
    """Gradient of `feature_alpha_dropout`.

    The parameters, errors and layouts are those of `dropout_backward`.

    Examples
    --------
    >>> feature_alpha_dropout_backward(np.ones((1, 2, 3)), 0.5, seed=1).round(4)[0, :, 0]
    array([0.8864, 0.8864])
    """
    return _core.dropout(True, grad_output, p if training else 0.0, seed, True, -1, out)
