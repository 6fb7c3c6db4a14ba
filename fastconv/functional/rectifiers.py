"""Rectifiers and their relatives: the identity above 0, and something else below.

Errors are a few units in the last place of the exact result, small results included; NaN
stays NaN.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastconv import _core

if TYPE_CHECKING:
    from fastconv._typing import Array, ArrayLike


def relu(input: ArrayLike, *, out: Array | None = None) -> Array:
    """Rectifier: ``out = max(input, 0)``; NaN stays NaN.

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
    V. Nair, G. E. Hinton, Rectified linear units improve restricted Boltzmann machines,
    ICML 2010.

    Examples
    --------
    >>> relu(np.array([-1.0, 0.0, 2.0]))
    array([0., 0., 2.])
    """
    return _core.activate("relu", input, out)


def leaky_relu(
    input: ArrayLike, negative_slope: float = 0.01, *, out: Array | None = None
) -> Array:
    """Leaky rectifier.

    ``out = input`` where it is positive, else ``negative_slope * input``.

    Parameters
    ----------
    input : array of at most 5 dimensions
        Float32 or float64.
    negative_slope : float
        Slope for negative numbers.
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
    A. L. Maas, A. Y. Hannun, A. Y. Ng, Rectifier nonlinearities improve neural network acoustic
    models, ICML 2013.

    Examples
    --------
    >>> leaky_relu(np.array([-1.0, 0.0, 2.0]), 0.25)
    array([-0.25,  0.  ,  2.  ])
    """
    return _core.activate(("leaky_relu", negative_slope), input, out)


def relu6(input: ArrayLike, *, out: Array | None = None) -> Array:
    """Clipped rectifier: ``out = min(max(input, 0), 6)``.

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
    A. Krizhevsky, Convolutional deep belief networks on CIFAR-10, 2010.

    Examples
    --------
    >>> relu6(np.array([-1.0, 2.0, 7.0]))
    array([0., 2., 6.])
    """
    return _core.activate("relu6", input, out)


def hardtanh(
    input: ArrayLike, min_val: float = -1.0, max_val: float = 1.0, *, out: Array | None = None
) -> Array:
    """Clipped rectifier: ``out = min(max(input, min_val), max_val)``.

    Parameters
    ----------
    input : array of at most 5 dimensions
        Float32 or float64.
    min_val : float
        Lower bound.
    max_val : float
        Upper bound, not below the lower one.
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
    R. Collobert, Large scale machine learning, thesis, Universite Paris VI, 2004.

    Examples
    --------
    >>> hardtanh(np.array([-3.0, 0.5, 7.0]))
    array([-1. ,  0.5,  1. ])
    """
    return _core.activate(("hardtanh", min_val, max_val), input, out)


def elu(input: ArrayLike, alpha: float = 1.0, *, out: Array | None = None) -> Array:
    """Exponential linear unit.

    ``out = input`` where it is positive, else ``alpha * (exp(input) - 1)``.

    Parameters
    ----------
    input : array of at most 5 dimensions
        Float32 or float64.
    alpha : float
        Minus the limit for large negative numbers.
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
    D.-A. Clevert, T. Unterthiner, S. Hochreiter, Fast and accurate deep network learning by
    exponential linear units, arXiv:1511.07289, 2015.

    Examples
    --------
    >>> elu(np.array([-np.inf, 0.0, 1.0]))
    array([-1.,  0.,  1.])
    """
    return _core.activate(("elu", alpha), input, out)


def selu(input: ArrayLike, *, out: Array | None = None) -> Array:
    """Scaled exponential linear unit: 1.0507... times `elu` with alpha 1.6733....

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
    G. Klambauer, T. Unterthiner, A. Mayr, S. Hochreiter, Self-normalizing neural networks,
    arXiv:1706.02515, 2017.

    Examples
    --------
    >>> selu(np.array([-1.0, 0.0, 1.0])).round(4)
    array([-1.1113,  0.    ,  1.0507])
    """
    return _core.activate("selu", input, out)
