"""Names of layers, which are unique within a model."""

from __future__ import annotations

from collections.abc import Container

from fastconv.layers.base import Layer

__all__ = ["free_name"]


def free_name(layer: Layer, taken: Container[str]) -> str:
    """Return the layer's name, numbered if it was not given and is taken.

    Examples
    --------
    >>> from fastconv.layers import Dense
    >>> free_name(Dense(1), {"dense", "dense_1"})
    'dense_2'
    """
    name = layer.name
    if layer.named and name in taken:
        raise ValueError(f"layer: the model has a layer {name!r} already")
    number = 0
    while name in taken:
        number += 1
        name = f"{layer.name}_{number}"
    return name
