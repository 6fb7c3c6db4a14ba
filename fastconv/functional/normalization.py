"""Normalisation: batch, group, layer and local response."""

from __future__ import annotations

from typing import TYPE_CHECKING, SupportsIndex

import numpy as np

from fastconv import _core

if TYPE_CHECKING:
    from fastconv._typing import Array, ArrayLike, Size


def batch_norm(
    input: ArrayLike,
    running_mean: ArrayLike | None,
    running_var: ArrayLike | None,
    weight: ArrayLike | None = None,
    bias: ArrayLike | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
    *,
    activation: str | None = None,
    return_statistics: bool = False,
    out: Array | None = None,
) -> Array | tuple[Array, Array, Array]:
    """Normalise each channel of (N, C, ...) over all samples and positions.

    ``out = (input - mean) * invstd * weight + bias``, ``invstd = 1 / sqrt(var + eps)``, and its
    ReLU with ``activation="relu"``. The statistics stay exact however far the mean is from 0.

    Parameters
    ----------
    input : array of shape (N, C, ...) of 2 to 5 dimensions
        Float32 or float64.
    running_mean, running_var : arrays of shape (C,) or None
        What is used unless `training`; else they are moved in place:
        ``running = (1 - momentum) * running + momentum * new``, the variance unbiased.
    weight, bias : arrays of shape (C,), optional
        1 and 0 without.
    training : bool
        Use the statistics of `input`, the variance biased.
    momentum : float
        Weight of the new statistics.
    eps : float
        Added to the variance.
    activation : {"relu"}, optional
        Applied to the result.
    return_statistics : bool
        Also return `mean` and `invstd`, which `batch_norm_backward` needs.
    out : array of the shape of `input`, optional
        Where to write the result; may be `input` itself.

    Returns
    -------
    array of the shape and memory layout of `input`, or (that, mean, invstd)

    Raises
    ------
    TypeError, ValueError
        As for `conv2d`.

    References
    ----------
    S. Ioffe, C. Szegedy, Batch normalization, arXiv:1502.03167, 2015.

    Examples
    --------
    >>> batch_norm(np.array([[1.0], [3.0]]), None, None, training=True, eps=0.0)
    array([[-1.],
           [ 1.]])
    """
    return _core.batch_norm_forward(
        input,
        running_mean,
        running_var,
        weight,
        bias,
        training,
        momentum,
        eps,
        activation,
        return_statistics,
        out,
    )


def fold_batch_norm(
    weight: ArrayLike,
    bias: ArrayLike | None,
    mean: ArrayLike,
    var: ArrayLike,
    gamma: ArrayLike | None = None,
    beta: ArrayLike | None = None,
    eps: float = 1e-5,
    *,
    transposed: bool = False,
    groups: SupportsIndex = 1,
) -> tuple[Array, Array]:
    """Fold a batch norm at inference into the convolution before it.

    ``conv(x, w, b)`` is ``batch_norm(conv(x, weight, bias), mean, var, gamma, beta)`` with
    ``w = weight * s`` and ``b = (bias - mean) * s + beta``, ``s = gamma / sqrt(var + eps)``.

    Parameters
    ----------
    weight : array of shape (OC, IC / groups, ...)
        Of a convolution or dense layer.
    bias : array of shape (OC,) or None
        Its bias.
    mean, var : arrays of shape (OC,)
        The running statistics.
    gamma, beta : arrays of shape (OC,), optional
        Weight and bias of the batch norm.
    eps : float
        As it is given to `batch_norm`.
    transposed : bool
        `weight` is of a transposed convolution: (IC, OC / groups, ...).
    groups : int
        Of the transposed convolution.

    Returns
    -------
    (weight, bias) : arrays of the shape of `weight` and of shape (OC,)
        In the dtype of `weight`; computed in float64.

    Raises
    ------
    ValueError
        If an array has not one value an output channel.

    Examples
    --------
    >>> w, b = fold_batch_norm(np.ones((1, 2)), None, np.ones(1), np.array([4.0]), eps=0.0)
    >>> w, b
    (array([[0.5, 0.5]]), array([-0.5]))
    """
    w = np.asarray(weight)
    parts = int(groups) if transposed else 1
    channels = w.shape[1] * parts if transposed else w.shape[0]

    def values(name: str, given: ArrayLike | None, none: float) -> Array:
        array = np.full(channels, none) if given is None else np.asarray(given, np.float64)
        if array.shape != (channels,):
            raise ValueError(f"{name}: expected shape {(channels,)}, got {array.shape}")
        return array

    scale = values("gamma", gamma, 1.0) / np.sqrt(values("var", var, 1.0) + eps)
    shift = (values("bias", bias, 0.0) - values("mean", mean, 0.0)) * scale
    shift = shift + values("beta", beta, 0.0)
    ones = (1,) * (w.ndim - 2)
    if transposed:
        grouped = w.astype(np.float64).reshape(parts, -1, *w.shape[1:])
        folded = (grouped * scale.reshape(parts, 1, w.shape[1], *ones)).reshape(w.shape)
    else:
        folded = w.astype(np.float64) * scale.reshape(-1, 1, *ones)
    return folded.astype(w.dtype), shift.astype(w.dtype)


def group_norm(
    input: ArrayLike,
    num_groups: SupportsIndex,
    weight: ArrayLike | None = None,
    bias: ArrayLike | None = None,
    eps: float = 1e-5,
    *,
    return_statistics: bool = False,
    out: Array | None = None,
) -> Array | tuple[Array, Array, Array]:
    """Normalise each group of neighbouring channels of (N, C, ...) in each sample.

    ``out = (input - mean) * invstd * weight + bias``, ``invstd = 1 / sqrt(var + eps)``, with
    statistics over C / num_groups channels and all positions. ``num_groups=C`` is instance
    normalisation.

    Parameters
    ----------
    input : array of shape (N, C, ...) of 2 to 5 dimensions
        Float32 or float64.
    num_groups : int
        A divisor of C.
    weight, bias : arrays of shape (C,), optional
        1 and 0 without.
    eps : float
        Added to the variance.
    return_statistics : bool
        Also return `mean` and `invstd`, (N, num_groups), which `group_norm_backward` needs.
    out : array of the shape of `input`, optional
        Where to write the result; may be `input` itself.

    Returns
    -------
    array of the shape and memory layout of `input`, or (that, mean, invstd)

    Raises
    ------
    TypeError, ValueError
        As for `conv2d`.

    References
    ----------
    Y. Wu, K. He, Group normalization, arXiv:1803.08494, 2018.

    Examples
    --------
    >>> group_norm(np.array([[1.0, 3.0, 5.0, 9.0]]), 2, eps=0.0)
    array([[-1.,  1., -1.,  1.]])
    """
    return _core.group_norm_forward(input, num_groups, weight, bias, eps, return_statistics, out)


def layer_norm(
    input: ArrayLike,
    normalized_shape: Size,
    weight: ArrayLike | None = None,
    bias: ArrayLike | None = None,
    eps: float = 1e-5,
    *,
    return_statistics: bool = False,
    out: Array | None = None,
) -> Array | tuple[Array, Array, Array]:
    """Normalise over the last dimensions, `normalized_shape`.

    ``out = (input - mean) * invstd * weight + bias``, ``invstd = 1 / sqrt(var + eps)``.

    Parameters
    ----------
    input : array of 1 to 5 dimensions
        Float32 or float64; its shape ends with `normalized_shape`.
    normalized_shape : int or tuple of int
        The dimensions that have common statistics.
    weight, bias : arrays of shape `normalized_shape`, optional
        1 and 0 without.
    eps : float
        Added to the variance.
    return_statistics : bool
        Also return `mean` and `invstd`, of the shape of the other dimensions, which
        `layer_norm_backward` needs.
    out : array of the shape of `input`, optional
        Where to write the result; may be `input` itself.

    Returns
    -------
    array of the shape and memory layout of `input`, or (that, mean, invstd)

    Raises
    ------
    TypeError, ValueError
        As for `conv2d`.

    References
    ----------
    J. L. Ba, J. R. Kiros, G. E. Hinton, Layer normalization, arXiv:1607.06450, 2016.

    Examples
    --------
    >>> layer_norm(np.array([[1.0, 3.0], [5.0, 9.0]]), 2, eps=0.0)
    array([[-1.,  1.],
           [-1.,  1.]])
    """
    return _core.layer_norm_forward(
        input, normalized_shape, weight, bias, eps, return_statistics, out
    )


def local_response_norm(
    input: ArrayLike,
    size: SupportsIndex,
    alpha: float = 1e-4,
    beta: float = 0.75,
    k: float = 1.0,
    *,
    out: Array | None = None,
) -> Array:
    """Divide each channel by a power of the squares of its neighbours.

    ``out[c] = input[c] / (k + alpha / size * sum over j of input[j] ** 2) ** beta``, j from
    ``c - size // 2`` to ``c + (size - 1) // 2``; channels outside count as 0. AlexNet's
    alpha, 1e-4, is here ``size`` times that, its n is 5 and its k is 2.

    Parameters
    ----------
    input : array of shape (N, C, ...) of 2 to 5 dimensions
        Float32 or float64.
    size : int
        Channels of a window.
    alpha, beta, k : float
        The constants of the equation.
    out : array of the shape of `input`, optional
        Where to write the result; must not overlap `input`.

    Returns
    -------
    array of the shape and memory layout of `input`

    Raises
    ------
    TypeError, ValueError
        As for `conv2d`.

    References
    ----------
    A. Krizhevsky, I. Sutskever, G. E. Hinton, ImageNet classification with deep convolutional
    neural networks, NIPS 2012, section 3.3.

    Examples
    --------
    >>> local_response_norm(np.array([[3.0, 4.0]]), 2, alpha=2.0, beta=0.5, k=0.0)
    array([[1. , 0.8]])
    """
    return _core.local_response_norm(None, input, size, alpha, beta, k, out)
