"""Convolution layers in one, two and three dimensions."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Unpack

from fastconv import constraints, functional, grad, regularizers
from fastconv.layers import windows
from fastconv.layers.activation import Activated
from fastconv.layers.base import LayerOptions
from fastconv.layers.fusion import Convolution
from fastconv.layers.nonlinearity import Nonlinearity
from fastconv.layers.registry import register_layer
from fastconv.layers.types import Array, Shape
from fastconv.layers.weights import InitializerLike, WeightRule

__all__ = ["Conv1D", "Conv2D", "Conv3D"]

# forward, gradient of the input, of the weight and of the bias, by the number of dimensions
_KERNELS: dict[int, tuple[Callable[..., Array], ...]] = {
    1: (functional.conv1d, grad.conv1d_input, grad.conv1d_weight, grad.conv1d_bias),
    2: (functional.conv2d, grad.conv2d_input, grad.conv2d_weight, grad.conv2d_bias),
    3: (functional.conv3d, grad.conv3d_input, grad.conv3d_weight, grad.conv3d_bias),
}


class Conv(Activated):
    """What Conv1D, Conv2D and Conv3D share; see `Conv2D` for the arguments."""

    rank: ClassVar[int]

    def __init__(
        self,
        filters: int,
        kernel_size: int | Sequence[int],
        strides: int | Sequence[int] = 1,
        padding: str | int | Sequence[int | Sequence[int]] = "valid",
        data_format: str | None = None,
        dilation_rate: int | Sequence[int] = 1,
        groups: int = 1,
        activation: str | Nonlinearity | None = None,
        use_bias: bool = True,
        kernel_initializer: InitializerLike = "glorot_uniform",
        bias_initializer: InitializerLike = "zeros",
        kernel_regularizer: regularizers.Identifier = None,
        bias_regularizer: regularizers.Identifier = None,
        kernel_constraint: constraints.Identifier = None,
        bias_constraint: constraints.Identifier = None,
        **options: Unpack[LayerOptions],
    ) -> None:
        self.data_format = windows.data_format(data_format)
        super().__init__(activation, -1 if self.data_format == "channels_last" else 1, **options)
        (self.filters,) = windows.sizes(filters, 1, "filters")
        (self.groups,) = windows.sizes(groups, 1, "groups")
        self.kernel_size = windows.sizes(kernel_size, self.rank, "kernel_size")
        self.strides = windows.sizes(strides, self.rank, "strides")
        self.padding = windows.padding(padding, self.rank)
        self.dilation_rate = windows.sizes(dilation_rate, self.rank, "dilation_rate")
        self.use_bias = bool(use_bias)
        self.kernel_rule = WeightRule.of(kernel_initializer, kernel_regularizer, kernel_constraint)
        self.bias_rule = WeightRule.of(bias_initializer, bias_regularizer, bias_constraint)
        if self.filters % self.groups:
            raise ValueError(f"groups: got {groups}, expected a divisor of the {filters} filters")

    def build(self, input_shape: Shape) -> None:
        """Create the kernel (kernel..., in / groups, filters) and the bias (filters,)."""
        channels, _ = self._split(input_shape)
        if channels is None or channels % self.groups:
            raise ValueError(
                f"{self.name}: got {channels} input channels, expected a multiple of the "
                f"{self.groups} groups"
            )
        shape = (*self.kernel_size, channels // self.groups, self.filters)
        storage = (self.rank + 1, self.rank, *range(self.rank))  # (out, in, kernel...)
        self.kernel_rule.add(self, "kernel", shape, storage)
        if self.use_bias:
            self.bias_rule.add(self, "bias", (self.filters,))

    def apply(self, x: Array, training: bool, activation: Nonlinearity) -> Array:
        """Convolve, add the bias and apply the activation, inside the kernel if it can."""
        epilogue = activation.epilogue_of(training)
        z = _KERNELS[self.rank][0](
            self._channels_first(x),
            self.weight("kernel").array,
            self.weight("bias").array if self.use_bias else None,
            *self._window,
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
        kernel = self.weight("kernel")
        _, input_grad, weight_grad, bias_grad = _KERNELS[self.rank]
        if self.trainable:
            kernel.accumulate(weight_grad(x, kernel.array.shape, dy, *self._window))
            if self.use_bias:
                self.weight("bias").accumulate(bias_grad(dy))
        if not need_input_grad:
            return None
        return self._data_format(input_grad(x.shape, kernel.array, dy, *self._window, out=out))

    def inference_form(self) -> Convolution:
        """Return the convolution, for a batch norm, a sum or an activation to join."""
        return Convolution(
            self.weight("kernel").array,
            self.weight("bias").array if self.use_bias else None,
            *self._window,
            self.data_format,
            self.activation,
        )

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Return (batch, out..., filters), or (batch, filters, out...)."""
        _, spatial = self._split(input_shape)
        out = windows.output_sizes(spatial, *self._geometry, self.name)
        return windows.join_shape(input_shape[0], self.filters, out, self.data_format)

    def multiply_adds(self, input_shape: Shape) -> int:
        """Return prod(out) * filters * prod(kernel) * in / groups."""
        channels, spatial = self._split(input_shape)
        out = windows.output_sizes(spatial, *self._geometry, self.name)
        per_output = math.prod(self.kernel_size) * ((channels or 0) // self.groups)
        return math.prod(extent or 0 for extent in out) * self.filters * per_output

    def notes(self, input_shape: Shape) -> list[str]:
        """Say where a stride does not fit."""
        return windows.leftovers(self._split(input_shape)[1], *self._geometry)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {
            **super().get_config(),
            "filters": self.filters,
            "kernel_size": list(self.kernel_size),
            "strides": list(self.strides),
            "padding": self.padding,
            "data_format": self.data_format,
            "dilation_rate": list(self.dilation_rate),
            "groups": self.groups,
            "activation": self.activation.name,
            "use_bias": self.use_bias,
            **self.kernel_rule.config("kernel"),
            **self.bias_rule.config("bias"),
        }

    @property
    def _window(self) -> tuple[tuple[int, ...], windows.Padding, tuple[int, ...], int]:
        """Stride, padding, dilation and groups, as every kernel takes them."""
        return self.strides, self.padding, self.dilation_rate, self.groups

    @property
    def _geometry(
        self,
    ) -> tuple[tuple[int, ...], tuple[int, ...], windows.Padding, tuple[int, ...]]:
        return self.kernel_size, self.strides, self.padding, self.dilation_rate

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


@register_layer
class Conv1D(Conv):
    """Convolution over one dimension: (N, length, in) to (N, out_length, filters).

    The arguments are those of `Conv2D`.

    Examples
    --------
    >>> Conv1D(1, 3, padding="same", name="c").compute_output_shape((None, 10, 1))
    (None, 10, 1)
    >>> layer = Conv1D(1, 3, kernel_initializer="ones")
    >>> layer([[[0], [1], [2], [3]]])[0, :, 0]
    array([3., 6.], dtype=float32)
    """

    rank = 1


@register_layer
class Conv2D(Conv):
    """Convolution over two dimensions: (N, H, W, in) to (N, OH, OW, filters).

    With ``data_format="channels_first"``: (N, in, H, W) to (N, filters, OH, OW). Cross-
    correlation, as in every framework:

    y[n, oh, ow, f] = activation(bias[f] + sum over i, j, c of
    x[n, oh * stride + i * dilation, ow * stride + j * dilation, c] * kernel[i, j, c, f])

    Parameters
    ----------
    filters : int
        Output channels.
    kernel_size, strides, dilation_rate : int or sequence of int
        One for all dimensions, or one per dimension.
    padding : str, int or sequence
        ``"valid"``: none. ``"same"``: OH = ceil(H / stride), the odd row or column after.
        Beyond Keras: an integer for all sides, or one integer or (before, after) pair per
        dimension.
    data_format : str, optional
        ``"channels_last"``, the default, or ``"channels_first"``.
    groups : int
        Splits the channels: filters of group g see input channels of group g only.
    activation : str, optional
        See `Activation` for the names. At inference most are applied by the kernel itself.
        ``"softmax"`` is over the channels.
    use_bias : bool
        Whether to add a bias.
    kernel_initializer, bias_initializer : str or Initializer
        See `fastconv.initializers`.
    kernel_regularizer, bias_regularizer : str or Regularizer, optional
        See `fastconv.regularizers`.
    kernel_constraint, bias_constraint : str or Constraint, optional
        See `fastconv.constraints`.
    **options
        See `Layer`.

    Notes
    -----
    `get_weights` speaks of the kernel as Keras does, (kernel..., in / groups, filters). It is
    stored as the kernels take it, (filters, in / groups, kernel...): `parameters` has that,
    and checkpoints as well.

    Source: Y. LeCun et al., Gradient-based learning applied to document recognition,
    Proc. IEEE 86 (11), 1998.

    Examples
    --------
    >>> layer = Conv2D(96, 11, strides=4, activation="relu", input_shape=(227, 227, 3))
    >>> layer.compute_output_shape((None, 227, 227, 3))
    (None, 55, 55, 96)
    >>> layer.multiply_adds((None, 227, 227, 3))
    105415200
    >>> layer.build((None, 227, 227, 3))
    >>> [w.shape for w in layer.get_weights()]
    [(11, 11, 3, 96), (96,)]
    """

    rank = 2


@register_layer
class Conv3D(Conv):
    """Convolution over three dimensions: (N, D, H, W, in) to (N, OD, OH, OW, filters).

    The arguments are those of `Conv2D`.

    Examples
    --------
    >>> Conv3D(8, 3, padding="same", strides=(1, 2, 2)).compute_output_shape((1, 16, 9, 9, 2))
    (1, 16, 5, 5, 8)
    """

    rank = 3
