"""Values that a layer will compute, and the calls that they come from: what graphs are made of."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fastconv.layers.types import Shape

if TYPE_CHECKING:
    from fastconv.layers.base import Layer

__all__ = ["Node", "SymbolicTensor", "connect", "is_symbolic"]


class SymbolicTensor:
    """A value of a graph before it is computed; Keras calls it a KerasTensor.

    `Input` returns one, and so does a layer that is called on one. `fastconv.Model` makes a
    model of those that it is to take and of those that it is to return.

    Attributes
    ----------
    shape : tuple
        Batch included; None for an extent that may vary.
    dtype : dtype
        float32 or float64.
    node : Node
        The call that computes it.
    index : int
        Which of the call's outputs it is.

    Examples
    --------
    >>> from fastconv.layers import Dense, Input
    >>> Dense(10)(Input((784,))).shape
    (None, 10)
    """

    __slots__ = ("dtype", "index", "node", "shape")

    def __init__(self, shape: Shape, dtype: np.dtype[Any], node: Node, index: int) -> None:
        self.shape = shape
        self.dtype = dtype
        self.node = node
        self.index = index

    @property
    def name(self) -> str:
        """The name of the layer that computes it."""
        return self.node.layer.name

    def __repr__(self) -> str:
        return f"<SymbolicTensor {self.shape} {self.dtype} of {self.name!r}>"


class Node:
    """One call of a layer: its inputs and outputs.

    Nodes are numbered as they are made. The inputs of a call are there before it, so the order
    of the numbers is an order of computation.
    """

    __slots__ = ("inputs", "layer", "number", "outputs", "takes_list")

    _numbers = itertools.count()

    def __init__(self, layer: Layer, inputs: Sequence[SymbolicTensor], takes_list: bool) -> None:
        self.number = next(self._numbers)
        self.layer = layer
        self.inputs = tuple(inputs)
        self.takes_list = takes_list
        self.outputs: tuple[SymbolicTensor, ...] = ()

    @property
    def input_shape(self) -> Any:
        """The shape of the input, or a list of them, as the layer's methods take it."""
        shapes = [value.shape for value in self.inputs]
        return shapes if self.takes_list else shapes[0]

    def put_out(self, shapes: Any) -> Any:
        """Make the outputs: one value, or a list where the layer returns a list of shapes."""
        several = isinstance(shapes, list)
        self.outputs = tuple(
            SymbolicTensor(shape, self.layer.dtype, self, index)
            for index, shape in enumerate(shapes if several else [shapes])
        )
        return list(self.outputs) if several else self.outputs[0]


def is_symbolic(x: object) -> bool:
    """Whether this is a value of a graph, or a list of some.

    Examples
    --------
    >>> from fastconv.layers import Input
    >>> is_symbolic([Input((3,))]), is_symbolic([[1.0, 2.0]])
    (True, False)
    """
    if isinstance(x, list | tuple):
        return any(isinstance(value, SymbolicTensor) for value in x)
    return isinstance(x, SymbolicTensor)


def connect(layer: Layer, x: Any) -> Any:
    """Call a layer on values of a graph: build it, and return the values that it will compute."""
    takes_list = isinstance(x, list | tuple)
    inputs = list(x) if takes_list else [x]
    for value in inputs:
        if not isinstance(value, SymbolicTensor):
            raise TypeError(
                f"{layer.name}: got {value!r} among its inputs, expected outputs of layers"
            )
    if not layer.has_dtype:
        layer.adopt_dtype(inputs[0].dtype)
    for value in inputs:
        if value.dtype != layer.dtype:
            raise ValueError(
                f"{layer.name}: got an input of {value.dtype}, expected its own {layer.dtype}"
            )
    node = Node(layer, inputs, takes_list)
    layer.build(node.input_shape)
    result = node.put_out(layer.compute_output_shape(node.input_shape))
    layer.nodes.append(node)
    return result
