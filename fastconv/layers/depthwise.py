"""Convolutions that filter each channel alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Unpack

from fastconv import constraints, regularizers
from fastconv.layers import windows
from fastconv.layers.base import LayerOptions
from fastconv.layers.nonlinearity import Nonlinearity
from fastconv.layers.registry import register_layer
from fastconv.layers.types import Array, Shape
from fastconv.layers.weights import InitializerLike, WeightRule
from fastconv.layers.windowed import Convolving

__all__ = ["DepthwiseConv1D", "DepthwiseConv2D"]


class DepthwiseConv(Convolving):
    """What DepthwiseConv1D and 2D share; see `DepthwiseConv2D` for the arguments."""

    def __init__(
        self,
        kernel_size: int | Sequence[int],
        strides: int | Sequence[int] = 1,
        padding: str | int | Sequence[int | Sequence[int]] = "valid",
        depth_multiplier: int = 1,
        data_format: str | None = None,
        dilation_rate: int | Sequence[int] = 1,
        activation: str | Nonlinearity | None = None,
        use_bias: bool = True,
        depthwise_initializer: InitializerLike = "glorot_uniform",
        bias_initializer: InitializerLike = "zeros",
        depthwise_regularizer: regularizers.Identifier = None,
        bias_regularizer: regularizers.Identifier = None,
        depthwise_constraint: constraints.Identifier = None,
        bias_constraint: constraints.Identifier = None,
        **options: Unpack[LayerOptions],
    ) -> None:
        super().__init__(
            kernel_size,
            strides,
            padding,
            data_format,
            dilation_rate,
            activation,
            use_bias,
            WeightRule.of(bias_initializer, bias_regularizer, bias_constraint),
            **options,
        )
        (self.depth_multiplier,) = windows.sizes(depth_multiplier, 1, "depth_multiplier")
        self.kernel_rule = WeightRule.of(
            depthwise_initializer, depthwise_regularizer, depthwise_constraint
        )

    def build(self, input_shape: Shape) -> None:
        """Create the kernel (kernel..., in, multiplier) and the bias (in * multiplier,)."""
        channels = self._channels(input_shape)
        shape = (*self.kernel_size, channels, self.depth_multiplier)
        storage = (self.rank, self.rank + 1, *range(self.rank))  # (in, multiplier, kernel...)
        self.kernel_rule.add(self, "kernel", shape, storage)
        if self.use_bias:
            self.bias_rule.add(self, "bias", (channels * self.depth_multiplier,))

    def filters_and_groups(self, channels: int | None) -> tuple[int | None, int]:
        """Return how many outputs there are, and one group a channel."""
        return (None, 0) if channels is None else (channels * self.depth_multiplier, channels)

    def filter_bank(self) -> Array:
        """View the kernel as filters (in * multiplier, 1, kernel...)."""
        return self.weight("kernel").array.reshape(-1, 1, *self.kernel_size)

    def multiply_adds(self, input_shape: Shape) -> int:
        """Return prod(out) * in * multiplier * prod(kernel)."""
        extents = self.compute_output_shape(input_shape)[1:]
        return math.prod(extent or 0 for extent in extents) * math.prod(self.kernel_size)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {
            **super().get_config(),
            "depth_multiplier": self.depth_multiplier,
            **self.kernel_rule.config("depthwise"),
        }

    @property
    def _outputs_of_group(self) -> int:
        return self.depth_multiplier


@register_layer
class DepthwiseConv1D(DepthwiseConv):
    """Convolution of each channel alone, over one dimension; see `DepthwiseConv2D`.

    Examples
    --------
    >>> DepthwiseConv1D(3, padding="same").compute_output_shape((None, 10, 8))
    (None, 10, 8)
    """

    rank = 1


@register_layer
class DepthwiseConv2D(DepthwiseConv):
    """Convolution of each channel alone: (N, H, W, in) to (N, OH, OW, in * depth_multiplier).

    y[n, oh, ow, c * multiplier + m] = activation(bias[...] + sum over i, j of
    x[n, oh * stride + i * dilation, ow * stride + j * dilation, c] * kernel[i, j, c, m])

    Parameters
    ----------
    kernel_size, strides, padding, data_format, dilation_rate, activation, use_bias
        See `Conv2D`.
    depth_multiplier : int
        Outputs of each channel.
    depthwise_initializer, bias_initializer : str or Initializer
        See `fastconv.initializers`.
    depthwise_regularizer, bias_regularizer : str or Regularizer, optional
        See `fastconv.regularizers`.
    depthwise_constraint, bias_constraint : str or Constraint, optional
        See `fastconv.constraints`.
    **options
        See `Layer`.

    Notes
    -----
    Source: A. G. Howard et al., MobileNets: efficient convolutional neural networks for mobile
    vision applications, arXiv 1704.04861, 2017.

    Examples
    --------
    >>> layer = DepthwiseConv2D(3, depth_multiplier=2)
    >>> layer(np.ones((1, 5, 5, 4))).shape, layer.count_params()
    ((1, 3, 3, 8), 80)
    """

    rank = 2
