"""One safetensors file: arrays by name, and a JSON description in its header.

Nothing is unpickled, so a file from elsewhere can be opened without running its code. Needs
the ``train`` extra.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from fastconv.layers.types import Array
from fastconv.utils import import_extra

__all__ = ["read_checkpoint", "write_atomically", "write_checkpoint"]

#: The entry of the header's metadata that holds the description.
KEY = "fastconv"
#: Of the description; raised when an older fastconv could no longer read it.
FORMAT_VERSION = 1


def write_atomically(path: str | os.PathLike[str], data: bytes) -> None:
    """Write a file so that at any moment either the old or the whole new one is there.

    Into a new file beside it, which is flushed to the disk and then renamed. A symbolic link
    stays, its target is replaced.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_atomically(f"{folder}/file", b"text")
    ...     Path(f"{folder}/file").read_bytes()
    b'text'
    """
    target = Path(os.path.realpath(path))
    if target.is_dir():
        raise IsADirectoryError(f"{target} is a folder, expected the name of a file")
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}.tmp")
    try:
        with open(temporary, "xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if target.exists():
            os.chmod(temporary, target.stat().st_mode)
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)
    if hasattr(os, "O_DIRECTORY"):  # the name itself, where folders can be flushed
        folder = os.open(target.parent, os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def write_checkpoint(
    path: str | os.PathLike[str], arrays: Mapping[str, Array], description: Mapping[str, Any]
) -> None:
    """Write arrays and a description, atomically.

    Parameters
    ----------
    path : path-like
        Where to; the folder must exist.
    arrays : mapping of str to ndarray
        What safetensors can hold: real numbers of any usual type.
    description : mapping
        Plain enough for JSON.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = f"{folder}/model.safetensors"
    ...     write_checkpoint(path, {"w": np.ones(2)}, {"answer": 42})
    ...     read_checkpoint(path)
    ({'w': array([1., 1.])}, {'answer': 42})
    """
    save = import_extra("safetensors.numpy", "saving a model").save
    content = {"format_version": FORMAT_VERSION, "description": description}
    contiguous = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    write_atomically(path, save(contiguous, metadata={KEY: json.dumps(content, allow_nan=False)}))


def read_checkpoint(path: str | os.PathLike[str]) -> tuple[dict[str, Array], dict[str, Any]]:
    """Return the arrays and the description of a file that `write_checkpoint` wrote.

    Raises
    ------
    FileNotFoundError
        Where there is no such file.
    ValueError
        Naming the file and what is wrong: not safetensors, damaged, cut off, of another
        program, or of a newer fastconv.
    """
    safetensors = import_extra("safetensors", "loading a model")
    if not os.path.isfile(path):
        problem = IsADirectoryError if os.path.isdir(path) else FileNotFoundError
        raise problem(f"{os.fspath(path)}: expected a model file")
    try:
        with safetensors.safe_open(os.fspath(path), framework="numpy") as file:
            metadata = file.metadata() or {}
            content = json.loads(metadata[KEY]) if KEY in metadata else None
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (safetensors.SafetensorError, ValueError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{os.fspath(path)}: not a safetensors file, or damaged, or cut off ({error})"
        ) from error
    if not isinstance(content, dict) or not isinstance(content.get("description"), dict):
        raise ValueError(f"{os.fspath(path)}: a safetensors file, but not one that fastconv wrote")
    version = content.get("format_version")
    if version != FORMAT_VERSION:
        raise ValueError(
            f"{os.fspath(path)}: has format version {version!r}, this fastconv reads "
            f"{FORMAT_VERSION}; a newer fastconv may read it"
        )
    return arrays, content["description"]
