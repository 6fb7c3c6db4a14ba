"""Gradients of rectifiers and their relatives, from the output of the function."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastconv import _core

if TYPE_CHECKING:
    from fastconv._typing import Array, ArrayLike


def relu_backward(grad_output: ArrayLike, output: ArrayLike, *, out: Array | None = None) -> Array:
    """Gradient of `relu`: `grad_output` where `output` > 0, else 0.

    Parameters
    ----------
    grad_output : array of at most 5 dimensions
        Gradient of the output.
    output : array of the same shape
        What `relu` returned, or a kernel with ``activation="relu"``. Where it is NaN the
        gradient passes.
    out : array of the same shape, optional
        Where to write the result; may be `grad_output` itself.

    Returns
    -------
    array of the shape and memory layout of `grad_output`

    Raises
    ------
    TypeError, ValueError
        As for `relu`.

    Examples
    --------
    >>> relu_backward(np.array([1.0, 2.0, 3.0]), np.array([0.0, 5.0, 0.0]))
    array([0., 2., 0.])
    """
    return _core.activate_backward("relu", grad_output, output, "output", out)


def leaky_relu_backward(
    grad_output: ArrayLike,
    output: ArrayLike,
    negative_slope: float = 0.01,
    *,
    out: Array | None = None,
) -> Array:
    """Gradient of `leaky_relu`: `grad_output` times `negative_slope` where `output` <= 0.

    Parameters
    ----------
    grad_output : array of at most 5 dimensions
        Gradient of the output.
    output : array of the same shape
        What `leaky_relu` returned, or a kernel with this activation.
    negative_slope : float
        As it was given to `leaky_relu`, not negative.
    out : array of the same shape, optional
        Where to write the result; may be `grad_output` itself.

    Returns
    -------
    array of the shape and memory layout of `grad_output`

    Raises
    ------
    TypeError, ValueError
        As for `leaky_relu`.

    Examples
    --------
    >>> leaky_relu_backward(np.ones(2), np.array([-0.25, 2.0]), 0.25)
    array([0.25, 1.  ])
    """
    return _core.activate_backward(
        ("leaky_relu", negative_slope), grad_output, output, "output", out
    )


def relu6_backward(grad_output: ArrayLike, output: ArrayLike, *, out: Array | None = None) -> Array:
    """Gradient of `relu6`: `grad_output` where 0 < `output` < 6, else 0.

    Parameters
    ----------
    grad_output : array of at most 5 dimensions
        Gradient of the output.
    output : array of the same shape
        What `relu6` returned, or a kernel with this activation.
    out : array of the same shape, optional
        Where to write the result; may be `grad_output` itself.

    Returns
    -------
    array of the shape and memory layout of `grad_output`

    Raises
    ------
    TypeError, ValueError
        As for `relu6`.

    Examples
    --------
    >>> relu6_backward(np.ones(3), np.array([0.0, 2.0, 6.0]))
    array([0., 1., 0.])
    """
    return _core.activate_backward("relu6", grad_output, output, "output", out)


def hardtanh_backward(
    grad_output: ArrayLike,
    output: ArrayLike,
    min_val: float = -1.0,
    max_val: float = 1.0,
    *,
    out: Array | None = None,
) -> Array:
    """Gradient of `hardtanh`: `grad_output` where `output` is between the bounds, else 0.

    Parameters
    ----------
    grad_output : array of at most 5 dimensions
        Gradient of the output.
    output : array of the same shape
        What `hardtanh` returned, or a kernel with this activation.
    min_val : float
        As it was given to `hardtanh`.
    max_val : float
        As it was given to `hardtanh`.
    out : array of the same shape, optional
        Where to write the result; may be `grad_output` itself.

    Returns
    -------
    array of the shape and memory layout of `grad_output`

    Raises
    ------
    TypeError, ValueError
        As for `hardtanh`.

    Examples
    --------
    >>> hardtanh_backward(np.ones(3), np.array([-1.0, 0.5, 1.0]))
    array([0., 1., 0.])
    """
    return _core.activate_backward(
        ("hardtanh", min_val, max_val), grad_output, output, "output", out
    )


def elu_backward(
    grad_output: ArrayLike, output: ArrayLike, alpha: float = 1.0, *, out: Array | None = None
) -> Array:
    """Gradient of `elu`: ``dx = dy * (y + alpha)`` where `output` <= 0, else `grad_output`.

    Parameters
    ----------
    grad_output : array of at most 5 dimensions
        Gradient of the output.
    output : array of the same shape
        What `elu` returned, or a kernel with this activation.
    alpha : float
        As it was given to `elu`, not negative.
    out : array of the same shape, optional
        Where to write the result; may be `grad_output` itself.

    Returns
    -------
    array of the shape and memory layout of `grad_output`

    Raises
    ------
    TypeError, ValueError
        As for `elu`.

    Examples
    --------
    >>> elu_backward(np.ones(2), np.array([-0.75, 1.0]))
    array([0.25, 1.  ])
    """
    return _core.activate_backward(("elu", alpha), grad_output, output, "output", out)


def selu_backward(grad_output: ArrayLike, output: ArrayLike, *, out: Array | None = None) -> Array:
    """Gradient of `selu`.

    ``dx = dy * (y + 1.7581...)`` where `output` <= 0, else ``1.0507... * dy``.

    Parameters
    ----------
    grad_output : array of at most 5 dimensions
        Gradient of the output.
    output : array of the same shape
        What `selu` returned, or a kernel with this activation.
    out : array of the same shape, optional
        Where to write the result; may be `grad_output` itself.

    Returns
    -------
    array of the shape and memory layout of `grad_output`

    Raises
    ------
    TypeError, ValueError
        As for `selu`.

    Examples
    --------
    >>> selu_backward(np.ones(2), np.array([0.0, 1.0])).round(4)
    array([1.7581, 1.0507])
    """
    return _core.activate_backward("selu", grad_output, output, "output", out)
