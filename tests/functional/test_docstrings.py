"""Every public function is documented, and the examples in its docstring run."""

from __future__ import annotations

import doctest
import inspect

import numpy as np
import pytest

from fastconv import functional, grad, runtime

MODULES = {module.__name__: module for module in (functional, grad, runtime)}
PUBLIC = [
    (module, name) for module in MODULES.values() for name in module.__all__ if name[0].islower()
]


@pytest.mark.parametrize(("module", "name"), PUBLIC, ids=lambda p: getattr(p, "__name__", p))
def test_examples(module, name):
    names = {**vars(module), "np": np}  # what a reader has after importing the two
    runner = doctest.DocTestRunner()
    for example in doctest.DocTestFinder(recurse=False).find(
        getattr(module, name), name, globs=names
    ):
        runner.run(example)
    assert runner.tries > 0
    assert runner.failures == 0


@pytest.mark.parametrize(("module", "name"), PUBLIC, ids=lambda p: getattr(p, "__name__", p))
def test_docstring_has_what_a_reader_needs(module, name):
    function = getattr(module, name)
    text = inspect.getdoc(function)
    assert text, "no docstring"
    assert "Examples\n--------\n>>> " in text
    # Functions that differ in the number of dimensions only are documented once.
    if "The equation, parameters" not in text and "The parameters, errors" not in text:
        for parameter in inspect.signature(function).parameters:
            assert parameter in text
