"""The gradients of an epilogue: of an activation and a bias, in one pass."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastconv import _core

if TYPE_CHECKING:
    from fastconv._typing import Activation, Array, ArrayLike


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
