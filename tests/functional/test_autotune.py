"""autotune: every candidate is right, the winner is used, and choices outlive the process."""

from __future__ import annotations

import doctest
import json
import os
import subprocess
import sys

import cases
import numpy as np
import oracles
import pytest
from conv_problems import COMPUTATIONS
from ops import FAST

import fastconv
from fastconv import _core, autotune, explain, plans, runtime
from fastconv.functional import PackedWeight, conv2d


@pytest.fixture(autouse=True)
def no_choices():
    plans.clear_choices()
    yield
    plans.clear_choices()


CANDIDATES = {
    "3x3": cases.conv(2, 20, (18, 19), 33, 3, padding=1),
    "strided": cases.conv(2, 18, (21, 20), 24, 3, 2, ((0, 1), (1, 0))),
    "signal": cases.conv(2, 18, (70,), 20, 9, padding=4),
    "depthwise": cases.conv(2, 24, (12, 12), 24, 5, padding=2, groups=24),
    "1x1": cases.conv(2, 40, (9, 10), 20, 1),
    "few outputs": cases.conv(1, 16, (30, 40), 6, 5, padding=1),
}


@pytest.mark.parametrize("computation", COMPUTATIONS)
@pytest.mark.parametrize("name", CANDIDATES)
def test_every_candidate_is_right_and_has_its_bits_whatever_the_threads(name, computation, isa):
    case = CANDIDATES[name]
    rng = np.random.default_rng(1)
    form = case.stride, case.pads, case.dilation, case.groups
    arrays = [
        rng.standard_normal(shape).astype(np.float32)
        for shape in (case.output_shape, case.input_shape, case.weight_shape)
    ]
    y, x, w = arrays
    expected, which = {
        "forward": lambda: (oracles.conv(x, w, *form), 0),
        "backward_input": lambda: (oracles.conv_input(y, w, case.spatial, *form), 1),
        "backward_weight": lambda: (oracles.conv_weight(x, y, case.kernel, *form), 2),
    }[computation]()
    ran = 0
    for algorithm in range(1, _core.conv_algorithms()):
        asked = {"precision": None, "algorithm": algorithm}
        if _core.conv_plan(computation, x, w, **case.window, **asked) is None:
            continue
        ran += 1
        results = []
        for threads in (1, 2, 3, 8):
            with runtime.threads(threads):
                arrays[which][:] = 0
                _core.conv_by(algorithm, computation, *arrays, **case.window, precision=None)
                results.append(arrays[which].copy())
        error = np.abs(results[0] - expected).max() / np.abs(expected).max()
        assert error < 1e-4, algorithm
        assert all(np.array_equal(result, results[0]) for result in results), algorithm
    assert ran >= 1


@pytest.mark.parametrize("isa", FAST, indirect=True)
@pytest.mark.parametrize("computation", [*COMPUTATIONS, "conv_transpose"])
def test_the_winner_is_used_from_then_on(computation, isa, rng):
    problem = (computation, (2, 20, 12, 13), (20, 20, 3, 3))
    options = {"padding": 1, "precision": "high"}
    before = explain(*problem, **options)
    found = autotune(*problem, **options, seconds=0)
    assert len(found) > 2
    assert all(one.error < 1e-4 for one in found)
    assert [one.seconds for one in found] == sorted(one.seconds for one in found)
    after = explain(*problem, **options)
    assert after.number in [one.plan.number for one in found]
    assert "as chosen" in after.reason
    # For every batch, but for no other problem.
    batch = explain(computation, (7, 20, 12, 13), *problem[2:], **options)
    assert batch.number == after.number
    other = explain(computation, (2, 20, 12, 14), *problem[2:], **options)
    assert "as chosen" not in other.reason
    plans.clear_choices()
    assert explain(*problem, **options) == before


@pytest.mark.parametrize("isa", FAST, indirect=True)
def test_a_chosen_algorithm_has_its_bits_for_any_batch_and_threads(isa, rng):
    x = rng.standard_normal((5, 20, 14, 13)).astype(np.float32)
    w = rng.standard_normal((18, 20, 3, 3)).astype(np.float32)
    found = autotune("forward", x, w, seconds=0)
    key = _core.conv_plan("forward", x, w, 1, 0, 1, 1, None, 0)["problem_key"]
    results = set()
    for one in found:
        _core.set_choice(key, one.plan.number)
        y = conv2d(x, w)
        results.add(y.tobytes())
        assert np.array_equal(conv2d(x, PackedWeight(w)), y)
        for threads in (1, 2, 8):
            with runtime.threads(threads):
                assert np.array_equal(conv2d(x, w), y)
                assert np.array_equal(conv2d(x[3:4], w), y[3:4])
    assert len(results) > 1, "the choice was not followed"


def test_a_choice_that_does_not_apply_is_passed_over(rng):
    x = rng.standard_normal((2, 16, 12, 12)).astype(np.float32)
    w = rng.standard_normal((16, 16, 3, 3)).astype(np.float32)
    y = conv2d(x, w)
    key = _core.conv_plan("forward", x, w, 1, 0, 1, 1, None, 0)["problem_key"]
    _core.set_choice(key, 3)  # depthwise
    assert np.array_equal(conv2d(x, w), y)
    with pytest.raises(ValueError, match="algorithm: expected 0 to 143, got -1"):
        _core.set_choice(key, -1)
    with pytest.raises(ValueError, match="problem_key"):
        _core.set_choice(0, 1)


def test_the_table_of_choices_fills_up_with_an_error():
    def fill():
        for key in range(1, 10000):
            _core.set_choice(key << 32, 1)

    with pytest.raises(MemoryError, match="table of choices is full"):
        fill()


@pytest.mark.parametrize("isa", FAST, indirect=True)
def test_choices_are_kept_in_a_file(isa, tmp_path):
    path = tmp_path / "choices.json"
    problems = [("forward", (1, 16, n, n), (16, 16, 3, 3)) for n in (10, 12)]
    for problem in problems:
        autotune(*problem, seconds=0, path=path)
    chosen = [explain(*problem) for problem in problems]
    assert os.listdir(tmp_path) == ["choices.json"]
    plans.clear_choices()
    assert plans.load_choices(path) == 2
    assert [explain(*problem) for problem in problems] == chosen
    content = json.loads(path.read_text())
    for change in ({"format": 0}, {"fastconv": "0"}, {"cpu": "another"}, {"choices": 3}):
        path.write_text(json.dumps({**content, **change}))
        assert plans.load_choices(path) == 0
    for text in ("", "{", "[]", "null"):
        path.write_text(text)
        assert plans.load_choices(path) == 0
    path.write_text(json.dumps({**content, "choices": {"1234": 999, "1334": 1}}))
    assert plans.load_choices(path) == 1
    assert plans.load_choices(tmp_path / "none") == 0


def test_the_file_named_by_the_environment_is_read_at_import(tmp_path):
    path = tmp_path / "choices.json"
    environment = {**os.environ, "FASTCONV_AUTOTUNE_CACHE": str(path)}

    def run(code):
        command = [sys.executable, "-c", "import fastconv\n" + code]
        done = subprocess.run(
            command, env=environment, cwd=tmp_path, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    problem = '"forward", (1, 16, 10, 10), (16, 16, 3, 3)'
    assert "as chosen" not in run(f"print(fastconv.explain({problem}))")
    chosen = run(f"fastconv.autotune({problem}, seconds=0)\nprint(fastconv.explain({problem}))")
    assert run(f"print(fastconv.explain({problem}))") == chosen
    assert "as chosen" in chosen


def test_autotune_refuses_what_it_cannot_do():
    with pytest.raises(ValueError, match="seconds: expected a number"):
        autotune("forward", (1, 3, 8, 8), (4, 3, 3, 3), seconds=-1)
    with pytest.raises(ValueError, match="computation: expected one of"):
        autotune("sideways", (1, 3, 8, 8), (4, 3, 3, 3))


@pytest.mark.parametrize("module", [plans])
def test_examples(module):
    names = {**vars(module), "np": np}
    runner = doctest.DocTestRunner()
    for name in ("explain", "autotune", "load_choices", "clear_choices"):
        for example in doctest.DocTestFinder(recurse=False).find(
            getattr(module, name), name, globs=names
        ):
            runner.run(example)
    functional = {**vars(fastconv.functional), "np": np}
    for example in doctest.DocTestFinder(recurse=False).find(
        PackedWeight, "PackedWeight", module=False, globs=functional
    ):
        runner.run(example)
    assert runner.tries > 10
    assert runner.failures == 0
