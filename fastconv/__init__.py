"""Convolutional networks on the CPU: fast kernels with gradients behind a small Python API.

``functional`` has the operations, ``grad`` their gradients, ``runtime`` the library itself;
``layers``, ``models`` and ``training`` are imported when first used.
"""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Any

try:
    from fastconv import _core
except ImportError as error:
    raise ImportError(
        f"fastconv's compiled module cannot be loaded: {error}. Most likely this is a source "
        "checkout that has not been built, or a wheel for another platform. Run "
        "`python -m pip install .` in the checkout and start Python outside it, or "
        "`python -m pip install --force-reinstall fastconv`."
    ) from error

try:
    _core.isa()
except RuntimeError as error:
    raise ImportError(str(error)) from None

from fastconv import functional, grad, runtime

if TYPE_CHECKING:
    from fastconv import layers, models, plans, training
    from fastconv.models import Model, Sequential
    from fastconv.plans import autotune, explain

__all__ = [
    "Model",
    "Sequential",
    "__version__",
    "autotune",
    "explain",
    "functional",
    "grad",
    "layers",
    "models",
    "plans",
    "runtime",
    "training",
]

__version__: str = _core.version()

_LAZY_MODULES = ("layers", "models", "plans", "training")
_LAZY_NAMES = {
    "Model": "models",
    "Sequential": "models",
    "autotune": "plans",
    "explain": "plans",
}

if os.environ.get("FASTCONV_AUTOTUNE_CACHE"):
    importlib.import_module("fastconv.plans").load_choices()


def __getattr__(name: str) -> Any:
    if name in _LAZY_MODULES:
        return importlib.import_module(f"{__name__}.{name}")
    if name in _LAZY_NAMES:
        return getattr(importlib.import_module(f"{__name__}.{_LAZY_NAMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
