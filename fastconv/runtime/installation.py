"""Where the library is installed, and how it was built and set."""

from __future__ import annotations

import os
import sys
from typing import TextIO

import numpy as np

from fastconv import _core
from fastconv.runtime.execution import available_isas, get_num_threads, isa

__all__ = [
    "get_cmake_dir",
    "get_config",
    "get_include",
    "get_library_dir",
    "show_config",
]


def get_include() -> str:
    """Return the directory to compile with, for ``#include "fastconv/fastconv.h"``.

    Examples
    --------
    >>> import os
    >>> os.path.isfile(os.path.join(get_include(), "fastconv", "fastconv.h"))
    True
    """
    return os.path.join(_installed(), "include")


def get_library_dir() -> str:
    """Return the directory of ``libfastconv``.

    Examples
    --------
    >>> import os
    >>> os.path.isdir(get_library_dir())
    True
    """
    return os.path.join(_installed(), "lib")


def get_cmake_dir() -> str:
    """Return the directory of the CMake package: ``find_package(fastconv PATHS ...)``.

    Examples
    --------
    >>> import os
    >>> os.path.isfile(os.path.join(get_cmake_dir(), "fastconvConfig.cmake"))
    True
    """
    return os.path.join(_installed(), "lib", "cmake", "fastconv")


def _installed() -> str:
    # Beside the compiled module; in an editable install the Python files are elsewhere.
    return os.path.dirname(os.path.abspath(_core.__file__))


def get_config() -> dict[str, str]:
    """Return what there is to know about this installation and the active settings.

    Examples
    --------
    >>> get_config()["isa"] == isa()
    True
    """
    config = {
        "fastconv": _core.version(),
        "isa": isa(),
        "available isas": ", ".join(available_isas()),
        "threads": str(get_num_threads()),
        "library": get_library_dir(),
        "python": sys.version.split()[0],
        "numpy": np.__version__,
    }
    for line in _core.build_info().splitlines():
        key, _, value = line.partition(": ")
        config[f"build {key}"] = value
    return config


def show_config(file: TextIO | None = None) -> str:
    """Return `get_config` as text, one setting a line, and print it if told where.

    Parameters
    ----------
    file : text file, optional
        Where to print it, for example ``sys.stdout``.

    Examples
    --------
    >>> show_config().splitlines()[0].startswith("fastconv: ")
    True
    """
    text = "\n".join(f"{key}: {value}" for key, value in get_config().items())
    if file is not None:
        print(text, file=file)
    return text
