"""The steps of a prepared model, and what is made one of them.

- `join`: a convolution or product, and the batch norm, sum or activation that alone reads it;
- `place`: convolutions whose results alone make a concatenation, which store into it;
- `spread`: results whose positions lie a little apart in memory.

Convolutions of one input, as the branches of an Inception module begin, stay apart: made one, with
their results as channels of its own, GoogLeNet took as long (17.2 and 17.1 ms).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from fastconv import functional
from fastconv.layers.adaptive_pooling import AdaptivePooling
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
from fastconv.layers.pooling import Pooling
from fastconv.layers.types import Array, Shape

__all__ = ["Place", "Step", "join", "place", "spread"]

#: Where the distance of two positions is a multiple of half of this, those that a kernel reads side
#: by side share one or two sets of an L1 cache (64 sets of lines), which keep 8 or 12 of the 14.
_PAGE = 4096
_LINE = 64


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
    that of the first output, its batch left open. `pitch` is how many elements a convolution's
    positions lie apart, of its own result or of the concatenation.
    """

    layer: Layer
    form: InferenceForm | None
    inputs: list[int]
    outputs: list[int]
    takes_list: bool
    shape: Shape
    residual: int | None = None
    place: Place | None = None
    pitch: int = 0
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


def spread(steps: list[Step], outputs: Sequence[int]) -> None:
    """Choose each convolution's pitch: a line more than its channels where those are many.

    It is for 1x1 convolutions, which read their input where it lies (1024 channels at 14x14 to 256:
    0.62 to 0.48 ms, ResNet-50 7 %). What is an output, or read by layers other than convolutions,
    sums and pools, stays dense.
    """
    dense, in_place = set(outputs), set[int]()
    for step in steps:
        if isinstance(step.form, Convolution):
            if math.prod(step.form.weight.shape[2:]) == 1:
                in_place.update(step.inputs)
        elif not isinstance(step.layer, Pooling | AdaptivePooling):
            dense.update(step.inputs)
    for step in steps:
        if not isinstance(step.form, Convolution):
            continue
        number, channels = step.outputs[0], len(step.form.weight)
        if step.place is not None:
            number, channels = step.place.number, step.place.total
        item = step.form.weight.itemsize
        collides = number in in_place - dense and channels * item % (_PAGE // 2) == 0
        step.pitch = channels + (_LINE // item if collides else 0)


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
