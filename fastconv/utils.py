"""Seeds for whatever was not given one, and imports of optional packages."""

from __future__ import annotations

import importlib
import threading
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.random import SeedSequence

__all__ = ["import_extra", "next_seed", "set_random_seed"]

_lock = threading.Lock()
_stream: SeedSequence | None = None


def set_random_seed(seed: int) -> None:
    """Make everything that was given no seed of its own repeatable.

    Initializers, dropout layers and `fit`, where their own ``seed`` is None, draw one from
    a single stream of seeds, in the order in which they ask. This restarts the stream.
    Without it the stream starts from the operating system's entropy. Neither NumPy's nor
    Python's global generators are touched.

    Parameters
    ----------
    seed : int
        A non-negative integer.

    Examples
    --------
    >>> from fastconv.initializers import GlorotUniform
    >>> set_random_seed(1)
    >>> first = GlorotUniform()((3, 3, 1, 8))
    >>> set_random_seed(1)
    >>> bool((GlorotUniform()((3, 3, 1, 8)) == first).all())
    True
    """
    global _stream
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
        raise ValueError(f"seed: got {seed!r}, expected a non-negative integer")
    with _lock:
        _stream = np.random.SeedSequence(int(seed))


def next_seed() -> int:
    """Return the next seed of the stream that `set_random_seed` starts, below 2**53.

    Children of a SeedSequence are independent of each other; 53 bits survive JSON readers
    that keep numbers as doubles.

    Examples
    --------
    >>> set_random_seed(7)
    >>> one, two = next_seed(), next_seed()
    >>> one == two
    False
    """
    global _stream
    with _lock:
        if _stream is None:
            _stream = np.random.SeedSequence()
        (child,) = _stream.spawn(1)
    return int(child.generate_state(1, np.uint64)[0]) >> 11


def import_extra(module: str, purpose: str, package: str | None = None) -> Any:
    """Import a module that only the ``train`` extra installs.

    Parameters
    ----------
    module : str
        What to import, for instance ``"safetensors.numpy"``.
    purpose : str
        What needs it, to begin the error message with.
    package : str, optional
        The name on PyPI where it is not that of the module.

    Raises
    ------
    ImportError
        Naming the purpose, the package and the command that installs it.

    Examples
    --------
    >>> import_extra("no_such_module", "this example")
    Traceback (most recent call last):
        ...
    ImportError: this example needs no_such_module: pip install "fastconv[train]"
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        top = module.partition(".")[0]
        if error.name is None or error.name.partition(".")[0] != top:
            raise  # installed, but something it needs itself is not
        raise ImportError(
            f'{purpose} needs {package or top}: pip install "fastconv[train]"', name=module
        ) from error
