"""Transposed convolutions: the gradient of a convolution, called forward."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Unpack

import numpy as np

from fastconv import constraints, functional, regularizers
from fastconv.layers import windows
from fastconv.layers.base import LayerOptions
from fastconv.layers.nonlinearity import Nonlinearity
from fastconv.layers.registry import register_layer
from fastconv.layers.types import Array, Shape
from fastconv.layers.weights import InitializerLike, WeightRule
from fastconv.layers.windowed import BIAS, FORWARD, WEIGHT, Windowed

__all__ = ["Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose"]

_TRANSPOSED: dict[int, Callable[..., Array]] = {
    1: functional.conv_transpose1d,
    2: functional.conv_transpose2d,
    3: functional.conv_transpose3d,
}


class ConvTranspose(Windowed):
    """What Conv1DTranspose, 2D and 3D share; see `Conv2DTranspose` for the arguments."""

    def __init__(
        self,
        filters: int,
        kernel_size: int | Sequence[int],
        strides: int | Sequence[int] = 1,
        padding: str | int | Sequence[int | Sequence[int]] = "valid",
        output_padding: int | Sequence[int] | None = None,
        data_format: str | None = None,
        dilation_rate: int | Sequence[int] = 1,
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
        self.kernel_rule = WeightRule.of(kernel_initializer, kernel_regularizer, kernel_constraint)
        self.output_padding = self._extra(output_padding)

    def _extra(self, value: int | Sequence[int] | None) -> tuple[int, ...] | None:
        if value is None:
            return None
        values = tuple(value) if isinstance(value, Iterable) else (value,) * self.rank
        if len(values) != self.rank or not all(
            isinstance(v, int | np.integer) and 0 <= v < stride
            for v, stride in zip(values, self.strides, strict=True)
        ):
            raise ValueError(
                f"output_padding: got {value!r}, expected non-negative integers below the "
                f"strides, {self.strides}"
            )
        return tuple(int(v) for v in values)

    def build(self, input_shape: Shape) -> None:
        """Create the kernel (kernel..., filters, in) and the bias (filters,)."""
        shape = (*self.kernel_size, self.filters, self._channels(input_shape))
        storage = (self.rank + 1, self.rank, *range(self.rank))  # (in, filters, kernel...)
        self.kernel_rule.add(self, "kernel", shape, storage)
        if self.use_bias:
            self.bias_rule.add(self, "bias", (self.filters,))

    def apply(self, x: Array, training: bool, activation: Nonlinearity) -> Array:
        """Spread each input over its window, add the bias and apply the activation."""
        epilogue = activation.epilogue_of(training)
        cropped, added = self._ends
        z = _TRANSPOSED[self.rank](
            self._channels_first(x),
            self.weight("kernel").array,
            self._bias,
            self.strides,
            cropped,
            added,
            1,
            self.dilation_rate,
            activation=epilogue,
            out=self._room(x, self.compute_output_shape(x.shape)),
        )
        y, kept = activation.finish(self._data_format(z), self.axis, epilogue is not None)
        if training:
            self._save(x, kept, activation)
        return y

    def backward(self, grad: Array, need_input_grad: bool = True) -> Array | None:
        """Add to the gradients of kernel and bias; return that of the input, a convolution."""
        x, kept, activation = self._saved()
        grad = activation.backward(grad, kept, self.axis)
        out = self._room(grad, x.shape) if need_input_grad else None
        dy, x = self._channels_first(grad), self._channels_first(x)
        kernel, window = self.weight("kernel"), (self.strides, self._ends[0], self.dilation_rate)
        if self.trainable:
            kernel.accumulate(WEIGHT[self.rank](dy, kernel.array.shape, x, *window))
            if self.use_bias:
                self.weight("bias").accumulate(BIAS[self.rank](dy))
        if not need_input_grad:
            return None
        return self._data_format(FORWARD[self.rank](dy, kernel.array, None, *window, out=out))

    @property
    def _ends(self) -> tuple[tuple[tuple[int, int], ...], tuple[int, ...]]:
        """What is cropped of the full result, (before, after), and what is added at its end."""
        cropped, added = [], []
        for i, (kernel, stride) in enumerate(zip(self.kernel_size, self.strides, strict=True)):
            span = (kernel - 1) * self.dilation_rate[i] + 1
            extra = None if self.output_padding is None else self.output_padding[i]
            if isinstance(self.padding, tuple):
                before, after = self.padding[i]
                cropped.append((before, after))
                added.append(extra or 0)
            elif self.padding == "valid":
                cropped.append((0, 0))
                added.append(max(stride - span, 0) if extra is None else extra)
            else:  # Keras: the zeros around the input that it convolves with the turned filter
                zeros = span - 2 + (stride if extra is None else span % 2 + extra)
                before = min((zeros + 1) // 2, span - 1)
                after = zeros - before
                cropped.append((span - 1 - before, max(span - 1 - after, 0)))
                added.append(max(after - (span - 1), 0))
        return tuple(cropped), tuple(added)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Return (batch, out..., filters), or (batch, filters, out...)."""
        _, spatial = self._split(input_shape)
        out = tuple(
            None
            if extent is None
            else (extent - 1) * stride + (kernel - 1) * dilation + 1 - sum(crop) + extra
            for extent, stride, kernel, dilation, crop, extra in zip(
                spatial,
                self.strides,
                self.kernel_size,
                self.dilation_rate,
                *self._ends,
                strict=True,
            )
        )
        if any(extent is not None and extent < 1 for extent in out):
            raise ValueError(
                f"{self.name}: got an input of shape {input_shape}, of which padding "
                f"{self.padding} leaves nothing"
            )
        return windows.join_shape(input_shape[0], self.filters, out, self.data_format)

    def multiply_adds(self, input_shape: Shape) -> int:
        """Return prod(in) * filters * prod(kernel)."""
        extents = math.prod(extent or 0 for extent in input_shape[1:])
        return extents * self.filters * math.prod(self.kernel_size)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        extra = None if self.output_padding is None else list(self.output_padding)
        return {
            **super().get_config(),
            "filters": self.filters,
            "output_padding": extra,
            **self.kernel_rule.config("kernel"),
        }


@register_layer
class Conv1DTranspose(ConvTranspose):
    """Transposed convolution over one dimension; see `Conv2DTranspose`.

    Examples
    --------
    >>> layer = Conv1DTranspose(1, 3, kernel_initializer="ones")
    >>> layer([[[1], [2]]])[0, :, 0]
    array([1., 3., 3., 2.], dtype=float32)
    """

    rank = 1


@register_layer
class Conv2DTranspose(ConvTranspose):
    """The gradient of a convolution, called forward: (N, H, W, in) to (N, OH, OW, filters).

    y[n, h * stride + i * dilation - before, w * stride + j * dilation - before, f] is the sum of
    x[n, h, w, c] * kernel[i, j, f, c] over all that meet there, plus the bias.

    Parameters
    ----------
    filters, kernel_size, strides, data_format, dilation_rate, activation, use_bias
        See `Conv2D`. Initializers, regularizers and constraints too.
    padding : str, int or sequence
        ``"valid"``: OH = H * stride + max(kernel - stride, 0). ``"same"``: OH = H * stride, what
        a convolution with padding ``"same"`` makes H of. Explicit: what is cropped, as
        PyTorch's.
    output_padding : int or sequence of int, optional
        Rows and columns added at the end, fewer than the strides: OH = (H - 1) * stride +
        kernel - 2 * padding + output_padding; with ``"same"``, OH = (H - 1) * stride +
        kernel % 2 + output_padding, kernel being what the dilated one spans.
    **options
        See `Layer`.

    Notes
    -----
    Source: M. D. Zeiler et al., Deconvolutional networks, CVPR 2010; V. Dumoulin, F. Visin, A
    guide to convolution arithmetic for deep learning, arXiv 1603.07285, 2016.

    Examples
    --------
    >>> Conv2DTranspose(8, 3, strides=2, padding="same").compute_output_shape((None, 7, 7, 16))
    (None, 14, 14, 8)
    """

    rank = 2


@register_layer
class Conv3DTranspose(ConvTranspose):
    """Transposed convolution over three dimensions; see `Conv2DTranspose`.

    Examples
    --------
    >>> Conv3DTranspose(8, 2, strides=2).compute_output_shape((None, 4, 5, 6, 16))
    (None, 8, 10, 12, 8)
    """

    rank = 3
