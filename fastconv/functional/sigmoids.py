"""Sigmoids, and the smooth functions that are made of them.

Errors are a few units in the last place of the exact result, small results included; NaN
stays NaN.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastconv import _core

if TYPE_CHECKING:
    from fastconv._typing import Array, ArrayLike


def sigmoid(input: ArrayLike, *, out: Array | None = None) -> Array:
    """Logistic function: ``out = 1 / (1 + exp(-input))``.

    Parameters
    ----------
    input : array of at most 5 dimensions
        Float32 or float64.
    out : array of the shape of `input`, optional
        Where to write the result; may be `input` itself.

    Returns
    -------
    array of the shape and memory layout of `input`

    Raises
    ------
    TypeError, ValueError
        As for `conv2d`.

    References
    ----------
    P.-F. Verhulst, Notice sur la loi que la population suit dans son accroissement, 1838.

    Examples
    --------
    >>> sigmoid(np.array([-np.inf, 0.0, np.inf]))
    array([0. , 0.5, 1. ])
    """
    return _core.activate("sigmoid", input, out)


def tanh(input: ArrayLike, *, out: Array | None = None) -> Array:
    """Hyperbolic tangent: ``out = tanh(input)``.

    Parameters
    ----------
    input : array of at most 5 dimensions
        Float32 or float64.
    out : array of the shape of `input`, optional
        Where to write the result; may be `input` itself.

    Returns
    -------
    array of the shape and memory layout of `input`

    Raises
    ------
    TypeError, ValueError
        As for `conv2d`.

    References
    ----------
    Y. LeCun, L. Bottou, G. B. Orr, K.-R. Mueller, Efficient backprop, 1998.

    Examples
    --------
    >>> tanh(np.array([-np.inf, 0.0, np.inf]))
    array([-1.,  0.,  1.])
    """
    return _core.activate("tanh", input, out)


def silu(input: ArrayLike, *, out: Array | None = None) -> Array:
    """Sigmoid-weighted linear unit, also called swish: ``out = input * sigmoid(input)``.

    Parameters
    ----------
    input : array of at most 5 dimensions
        Float32 or float64.
    out : array of the shape of `input`, optional
        Where to write the result; may be `input` itself.

    Returns
    -------
    array of the shape and memory layout of `input`

    Raises
    ------
    TypeError, ValueError
        As for `conv2d`.

    References
    ----------
    S. Elfwing, E. Uchibe, K. Doya, Sigmoid-weighted linear units for neural network function
    approximation in reinforcement learning, arXiv:1702.03118, 2017.

    Examples
    --------
    >>> silu(np.array([-1.0, 0.0, 1.0])).round(4)
    array([-0.2689,  0.    ,  0.7311])
    """
    return _core.activate("silu", input, out)


def gelu(input: ArrayLike, approximate: str = "none", *, out: Array | None = None) -> Array:
    """Gaussian error linear unit: ``out = input * Phi(input)``.

    ``Phi(x) = (1 + erf(x / sqrt(2))) / 2`` or, approximated,
    ``(1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x ** 3))) / 2``.

    Parameters
    ----------
    input : array of at most 5 dimensions
        Float32 or float64.
    approximate : {"none", "tanh"}
        Which Phi.
    out : array of the shape of `input`, optional
        Where to write the result; may be `input` itself.

    Returns
    -------
    array of the shape and memory layout of `input`

    Raises
    ------
    TypeError, ValueError
        As for `conv2d`.

    References
    ----------
    D. Hendrycks, K. Gimpel, Gaussian error linear units, arXiv:1606.08415, 2016.

    Examples
    --------
    >>> gelu(np.array([-1.0, 0.0, 1.0])).round(4)
    array([-0.1587,  0.    ,  0.8413])
    """
    return _core.activate(gelu_name(approximate), input, out)


def gelu_name(approximate: str) -> str:
    """Name the activation that `approximate` asks for."""
    if approximate not in ("none", "tanh"):
        raise ValueError(f"approximate: expected 'none' or 'tanh', got {approximate!r}")
    return "gelu" if approximate == "none" else "gelu_tanh"


def softplus(
    input: ArrayLike, beta: float = 1.0, threshold: float = 20.0, *, out: Array | None = None
) -> Array:
    """Smooth rectifier: ``out = log(1 + exp(beta * input)) / beta``.

    Parameters
    ----------
    input : array of at most 5 dimensions
        Float32 or float64.
    beta : float
        Positive; the larger, the sharper the bend.
    threshold : float
        Where ``beta * input`` is larger, the result is `input` itself.
    out : array of the shape of `input`, optional
        Where to write the result; may be `input` itself.

    Returns
    -------
    array of the shape and memory layout of `input`

    Raises
    ------
    TypeError, ValueError
        As for `conv2d`.

    References
    ----------
    C. Dugas et al., Incorporating second-order functional knowledge for better option pricing,
    NIPS 2000.

    Examples
    --------
    >>> softplus(np.array([-1.0, 0.0, 30.0])).round(4)
    array([ 0.3133,  0.6931, 30.    ])
    """
    return _core.activate(("softplus", beta, threshold), input, out)


def hardsigmoid(input: ArrayLike, *, out: Array | None = None) -> Array:
    """Piecewise linear sigmoid: ``out = min(max(input + 3, 0), 6) / 6``.

    Parameters
    ----------
    input : array of at most 5 dimensions
        Float32 or float64.
    out : array of the shape of `input`, optional
        Where to write the result; may be `input` itself.

    Returns
    -------
    array of the shape and memory layout of `input`

    Raises
    ------
    TypeError, ValueError
        As for `conv2d`.

    References
    ----------
    M. Courbariaux, Y. Bengio, J.-P. David, BinaryConnect, arXiv:1511.00363, 2015; in the form of
    A. Howard et al., Searching for MobileNetV3, arXiv:1905.02244, 2019.

    Examples
    --------
    >>> hardsigmoid(np.array([-4.0, 0.0, 4.0]))
    array([0. , 0.5, 1. ])
    """
    return _core.activate("hardsigmoid", input, out)


def hardswish(input: ArrayLike, *, out: Array | None = None) -> Array:
    """Piecewise `silu`: ``out = input * hardsigmoid(input)``.

    Parameters
    ----------
    input : array of at most 5 dimensions
        Float32 or float64.
    out : array of the shape of `input`, optional
        Where to write the result; may be `input` itself.

    Returns
    -------
    array of the shape and memory layout of `input`

    Raises
    ------
    TypeError, ValueError
        As for `conv2d`.

    References
    ----------
    A. Howard et al., Searching for MobileNetV3, arXiv:1905.02244, 2019.

    Examples
    --------
    >>> hardswish(np.array([-4.0, 1.5, 4.0]))
    array([-0.   ,  1.125,  4.   ])
    """
    return _core.activate("hardswish", input, out)


def mish(input: ArrayLike, *, out: Array | None = None) -> Array:
    """Mish: ``out = input * tanh(log(1 + exp(input)))``.

    Parameters
    ----------
    input : array of at most 5 dimensions
        Float32 or float64.
    out : array of the shape of `input`, optional
        Where to write the result; may be `input` itself.

    Returns
    -------
    array of the shape and memory layout of `input`

    Raises
    ------
    TypeError, ValueError
        As for `conv2d`.

    References
    ----------
    D. Misra, Mish: a self regularized non-monotonic activation function, arXiv:1908.08681, 2019.

    Examples
    --------
    >>> mish(np.array([-1.0, 0.0, 1.0])).round(4)
    array([-0.3034,  0.    ,  0.8651])
    """
    return _core.activate("mish", input, out)
