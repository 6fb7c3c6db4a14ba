"""Measured choices in a file, for the processes to come."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fastconv import _core

__all__ = ["CACHE_VARIABLE", "load_choices", "read_choices", "save_choices"]

#: The environment variable that names the file of measured choices.
CACHE_VARIABLE = "FASTCONV_AUTOTUNE_CACHE"

_FORMAT_VERSION = 1


def load_choices(path: str | os.PathLike[str] | None = None) -> int:
    """Use the choices that `autotune` wrote to a file, if they were measured here.

    A file of another format, library version or CPU model is ignored, and so is one that
    cannot be read. The instruction set is part of each entry.

    Parameters
    ----------
    path : path, optional
        The file; without it the one named by FASTCONV_AUTOTUNE_CACHE.

    Returns
    -------
    int
        How many choices were taken over.

    Examples
    --------
    >>> load_choices("no such file")
    0
    """
    target = path if path is not None else os.environ.get(CACHE_VARIABLE)
    taken = 0
    for key, algorithm in read_choices(Path(target)).items() if target else ():
        with contextlib.suppress(ValueError, MemoryError):
            _core.set_choice(key, algorithm)
            taken += 1
    return taken


def _header() -> dict[str, Any]:
    return {"format": _FORMAT_VERSION, "fastconv": _core.version(), "cpu": _cpu_model()}


def _cpu_model() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def read_choices(path: Path) -> dict[int, int]:
    """Return the choices of a file; none where it is damaged, or of another machine."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        choices = content.pop("choices")
        if content != _header():
            return {}
        return {int(key, 16): int(algorithm) for key, algorithm in choices.items()}
    except (OSError, ValueError, AttributeError, KeyError, TypeError):
        return {}


def save_choices(path: Path, choices: dict[int, int]) -> None:
    """Add to the file; a reader sees the old one or the new one, never a part."""
    merged = {**read_choices(path), **choices}
    named = {f"{key:016x}": algorithm for key, algorithm in sorted(merged.items())}
    text = json.dumps({**_header(), "choices": named}, indent=1)
    with _replacement(path) as file:
        file.write_text(text + "\n", encoding="utf-8")


@contextlib.contextmanager
def _replacement(path: Path) -> Iterator[Path]:
    """Yield a new file beside `path` that takes its place in the end."""
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    os.close(descriptor)
    try:
        yield Path(name)
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise
