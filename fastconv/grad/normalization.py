"""Gradients of normalisation; mean and invstd are what the functions returned."""

from __future__ import annotations

from typing import TYPE_CHECKING, SupportsIndex

from fastconv import _core

if TYPE_CHECKING:
    from fastconv._typing import Array, ArrayLike, Size


def batch_norm_backward(
    grad_output: ArrayLike,
    input: ArrayLike,
    weight: ArrayLike | None,
    mean: ArrayLike,
    invstd: ArrayLike,
    *,
    bias: ArrayLike | None = None,
    activation: str | None = None,
    training: bool = True,
    out: Array | None = None,
) -> tuple[Array, Array, Array]:
    """Gradients of `batch_norm` with respect to input, weight and bias.

    With ``x^ = (x - mean) * invstd`` and g the gradient, 0 where a ReLU cut the result off:
    ``dbias = sum(g)``, ``dweight = sum(g * x^)`` and
    ``dx = invstd * weight * (g - mean(g) - x^ * mean(g * x^))``, sums and means over a channel.

    Parameters
    ----------
    grad_output : array of shape (N, C, ...)
        Gradient of the output.
    input, weight : arrays
        As they were given to `batch_norm`.
    mean, invstd : arrays of shape (C,)
        What `batch_norm` returned with ``return_statistics=True``.
    bias : array of shape (C,), optional
        As it was given to `batch_norm`; counts with `activation` only.
    activation : {"relu"}, optional
        As it was given to `batch_norm`. The output is not needed.
    training : bool
        As it was given to `batch_norm`. If not, mean and invstd are constants.
    out : array of the shape of `input`, optional
        Where to write the gradient of the input; may be `grad_output` itself.

    Returns
    -------
    (grad_input, grad_weight, grad_bias) : arrays
        The first in the memory layout of `grad_output`, the others of shape (C,).

    Raises
    ------
    TypeError, ValueError
        As for `batch_norm`.

    Examples
    --------
    >>> x, dy = np.array([[1.0], [3.0]]), np.array([[1.0], [0.0]])
    >>> dx, dweight, dbias = batch_norm_backward(dy, x, None, np.array([2.0]), np.ones(1))
    >>> dweight, dbias
    (array([-1.]), array([1.]))
    """
    return _core.batch_norm_backward(
        grad_output, input, weight, mean, invstd, bias, training, activation, out
    )


def group_norm_backward(
    grad_output: ArrayLike,
    input: ArrayLike,
    num_groups: SupportsIndex,
    weight: ArrayLike | None,
    mean: ArrayLike,
    invstd: ArrayLike,
    *,
    out: Array | None = None,
) -> tuple[Array, Array, Array]:
    """Gradients of `group_norm` with respect to input, weight and bias.

    With ``x^ = (x - mean) * invstd`` and ``g = dy * weight``:
    ``dx = invstd * (g - mean(g) - x^ * mean(g * x^))``, means over a group of a sample.

    Parameters
    ----------
    grad_output : array of shape (N, C, ...)
        Gradient of the output.
    input, num_groups, weight
        As they were given to `group_norm`.
    mean, invstd : arrays of shape (N, num_groups)
        What `group_norm` returned with ``return_statistics=True``.
    out : array of the shape of `input`, optional
        Where to write the gradient of the input; may be `grad_output` itself.

    Returns
    -------
    (grad_input, grad_weight, grad_bias) : arrays
        The first in the memory layout of `grad_output`, the others of shape (C,).

    Raises
    ------
    TypeError, ValueError
        As for `group_norm`.

    Examples
    --------
    >>> x, dy = np.array([[1.0, 3.0]]), np.array([[1.0, 0.0]])
    >>> group_norm_backward(dy, x, 1, None, np.array([[2.0]]), np.array([[1.0]]))[0]
    array([[0., 0.]])
    """
    return _core.group_norm_backward(grad_output, input, num_groups, weight, mean, invstd, out)


def layer_norm_backward(
    grad_output: ArrayLike,
    input: ArrayLike,
    normalized_shape: Size,
    weight: ArrayLike | None,
    mean: ArrayLike,
    invstd: ArrayLike,
    *,
    out: Array | None = None,
) -> tuple[Array, Array, Array]:
    """Gradients of `layer_norm` with respect to input, weight and bias.

    With ``x^ = (x - mean) * invstd`` and ``g = dy * weight``:
    ``dx = invstd * (g - mean(g) - x^ * mean(g * x^))``, means over a row.

    Parameters
    ----------
    grad_output : array of 1 to 5 dimensions
        Gradient of the output.
    input, normalized_shape, weight
        As they were given to `layer_norm`.
    mean, invstd : arrays
        What `layer_norm` returned with ``return_statistics=True``.
    out : array of the shape of `input`, optional
        Where to write the gradient of the input; may be `grad_output` itself.

    Returns
    -------
    (grad_input, grad_weight, grad_bias) : arrays
        The first in the memory layout of `grad_output`, the others of shape `normalized_shape`.

    Raises
    ------
    TypeError, ValueError
        As for `layer_norm`.

    Examples
    --------
    >>> x, dy = np.array([1.0, 3.0]), np.array([1.0, 0.0])
    >>> layer_norm_backward(dy, x, 2, None, np.array(2.0), np.array(1.0))[1]
    array([-1.,  0.])
    """
    return _core.layer_norm_backward(
        grad_output, input, normalized_shape, weight, mean, invstd, out
    )


def local_response_norm_backward(
    grad_output: ArrayLike,
    input: ArrayLike,
    size: SupportsIndex,
    alpha: float = 1e-4,
    beta: float = 0.75,
    k: float = 1.0,
    *,
    out: Array | None = None,
) -> Array:
    """Gradient of `local_response_norm`.

    With d what `input` is divided by before the power:
    ``dx[i] = dy[i] * d[i] ** -beta - 2 * alpha * beta / size * x[i] * sum over c of
    dy[c] * x[c] * d[c] ** (-beta - 1)``, c the channels whose window i is in.

    Parameters
    ----------
    grad_output : array of shape (N, C, ...)
        Gradient of the output.
    input, size, alpha, beta, k
        As they were given to `local_response_norm`.
    out : array of the shape of `input`, optional
        Where to write the result; must not overlap the others.

    Returns
    -------
    array of the shape and memory layout of `grad_output`

    Raises
    ------
    TypeError, ValueError
        As for `local_response_norm`.

    Examples
    --------
    >>> x = np.array([[3.0, 4.0]])
    >>> local_response_norm_backward(np.ones((1, 2)), x, 1, alpha=1.0, beta=1.0, k=1.0).round(3)
    array([[-0.08 , -0.052]])
    """
    return _core.local_response_norm(grad_output, input, size, alpha, beta, k, out)
