"""Gradients of activations, from the output of the function where that is enough.

Where it is not, they take the input: `silu`, `gelu`, `softplus`, `hardswish` and `mish`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastconv import _core
from fastconv.functional.activation import gelu_name

if TYPE_CHECKING:
    from fastconv._typing import Activation, Array, ArrayLike


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


def activation_bias_backward(
    grad_output: ArrayLike,
    saved: ArrayLike,
    activation: Activation = "relu",
    *,
    out: Array | None = None,
) -> tuple[Array, Array]:
    """Gradients behind the epilogue of a kernel in one pass: activation and bias.

    ``dx = dy * f'(x)`` and ``dbias[c] = sum over n and the positions of dx[n, c, ...]``: what
    `relu_backward` and `conv2d_bias` after it compute, without reading dx again.

    Parameters
    ----------
    grad_output : array of shape (N, C, ...) of 2 to 5 dimensions
        Gradient of the output.
    saved : array of the same shape
        The output of the activation or its input, whichever the function's gradient takes.
    activation : str or tuple
        As it was given to the kernel: see `conv2d`.
    out : array of the same shape, optional
        Where to write the gradient of the input; may be `grad_output` itself.

    Returns
    -------
    (grad_input, grad_bias) : arrays
        The first in the memory layout of `grad_output`, the other of shape (C,).

    Raises
    ------
    TypeError, ValueError
        As for `conv2d`.

    Examples
    --------
    >>> dx, dbias = activation_bias_backward(np.ones((2, 1)), np.array([[0.0], [3.0]]))
    >>> dbias
    array([1.])
    """
    return _core.activate_backward_bias(activation, grad_output, saved, out)
