"""One module for each contender, all with the same four names.

``NAME``; ``version()`` (raises ImportError where not installed); ``setup(threads)``;
``contenders(layer, operands, computation, tuned)``; torch and fastconv also have
``reference(layer, operands, computation)`` and ``call(layer, computation, x, weight, grad)``.
Used by every command: ``python -m benchmarks``.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np

#: torch comes first so that fastconv finds its OpenMP runtime already loaded and shares it.
ALL = ("torch", "fastconv", "jax", "onnxruntime", "openvino")
PEERS = tuple(name for name in ALL if name != "fastconv")


@dataclass(frozen=True)
class Contender:
    """One way to make one computation.

    Attributes
    ----------
    peer, variant
        Who, and with which layout or setting.
    call
        Computes once, complete when it returns.
    result
        Turns what ``call`` returned into a NumPy array in logical order.
    contends
        Whether its own threads are more than the CPUs and wait for each other.
    """

    peer: str
    variant: str
    call: Callable[[], Any]
    result: Callable[[Any], np.ndarray] = np.asarray
    contends: bool = False


def load(name: str) -> ModuleType:
    """Import the module of one contender; it imports the package itself in ``version``."""
    return importlib.import_module(f".{name}", __name__)


def installed(names: tuple[str, ...]) -> dict[str, str]:
    """Return the version of each peer that can be imported, and fastconv's, as in ``ALL``."""
    versions = {}
    for name in ALL:
        if name in names:
            try:
                versions[name] = load(name).version()
            except ImportError:
                if name == "fastconv":
                    raise
    return versions
