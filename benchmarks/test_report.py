"""The report of measurements, made of made-up ones."""

import pytest

from benchmarks import errors, grid, machine, memory, networks, picture, report, shapes, tables
from benchmarks.made_up import made_up_comparison, made_up_memory, row
from benchmarks.problems import CONV_COMPUTATIONS, load_layers


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


def test_the_page_of_networks(tmp_path):
    rows = [
        {
            "network": "lenet5",
            "batch": 1,
            "wanted": 1.5,
            "first_s": 0.25,
            "seconds": {"fastconv predict_on_batch": 1e-3, "torch contiguous": 3e-3},
            "disturbed": True,
            "failures": ["openvino latency: off by 1.0e-02"],
        }
    ]
    versions = {"torch": "2", "fastconv": "1", "openvino": "3"}
    result = {"machine": machine.facts(), "threads": 2, "versions": versions, "rows": rows}
    networks.write(result | {"command": "python -m benchmarks networks"}, tmp_path)
    page = (tmp_path / networks.PAGE).read_text(encoding="utf-8")
    assert "| lenet5 \\* | 1 | 1.00 | 3.00 | - | 3.00 | 1.5 | 0.25 |" in page
    assert "- lenet5 1: openvino latency: off by 1.0e-02" in page
    assert "python -m benchmarks networks --docs docs\n" in page


def test_roofline_points_are_operations_over_bytes():
    points = picture.roofline_points(made_up_comparison(), "tuned")
    layer = load_layers("^resnet.1x1.reduce$")[0]
    point = next(p for p in points if (p["layer"], p["computation"]) == (layer.name, "forward"))
    moved = 4 * 8 * 56 * 56 * (256 + 64) + 4 * 256 * 64
    assert point["intensity"] == 2 * 8 * 56 * 56 * 256 * 64 / moved
    assert point["fastconv"] == 2 * point["peer"] == layer.flops / 1e-3


def test_memory_names_what_exceeds():
    assert memory.resident("VmHWM") >= memory.resident("VmRSS") > 0
    text = memory.markdown(made_up_memory())
    assert "| small | 2.0 | 3.0 | 1.0 | 6.0 | 0.50 |" in text
    assert text.endswith("More than PyTorch: large (1.50).")


def test_numbers_that_are_missing_are_dashes():
    assert tables.number(None, ".2f") == "-"
    assert tables.number(1.5, ".2f", 2) == "3.00"
