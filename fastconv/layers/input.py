"""The shape that a model starts from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Unpack

from numpy.typing import DTypeLike

from fastconv.layers.base import Layer, LayerOptions, as_shape
from fastconv.layers.registry import register_layer
from fastconv.layers.symbolic import Node, SymbolicTensor
from fastconv.layers.types import Array, Shape

__all__ = ["Input", "InputLayer"]


@register_layer
class InputLayer(Layer):
    """Where a model begins: says the shape of its input, computes nothing.

    Parameters
    ----------
    shape : sequence of int
        Of one input, without the batch; None for an extent that may vary.
    **options
        See `Layer`.

    Examples
    --------
    >>> InputLayer((28, 28, 1)).batch_shape
    (None, 28, 28, 1)
    """

    def __init__(self, shape: Sequence[int | None], **options: Unpack[LayerOptions]) -> None:
        super().__init__(**options)
        self.batch_shape: Shape = (None, *as_shape(shape, "shape"))

    def begin_graph(self) -> SymbolicTensor:
        """Return the value that stands for the input."""
        node = Node(self, (), takes_list=False)
        self.nodes.append(node)
        self.built = True
        value: SymbolicTensor = node.put_out(self.batch_shape)
        return value

    def forward(self, x: Array, training: bool = False) -> Array:
        """Return the input."""
        return x

    def backward(self, grad: Array, need_input_grad: bool = True) -> Array | None:
        """Return the gradient."""
        return grad

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "shape": list(self.batch_shape[1:])}


def Input(  # Keras' name
    shape: Sequence[int | None], *, dtype: DTypeLike | None = None, name: str | None = None
) -> SymbolicTensor:
    """Return what a model begins with; the arguments are those of `InputLayer`.

    Layers are called on it, or it is the first entry of a `Sequential`.

    Examples
    --------
    >>> Input((28, 28, 1)).shape
    (None, 28, 28, 1)
    """
    layer = InputLayer(shape, dtype=dtype, name=name)
    return layer.begin_graph()
