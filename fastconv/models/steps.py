"""The steps of a prepared model, and what is made one of them.

- `join`: a convolution or product, and the batch norm, sum or activation that alone reads it;
- `place`: convolutions whose results alone make a concatenation, which store into it.

Convolutions of one input, as the branches of an Inception module begin, stay apart: made one, with
their results as channels of its own, GoogLeNet took as long (17.2 and 17.1 ms).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from fastconv import functional
from fastconv.layers.base import Layer
from fastconv.layers.fusion import (
    ChannelAffine,
    Convolution,
    InferenceForm,
    Pointwise,
    Product,
    Sum,
)
from fastconv.layers.merging import Concatenate
from fastconv.layers.nonlinearity import LINEAR
from fastconv.layers.types import Array, Shape

__all__ = ["Place", "Step", "join", "place"]


@dataclass
class Place:
    """Part of a concatenation: its number, the first channel, and how many channels there are."""

    number: int
    first: int
    total: int


@dataclass
class Step:
    """One call: of a layer, or of layers that were joined.

    Values have numbers. `place` is where a convolution's result goes in a concatenation. `shape` is
    that of the first output, its batch left open.
    """

    layer: Layer
    form: InferenceForm | None
    inputs: list[int]
    outputs: list[int]
    takes_list: bool
    shape: Shape
    residual: int | None = None
    place: Place | None = None
    run: Callable[[dict[int, Array]], Any] | None = None
    frees: list[int] = field(default_factory=list)

    def reads(self) -> list[int]:
        """Return the values that it reads."""
        return self.inputs + ([] if self.residual is None else [self.residual])


def join(steps: list[Step], outputs: Sequence[int]) -> None:
    """Join each convolution and product with what only it feeds, until nothing changes."""
    changed = True
    while changed:
        changed = False
        made, uses = _producers(steps, outputs)
        for step in steps:
            before = _joined(step, made, uses)
            if before is not None:
                source, joined = before
                steps.remove(source)
                steps[steps.index(step)] = joined
                changed = True
                break


def place(steps: list[Step], outputs: Sequence[int]) -> None:
    """Let convolutions store into the concatenation that alone reads them."""
    made, uses = _producers(steps, outputs)
    for step in steps:
        if not isinstance(step.layer, Concatenate) or not step.takes_list:
            continue
        sources = [made.get(number) for number in step.inputs]
        axis = step.layer.axis % len(step.shape)
        first = 0
        for number, source in zip(step.inputs, sources, strict=True):
            if source is None or not isinstance(source.form, Convolution):
                break
            form = source.form
            at = len(step.shape) - 1 if form.data_format == "channels_last" else 1
            if axis != at or uses[number] > 1 or source.place is not None or not _fused(form):
                break
            first += len(form.weight)
        else:
            total, first = first, 0
            for source in sources:
                assert source is not None
                assert isinstance(source.form, Convolution)
                source.place = Place(step.outputs[0], first, total)
                first += len(source.form.weight)
            step.run = _nothing
            step.outputs = []


def _fused(form: Convolution) -> bool:
    """Whether nothing is left to compute once its result is stored."""
    return form.activation.epilogue is not None or form.activation is LINEAR


def _nothing(values: dict[int, Array]) -> list[Array]:
    """Run a concatenation that is there already."""
    return []


def _producers(steps: list[Step], outputs: Sequence[int]) -> tuple[dict[int, Step], Counter[int]]:
    """Return what makes each value, and how often each is read."""
    made = {number: step for step in steps for number in step.outputs}
    uses = Counter(number for step in steps for number in step.reads())
    uses.update(outputs)
    return made, uses


def _joined(step: Step, made: dict[int, Step], uses: Counter[int]) -> tuple[Step, Step] | None:
    """Return the step before this one that it can be joined with, and the two as one."""
    for at, number in enumerate(step.inputs):
        source = made.get(number)
        if source is None or uses[number] > 1 or len(source.outputs) > 1:
            continue
        form = source.form
        if not isinstance(form, Convolution | Product) or form.activation is not LINEAR:
            continue
        last = isinstance(form, Product) or form.data_format == "channels_last"
        channels = len(step.shape) - 1 if last else 1
        new: Step | None = None
        match step.form:
            case ChannelAffine() as norm if (
                norm.axis % len(step.shape) == channels and source.residual is None
            ):
                new = replace(source, form=_folded(form, norm))
            case Pointwise(activation) if activation.epilogue is not None:
                new = replace(source, form=replace(form, activation=activation))
            case Sum() if (
                len(step.inputs) == 2
                and source.residual is None
                and isinstance(form, Convolution)
                and step.inputs[0] != step.inputs[1]
            ):
                new = replace(source, residual=step.inputs[1 - at])
        if new is not None:
            return source, replace(new, outputs=step.outputs, shape=step.shape)
    return None


def _folded(form: Convolution | Product, norm: ChannelAffine) -> Convolution | Product:
    weight, bias = functional.fold_batch_norm(
        form.weight, form.bias, norm.mean, norm.variance, norm.gamma, norm.beta, norm.epsilon
    )
    return replace(form, weight=weight, bias=bias)
