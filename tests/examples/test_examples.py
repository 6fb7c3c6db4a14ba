"""The examples run, and print what the lectures show."""

import importlib.util
import json
import re
from pathlib import Path

import numpy as np
import pytest

from fastconv import layers

ROOT = Path(__file__).parents[2]
LECTURES = json.loads((ROOT / "tests" / "lecture_examples.json").read_text())


def load(name):
    spec = importlib.util.spec_from_file_location(name, ROOT / "examples" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_example_is_tested():
    tested = {name.removeprefix("test_") for name in globals() if name.startswith("test_")}
    assert {path.stem for path in (ROOT / "examples").glob("*.py")} <= tested


def test_convolution_1d(capsys):
    load("convolution_1d").main()
    printed = capsys.readouterr().out
    facts = LECTURES["conv1d"]
    for key in ("input", "filter", "valid", "valid_relu", "zero_padded_1"):
        assert str(facts[key]) in printed
    assert f"parameters: {facts['parameters_with_bias']};" in printed
    assert printed.rstrip().endswith(str(facts["same_size_dense_10_to_10_parameters"]))


def test_x_and_o(capsys, tmp_path):
    pytest.importorskip("matplotlib")
    example = load("x_and_o")
    facts = LECTURES["x_and_o"]
    np.testing.assert_array_equal(example.letter("X"), facts["image_x"])
    assert facts["features"] == example.FEATURES
    pooled = example.maps().predict(example.letter("X")[None, ..., None])[0]
    for at, name in enumerate(example.FEATURES):
        np.testing.assert_allclose(9 * pooled[..., at], facts["pooled_times_9"][name], atol=1e-5)
    example.main(tmp_path / "features.png")
    printed = capsys.readouterr().out
    assert (tmp_path / "features.png").stat().st_size > 10_000
    assert float(re.search(r"flipped pixels: ([\d.]+)%", printed)[1]) > 95


def test_backpropagation(capsys):
    example = load("backpropagation")
    example.main()
    rows = re.findall(r"\[(.*?)\]", capsys.readouterr().out)
    first, second, third = (np.array(row.split(), float) for row in rows)
    np.testing.assert_allclose(second, first, rtol=1e-6)
    np.testing.assert_allclose(third, first, rtol=1e-6)
    assert np.abs(first).max() > 0.1


def test_architectures(capsys):
    load("architectures").main(["lenet5", "alexnet", "resnet18"])
    printed = capsys.readouterr().out
    assert "alexnet: input (None, 227, 227, 3)" in printed
    assert re.search(r"alexnet +62,378,344 +[\d.]+ MB +1,\d+", printed)
    assert "conv1 (Conv2D)" in printed


def test_custom_layer(capsys):
    pytest.importorskip("sklearn")
    load("custom_layer").main()
    printed = capsys.readouterr().out
    assert "the gradients of Scale are right" in printed
    assert float(re.search(r"before: ([\d.]+)%", printed)[1]) > 80


def test_the_page_of_layers_names_every_layer():
    page = (ROOT / "docs" / "layers.md").read_text()
    names = {n for n in layers.__all__ if isinstance(getattr(layers, n), type)}
    others = {"InputLayer", "Layer", "Parameter", "SymbolicTensor"}
    assert {n for n in names - others if f"`{n}`" not in page} == set()
