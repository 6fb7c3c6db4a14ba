"""Convolutions of each channel alone, followed by one across the channels."""

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
from fastconv.layers.windowed import BIAS, FORWARD, INPUT, WEIGHT, Windowed

__all__ = ["SeparableConv1D", "SeparableConv2D"]


class SeparableConv(Windowed):
    """What SeparableConv1D and 2D share; see `SeparableConv2D` for the arguments."""

    def __init__(
        self,
        filters: int,
        kernel_size: int | Sequence[int],
        strides: int | Sequence[int] = 1,
        padding: str | int | Sequence[int | Sequence[int]] = "valid",
        data_format: str | None = None,
        dilation_rate: int | Sequence[int] = 1,
        depth_multiplier: int = 1,
        activation: str | Nonlinearity | None = None,
        use_bias: bool = True,
        depthwise_initializer: InitializerLike = "glorot_uniform",
        pointwise_initializer: InitializerLike = "glorot_uniform",
        bias_initializer: InitializerLike = "zeros",
        depthwise_regularizer: regularizers.Identifier = None,
        pointwise_regularizer: regularizers.Identifier = None,
        bias_regularizer: regularizers.Identifier = None,
        depthwise_constraint: constraints.Identifier = None,
        pointwise_constraint: constraints.Identifier = None,
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
        (self.filters,) = windows.sizes(filters, 1, "filters")
        (self.depth_multiplier,) = windows.sizes(depth_multiplier, 1, "depth_multiplier")
        self.depthwise_rule = WeightRule.of(
            depthwise_initializer, depthwise_regularizer, depthwise_constraint
        )
        self.pointwise_rule = WeightRule.of(
            pointwise_initializer, pointwise_regularizer, pointwise_constraint
        )

    def build(self, input_shape: Shape) -> None:
        """Create both kernels and the bias.

        They are (kernel..., in, multiplier), (1..., in * multiplier, filters) and (filters,).
        """
        channels, rank = self._channels(input_shape), self.rank
        shape = (*self.kernel_size, channels, self.depth_multiplier)
        self.depthwise_rule.add(self, "depthwise_kernel", shape, (rank, rank + 1, *range(rank)))
        shape = (*(1,) * rank, channels * self.depth_multiplier, self.filters)
        self.pointwise_rule.add(self, "pointwise_kernel", shape, (rank + 1, rank, *range(rank)))
        if self.use_bias:
            self.bias_rule.add(self, "bias", (self.filters,))

    def apply(self, x: Array, training: bool, activation: Nonlinearity) -> Array:
        """Filter each channel, mix them, add the bias and apply the activation."""
        epilogue = activation.epilogue_of(training)
        view, room = self._channels_first(x), self._room(x, self._middle_shape(x.shape))
        filters, window = self._depthwise(view.shape[1])
        middle = FORWARD[self.rank](view, filters, None, *window, out=room)
        z = FORWARD[self.rank](
            middle,
            self.weight("pointwise_kernel").array,
            self._bias,
            activation=epilogue,
            out=self._room(self._data_format(middle), self.compute_output_shape(x.shape)),
        )
        y, kept = activation.finish(self._data_format(z), self.axis, epilogue is not None)
        if training:
            self._save(view, middle, kept, activation)
        return y

    def backward(self, grad: Array, need_input_grad: bool = True) -> Array | None:
        """Add to the gradients of the kernels and the bias; return that of the input."""
        x, middle, kept, activation = self._saved()
        grad = activation.backward(grad, kept, self.axis)
        dy = self._channels_first(grad)
        pointwise, depthwise = self.weight("pointwise_kernel"), self.weight("depthwise_kernel")
        if self.trainable:
            pointwise.accumulate(WEIGHT[self.rank](middle, pointwise.array.shape, dy))
            if self.use_bias:
                self.weight("bias").accumulate(BIAS[self.rank](dy))
        if not self.trainable and not need_input_grad:
            return None
        room = self._room(grad, self._data_format(middle).shape)
        dmiddle = INPUT[self.rank](middle.shape, pointwise.array, dy, out=room)
        filters, window = self._depthwise(x.shape[1])
        if self.trainable:
            dw = WEIGHT[self.rank](x, filters.shape, dmiddle, *window)
            depthwise.accumulate(dw.reshape(depthwise.array.shape))
        if not need_input_grad:
            return None
        room = self._room(self._data_format(dmiddle), self._data_format(x).shape)
        return self._data_format(INPUT[self.rank](x.shape, filters, dmiddle, *window, out=room))

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Return (batch, out..., filters), or (batch, filters, out...)."""
        return self._shape(input_shape, self.filters)

    def multiply_adds(self, input_shape: Shape) -> int:
        """Return prod(out) * in * multiplier * (prod(kernel) + filters)."""
        extents = math.prod(extent or 0 for extent in self._middle_shape(input_shape)[1:])
        return extents * (math.prod(self.kernel_size) + self.filters)

    def notes(self, input_shape: Shape) -> list[str]:
        """Say where a stride does not fit."""
        return windows.leftovers(self._split(input_shape)[1], *self._geometry)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {
            **super().get_config(),
            "filters": self.filters,
            "depth_multiplier": self.depth_multiplier,
            **self.depthwise_rule.config("depthwise"),
            **self.pointwise_rule.config("pointwise"),
        }

    def _depthwise(self, channels: int) -> tuple[Array, tuple[Any, ...]]:
        """Return the filters (in * multiplier, 1, kernel...), and the window of the kernels."""
        filters = self.weight("depthwise_kernel").array.reshape(-1, 1, *self.kernel_size)
        return filters, (self.strides, self.padding, self.dilation_rate, channels)

    def _middle_shape(self, input_shape: Shape) -> Shape:
        """Return the shape between the two convolutions."""
        channels, _ = self._split(input_shape)
        return self._shape(input_shape, (channels or 0) * self.depth_multiplier)

    def _shape(self, input_shape: Shape, channels: int) -> Shape:
        _, spatial = self._split(input_shape)
        out = windows.output_sizes(spatial, *self._geometry, self.name)
        return windows.join_shape(input_shape[0], channels, out, self.data_format)


@register_layer
class SeparableConv1D(SeparableConv):
    """A depthwise convolution and one across the channels, over one dimension.

    See `SeparableConv2D`.

    Examples
    --------
    >>> SeparableConv1D(16, 3, padding="same").compute_output_shape((None, 10, 8))
    (None, 10, 16)
    """

    rank = 1


@register_layer
class SeparableConv2D(SeparableConv):
    """A depthwise convolution and one across the channels: (N, H, W, in) to (N, OH, OW, filters).

    y = activation(bias + pointwise(depthwise(x))), as `DepthwiseConv2D` without a bias, and a
    `Conv2D` of 1 x 1.

    Parameters
    ----------
    filters : int
        Output channels.
    kernel_size, strides, padding, data_format, dilation_rate, activation, use_bias
        See `Conv2D`; the window is that of the depthwise convolution.
    depth_multiplier : int
        Outputs of each channel, between the two.
    depthwise_initializer, pointwise_initializer, bias_initializer
        See `fastconv.initializers`; regularizers and constraints likewise.
    **options
        See `Layer`.

    Notes
    -----
    Source: F. Chollet, Xception: deep learning with depthwise separable convolutions, CVPR
    2017, arXiv 1610.02357.

    Examples
    --------
    >>> layer = SeparableConv2D(16, 3)
    >>> layer(np.ones((1, 5, 5, 4))).shape, layer.count_params()
    ((1, 3, 3, 16), 116)
    """

    rank = 2
