"""A model made ready for inference: what `predict` runs.

Layers that compute one thing together are joined (`fastconv.layers.fusion` says what a layer
is): a batch norm goes into the filters before it; a sum with another branch and the activation
are applied while a convolution's result is stored; a concatenation is not computed where its
parts are convolutions, which store into their places in it. Filters are packed once.
Convolutions keep their results channels-last in memory, whatever the data format, and positions
of many channels a little apart. A value's memory goes back to the library's pool with the last
call that reads it.

Nothing is shared between runs but the packed filters, so any number of threads may run it.
Weights are those of the moment it was made: `Model.infer` makes another when they have changed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from fastconv import _core, functional
from fastconv.layers import windows
from fastconv.layers.base import Layer
from fastconv.layers.fusion import Convolution, Product, Sum
from fastconv.layers.types import Array, Shape
from fastconv.models import steps
from fastconv.models.functional import Functional
from fastconv.models.model import Model
from fastconv.models.sequential import Sequential
from fastconv.models.steps import Step

__all__ = ["PreparedModel"]

_CONVOLVE: dict[int, Callable[..., Array]] = {
    1: functional.conv1d,
    2: functional.conv2d,
    3: functional.conv3d,
}


class PreparedModel:
    """The inference of a model: ``PreparedModel(model).run([x])`` is a list of its outputs.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv.layers import Conv2D, ReLU
    >>> from fastconv.models import Sequential
    >>> model = Sequential([Conv2D(8, 3, input_shape=(9, 9, 3)), ReLU()])
    >>> prepared = PreparedModel(model)
    >>> [type(step.layer).__name__ for step in prepared.steps]
    ['Conv2D']
    >>> prepared.run([np.ones((2, 9, 9, 3), np.float32)])[0].shape
    (2, 7, 7, 8)
    """

    def __init__(self, model: Model) -> None:
        self.steps: list[Step] = []
        self._count = 0
        self.inputs = [self._number() for _ in model.input_names]
        self.outputs = self._trace(model, self.inputs, model.input_shapes)
        steps.join(self.steps, self.outputs)
        steps.place(self.steps, self.outputs)
        steps.spread(self.steps, self.outputs)
        for step in self.steps:
            step.run = _runner(step)
        self._free()

    def run(self, xs: Sequence[Array]) -> list[Array]:
        """Return the outputs for one batch; inputs in the model's dtype."""
        values: dict[int, Array] = dict(zip(self.inputs, xs, strict=True))
        for step in self.steps:
            assert step.run is not None
            result = step.run(values)
            if isinstance(result, list):
                values.update(zip(step.outputs, result, strict=True))
            else:
                values[step.outputs[0]] = result
            for number in step.frees:
                values.pop(number, None)
        return [values[number] for number in self.outputs]

    # ---- from a model to steps

    def _number(self) -> int:
        self._count += 1
        return self._count - 1

    def _trace(self, layer: Layer, inputs: list[int], shapes: list[Shape]) -> list[int]:
        """Add the steps of a layer, or of the layers of a model; return its outputs' numbers."""
        if isinstance(layer, Sequential):
            for inner in layer.layers:
                inputs = self._trace_call(inner, inputs, shapes, takes_list=False)
                shapes = [inner.compute_output_shape(shapes[0])]
            return inputs
        if isinstance(layer, Functional):
            values = dict(zip(layer.inputs, zip(inputs, shapes, strict=True), strict=True))
            for node in layer.graph:
                if not node.inputs:
                    continue
                given = [values[value] for value in node.inputs]
                numbers = self._trace_call(
                    node.layer, [n for n, _ in given], [s for _, s in given], node.takes_list
                )
                found = node.layer.compute_output_shape(
                    [s for _, s in given] if node.takes_list else given[0][1]  # type: ignore[arg-type]
                )
                listed = found if isinstance(found, list) else [found]
                values |= zip(node.outputs, zip(numbers, listed, strict=True), strict=True)
            return [values[value][0] for value in layer.outputs]
        return self._trace_call(layer, inputs, shapes, len(inputs) > 1)

    def _trace_call(
        self, layer: Layer, inputs: list[int], shapes: list[Shape], takes_list: bool
    ) -> list[int]:
        if isinstance(layer, Sequential | Functional):
            return self._trace(layer, inputs, shapes)
        found: Any = layer.compute_output_shape(shapes if takes_list else shapes[0])  # type: ignore[arg-type]
        listed = found if isinstance(found, list) else [found]
        form = layer.inference_form()
        if isinstance(form, Sum) and (not takes_list or len(set(shapes)) > 1):
            form = None  # something is broadcast
        outputs = [self._number() for _ in listed]
        self.steps.append(Step(layer, form, inputs, outputs, takes_list, listed[0]))
        return outputs

    def _free(self) -> None:
        """Note after which step each value is read for the last time."""
        last: dict[int, Step] = {}
        for step in self.steps:
            for number in (*step.reads(), *step.outputs):
                last[number] = step
        for number, step in last.items():
            if number not in self.outputs:
                step.frees.append(number)


# ---- running


def _runner(step: Step) -> Callable[[dict[int, Array]], Any]:
    if step.run is not None:
        return step.run
    if isinstance(step.form, Convolution):
        return _convolve(step, step.form)
    if isinstance(step.form, Product):
        return _multiply(step, step.form)
    forward: Callable[..., Any] = step.layer.forward
    if step.takes_list:
        numbers = step.inputs
        return lambda values: forward([values[number] for number in numbers])
    (number,) = step.inputs
    return lambda values: forward(values[number])


def _convolve(step: Step, form: Convolution) -> Callable[[dict[int, Array]], Array]:
    rank = form.weight.ndim - 2
    convolve, packed = _CONVOLVE[rank], functional.PackedWeight(form.weight)
    last = form.data_format == "channels_last"
    geometry = (form.weight.shape[2:], form.stride, form.padding, form.dilation)
    arguments = (form.bias, form.stride, form.padding, form.dilation, form.groups)
    (number,) = step.inputs
    filters, place, residual, activation = (
        len(form.weight),
        step.place,
        step.residual,
        form.activation,
    )
    # What a call on a small image would find out for longer than it computes: 13 -> 6 us.
    first_axes, last_axes = (0, rank + 1, *range(1, rank + 1)), (0, *range(2, rank + 2), 1)
    sizes: dict[Shape, tuple[int, ...]] = {}  # of the output, by the input's spatial extents

    def run(values: dict[int, Array]) -> Array:
        x = values[number]
        if last:
            x = x.transpose(first_axes)
        spatial = sizes.get(x.shape[2:])
        if spatial is None:
            found = windows.output_sizes(x.shape[2:], *geometry, step.layer.name)
            spatial = sizes[x.shape[2:]] = tuple(extent or 0 for extent in found)
        if place is None:
            y = _core.empty((len(x), *spatial, step.pitch), x.dtype)[..., :filters]
        else:
            if place.number not in values:
                whole = _core.empty((len(x), *spatial, step.pitch), x.dtype)[..., : place.total]
                values[place.number] = whole if last else whole.transpose(first_axes)
            whole = values[place.number] if last else values[place.number].transpose(last_axes)
            y = whole[..., place.first : place.first + filters]
        out = y.transpose(first_axes)
        added = None if residual is None else values[residual]
        if added is not None and last:
            added = added.transpose(first_axes)
        convolve(x, packed, *arguments, activation=activation.epilogue, residual=added, out=out)
        y = y if last else out
        if activation.epilogue is None:
            y = activation.forward(y, -1 if last else 1)
        return y

    return run


def _multiply(step: Step, form: Product) -> Callable[[dict[int, Array]], Array]:
    weight, bias, activation = form.weight, form.bias, form.activation
    (number,) = step.inputs

    def run(values: dict[int, Array]) -> Array:
        x = values[number]
        rows = x.reshape(math.prod(x.shape[:-1]), x.shape[-1])
        y = functional.linear(rows, weight, bias, activation=activation.epilogue)
        y = y.reshape(*x.shape[:-1], len(weight))
        return activation.forward(y, -1) if activation.epilogue is None else y

    return run
