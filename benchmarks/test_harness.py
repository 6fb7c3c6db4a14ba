"""The logic of the benchmarks themselves: shapes, ratios, the report. Nothing is timed.

Command: ``pytest benchmarks/test_harness.py``
"""

import argparse
import math

import numpy as np
import pytest

import fastconv
from benchmarks import __main__ as command_line
from benchmarks import accuracy, errors, grid, memory, picture, report, shapes, summary, tables
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


def conv(*shape, **options):
    """2-D, one value for both axes: n, ic, size, oc, kernel."""
    n, ic, size, oc, kernel = shape
    axes = {name: (options.pop(name, start),) * 2 for name, start in DEFAULTS.items()}
    groups = options.pop("groups", 1)
    return Layer(
        "test", "conv", n, ic, (size, size), oc, (kernel, kernel), groups=groups, **axes, **options
    )


DEFAULTS = {"stride": 1, "padding": 0, "dilation": 1}


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


def row(layer, computation, peer, seconds, variant="planar", **other):
    flops, moved = (layer.flops if layer.kind == "conv" else None), layer.bytes_moved(computation)
    return {
        "layer": layer.name,
        "kind": layer.kind,
        "extra": layer.extra,
        "category": layer.category,
        "computation": computation,
        "peer": peer,
        "variant": variant,
        "flops": flops,
        "bytes": moved,
        "verified": True,
        "failure": None,
        "error": 1e-6,
        "median_s": seconds,
        **other,
    }


def made_up_comparison():
    """Named layers twice as fast as the peer, extra ones and pools eight times."""
    rows = []
    for layer in load_layers():
        factor = 8 if layer.extra or layer.kind == "pool" else 2
        for computation in layer.computations:
            rows.append(row(layer, computation, "fastconv", 1e-3))
            rows.append(row(layer, computation, "fastconv", 2e-3, "channels_last"))
            rows.append(row(layer, computation, "torch", factor * 1e-3))
            rows.append(row(layer, computation, "jax", 1e-2))
    ceilings = {"isa": "avx512", "fma_flops": 5e11, "micro_kernel_flops": 4e11, "copy_bytes": 4e10}
    tuned = {"rows": rows, "ceilings": ceilings, "versions": {"torch": "2"}, "precision": "high"}
    environments = {"tuned": tuned}
    return {
        "command": "python -m benchmarks compare",
        "machine": {"cpu": "a CPU", "cpus": 2},
        "threads": 2,
        "environments": environments,
        "summary": summary.summarize(environments),
    }


def test_extra_layers_count_in_their_class_only():
    comparison = made_up_comparison()
    means = comparison["summary"]["geometric_means"]["tuned"]
    assert means[summary.NAMED] == pytest.approx(dict.fromkeys([*CONV_COMPUTATIONS, "all"], 2))
    assert means["7x7 s2 and 5x5 s2"]["forward"] == pytest.approx(math.sqrt(2 * 8))
    assert means["pools"]["average"] == pytest.approx(8)
    assert comparison["summary"]["class_sizes"][summary.NAMED] == 24
    best = comparison["summary"]["ratios"][0]["tuned"]["best_peer"]
    assert best == {"peer": "torch", "variant": "planar", "median_s": 2e-3}


def test_a_wrong_result_is_no_ratio():
    layer = load_layers("mnist.conv1")[0]
    wrong = row(layer, "forward", "fastconv", 1e-3) | {"verified": False, "failure": "error 1"}
    found = summary.summarize({"tuned": {"rows": [wrong, row(layer, "forward", "torch", 1e-3)]}})
    assert found["ratios"][0]["tuned"]["ratio"] is None
    assert [failure["peer"] for failure in found["failures"]] == ["fastconv"]
    assert command_line._wrong({"summary": found})
    assert not command_line._wrong(made_up_comparison())


# ---- accuracy and memory


def test_points_are_read_from_the_kernels():
    source = accuracy.HEADER.read_text(encoding="utf-8")
    chosen, listed = accuracy.chosen_points(source), accuracy.transforms_listed(source)
    assert (4, 3) in listed
    assert {m + r - 1 for m, r in listed} == set(chosen)
    for n, points in chosen.items():
        assert len(set(points)) == n - 1


@pytest.mark.parametrize(("m", "r"), [(2, 3), (4, 3), (4, 5)])
def test_transforms_are_a_correlation(m, r):
    generator = np.random.default_rng(0)
    data, taps = generator.standard_normal(m + r - 1), generator.standard_normal(r)
    a_t, g, b_t = accuracy.transforms(m, r, accuracy.USUAL[: m + r - 2])
    expected = np.correlate(data, taps, "valid")
    np.testing.assert_allclose(a_t @ ((g @ taps) * (b_t @ data)), expected, atol=1e-12)


def test_a_search_finds_no_worse_than_it_was_given():
    problems = [accuracy.make_problem(2, 3, np.random.default_rng(0), tiles=4, channels=8)]
    found = accuracy.search(2, 3, problems, (1 / 2, 1, 2))
    assert found in accuracy.candidates(4, (1 / 2, 1, 2))
    least = min(
        np.prod(accuracy.errors(2, 3, points, problems[0]))
        for points in accuracy.candidates(4, (1 / 2, 1, 2))
    )
    assert np.prod(accuracy.errors(2, 3, found, problems[0])) == least
    assert 0 < least < 1e-10
    assert len(accuracy.candidates(8, accuracy.EIGHTHS)) == math.comb(16, 3)
    assert accuracy.spelled((0, 3 / 4, -3 / 4, 2)) == "0, +-3/4, 2"


@pytest.mark.parametrize("groups", [1, 2])
def test_zero_sum_filters_sum_to_zero(groups):
    layer = conv(3, 4, 8, 6, 3, groups=groups)
    weight = errors.draw(layer, errors.ZERO_SUM, "forward").weight
    assert np.abs(weight.sum((1, 2, 3))).max() < 1e-5
    weight = errors.draw(layer, errors.ZERO_SUM, "backward_input").weight
    grouped = weight.reshape(groups, 6 // groups, *weight.shape[1:])
    assert np.abs(grouped.sum((1, 3, 4))).max() < 1e-5
    grad = errors.draw(layer, errors.ZERO_SUM, "backward_weight").grad_output
    assert np.abs(grad.mean((0, 2, 3))).max() < 1e-4


def test_memory_names_what_exceeds():
    assert memory.resident("VmHWM") >= memory.resident("VmRSS") > 0
    text = memory.markdown(made_up_memory())
    assert "| small | 2.0 | 3.0 | 1.0 | 6.0 | 0.50 |" in text
    assert text.endswith("More than PyTorch: large (1.50).")


def made_up_memory():
    def measured(step):
        return {"imported": 10**7, "step": step, "pool": 10**6}

    def layer(name, planar, last, theirs):
        found = {"planar": measured(planar), "channels_last": measured(last)}
        return {
            "layer": name,
            "needed": 2 * 10**6,
            "fastconv": found,
            "torch": {"planar": measured(theirs)},
        }

    rows = [layer("small", 4 * 10**6, 3 * 10**6, 6 * 10**6), layer("large", 3, 4, 2)]
    return {"command": "memory", "versions": {"torch": "2", "fastconv": "0"}, "rows": rows}


# ---- the report


def made_up_results():
    layer = shapes.problems(1, seed=0)[0]
    found = [row(layer, "forward", "fastconv", 2e-3), row(layer, "forward", "torch", 1e-3)]
    grid_row = grid._row(layer, "forward", found)
    assert grid_row["ratio"] == 0.5
    comparison = made_up_comparison()
    ceilings = comparison["environments"]["tuned"]["ceilings"]
    error = {"layer": "a", "n": 2, "high": 2e-6, "highest": 1e-7}
    kinds = [{"data": kind, "computation": c} for kind in errors.KINDS for c in CONV_COMPUTATIONS]
    return {
        "comparison": comparison,
        "errors": {"command": "errors", "rows": [error | kind for kind in kinds]},
        "memory": made_up_memory(),
        "grid": {
            "command": "grid",
            "count": 1,
            "seed": 0,
            "ceilings": ceilings,
            "rows": [grid_row | {"disturbed": False}],
        },
    }


def test_the_report_is_a_page_with_pictures(tmp_path):
    pytest.importorskip("matplotlib")
    report.write(made_up_results(), tmp_path)
    page = (tmp_path / report.PAGE).read_text(encoding="utf-8")
    assert "over the 24 named layers" in page
    assert "**2.00 times as fast**" in page
    for heading in ("Roofline", "Accuracy", "Memory", "Shapes nobody named", "Checks"):
        assert f"\n## {heading}\n" in page
    for name in (report.BARS, report.ROOFLINE):
        assert f"({name})" in page
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")
    for line in page.splitlines():
        assert not line.startswith("|") or line.endswith("|")


def test_rows_of_a_table_have_as_many_cells():
    page = report.page(made_up_results())
    for block in page.split("\n\n"):
        if block.startswith("|"):
            assert len({line.count(" | ") for line in block.splitlines()}) == 1


def test_roofline_points_are_operations_over_bytes():
    points = picture.roofline_points(made_up_comparison(), "tuned")
    layer = load_layers("^resnet.1x1.reduce$")[0]
    point = next(p for p in points if (p["layer"], p["computation"]) == (layer.name, "forward"))
    moved = 4 * 8 * 56 * 56 * (256 + 64) + 4 * 256 * 64
    assert point["intensity"] == 2 * 8 * 56 * 56 * 256 * 64 / moved
    assert point["fastconv"] == 2 * point["peer"] == layer.flops / 1e-3


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


def test_numbers_that_are_missing_are_dashes():
    assert tables.number(None, ".2f") == "-"
    assert tables.number(1.5, ".2f", 2) == "3.00"
