"""What all convolution layers share: a window, filters, a bias and an activation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Unpack

from fastconv import functional
from fastconv import grad as gradients
from fastconv.layers import windows
from fastconv.layers.activation import Activated
from fastconv.layers.base import LayerOptions
from fastconv.layers.fusion import Convolution
from fastconv.layers.nonlinearity import Nonlinearity
from fastconv.layers.types import Array, Shape
from fastconv.layers.weights import WeightRule

__all__ = ["BIAS", "FORWARD", "INPUT", "WEIGHT", "Convolving", "Windowed"]

#: The kernels by the number of dimensions: forward, gradients of input, weight and bias.
FORWARD: dict[int, Callable[..., Array]] = {
    1: functional.conv1d,
    2: functional.conv2d,
    3: functional.conv3d,
}
INPUT: dict[int, Callable[..., Array]] = {
    1: gradients.conv1d_input,
    2: gradients.conv2d_input,
    3: gradients.conv3d_input,
}
WEIGHT: dict[int, Callable[..., Array]] = {
    1: gradients.conv1d_weight,
    2: gradients.conv2d_weight,
    3: gradients.conv3d_weight,
}
BIAS: dict[int, Callable[..., Array]] = {
    1: gradients.conv1d_bias,
    2: gradients.conv2d_bias,
    3: gradients.conv3d_bias,
}


class Windowed(Activated):
    """A layer with a sliding window; see `Conv2D` for the arguments."""

    rank: ClassVar[int]

    def __init__(
        self,
        kernel_size: int | Sequence[int],
        strides: int | Sequence[int],
        padding: str | int | Sequence[int | Sequence[int]],
        data_format: str | None,
        dilation_rate: int | Sequence[int],
        activation: str | Nonlinearity | None,
        use_bias: bool,
        bias_rule: WeightRule,
        **options: Unpack[LayerOptions],
    ) -> None:
        self.data_format = windows.data_format(data_format)
        super().__init__(activation, -1 if self.data_format == "channels_last" else 1, **options)
        self.kernel_size = windows.sizes(kernel_size, self.rank, "kernel_size")
        self.strides = windows.sizes(strides, self.rank, "strides")
        self.padding = windows.padding(padding, self.rank)
        self.dilation_rate = windows.sizes(dilation_rate, self.rank, "dilation_rate")
        self.use_bias = bool(use_bias)
        self.bias_rule = bias_rule

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {
            **super().get_config(),
            "kernel_size": list(self.kernel_size),
            "strides": list(self.strides),
            "padding": self.padding,
            "data_format": self.data_format,
            "dilation_rate": list(self.dilation_rate),
            "activation": self.activation.name,
            "use_bias": self.use_bias,
            **self.bias_rule.config("bias"),
        }

    @property
    def _bias(self) -> Array | None:
        return self.weight("bias").array if self.use_bias else None

    @property
    def _geometry(
        self,
    ) -> tuple[tuple[int, ...], tuple[int, ...], windows.Padding, tuple[int, ...]]:
        return self.kernel_size, self.strides, self.padding, self.dilation_rate

    def _channels(self, input_shape: Shape) -> int:
        """Return the input channels, which must be known."""
        channels, _ = self._split(input_shape)
        if channels is None:
            raise ValueError(f"{self.name}: got an input of shape {input_shape}, expected channels")
        return channels

    def _split(self, shape: Shape) -> tuple[int | None, Shape]:
        return windows.split_shape(shape, self.rank, self.data_format, self.name)

    def _room(self, x: Array, shape: Shape) -> Array | None:
        return windows.room(x, shape) if self.data_format == "channels_last" else None

    def _channels_first(self, x: Array) -> Array:
        """View an array of this layer's data format as (N, C, spatial...)."""
        return windows.channels_first(x) if self.data_format == "channels_last" else x

    def _data_format(self, x: Array) -> Array:
        """View (N, C, spatial...) in this layer's data format."""
        return windows.channels_last(x) if self.data_format == "channels_last" else x


class Convolving(Windowed):
    """One convolution with the parameter ``kernel``; a subclass says how filters lie in it."""

    def filters_and_groups(self, channels: int | None) -> tuple[int | None, int]:
        """Return how many outputs there are, and groups, for so many input channels."""
        raise NotImplementedError(f"{type(self).__name__} does not define filters_and_groups")

    def filter_bank(self) -> Array:
        """View the kernel as filters (out, in / groups, kernel...)."""
        return self.weight("kernel").array

    def apply(self, x: Array, training: bool, activation: Nonlinearity) -> Array:
        """Convolve, add the bias and apply the activation, inside the kernel if it can."""
        epilogue = activation.epilogue_of(training)
        view = self._channels_first(x)
        z = FORWARD[self.rank](
            view,
            self.filter_bank(),
            self._bias,
            *self._window(view.shape[1]),
            activation=epilogue,
            out=self._room(x, self.compute_output_shape(x.shape)),
        )
        y, kept = activation.finish(self._data_format(z), self.axis, epilogue is not None)
        if training:
            self._save(x, kept, activation)
        return y

    def backward(self, grad: Array, need_input_grad: bool = True) -> Array | None:
        """Add to the gradients of kernel and bias; return that of the input."""
        x, kept, activation = self._saved()
        grad = activation.backward(grad, kept, self.axis)
        out = self._room(grad, x.shape) if need_input_grad else None
        dy, x = self._channels_first(grad), self._channels_first(x)
        filters, window = self.filter_bank(), self._window(x.shape[1])
        if self.trainable:
            kernel = self.weight("kernel")
            dw = WEIGHT[self.rank](x, filters.shape, dy, *window)
            kernel.accumulate(dw.reshape(kernel.array.shape))
            if self.use_bias:
                self.weight("bias").accumulate(BIAS[self.rank](dy))
        if not need_input_grad:
            return None
        return self._data_format(INPUT[self.rank](x.shape, filters, dy, *window, out=out))

    def inference_form(self) -> Convolution:
        """Return the convolution, for a batch norm, a sum or an activation to join."""
        filters = self.filter_bank()
        groups = len(filters) // self._outputs_of_group
        window = (self.strides, self.padding, self.dilation_rate, groups)
        return Convolution(filters, self._bias, *window, self.data_format, self.activation)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Return (batch, out..., filters), or (batch, filters, out...)."""
        channels, spatial = self._split(input_shape)
        out = windows.output_sizes(spatial, *self._geometry, self.name)
        filters, _ = self.filters_and_groups(channels)
        return windows.join_shape(input_shape[0], filters, out, self.data_format)

    def notes(self, input_shape: Shape) -> list[str]:
        """Say where a stride does not fit."""
        return windows.leftovers(self._split(input_shape)[1], *self._geometry)

    @property
    def _outputs_of_group(self) -> int:
        raise NotImplementedError

    def _window(
        self, channels: int
    ) -> tuple[tuple[int, ...], windows.Padding, tuple[int, ...], int]:
        """Stride, padding, dilation and groups, as every kernel takes them."""
        return self.strides, self.padding, self.dilation_rate, self.filters_and_groups(channels)[1]
