"""AlexNet's normalization across neighbouring channels."""

from __future__ import annotations

from typing import Any, Unpack

from fastconv import functional
from fastconv import grad as gradients
from fastconv.layers import windows
from fastconv.layers.base import Layer, LayerOptions
from fastconv.layers.normalization import positive_number
from fastconv.layers.registry import register_layer
from fastconv.layers.types import Array

__all__ = ["LocalResponseNormalization"]


@register_layer
class LocalResponseNormalization(Layer):
    """y[c] = x[c] / (k + alpha * sum of x[j]^2 over the `size` channels j around c)^beta.

    The defaults and the equation are the paper's. PyTorch and Caffe divide alpha by `size`:
    their alpha is `size` times this one.

    Parameters
    ----------
    size : int
        Channels in the sum: c, half of the rest before it and half after, where there are any.
    alpha, beta, k : float
        As in the equation.
    data_format : str, optional
        ``"channels_last"``, the default, or ``"channels_first"``.
    **options
        See `Layer`.

    Notes
    -----
    Source: A. Krizhevsky, I. Sutskever, G. E. Hinton, ImageNet classification with deep
    convolutional neural networks, NIPS 2012, section 3.3.

    Examples
    --------
    >>> layer = LocalResponseNormalization(3, alpha=1.0, beta=1.0, k=1.0)
    >>> layer([[[[1.0, 2.0, 0.0, 5.0]]]])[0, 0, 0].round(3)
    array([0.167, 0.333, 0.   , 0.192], dtype=float32)
    """

    def __init__(
        self,
        size: int = 5,
        alpha: float = 1e-4,
        beta: float = 0.75,
        k: float = 2.0,
        data_format: str | None = None,
        **options: Unpack[LayerOptions],
    ) -> None:
        super().__init__(**options)
        (self.size,) = windows.sizes(size, 1, "size")
        self.alpha = positive_number("alpha", alpha)
        self.beta = positive_number("beta", beta)
        self.k = positive_number("k", k)
        self.data_format = windows.data_format(data_format)

    def forward(self, x: Array, training: bool = False) -> Array:
        """Return the output."""
        view = self._view(x)
        y = functional.local_response_norm(view, *self._arguments)
        if training:
            self._save(view)
        return windows.channels_last(y) if self._last else y

    def backward(self, grad: Array, need_input_grad: bool = True) -> Array | None:
        """Return the gradient of the input."""
        (x,) = self._saved()
        if not need_input_grad:
            return None
        dx = gradients.local_response_norm_backward(self._view(grad), x, *self._arguments)
        return windows.channels_last(dx) if self._last else dx

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {
            **super().get_config(),
            "size": self.size,
            "alpha": self.alpha,
            "beta": self.beta,
            "k": self.k,
            "data_format": self.data_format,
        }

    @property
    def _last(self) -> bool:
        return self.data_format == "channels_last"

    @property
    def _arguments(self) -> tuple[int, float, float, float]:
        return self.size, self.alpha * self.size, self.beta, self.k

    def _view(self, x: Array) -> Array:
        return windows.channels_first(x) if self._last else x
