"""Gradients of sigmoids and what is made of them, from the output where that is enough.

Where it is not, they take the input: `silu`, `gelu`, `softplus`, `hardswish` and `mish`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastconv import _core
from fastconv.functional.sigmoids import gelu_name

if TYPE_CHECKING:
    from fastconv._typing import Array, ArrayLike


def sigmoid_backward(
    grad_output: ArrayLike, output: ArrayLike, *, out: Array | None = None
) -> Array:
    """Gradient of `sigmoid`: ``dx = dy * y * (1 - y)``.

    Parameters
    ----------
    grad_output : array of at most 5 dimensions
        Gradient of the output.
    output : array of the same shape
        What `sigmoid` returned, or a kernel with this activation.
    out : array of the same shape, optional
        Where to write the result; may be `grad_output` itself.

    Returns
    -------
    array of the shape and memory layout of `grad_output`

    Raises
    ------
    TypeError, ValueError
        As for `sigmoid`.

    Examples
    --------
    >>> sigmoid_backward(np.ones(2), np.array([0.5, 1.0]))
    array([0.25, 0.  ])
    """
    return _core.activate_backward("sigmoid", grad_output, output, "output", out)


def tanh_backward(grad_output: ArrayLike, output: ArrayLike, *, out: Array | None = None) -> Array:
    """Gradient of `tanh`: ``dx = dy * (1 - y * y)``.

    Parameters
    ----------
    grad_output : array of at most 5 dimensions
        Gradient of the output.
    output : array of the same shape
        What `tanh` returned, or a kernel with this activation.
    out : array of the same shape, optional
        Where to write the result; may be `grad_output` itself.

    Returns
    -------
    array of the shape and memory layout of `grad_output`

    Raises
    ------
    TypeError, ValueError
        As for `tanh`.

    Examples
    --------
    >>> tanh_backward(np.ones(2), np.array([0.5, 1.0]))
    array([0.75, 0.  ])
    """
    return _core.activate_backward("tanh", grad_output, output, "output", out)


def silu_backward(grad_output: ArrayLike, input: ArrayLike, *, out: Array | None = None) -> Array:
    """Gradient of `silu`: ``dx = dy * (s + x * s * (1 - s))``, s = sigmoid(x).

    Parameters
    ----------
    grad_output : array of at most 5 dimensions
        Gradient of the output.
    input : array of the same shape
        As it was given to `silu`.
    out : array of the same shape, optional
        Where to write the result; may be `grad_output` itself.

    Returns
    -------
    array of the shape and memory layout of `grad_output`

    Raises
    ------
    TypeError, ValueError
        As for `silu`.

    Examples
    --------
    >>> silu_backward(np.ones(2), np.array([0.0, 1.0])).round(4)
    array([0.5   , 0.9277])
    """
    return _core.activate_backward("silu", grad_output, input, "input", out)


def gelu_backward(
    grad_output: ArrayLike,
    input: ArrayLike,
    approximate: str = "none",
    *,
    out: Array | None = None,
) -> Array:
    """Gradient of `gelu`: ``dx = dy * (Phi(x) + x * Phi'(x))``.

    Parameters
    ----------
    grad_output : array of at most 5 dimensions
        Gradient of the output.
    input : array of the same shape
        As it was given to `gelu`.
    approximate : {"none", "tanh"}
        As it was given to `gelu`.
    out : array of the same shape, optional
        Where to write the result; may be `grad_output` itself.

    Returns
    -------
    array of the shape and memory layout of `grad_output`

    Raises
    ------
    TypeError, ValueError
        As for `gelu`.

    Examples
    --------
    >>> gelu_backward(np.ones(2), np.array([0.0, 1.0])).round(4)
    array([0.5   , 1.0833])
    """
    return _core.activate_backward(gelu_name(approximate), grad_output, input, "input", out)


def softplus_backward(
    grad_output: ArrayLike,
    input: ArrayLike,
    beta: float = 1.0,
    threshold: float = 20.0,
    *,
    out: Array | None = None,
) -> Array:
    """Gradient of `softplus`: ``dx = dy * sigmoid(beta * x)``, or dy above the threshold.

    Parameters
    ----------
    grad_output : array of at most 5 dimensions
        Gradient of the output.
    input : array of the same shape
        As it was given to `softplus`.
    beta : float
        As it was given to `softplus`.
    threshold : float
        As it was given to `softplus`.
    out : array of the same shape, optional
        Where to write the result; may be `grad_output` itself.

    Returns
    -------
    array of the shape and memory layout of `grad_output`

    Raises
    ------
    TypeError, ValueError
        As for `softplus`.

    Examples
    --------
    >>> softplus_backward(np.ones(2), np.array([0.0, 30.0]))
    array([0.5, 1. ])
    """
    return _core.activate_backward(("softplus", beta, threshold), grad_output, input, "input", out)


def hardsigmoid_backward(
    grad_output: ArrayLike, output: ArrayLike, *, out: Array | None = None
) -> Array:
    """Gradient of `hardsigmoid`: ``dx = dy / 6`` where 0 < `output` < 1, else 0.

    Parameters
    ----------
    grad_output : array of at most 5 dimensions
        Gradient of the output.
    output : array of the same shape
        What `hardsigmoid` returned, or a kernel with this activation.
    out : array of the same shape, optional
        Where to write the result; may be `grad_output` itself.

    Returns
    -------
    array of the shape and memory layout of `grad_output`

    Raises
    ------
    TypeError, ValueError
        As for `hardsigmoid`.

    Examples
    --------
    >>> hardsigmoid_backward(np.ones(3), np.array([0.0, 0.5, 1.0])).round(4)
    array([0.    , 0.1667, 0.    ])
    """
    return _core.activate_backward("hardsigmoid", grad_output, output, "output", out)


def hardswish_backward(
    grad_output: ArrayLike, input: ArrayLike, *, out: Array | None = None
) -> Array:
    """Gradient of `hardswish`.

    ``dx = dy * (x / 3 + 1 / 2)`` for -3 < x < 3, 0 below and dy above.

    Parameters
    ----------
    grad_output : array of at most 5 dimensions
        Gradient of the output.
    input : array of the same shape
        As it was given to `hardswish`.
    out : array of the same shape, optional
        Where to write the result; may be `grad_output` itself.

    Returns
    -------
    array of the shape and memory layout of `grad_output`

    Raises
    ------
    TypeError, ValueError
        As for `hardswish`.

    Examples
    --------
    >>> hardswish_backward(np.ones(3), np.array([-4.0, 1.5, 4.0]))
    array([0., 1., 1.])
    """
    return _core.activate_backward("hardswish", grad_output, input, "input", out)


def mish_backward(grad_output: ArrayLike, input: ArrayLike, *, out: Array | None = None) -> Array:
    """Gradient of `mish`.

    ``dx = dy * (t + x * (1 - t * t) * sigmoid(x))``, t = tanh(log(1 + exp(x))).

    Parameters
    ----------
    grad_output : array of at most 5 dimensions
        Gradient of the output.
    input : array of the same shape
        As it was given to `mish`.
    out : array of the same shape, optional
        Where to write the result; may be `grad_output` itself.

    Returns
    -------
    array of the shape and memory layout of `grad_output`

    Raises
    ------
    TypeError, ValueError
        As for `mish`.

    Examples
    --------
    >>> mish_backward(np.ones(2), np.array([0.0, 1.0])).round(4)
    array([0.6  , 1.049])
    """
    return _core.activate_backward("mish", grad_output, input, "input", out)
