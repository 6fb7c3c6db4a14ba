"""A model as a table: what each layer puts out, holds, and computes."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fastconv.layers.types import Shape

if TYPE_CHECKING:
    from fastconv.layers.base import Layer
    from fastconv.models.model import Model

__all__ = ["Row", "Summary", "summarize"]


@dataclass(frozen=True)
class Row:
    """One layer.

    Shapes are lists of them where there are several. `parameters` counts numbers.
    `activation_bytes` and `multiply_adds` are for one input, and None where an extent of its
    shape is not known.
    """

    name: str
    kind: str
    output_shape: Any
    parameters: int
    activation_bytes: int | None
    multiply_adds: int | None
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Summary:
    """A model; ``str`` of it is the table."""

    name: str
    input_shape: Any
    rows: tuple[Row, ...]
    parameters: int
    trainable_parameters: int
    parameter_bytes: int

    @property
    def activation_bytes(self) -> int | None:
        """What the layers' outputs for one input take together."""
        return _sum(row.activation_bytes for row in self.rows)

    @property
    def multiply_adds(self) -> int | None:
        """The multiply-add operations of one forward pass over one input."""
        return _sum(row.multiply_adds for row in self.rows)

    def __str__(self) -> str:
        head = ("layer", "output shape", "parameters", "activations", "multiply-adds")
        body = [
            (
                f"{row.name} ({row.kind})",
                str(row.output_shape),
                f"{row.parameters:,}",
                _bytes(row.activation_bytes),
                _count(row.multiply_adds),
            )
            for row in self.rows
        ]
        total = (
            "total",
            "",
            f"{self.parameters:,}",
            _bytes(self.activation_bytes),
            _count(self.multiply_adds),
        )
        widths = [max(len(line[i]) for line in (head, *body, total)) for i in range(len(head))]

        def line(cells: tuple[str, ...]) -> str:
            left = [f"{cell:<{width}}" for cell, width in zip(cells[:2], widths[:2], strict=True)]
            right = [f"{cell:>{width}}" for cell, width in zip(cells[2:], widths[2:], strict=True)]
            return "  ".join(left + right).rstrip()

        rule = "-" * (sum(widths) + 2 * (len(widths) - 1))
        lines = [f"{self.name}: input {self.input_shape}", rule, line(head), rule]
        lines += [*map(line, body), rule, line(total)]
        frozen = self.parameters - self.trainable_parameters
        lines.append(
            f"{self.parameters:,} parameters in {_bytes(self.parameter_bytes)}, {frozen:,} of them "
            "frozen; activations and multiply-adds are for one input"
        )
        lines += [f"{row.name}: {note}" for row in self.rows for note in row.notes]
        return "\n".join(lines)


def summarize(model: Model) -> Summary:
    """Return the table of a model that knows its input's shape.

    Examples
    --------
    >>> from fastconv.layers import Conv2D, Dense, Flatten
    >>> from fastconv.models import Sequential
    >>> model = Sequential([Conv2D(4, 3, strides=2, input_shape=(8, 8, 1)), Flatten(), Dense(10)])
    >>> print(summarize(model))
    sequential: input (None, 8, 8, 1)
    --------------------------------------------------------------------------
    layer              output shape     parameters  activations  multiply-adds
    --------------------------------------------------------------------------
    conv2d (Conv2D)    (None, 3, 3, 4)          40        144 B            324
    flatten (Flatten)  (None, 36)                0        144 B              0
    dense (Dense)      (None, 10)              370         40 B            360
    --------------------------------------------------------------------------
    total                                      410        328 B            684
    410 parameters in 1.64 kB, 0 of them frozen; activations and multiply-adds are for one input
    conv2d: stride 2 does not fit 8: the last 1 is left out
    """
    rows = []
    seen: set[Layer] = set()
    for layer, input_shape in model.layer_shapes():
        output_shape = layer.compute_output_shape(input_shape)
        outputs = _listed(output_shape)
        known = all(None not in shape[1:] for shape in (*_listed(input_shape), *outputs))
        elements = sum(math.prod(extent or 0 for extent in shape[1:]) for shape in outputs)
        parameters = 0 if layer in seen else layer.count_params()  # of a shared layer once
        seen.add(layer)
        rows.append(
            Row(
                name=layer.name,
                kind=type(layer).__name__,
                output_shape=output_shape,
                parameters=parameters,
                activation_bytes=elements * layer.dtype.itemsize if known else None,
                multiply_adds=layer.multiply_adds(input_shape) if known else None,
                notes=tuple(dict.fromkeys(layer.notes(input_shape))),
            )
        )
    return Summary(
        name=model.name,
        input_shape=model.input_shape,
        rows=tuple(rows),
        parameters=model.count_params(),
        trainable_parameters=sum(p.value.size for p in model.trainable_parameters().values()),
        parameter_bytes=sum(p.value.nbytes for p in model.parameters),
    )


def _listed(shape: Any) -> list[Shape]:
    return shape if isinstance(shape, list) else [shape]


def _sum(values: Iterable[int | None]) -> int | None:
    known = list(values)
    return None if None in known else sum(value or 0 for value in known)


def _count(value: int | None) -> str:
    return "?" if value is None else f"{value:,}"


def _bytes(value: int | None) -> str:
    """Three digits and a decimal unit.

    Examples
    --------
    >>> _bytes(144), _bytes(1640), _bytes(25_000_000)
    ('144 B', '1.64 kB', '25 MB')
    """
    if value is None:
        return "?"
    scaled, unit = float(value), "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if scaled < 999.5:
            break
        scaled, unit = scaled / 1000, larger
    return f"{scaled:.3g} {unit}"
