"""Layers by the name of their class, as configurations and model files have them."""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any, TypeVar

from fastconv.layers.base import Layer

__all__ = ["deserialize_layer", "register_layer", "serialize_layer"]

_L = TypeVar("_L", bound=type[Layer])
_registry: dict[str, type[Layer]] = {}


def register_layer(cls: _L) -> _L:
    """Let configurations and model files name this class; a decorator.

    Examples
    --------
    >>> @register_layer
    ... class Same(Layer):
    ...     def forward(self, x, training=False):
    ...         return x
    >>> deserialize_layer({"class_name": "Same", "config": {"name": "here"}})
    <Same here, not built>
    """
    known = _registry.get(cls.__name__)
    if known is not None and known.__module__ != cls.__module__:
        raise ValueError(f"register_layer: {cls.__name__!r} is already taken by {known.__module__}")
    _registry[cls.__name__] = cls
    return cls


def serialize_layer(layer: Layer) -> dict[str, Any]:
    """Return what `deserialize_layer` makes an equal layer of, without its weights."""
    return {"class_name": type(layer).__name__, "config": layer.get_config()}


_custom: ContextVar[Mapping[str, type[Layer]]] = ContextVar("custom_objects")


def deserialize_layer(
    config: Mapping[str, Any], custom_objects: Mapping[str, type[Layer]] | None = None
) -> Layer:
    """Return the layer that `serialize_layer` described.

    `custom_objects` adds classes, by name, to those of fastconv and of `register_layer`, also
    for the layers within this one.
    """
    known = {**_custom.get({}), **(custom_objects or {})}
    name = config.get("class_name")
    cls = known.get(str(name)) or _registry.get(str(name))
    if cls is None:
        raise ValueError(
            f"class_name: got {name!r}, which is no layer of fastconv; pass it in "
            "custom_objects or decorate it with fastconv.layers.register_layer"
        )
    token = _custom.set(known)
    try:
        return cls.from_config(config.get("config", {}))
    finally:
        _custom.reset(token)
