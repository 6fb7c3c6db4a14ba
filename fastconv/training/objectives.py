"""What a model is trained for: a loss, its weight and metrics for each of its outputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fastconv.layers.types import Array
from fastconv.training import losses, metrics

__all__ = ["Objective", "arrays_by_name", "make_objectives"]


@dataclass
class Objective:
    """Of one output; without a loss the output is not trained for."""

    loss: losses.Loss | None
    weight: float = 1.0
    metrics: list[metrics.Metric] = field(default_factory=list)


def make_objectives(
    loss: Any, metric: Any, loss_weights: Any, names: Sequence[str]
) -> list[Objective]:
    """Return one objective for each output.

    With one output `loss` is a loss and `metric` a list. With several, each is a list with one
    entry for each output, or a dict by the names of the outputs; one loss goes for all.

    Examples
    --------
    >>> [o.weight for o in make_objectives("mse", None, [1.0, 0.3], ["main", "side"])]
    [1.0, 0.3]
    """
    if isinstance(metric, str):
        raise ValueError(f"metrics: got {metric!r}, expected a list, [{metric!r}]")
    if len(names) == 1:
        by_name = isinstance(loss, Mapping) and set(loss) == set(names)
        chosen = [loss[names[0]] if by_name else _unwrapped(loss)]
        lists = [metric[names[0]] if isinstance(metric, Mapping) else metric]
    else:
        one_for_all = not isinstance(loss, list | tuple | dict)
        chosen = [loss] * len(names) if one_for_all else _entries(loss, names, "loss")
        lists = [None] * len(names) if not metric else _entries(metric, names, "metrics")
    weights = [1.0] * len(names)
    if loss_weights is not None:
        weights = [
            1.0 if w is None else float(w) for w in _entries(loss_weights, names, "loss_weights")
        ]
    found = [None if entry is None else losses.get(entry) for entry in chosen]
    if not any(found):
        raise ValueError(f"loss: got {loss!r}, expected one for at least one output")
    return [
        Objective(one, weight, _metrics(entries, one))
        for one, weight, entries in zip(found, weights, lists, strict=True)
    ]


def _unwrapped(loss: Any) -> Any:
    return loss[0] if isinstance(loss, list | tuple) and len(loss) == 1 else loss


def _metrics(entries: Any, loss: losses.Loss | None) -> list[metrics.Metric]:
    if entries is None:
        return []
    listed = entries if isinstance(entries, list | tuple) else [entries]
    return [metrics.get(entry, loss) for entry in listed]


def _entries(values: Any, names: Sequence[str], argument: str) -> list[Any]:
    """Return one entry a name, of a list or a dict that may leave some out."""
    if isinstance(values, Mapping):
        unknown = sorted(set(values) - set(names))
        if unknown:
            raise ValueError(f"{argument}: got {unknown}, expected some of {', '.join(names)}")
        return [values.get(name) for name in names]
    if not isinstance(values, list | tuple) or len(values) != len(names):
        raise ValueError(
            f"{argument}: got {values!r}, expected one entry for each of {', '.join(names)}"
        )
    return list(values)


def arrays_by_name(values: Any, names: Sequence[str], argument: str) -> list[Array]:
    """Return one array a name: of one alone, of a list, or of a dict by name.

    Examples
    --------
    >>> arrays_by_name({"b": [2], "a": [1]}, ["a", "b"], "x")
    [array([1]), array([2])]
    >>> arrays_by_name([[1], [2]], ["a"], "x")
    [array([[1],
           [2]])]
    """
    if isinstance(values, Mapping):
        if set(values) != set(names):
            raise ValueError(
                f"{argument}: got {sorted(values)}, expected an array for each of "
                f"{', '.join(names)}"
            )
        return [np.asarray(values[name]) for name in names]
    if len(names) == 1:
        return [np.asarray(values)]
    if not isinstance(values, list | tuple) or len(values) != len(names):
        got = (
            f"{len(values)} of them" if isinstance(values, list | tuple) else type(values).__name__
        )
        raise ValueError(
            f"{argument}: got {got}, expected a list with an array for each of {', '.join(names)}"
        )
    return [np.asarray(value) for value in values]
