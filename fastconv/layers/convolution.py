"""Convolution layers in one, two and three dimensions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Unpack

from fastconv import constraints, regularizers
from fastconv.layers import windows
from fastconv.layers.base import LayerOptions
from fastconv.layers.nonlinearity import Nonlinearity
from fastconv.layers.registry import register_layer
from fastconv.layers.types import Shape
from fastconv.layers.weights import InitializerLike, WeightRule
from fastconv.layers.windowed import Convolving

__all__ = ["Conv1D", "Conv2D", "Conv3D"]


class Conv(Convolving):
    """What Conv1D, Conv2D and Conv3D share; see `Conv2D` for the arguments."""

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
        (self.groups,) = windows.sizes(groups, 1, "groups")
        self.kernel_rule = WeightRule.of(kernel_initializer, kernel_regularizer, kernel_constraint)
        if self.filters % self.groups:
            raise ValueError(f"groups: got {groups}, expected a divisor of the {filters} filters")

    def build(self, input_shape: Shape) -> None:
        """Create the kernel (kernel..., in / groups, filters) and the bias (filters,)."""
        channels = self._channels(input_shape)
        if channels % self.groups:
            raise ValueError(
                f"{self.name}: got {channels} input channels, expected a multiple of the "
                f"{self.groups} groups"
            )
        shape = (*self.kernel_size, channels // self.groups, self.filters)
        storage = (self.rank + 1, self.rank, *range(self.rank))  # (out, in, kernel...)
        self.kernel_rule.add(self, "kernel", shape, storage)
        if self.use_bias:
            self.bias_rule.add(self, "bias", (self.filters,))

    def filters_and_groups(self, channels: int | None) -> tuple[int | None, int]:
        """Return how many outputs there are, and groups."""
        return self.filters, self.groups

    def multiply_adds(self, input_shape: Shape) -> int:
        """Return prod(out) * filters * prod(kernel) * in / groups."""
        channels, spatial = self._split(input_shape)
        out = windows.output_sizes(spatial, *self._geometry, self.name)
        per_output = math.prod(self.kernel_size) * ((channels or 0) // self.groups)
        return math.prod(extent or 0 for extent in out) * self.filters * per_output

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {
            **super().get_config(),
            "filters": self.filters,
            "groups": self.groups,
            **self.kernel_rule.config("kernel"),
        }

    @property
    def _outputs_of_group(self) -> int:
        return self.filters // self.groups


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
