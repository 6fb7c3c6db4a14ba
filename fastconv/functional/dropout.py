"""Dropout with a mask that is a function of a seed, not a state.

An element's fate depends on the seed and on its row-major index alone: not on the memory layout,
the number of threads or earlier calls. The gradients make the mask again from the same seed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, SupportsIndex

from fastconv import _core

if TYPE_CHECKING:
    from fastconv._typing import Array, ArrayLike


def dropout(
    input: ArrayLike,
    p: float = 0.5,
    training: bool = True,
    *,
    seed: SupportsIndex,
    out: Array | None = None,
) -> Array:
    """Set elements to 0 with probability `p` and scale up the rest.

    ``out = input / (1 - p)`` for the others, so that the expectation stays.

    Parameters
    ----------
    input : array of at most 5 dimensions
        Float32 or float64.
    p : float
        Probability of an element to be dropped, in [0, 1].
    training : bool
        If not, nothing is dropped.
    seed : int
        In [0, 2**64); another one for every call whose mask should be another.
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
    N. Srivastava et al., Dropout: a simple way to prevent neural networks from overfitting,
    JMLR 15, 2014. The generator is Philox4x32-10: J. K. Salmon et al., Parallel random
    numbers: as easy as 1, 2, 3, SC 2011.

    Examples
    --------
    >>> dropout(np.ones(8), 0.5, seed=1)
    array([2., 2., 0., 2., 0., 0., 0., 0.])
    """
    return _core.dropout(False, input, p if training else 0.0, seed, False, 0, out)


def alpha_dropout(
    input: ArrayLike,
    p: float = 0.5,
    training: bool = True,
    *,
    seed: SupportsIndex,
    out: Array | None = None,
) -> Array:
    """Dropout that keeps mean 0 and variance 1, for `selu`.

    What is dropped becomes -1.758..., the limit of SELU, and everything is scaled and shifted.
    The parameters, errors and sources are those of `dropout`; see G. Klambauer et al.,
    Self-normalizing neural networks, arXiv:1706.02515, 2017.

    Examples
    --------
    >>> alpha_dropout(np.ones(4), 0.5, seed=1).round(4)
    array([ 1.6656,  1.6656, -0.7792,  1.6656])
    """
    return _core.dropout(False, input, p if training else 0.0, seed, True, 0, out)


def dropout1d(
    input: ArrayLike,
    p: float = 0.5,
    training: bool = True,
    *,
    seed: SupportsIndex,
    out: Array | None = None,
) -> Array:
    """Set whole channels of (N, C, L) to 0 and scale up the rest.

    The parameters, errors and sources are those of `dropout`; see J. Tompson et al., Efficient
    object localization using convolutional networks, arXiv:1411.4280, 2014.

    Examples
    --------
    >>> dropout1d(np.ones((2, 2)), 0.5, seed=1)[:, 0]
    array([2., 2.])
    """
    return _core.dropout(False, input, p if training else 0.0, seed, False, 1, out)


def dropout2d(
    input: ArrayLike,
    p: float = 0.5,
    training: bool = True,
    *,
    seed: SupportsIndex,
    out: Array | None = None,
) -> Array:
    """Set whole channels of (N, C, H, W) to 0 and scale up the rest.

    The parameters, errors and sources are those of `dropout`; see J. Tompson et al., Efficient
    object localization using convolutional networks, arXiv:1411.4280, 2014.

    Examples
    --------
    >>> dropout2d(np.ones((2, 2, 2)), 0.5, seed=1)[:, 0, 0]
    array([2., 2.])
    """
    return _core.dropout(False, input, p if training else 0.0, seed, False, 2, out)


def dropout3d(
    input: ArrayLike,
    p: float = 0.5,
    training: bool = True,
    *,
    seed: SupportsIndex,
    out: Array | None = None,
) -> Array:
    """Set whole channels of (N, C, D, H, W) to 0 and scale up the rest.

    The parameters, errors and sources are those of `dropout`; see J. Tompson et al., Efficient
    object localization using convolutional networks, arXiv:1411.4280, 2014.

    Examples
    --------
    >>> dropout3d(np.ones((2, 2, 2, 2)), 0.5, seed=1)[:, 0, 0, 0]
    array([2., 2.])
    """
    return _core.dropout(False, input, p if training else 0.0, seed, False, 3, out)


def feature_alpha_dropout(
    input: ArrayLike,
    p: float = 0.5,
    training: bool = True,
    *,
    seed: SupportsIndex,
    out: Array | None = None,
) -> Array:
    """Alpha dropout of whole channels of (N, C, ...).

    The parameters, errors and sources are those of `alpha_dropout`.

    Examples
    --------
    >>> feature_alpha_dropout(np.ones((1, 2, 3)), 0.5, seed=1).round(4)[0, :, 0]
    array([1.6656, 1.6656])
    """
    return _core.dropout(False, input, p if training else 0.0, seed, True, -1, out)
