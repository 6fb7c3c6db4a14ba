"""Layers one after the other."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Self, Unpack

from fastconv.layers.base import Layer, LayerOptions, as_shape
from fastconv.layers.input import InputLayer
from fastconv.layers.parameter import note_change
from fastconv.layers.registry import deserialize_layer, register_layer, serialize_layer
from fastconv.layers.symbolic import SymbolicTensor
from fastconv.layers.types import Array, Shape
from fastconv.models.model import Model
from fastconv.models.naming import free_name

__all__ = ["Sequential"]


@register_layer
class Sequential(Model):
    """A model whose layers each take the output of the one before.

    Parameters
    ----------
    layers : iterable of Layer, optional
        As for `add`. The first may be an ``Input(shape)``, or have an ``input_shape``; else
        the model is built for the first input that it sees.
    **options
        See `Layer`; ``dtype="float64"`` makes all layers compute in it.

    Examples
    --------
    >>> from fastconv.layers import Conv2D, Dense, Flatten, Input, MaxPooling2D
    >>> model = Sequential([
    ...     Input((28, 28, 1)),
    ...     Conv2D(32, 5, padding="same", activation="relu"),
    ...     MaxPooling2D(2),
    ...     Flatten(),
    ...     Dense(10, activation="softmax"),
    ... ])
    >>> model.output_shape, model.count_params()
    ((None, 10), 63562)
    """

    def __init__(
        self,
        layers: Iterable[Layer | SymbolicTensor] | None = None,
        **options: Unpack[LayerOptions],
    ) -> None:
        self._layers: list[Layer] = []
        super().__init__(**options)
        for layer in layers or ():
            self.add(layer)

    @property
    def layers(self) -> list[Layer]:
        """The layers, without an Input."""
        return list(self._layers)

    def add(self, layer: Layer | SymbolicTensor) -> None:
        """Put a layer at the end; build it if the shape of its input is known.

        The first may be what `Input` returned.
        """
        if isinstance(layer, SymbolicTensor) and isinstance(layer.node.layer, InputLayer):
            layer = layer.node.layer
        if not isinstance(layer, Layer):
            raise TypeError(f"layer: got {layer!r}, expected a Layer")
        if not self._layers and layer.has_dtype and not self.has_dtype:
            self.adopt_dtype(layer.dtype)
        if isinstance(layer, InputLayer):
            if self._layers or self.declared_input_shape is not None:
                raise ValueError("layer: got an Input, which only the first layer may be")
            self.declared_input_shape = layer.batch_shape
            return
        if not self._layers and self.declared_input_shape is None:
            self.declared_input_shape = layer.declared_input_shape
        if self.has_dtype:
            layer.adopt_dtype(self.dtype)
        layer.adopt_name(free_name(layer, {other.name for other in self._layers}))
        if self.declared_input_shape is not None:
            shape = self.output_shape
            layer.adopt_dtype(self.dtype)
            layer.build(shape)
            layer.compute_output_shape(shape)  # refuses what does not fit
            self.built = True
        self._layers.append(layer)
        note_change()

    def pop(self) -> Layer:
        """Take the last layer away and return it."""
        if not self._layers:
            raise ValueError(f"model {self.name!r} has no layers to pop")
        note_change()
        return self._layers.pop()

    def build(self, input_shape: Shape) -> None:
        """Build the layers for inputs of this shape, batch included."""
        if not self._layers:
            raise ValueError(f"model {self.name!r} has no layers")
        self.declared_input_shape = (None, *as_shape(input_shape[1:], "input_shape"))
        for layer, shape in self.layer_shapes():
            layer.adopt_dtype(self.dtype)
            layer.build(shape)

    @property
    def input_shape(self) -> Shape:
        """The shape of the input, batch included."""
        if self.declared_input_shape is None:
            raise RuntimeError(
                f"model {self.name!r} does not know the shape of its input: begin with "
                "Input(shape), or build(input_shape) it"
            )
        return self.declared_input_shape

    def layer_shapes(self) -> list[tuple[Layer, Shape]]:
        """Return each layer with the shape of its input."""
        shape = self.input_shape
        pairs = []
        for layer in self._layers:
            pairs.append((layer, shape))
            shape = layer.compute_output_shape(shape)
        return pairs

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Return the shape of the output for this shape of the input."""
        for layer in self._layers:
            input_shape = layer.compute_output_shape(input_shape)
        return input_shape

    def multiply_adds(self, input_shape: Shape) -> int:
        """Return the multiply-add operations of one forward pass over one input."""
        total = 0
        for layer in self._layers:
            total += layer.multiply_adds(input_shape)
            input_shape = layer.compute_output_shape(input_shape)
        return total

    def forward(self, x: Array, training: bool = False) -> Array:
        """Return the output, and with `training` keep what `backward` needs."""
        for layer in self._layers:
            x = layer.forward(x, training)
        return x

    def forward_logits(self, x: Array, training: bool = False) -> Array:
        """Do `forward` without a softmax at the end."""
        for layer in self._layers[:-1]:
            x = layer.forward(x, training)
        return self._layers[-1].forward_logits(x, training)

    def softmax_axis(self, ndim: int) -> int | None:
        """Return the axis of a softmax at the end."""
        return self._layers[-1].softmax_axis(ndim) if self._layers else None

    def backward(self, grad: Array, need_input_grad: bool = True) -> Array | None:
        """Take the last `forward` back; layers that nothing trainable precedes are skipped."""
        first = 0
        if not need_input_grad:
            learning = (i for i, layer in enumerate(self._layers) if layer.trainable_parameters())
            first = next(learning, len(self._layers))
        dx: Array | None = grad
        for i in reversed(range(len(self._layers))):
            if i < first or dx is None:
                self._layers[i].discard()
            else:
                dx = self._layers[i].backward(dx, need_input_grad or i > first)
        return dx if need_input_grad else None

    def get_config(self) -> dict[str, Any]:
        """Return what `from_config` makes an equal model of, without its weights."""
        shape = self.declared_input_shape
        return {
            **super().get_config(),
            "input_shape": None if shape is None else list(shape[1:]),
            "layers": [serialize_layer(layer) for layer in self._layers],
        }

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Return a model of these layers, with first values as their initializers say."""
        options = dict(config)
        layers = [deserialize_layer(layer) for layer in options.pop("layers", ())]
        trainable = options.pop("trainable", True)
        model = cls(layers, **options)
        model._trainable = trainable
        return model
