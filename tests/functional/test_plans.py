"""explain: one choice for each problem, and what it promises."""

from __future__ import annotations

import cases
import numpy as np
import oracles
import pytest
from conv_problems import COMPUTATIONS
from ops import CONV, CONV_INPUT, CONV_WEIGHT, FAST

from fastconv import _core, explain, runtime
from fastconv.plans.explanation import operands

FORMATS = ("channels_first", "channels_last")


def random_problem(rng, small=False):
    """One problem of all those that networks have, and some that none has."""
    nd = int(rng.integers(1, 4))
    most = ({1: 40, 2: 14, 3: 8} if small else {1: 5000, 2: 230, 3: 40})[nd]
    kernel = [int(k) for k in rng.choice((1, 2, 3, 3, 3, 4, 5, 7, 9, 11), nd)]
    if rng.random() < 0.6:
        kernel = [kernel[0]] * nd
    stride = [int(rng.choice((1, 1, 1, 2, 2, 3, 4, 5)))] * nd
    dilation = [int(rng.choice((1, 1, 1, 1, 2, 3, 6)))] * nd
    if rng.random() < 0.2:
        stride = [int(s) for s in rng.integers(1, 4, nd)]
    pads = [tuple(int(p) for p in rng.integers(0, k + 1, 2)) for k in kernel]
    spatial = [
        max(int(rng.integers(1, most)), d * (k - 1) + 1 - sum(p))
        for k, d, p in zip(kernel, dilation, pads, strict=True)
    ]
    groups = int(rng.choice((1, 1, 1, 1, 2, 3, 32 if not small else 5)))
    channels = (1, 2, 3, 5, 16) if small else (1, 2, 3, 4, 7, 16, 33, 64, 128, 512)
    ic, oc = (groups * int(c) for c in rng.choice(channels, 2))
    if rng.random() < 0.15:  # depthwise, perhaps with a multiplier
        groups, oc = ic, ic * int(rng.integers(1, 4))
    n = int(rng.integers(1, 4))
    return cases.conv(n, ic, spatial, oc, kernel, stride, tuple(pads), dilation, groups)


@pytest.mark.parametrize("isa", FAST, indirect=True)
def test_no_problem_runs_on_the_reference_or_costs_more_than_direct_summation(isa):
    rng = np.random.default_rng(3)
    algorithms = set()
    for _ in range(700):
        case = random_problem(rng)
        for computation in COMPUTATIONS:
            for data_format in FORMATS:
                plan = explain(
                    computation,
                    case.input_shape,
                    case.weight_shape,
                    **case.window,
                    data_format=data_format,
                )
                assert plan.algorithm != "reference", case
                assert plan.relative_cost <= 1, (case, plan)
                assert (plan.relative_cost < 1) == (plan.algorithm == "winograd")
                assert plan.multiplications >= 0  # 0: all taps fall on the padding
                algorithms.add(plan.algorithm)
    assert algorithms == {"winograd", "direct", "positions", "depthwise"}


@pytest.mark.parametrize("layout", ["planar", "channels_last"])
def test_a_sample_of_them_gives_what_the_equation_says(layout, isa, dtype):
    rng = np.random.default_rng(5)
    change = cases.LAYOUTS[layout]
    tolerance = 1e-4 if dtype == np.float32 else 1e-12
    for _ in range(40):
        case = random_problem(rng, small=True)
        shapes = (case.input_shape, case.weight_shape, case.output_shape)
        x, w, dy = (rng.standard_normal(shape).astype(dtype) for shape in shapes)
        x, dy = change(x), change(dy)
        form = case.stride, case.pads, case.dilation, case.groups
        for result, expected in (
            (CONV[case.nd](x, w, None, **case.window), oracles.conv(x, w, *form)),
            (
                CONV_INPUT[case.nd](x.shape, w, dy, **case.window),
                oracles.conv_input(dy, w, case.spatial, *form),
            ),
            (
                CONV_WEIGHT[case.nd](x, w.shape, dy, **case.window),
                oracles.conv_weight(x, dy, case.kernel, *form),
            ),
        ):
            error = np.abs(result - expected).max() / max(np.abs(expected).max(), 1e-3)
            assert error < tolerance, case


@pytest.mark.parametrize("isa", FAST, indirect=True)
def test_the_choice_does_not_depend_on_the_batch_or_the_threads(isa):
    rng = np.random.default_rng(7)
    sizes = {}

    def choice(case, computation, data_format, n):
        x, w = operands((n, *case.input_shape[1:]), case.weight_shape, np.float32, data_format)
        found = _core.conv_plan(computation, x, w, **case.window, precision=None, algorithm=0)
        number = found["algorithm"]
        asked = _core.conv_plan(computation, x, w, **case.window, precision=None, algorithm=number)
        assert asked is not None, (case, "is refused when it is asked for")
        assert asked["algorithm"] == number
        size = sizes.setdefault(found["packed_key"], found["packed_size"])
        assert found["packed_size"] == size, case
        # In its last bit: one of two forms, either of which every call reads.
        return found["algorithm"], found["reason"], found["packed_key"] | 1, found["problem_key"]

    for _ in range(150):
        case = random_problem(rng)
        for computation in COMPUTATIONS:
            for data_format in FORMATS:
                with runtime.threads(1):
                    expected = choice(case, computation, data_format, 1)
                for threads, n in ((1, 64), (2, 1), (8, 64), (3, 5)):
                    with runtime.threads(threads):
                        assert choice(case, computation, data_format, n) == expected, case


def test_explain_reads_arrays_and_shapes_alike(isa):
    x, w = np.ones((2, 32, 20, 20), np.float32), np.ones((16, 32, 3, 3), np.float32)
    assert explain("forward", x, w) == explain("forward", x.shape, w.shape)
    assert explain("forward", x, w.shape) == explain("forward", x.shape, w)
    last = np.ones((2, 20, 20, 32), np.float32).transpose(0, 3, 1, 2)
    depthwise = np.ones((32, 1, 5, 5), np.float32)
    assert explain("forward", last, depthwise, groups=32) == explain(
        "forward", last.shape, depthwise.shape, groups=32, data_format="channels_last"
    )
    assert explain("forward", x[0], w).algorithm == explain("forward", x, w).algorithm


def test_explain_says_why():
    shapes = ((1, 64, 56, 56), (64, 64, 3, 3))
    plan = explain("forward", *shapes, padding=1)
    if runtime.isa() != "reference":
        assert plan.algorithm == "winograd"
        assert plan.multiplications < plan.direct_multiplications == 64 * 64 * 9 * 56 * 56
        assert str(plan) == f"forward: winograd, {plan.reason}"
        assert "F(" in plan.reason
        assert "instead of 9" in plan.reason
    assert "precision" in explain("forward", *shapes, precision="highest").reason
    with runtime.precision("highest"):
        assert "precision" in explain("forward", *shapes).reason
    assert "float32" in explain("forward", *shapes, dtype="float64").reason


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"computation": "sideways"}, ValueError, "computation: expected one of forward"),
        ({"data_format": "NHWC"}, ValueError, "data_format: expected 'channels_first'"),
        ({"precision": "low"}, ValueError, "precision: expected 'high'"),
        ({"input": (1, 3, 8)}, ValueError, "weight: expected"),
        ({"input": (1, -3, 8, 8)}, ValueError, "input: expected a shape without negative"),
        ({"weight": (4, 3)}, ValueError, "weight: expected 3 to 5 dimensions, got 2"),
        ({"weight": (4, 5, 3, 3)}, ValueError, "weight"),
        ({"groups": 0}, ValueError, "groups: expected"),
        ({"stride": 1.5}, TypeError, "stride: expected an int"),
        ({"dtype": "int8"}, TypeError, "dtype int8 is not supported"),
    ],
)
def test_wrong_calls_say_what_is_wrong(change, error, message):
    arguments = {"computation": "forward", "input": (1, 3, 8, 8), "weight": (4, 3, 3, 3), **change}
    with pytest.raises(error, match=message.replace("(", r"\(")):
        explain(**arguments)
