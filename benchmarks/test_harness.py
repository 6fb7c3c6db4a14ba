"""The logic of the benchmarks themselves: shapes, ratios, the command. Nothing is timed.

Command: ``pytest benchmarks/test_harness.py``
"""

import argparse
import math

import numpy as np
import pytest

import fastconv
from benchmarks import __main__ as command_line
from benchmarks import accuracy, grid, shapes, summary
from benchmarks.made_up import conv, made_up_comparison, row
from benchmarks.peers import fastconv as ours
from benchmarks.problems import (
    CONV_COMPUTATIONS,
    TOLERANCE,
    Layer,
    indices_of,
    load_layers,
    make_operands,
    relative_error,
)
from fastconv import functional

GOALS = {
    "3x3",
    "3x3 small",
    "5x5",
    "11x11 s4",
    "7x7 s2 and 5x5 s2",
    "3x3 s2",
    "first 3x3",
    "1x1",
    "depthwise",
    "conv1d and conv3d",
}


# ---- problems


@pytest.mark.parametrize(
    ("layer", "size"),
    [
        (conv(2, 4, 9, 6, 3), 7),
        (conv(2, 4, 9, 6, 3, padding=1, stride=2), 5),
        (conv(2, 4, 9, 6, 3, padding=2, dilation=2), 9),
        (conv(2, 4, 9, 6, 2, stride=2, transposed=True), 18),
        (conv(2, 4, 9, 6, 3, stride=2, padding=1, dilation=2, transposed=True), 19),
    ],
)
@pytest.mark.parametrize("computation", CONV_COMPUTATIONS)
def test_every_contender_computes_what_the_oracle_does(layer, size, computation):
    assert layer.out_spatial == (size, size)
    operands = make_operands(layer)
    expected = ours.reference(layer, operands, computation)
    for contender in ours.contenders(layer, operands, computation, tuned=True):
        error = relative_error(contender.result(contender.call()), expected)
        assert error <= TOLERANCE


def test_a_sum_counts_its_products_once():
    forward = conv(2, 4, 9, 6, 2, stride=2, transposed=True)
    as_gradient = conv(2, 6, 18, 4, 2, stride=2)
    assert forward.flops == as_gradient.flops == 2 * 2 * 4 * 81 * 6 * 4
    assert forward.weight_shape == as_gradient.weight_shape


def test_classes_are_those_of_the_goals():
    layers = [layer for layer in load_layers() if layer.kind == "conv"]
    assert {layer.category for layer in layers if not layer.extra} == GOALS
    assert {layer.category for layer in layers} == GOALS | {"batch 1"}
    assert sum(not layer.extra for layer in layers) == 24
    assert len({layer.name for layer in load_layers()}) == len(load_layers())


def test_argmax_and_indices_pick_the_same():
    x = np.random.default_rng(1).standard_normal((2, 3, 9, 11)).astype(np.float32)
    layer = Layer("pool", "pool", 2, 3, (9, 11), 3, (3, 2), (2, 1), (1, 1), 1)
    window = (layer.kernel, layer.stride, layer.padding)
    _, argmax = functional.max_pool2d(x, *window, return_argmax=True)
    _, indices = functional.max_pool2d(x, *window, return_indices=True)
    np.testing.assert_array_equal(indices_of(argmax, layer), indices)


@pytest.mark.parametrize("layer", load_layers("inception.pool"), ids=lambda layer: layer.name)
def test_pools_compute_what_the_oracle_does(layer):
    operands = make_operands(layer)
    for computation in layer.computations:
        expected = ours.reference(layer, operands, computation)
        for contender in ours.contenders(layer, operands, computation, tuned=True):
            assert relative_error(contender.result(contender.call()), expected) <= TOLERANCE


# ---- the grid


def test_the_grid_is_the_same_for_the_same_seed():
    found = shapes.problems(45, seed=3)
    assert found == shapes.problems(45, seed=3)
    assert found != shapes.problems(45, seed=4)
    assert found[:9] == shapes.problems(9, seed=3)
    assert len({shapes.describe(layer) for layer in found}) == 45
    assert {layer.name.partition(".")[0] for layer in found} == set(shapes.FAMILIES)
    for layer in found:
        assert min(layer.out_spatial) > 0
        assert shapes.LEAST_FLOPS <= layer.flops <= shapes.MOST_FLOPS


def test_a_problem_is_described_by_what_is_not_the_default():
    layer = conv(2, 6, 9, 4, 3, stride=2, padding=1, groups=2, transposed=True)
    assert shapes.describe(layer) == "2,6,9x9->4 transposed 3x3 s2 p1 g2"
    assert shapes.describe(conv(1, 3, 8, 4, 1)) == "1,3,8x8->4 1x1"


@pytest.mark.parametrize(
    ("transposed", "computation", "asked", "shape"),
    [
        (False, "backward_input", "backward_input", (2, 4, 9, 9)),
        (True, "forward", "conv_transpose", (2, 4, 9, 9)),
        (True, "backward_input", "forward", (2, 6, 18, 18)),
        (True, "backward_weight", "backward_weight", (2, 6, 18, 18)),
    ],
)
def test_the_algorithm_is_asked_for(monkeypatch, transposed, computation, asked, shape):
    def explain(*arguments, **options):
        assert arguments == (asked, shape, layer.weight_shape)
        assert options["stride"] == (2, 2)
        assert options["data_format"] == "channels_last"
        return argparse.Namespace(algorithm="direct", reason="because")

    layer = conv(2, 4, 9, 6, 2, stride=2, transposed=transposed)
    monkeypatch.setattr(fastconv, "explain", explain, raising=False)
    found = grid.explanation(layer, computation, "channels_last")
    assert found == {"algorithm": "direct", "reason": "because"}


# ---- ratios


def test_extra_layers_count_in_their_class_only():
    comparison = made_up_comparison()
    means = comparison["summary"]["geometric_means"]["tuned"]
    assert means[summary.NAMED] == pytest.approx(dict.fromkeys([*CONV_COMPUTATIONS, "all"], 2))
    assert means["7x7 s2 and 5x5 s2"]["forward"] == pytest.approx(math.sqrt(2 * 8))
    assert means["pools"]["average"] == pytest.approx(8)
    assert comparison["summary"]["class_sizes"][summary.NAMED] == 24
    best = comparison["summary"]["ratios"][0]["tuned"]["best_peer"]
    assert best == {"peer": "torch", "variant": "planar", "median_s": 2e-3}


def test_who_packs_once_is_compared_with_packed_filters():
    layer = load_layers("mnist.conv1")[0]
    rows = [
        row(layer, "forward", "fastconv", 4e-3),
        row(layer, "forward", "fastconv", 3e-3, "channels_last"),
        row(layer, "forward", "fastconv", 1e-3, "channels_last packed"),
        row(layer, "forward", "torch", 9e-3),
        row(layer, "forward", "openvino", 2e-3),
    ]
    found = summary.compare(rows)
    assert found["ratios"] == pytest.approx({"planar": 0.5, "channels_last": 2})
    assert found["ratio"] == pytest.approx(2)
    assert found["best_peer"]["peer"] == "openvino"
    assert found["packed"] == 1e-3
    assert found["fastconv"] == {"planar": 4e-3, "channels_last": 3e-3}
    slower = summary.compare([*rows[:3], row(layer, "forward", "torch", 6e-3)])
    assert slower["ratio"] == pytest.approx(2)  # not 6: PyTorch packs at every call
    assert summary.compare(rows[:3])["ratio"] is None
    assert summary.compare(rows[3:])["ratio"] is None


def test_a_wrong_result_is_no_ratio():
    layer = load_layers("mnist.conv1")[0]
    wrong = row(layer, "forward", "fastconv", 1e-3) | {"verified": False, "failure": "error 1"}
    found = summary.summarize({"tuned": {"rows": [wrong, row(layer, "forward", "torch", 1e-3)]}})
    assert found["ratios"][0]["tuned"]["ratio"] is None
    assert [failure["peer"] for failure in found["failures"]] == ["fastconv"]
    assert command_line._wrong({"summary": found})
    assert not command_line._wrong(made_up_comparison())


# ---- the command


def test_the_command_is_spelled_without_files():
    options = command_line._parser().parse_args(
        ["grid", "--count", "9", "--json", "x", "--quick", "--peers", "torch"]
    )
    assert command_line._spelled("grid", options) == (
        "python -m benchmarks grid --count 9 --seed 0 --quick"
    )
    with pytest.raises(argparse.ArgumentTypeError, match="'tensorflow' is not one of"):
        command_line._names(("torch",))("tensorflow")


def test_sections_are_kept_beside_each_other(tmp_path, capsys, monkeypatch):
    path = tmp_path / "new" / "results.json"
    options = command_line._parser().parse_args(["points", "--json", str(path)])
    monkeypatch.setattr(accuracy, "run", lambda quick: {"rows": []})
    command_line._keep(path, {"grid": 1})
    assert command_line._measure("points", options) == 0
    kept = command_line._kept(path)
    assert kept["grid"] == 1
    assert kept["points"] == {"command": "python -m benchmarks points", "rows": []}
