"""What an argument such as ``optimizer="sgd"`` stands for: names, configurations and objects."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

_T = TypeVar("_T")


def resolve(
    argument: str,
    identifier: Any,
    base: type[_T],
    by_name: Mapping[str, Any],
    expected: str,
    *,
    aliases: Mapping[str, Callable[[], _T]] | None = None,
    key: Callable[[str], str] = str,
) -> _T:
    """Return the object of class `base` that an identifier stands for.

    An object is itself; a mapping has a class's name and its configuration; a string is one of
    `by_name`, the name of one of its classes, or one of `aliases`, after `key`. Anything else is a
    ValueError that names the argument and what was `expected`.

    Examples
    --------
    >>> resolve("number", "one", int, {"one": lambda: 1}, "an int")
    1
    >>> resolve("number", "two", int, {"one": lambda: 1}, "an int")
    Traceback (most recent call last):
        ...
    ValueError: number: got 'two', expected an int or one of one
    """
    if isinstance(identifier, base):
        return identifier
    classes = {cls.__name__: cls for cls in by_name.values()}
    if isinstance(identifier, Mapping):
        cls = classes.get(identifier.get("class_name", ""))
        if cls is not None:
            configured: _T = cls.from_config(identifier.get("config", {}))
            return configured
    elif isinstance(identifier, str):
        make = {**by_name, **classes, **(aliases or {})}.get(key(identifier))
        if make is not None:
            made: _T = make()
            return made
    raise ValueError(
        f"{argument}: got {identifier!r}, expected {expected} or one of {', '.join(by_name)}"
    )
