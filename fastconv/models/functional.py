"""Graphs of layers: branches, merges, shared layers, several inputs and outputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self, Unpack, cast

from fastconv.layers.base import Layer, LayerOptions
from fastconv.layers.input import InputLayer
from fastconv.layers.registry import deserialize_layer, register_layer, serialize_layer
from fastconv.layers.symbolic import Node, SymbolicTensor
from fastconv.layers.types import Array, Shape
from fastconv.models.model import Model
from fastconv.models.naming import free_name

__all__ = ["Functional"]


@register_layer
class Functional(Model):
    """The graph of layers that leads from some values to others; ``Model(inputs, outputs)``.

    Parameters
    ----------
    inputs, outputs : SymbolicTensor or list of them
        What `Input` returned, and what layers returned that were called, at the end of a chain
        of calls, on these. A list makes `predict` take, or return, lists.
    **options
        See `Layer`.

    Notes
    -----
    A layer that is called more than once is shared: it has one set of parameters, whose
    gradients add up. A model is a layer as well, and may be called in another one's graph.
    Parts of a graph are models: ``Model(model.input, model.get_layer("conv5").output)``.

    Examples
    --------
    >>> from fastconv.layers import Concatenate, Conv2D, Input
    >>> x = Input((28, 28, 192))
    >>> one = Conv2D(64, 1, activation="relu")(x)
    >>> three = Conv2D(128, 3, padding="same")(Conv2D(96, 1, activation="relu")(x))
    >>> model = Model(x, Concatenate()([one, three]))
    >>> model.output_shape, len(model.layers)
    ((None, 28, 28, 192), 5)
    """

    def __init__(
        self,
        inputs: SymbolicTensor | Sequence[SymbolicTensor],
        outputs: SymbolicTensor | Sequence[SymbolicTensor],
        **options: Unpack[LayerOptions],
    ) -> None:
        self.inputs = _values(inputs, "inputs")
        self.outputs = _values(outputs, "outputs")
        _check_inputs(self.inputs)
        self._single_input = isinstance(inputs, SymbolicTensor)
        self._single_output = isinstance(outputs, SymbolicTensor)
        self.graph = _sorted_nodes(self.inputs, self.outputs)
        self._layers = list(dict.fromkeys(node.layer for node in self.graph))
        super().__init__(**options)
        if not self.has_dtype:
            super().adopt_dtype(self.inputs[0].dtype)
        self.built = True
        taken: dict[str, Layer] = {}
        for layer in self._layers:
            layer.adopt_name(free_name(layer, taken))
            taken[layer.name] = layer

    # ---- what it is made of

    @property
    def layers(self) -> list[Layer]:
        """The layers in the order of computation, those of the inputs among them."""
        return list(self._layers)

    @property
    def input(self) -> SymbolicTensor | list[SymbolicTensor]:
        """The value, or the list of values, that the graph begins with."""
        return self.inputs[0] if self._single_input else list(self.inputs)

    @property
    def output(self) -> SymbolicTensor | list[SymbolicTensor]:
        """The value, or the list of values, that it ends with."""
        return self.outputs[0] if self._single_output else list(self.outputs)

    @property
    def input_names(self) -> list[str]:
        """The names of the inputs' layers."""
        return [value.name for value in self.inputs]

    @property
    def output_names(self) -> list[str]:
        """The names of the outputs' layers, numbered where one has several of them."""
        names = [value.name for value in self.outputs]
        return [
            f"{name}_{names[:i].count(name)}" if name in names[:i] else name
            for i, name in enumerate(names)
        ]

    @property
    def input_shapes(self) -> list[Shape]:
        """The shape of each input."""
        return [value.shape for value in self.inputs]

    @property
    def output_shapes(self) -> list[Shape]:
        """The shape of each output."""
        return [value.shape for value in self.outputs]

    @property
    def input_shape(self) -> Any:
        """The shape of the input, or the list of them."""
        return self.input_shapes[0] if self._single_input else self.input_shapes

    @property
    def output_shape(self) -> Any:
        """The shape of the output, or the list of them."""
        return self.output_shapes[0] if self._single_output else self.output_shapes

    def layer_shapes(self) -> list[tuple[Layer, Shape]]:
        """Return each call's layer with the shape of its input, or the list of them."""
        return [(node.layer, node.input_shape) for node in self.graph if node.inputs]

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return the shape of the output, or the list of them, for these inputs."""
        found = self._shapes(input_shape)
        shapes = [found[value] for value in self.outputs]
        return shapes[0] if self._single_output else shapes

    def multiply_adds(self, input_shape: Any) -> int:
        """Return the multiply-add operations of one forward pass over one input."""
        found = self._shapes(input_shape)
        total = 0
        for node in self.graph:
            if node.inputs:
                total += node.layer.multiply_adds(_argument(node, found))
        return total

    def _shapes(self, input_shape: Any) -> dict[SymbolicTensor, Shape]:
        given = [input_shape] if self._single_input else list(input_shape)
        found = dict(zip(self.inputs, given, strict=True))
        for node in self.graph:
            if node.inputs:
                shapes = node.layer.compute_output_shape(_argument(node, found))
                listed = shapes if isinstance(shapes, list) else [shapes]
                found |= zip(node.outputs, listed, strict=True)
        return found

    # ---- computing

    def forward(self, x: Any, training: bool = False) -> Any:
        """Return the output, or the list of them; with `training` keep what `backward` needs."""
        xs = [x] if self._single_input else list(x)
        ys = self.forward_outputs(xs, training, [False] * len(self.outputs))
        return ys[0] if self._single_output else ys

    def forward_outputs(
        self, xs: list[Array], training: bool, logits: Sequence[bool]
    ) -> list[Array]:
        """Do `forward`, without the softmax at the end of the outputs that `logits` marks."""
        without = {v.node for v, marked in zip(self.outputs, logits, strict=True) if marked}
        uses: dict[SymbolicTensor, int] = {}
        for value in (*self.outputs, *(v for node in self.graph for v in node.inputs)):
            uses[value] = uses.get(value, 0) + 1
        found: dict[SymbolicTensor, Array] = dict(zip(self.inputs, xs, strict=True))
        for node in self.graph:
            if not node.inputs:
                continue
            call = node.layer.forward_logits if node in without else node.layer.forward
            y = call(_argument(node, found), training)
            for value in node.inputs:  # memory of what nobody needs any more is free for others
                uses[value] -= 1
                if not uses[value]:
                    del found[value]
            found |= zip(node.outputs, y if isinstance(y, list) else [y], strict=True)
        ys = [found[value] for value in self.outputs]
        if training:
            self._save([y.shape for y in ys])
        return ys

    def softmax_axes(self) -> list[int | None]:
        """Return the axis of the softmax that ends each output, if nothing else sees it."""
        seen = [*self.outputs, *(value for node in self.graph for value in node.inputs)]
        return [
            value.node.layer.softmax_axis(len(value.shape))
            if seen.count(value) == 1 and len(value.node.outputs) == 1
            else None
            for value in self.outputs
        ]

    def softmax_axis(self, ndim: int) -> int | None:
        """Return the axis of a softmax that ends the only output."""
        return self.softmax_axes()[0] if self._single_output else None

    def forward_logits(self, x: Any, training: bool = False) -> Any:
        """Do `forward` without a softmax at the end of the only output."""
        xs = [x] if self._single_input else list(x)
        ys = self.forward_outputs(xs, training, [self._single_output] * len(self.outputs))
        return ys[0] if self._single_output else ys

    def backward(self, grad: Any, need_input_grad: bool = True) -> Any:
        """Take the last `forward` back: from the gradient of each output to that of each input.

        A gradient of None stands for zeros.
        """
        grads = [grad] if self._single_output else list(grad)
        found = self._backward(grads, need_input_grad)
        if not need_input_grad:
            return None
        dxs = [found.get(value) for value in self.inputs]
        return dxs[0] if self._single_input else dxs

    def backward_outputs(self, grads: Sequence[Array | None]) -> None:
        """Take `forward_outputs` back, to the parameters."""
        self._backward(grads, need_input_grad=False)

    def _backward(
        self, grads: Sequence[Array | None], need_input_grad: bool
    ) -> dict[SymbolicTensor, Array]:
        """Return the gradients of the inputs that the outputs depend on."""
        self._saved()
        found: dict[SymbolicTensor, Array] = {}
        for value, grad in zip(self.outputs, grads, strict=True):
            if grad is not None:
                found[value] = found[value] + grad if value in found else grad
        learns: set[Node] = set()  # calls with something to train in them or before them
        for node in self.graph:
            before = any(value.node in learns for value in node.inputs)
            if before or node.layer.trainable_parameters() or (need_input_grad and not node.inputs):
                learns.add(node)
        for node in reversed(self.graph):
            if not node.inputs:
                continue
            given = [found.pop(value, None) for value in node.outputs]
            if node not in learns or all(g is None for g in given):
                node.layer.discard()
                continue
            needed = any(value.node in learns for value in node.inputs)
            back: Any = node.layer.backward(
                cast(Any, given if len(given) > 1 else given[0]), needed
            )
            if not needed:
                continue
            for value, dx in zip(node.inputs, back if node.takes_list else [back], strict=True):
                if dx is not None and value.node in learns:
                    found[value] = found[value] + dx if value in found else dx
        return found

    def discard(self) -> None:
        """Take the last `forward` back without a gradient."""
        Layer.discard(self)
        for node in reversed(self.graph):
            node.layer.discard()

    def release(self) -> None:
        """Drop whatever was kept for backward passes that will not come."""
        Layer.release(self)
        super().release()

    # ---- configuration

    def get_config(self) -> dict[str, Any]:
        """Return what `from_config` makes an equal model of, without its weights."""
        numbers = {node: i for i, node in enumerate(self.graph)}
        at = {layer: i for i, layer in enumerate(self._layers)}

        def places(values: Sequence[SymbolicTensor]) -> list[list[int]]:
            return [[numbers[value.node], value.index] for value in values]

        config = super().get_config()
        del config["dtype"]  # the inputs have it
        return {
            **config,
            "layers": [serialize_layer(layer) for layer in self._layers],
            "calls": [
                {
                    "layer": at[node.layer],
                    "inputs": places(node.inputs),
                    "takes_list": node.takes_list,
                }
                for node in self.graph
            ],
            "inputs": places(self.inputs) if not self._single_input else places(self.inputs)[0],
            "outputs": places(self.outputs) if not self._single_output else places(self.outputs)[0],
        }

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Return a model of this graph, with first values as their initializers say."""
        options = dict(config)
        layers = [deserialize_layer(layer) for layer in options.pop("layers")]
        made: list[tuple[SymbolicTensor, ...]] = []
        for call in options.pop("calls"):
            layer = layers[call["layer"]]
            if isinstance(layer, InputLayer):
                made.append((layer.begin_graph(),))
                continue
            values = [made[node][index] for node, index in call["inputs"]]
            result = layer(values if call["takes_list"] else values[0])
            made.append(tuple(result) if isinstance(result, list) else (result,))
        ends = []
        for name in ("inputs", "outputs"):
            places = options.pop(name)
            several = isinstance(places[0], list)
            values = [made[node][index] for node, index in (places if several else [places])]
            ends.append(values if several else values[0])
        trainable = options.pop("trainable", True)
        model = cls(ends[0], ends[1], **options)
        model._trainable = trainable
        return model


def _argument(node: Node, found: Mapping[SymbolicTensor, Any]) -> Any:
    """Return what a call takes: a value or a list of values."""
    values = [found[value] for value in node.inputs]
    return values if node.takes_list else values[0]


def _values(values: Any, argument: str) -> list[SymbolicTensor]:
    listed = list(values) if isinstance(values, list | tuple) else [values]
    if not listed or not all(isinstance(value, SymbolicTensor) for value in listed):
        raise TypeError(
            f"{argument}: got {values!r}, expected what Input returned, or a layer that was "
            "called on that, or a list of those"
        )
    return listed


def _check_inputs(values: Sequence[SymbolicTensor]) -> None:
    for value in values:
        if not isinstance(value.node.layer, InputLayer):
            raise ValueError(
                f"inputs: got an output of {value.name!r}, expected what Input returned; call the "
                "layers from there on a new Input"
            )
    if len({value.node for value in values}) < len(values):
        raise ValueError("inputs: got the same one twice")


def _sorted_nodes(
    inputs: Sequence[SymbolicTensor], outputs: Sequence[SymbolicTensor]
) -> list[Node]:
    """Return the calls between, in an order of computation, those of the inputs first."""
    begin = {value.node for value in inputs}
    found: set[Node] = set()
    waiting = [value.node for value in outputs]
    while waiting:
        node = waiting.pop()
        if node in found:
            continue
        found.add(node)
        if node in begin:
            continue
        if not node.inputs:
            raise ValueError(
                f"inputs: the outputs depend on {node.layer.name!r} too, which is not among them"
            )
        waiting += [value.node for value in node.inputs]
    odd = [value.name for value in inputs if value.node not in found]
    if odd:
        raise ValueError(f"inputs: the outputs do not depend on {', '.join(odd)}")
    return sorted(found, key=lambda node: node.number)
