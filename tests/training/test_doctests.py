"""The examples in the docstrings of everything above `functional`."""

import doctest
import importlib
import pkgutil

import numpy as np
import pytest

import fastconv

PACKAGES = ("initializers", "layers", "models", "training")
MODULES = (
    "__main__",
    "checkpoints",
    "constraints",
    "datasets",
    "identifiers",
    "images",
    "plot",
    "regularizers",
    "summary",
    "testing",
    "utils",
)


def names():
    yield from (f"fastconv.{name}" for name in MODULES)
    for package in PACKAGES:
        path = importlib.import_module(f"fastconv.{package}").__path__
        yield from (found.name for found in pkgutil.walk_packages(path, f"fastconv.{package}."))


@pytest.mark.parametrize("name", list(names()))
def test_examples(name):
    for extra in ("tqdm", "safetensors", "matplotlib", "sklearn", "PIL"):
        pytest.importorskip(extra)
    assert fastconv.__name__ == "fastconv"
    assert doctest.testmod(importlib.import_module(name), extraglobs={"np": np}).failed == 0
