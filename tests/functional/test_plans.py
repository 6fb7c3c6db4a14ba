"""explain, autotune and PackedWeight: one choice behind all of them, and what it promises."""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
import sys
import threading

import cases
import numpy as np
import oracles
import pytest
from ops import CONV, CONV_INPUT, CONV_TRANSPOSE, CONV_WEIGHT, FAST

import fastconv
from fastconv import _core, autotune, explain, plans, runtime
from fastconv.functional import PackedWeight, conv2d
from fastconv.grad import conv2d_input
from fastconv.plans.explanation import operands

COMPUTATIONS = ("forward", "backward_input", "backward_weight")
FORMATS = ("channels_first", "channels_last")


@pytest.fixture(autouse=True)
def no_choices():
    plans.clear_choices()
    yield
    plans.clear_choices()


def window(case):
    return {
        "stride": case.stride,
        "padding": case.pads,
        "dilation": case.dilation,
        "groups": case.groups,
    }


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


# ---- explain


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
                    **window(case),
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
            (CONV[case.nd](x, w, None, **window(case)), oracles.conv(x, w, *form)),
            (
                CONV_INPUT[case.nd](x.shape, w, dy, **window(case)),
                oracles.conv_input(dy, w, case.spatial, *form),
            ),
            (
                CONV_WEIGHT[case.nd](x, w.shape, dy, **window(case)),
                oracles.conv_weight(x, dy, case.kernel, *form),
            ),
        ):
            error = np.abs(result - expected).max() / max(np.abs(expected).max(), 1e-3)
            assert error < tolerance, case


@pytest.mark.parametrize("isa", FAST, indirect=True)
def test_the_choice_does_not_depend_on_the_batch_or_the_threads(isa):
    rng = np.random.default_rng(7)

    def choice(case, computation, data_format, n):
        x, w = operands((n, *case.input_shape[1:]), case.weight_shape, np.float32, data_format)
        found = _core.conv_plan(computation, x, w, **window(case), precision=None, algorithm=0)
        return [
            found[name] for name in ("algorithm", "reason", "packed_key", "problem_key")
        ], found["packed_size"]

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


# ---- PackedWeight

#: Every form: each way in which Winograd and direct summation read filters.
PACKED = {
    "winograd": cases.conv(2, 20, (18, 19), 33, 3, padding=1),
    "few tiles, many filters": cases.conv(2, 24, (7, 7), 70, 3, padding=1),
    "groups": cases.conv(2, 48, (12, 11), 54, 3, padding=1, groups=3),
    "strided": cases.conv(2, 18, (21, 20), 40, 3, 2, ((0, 1), (1, 0))),
    "first layer": cases.conv(1, 3, (40, 41), 24, 7, 2, padding=3),
    "dilated": cases.conv(1, 17, (20, 23), 20, 3, padding=2, dilation=2),
    "folded signal": cases.conv(2, 18, (70,), 20, 9, padding=4),
    "volume": cases.conv(1, 16, (6, 9, 10), 18, 3, padding=1),
    "1x1": cases.conv(2, 40, (9, 10), 70, 1),
    "1x1 of 49 positions": cases.conv(1, 70, (7, 7), 130, 1),
    "1x1 strided": cases.conv(1, 40, (9, 10), 70, 1, 2),
    "large stride": cases.conv(1, 20, (30, 30), 20, 3, 5),
    "Nx1": cases.conv(1, 20, (30, 1), 20, (3, 1)),
    "depthwise": cases.conv(2, 24, (9, 9), 24, 3, padding=1, groups=24),
    "few outputs": cases.conv(2, 8, (30, 40), 2, 3, padding=1),
}


@pytest.mark.parametrize("precision", ["high", "highest"])
@pytest.mark.parametrize("layout", ["planar", "channels_last", "strided"])
@pytest.mark.parametrize("name", PACKED)
def test_packed_filters_give_the_same_bits(name, layout, precision, isa, dtype, rng):
    case, change = PACKED[name], cases.LAYOUTS[layout]
    x, dy = (
        change(rng.standard_normal(shape).astype(dtype))
        for shape in (case.input_shape, case.output_shape)
    )
    w = cases.LAYOUTS["reversed"](rng.standard_normal(case.weight_shape).astype(dtype))
    packed = PackedWeight(w)
    assert packed.weight is w
    forward, backward = CONV[case.nd], CONV_INPUT[case.nd]
    with runtime.precision(precision):
        y = forward(x, w, **window(case))
        dx = backward(x.shape, w, dy, **window(case))
        for threads in (1, 2, 3, 8):
            with runtime.threads(threads):
                for _ in range(2):
                    assert np.array_equal(forward(x, packed, **window(case)), y)
                    assert np.array_equal(backward(x.shape, packed, dy, **window(case)), dx)
        forms = packed.nbytes
        for n in (0, 1):  # of a batch, with the same forms
            assert np.array_equal(forward(x[:n], packed, **window(case)), y[:n])
        many = change(np.concatenate([x] * 30))
        assert np.array_equal(forward(many, packed, **window(case))[-case.n :], y)
        assert packed.nbytes == forms
        if name in ("winograd", "1x1", "strided", "groups") and isa != "reference":
            assert forms > 0


@pytest.mark.parametrize("output_padding", [0, 1])
def test_packed_filters_in_transposed_convolutions(output_padding, isa, rng):
    x = rng.standard_normal((2, 20, 11, 12)).astype(np.float32)
    w = rng.standard_normal((20, 18, 3, 3)).astype(np.float32)
    packed = PackedWeight(w)
    for options in (
        {"stride": 2, "padding": 1, "output_padding": output_padding},
        {"padding": 1},
        {"dilation": 2, "output_padding": output_padding},
    ):
        expected = CONV_TRANSPOSE[2](x, w, **options)
        assert np.array_equal(CONV_TRANSPOSE[2](x, packed, **options), expected)


def test_packed_filters_with_an_epilogue_and_without_a_batch(isa, rng):
    x, residual, bias = (
        rng.standard_normal(shape).astype(np.float32)
        for shape in ((32, 14, 14), (24, 12, 12), (24,))
    )
    w = rng.standard_normal((24, 32, 3, 3)).astype(np.float32)
    options = {"activation": "relu", "residual": residual}
    expected = conv2d(x, w, bias, **options)
    assert np.array_equal(conv2d(x, PackedWeight(w), bias, **options), expected)


@pytest.mark.parametrize("special", [np.inf, np.nan])
def test_packed_filters_leave_special_values_where_they_belong(special, isa, rng):
    x = rng.standard_normal((2, 16, 12, 12)).astype(np.float32)
    w = rng.standard_normal((16, 16, 3, 3)).astype(np.float32)
    x[0, 3, 5, 6] = w[2, 3, 1, 1] = special
    with np.errstate(invalid="ignore"):
        assert np.array_equal(conv2d(x, PackedWeight(w)), conv2d(x, w), equal_nan=True)


def test_changed_weights_are_packed_again(isa, rng):
    x = rng.standard_normal((1, 16, 9, 9)).astype(np.float32)
    w = rng.standard_normal((16, 16, 3, 3)).astype(np.float32)
    packed = PackedWeight(w)
    conv2d(x, packed)
    w += 1
    packed.invalidate()
    assert packed.nbytes == 0
    assert np.array_equal(conv2d(x, packed), conv2d(x, w))
    other = rng.standard_normal((8, 16, 5, 5)).astype(np.float32)
    packed.update(other)
    assert np.array_equal(conv2d(x, packed), conv2d(x, other))
    packed.update(other.astype(np.float64))
    wide = x.astype(np.float64)
    assert np.array_equal(conv2d(wide, packed), conv2d(wide, packed.weight))


def test_wrong_packed_weights_say_what_is_wrong():
    x, w = np.ones((1, 3, 8, 8), np.float32), np.ones((4, 3, 3, 3), np.float32)
    with pytest.raises(TypeError, match="weight: expected an array, got PackedWeight"):
        PackedWeight(PackedWeight(w))
    with pytest.raises(TypeError, match="weight: "):
        PackedWeight(object())
    with pytest.raises(ValueError, match="weight"):
        conv2d(x, PackedWeight(w[:, :2]))
    with pytest.raises(TypeError, match="dtype"):
        conv2d(x, PackedWeight(w.astype(np.float64)))
    with pytest.raises(ValueError, match="grad_output"):
        conv2d_input((1, 3, 8, 8), PackedWeight(w), np.ones((1, 4, 9, 9), np.float32))


def test_many_threads_share_one(rng):
    x = rng.standard_normal((1, 16, 12, 12)).astype(np.float32)
    weights = [rng.standard_normal((16, 16, 3, 3)).astype(np.float32) for _ in range(2)]
    expected = [conv2d(x, w) for w in weights]
    packed = PackedWeight(weights[0])
    wrong = []

    def work():
        for _ in range(200):
            y = conv2d(x, packed)
            if not any(np.array_equal(y, e) for e in expected):
                wrong.append(y)

    workers = [threading.Thread(target=work) for _ in range(6)]
    for worker in workers:
        worker.start()
    for i in range(200):
        packed.update(weights[i % 2])
    for worker in workers:
        worker.join()
    assert not wrong


# ---- the C interface of packed filters


class Tensor(ctypes.Structure):
    _fields_ = (
        ("struct_size", ctypes.c_size_t),
        ("data", ctypes.c_void_p),
        ("dtype", ctypes.c_int32),
        ("ndim", ctypes.c_int32),
        ("shape", ctypes.c_int64 * 5),
        ("strides", ctypes.c_int64 * 5),
    )


class Params(ctypes.Structure):
    _fields_ = (
        ("struct_size", ctypes.c_size_t),
        ("spatial_ndim", ctypes.c_int32),
        ("padding_mode", ctypes.c_int32),
        ("groups", ctypes.c_int64),
        ("stride", ctypes.c_int64 * 3),
        ("dilation", ctypes.c_int64 * 3),
        ("pads", ctypes.c_int64 * 6),
    )


class Exec(ctypes.Structure):
    _fields_ = (
        ("struct_size", ctypes.c_size_t),
        ("num_threads", ctypes.c_int32),
        ("precision", ctypes.c_int32),
        ("workspace", ctypes.c_void_p),
        ("workspace_size", ctypes.c_size_t),
        ("packed_weight", ctypes.c_void_p),
        ("packed_weight_size", ctypes.c_size_t),
        ("algorithm", ctypes.c_int32),
        ("reserved", ctypes.c_int32),
    )


class Info(ctypes.Structure):
    _fields_ = (
        ("struct_size", ctypes.c_size_t),
        ("algorithm", ctypes.c_int32),
        ("reserved", ctypes.c_int32),
        ("name", ctypes.c_char * 32),
        ("reason", ctypes.c_char * 160),
        ("relative_cost", ctypes.c_double),
        ("multiplications", ctypes.c_int64),
        ("direct_multiplications", ctypes.c_int64),
        ("workspace_size", ctypes.c_size_t),
        ("packed_size", ctypes.c_size_t),
        ("packed_key", ctypes.c_uint64),
        ("problem_key", ctypes.c_uint64),
    )


def tensor(a):
    strides = [s // a.itemsize for s in a.strides]
    return Tensor(
        ctypes.sizeof(Tensor),
        a.ctypes.data,
        0,
        a.ndim,
        (ctypes.c_int64 * 5)(*a.shape),
        (ctypes.c_int64 * 5)(*strides),
    )


class Client:
    """A C program with one convolution, 16 to `outputs` channels and 3x3."""

    def __init__(self, outputs=16, **options):
        self.library = ctypes.CDLL("libfastconv.so")  # the one that is loaded
        self.library.fastconv_last_error.restype = ctypes.c_char_p
        rng = np.random.default_rng(0)
        self.arrays = [
            rng.standard_normal(shape).astype(np.float32)
            for shape in ((1, outputs, 10, 10), (1, 16, 12, 12), (outputs, 16, 3, 3))
        ]
        self.tensors = [ctypes.byref(tensor(a)) for a in self.arrays]
        one = (ctypes.c_int64 * 3)(1, 1, 1)
        self.params = Params(ctypes.sizeof(Params), 2, 0, 1, one, one)
        self.exec = Exec(ctypes.sizeof(Exec), **options)
        self.info = Info(ctypes.sizeof(Info))

    def plan(self):
        return self.call("conv_plan", ctypes.byref(self.info), 0, *self.tensors)

    def pack(self, size=None):
        size = self.info.packed_size if size is None else size
        memory = np.zeros(self.info.packed_size + 1024, np.uint8)
        begin = -memory.ctypes.data % 64
        buffer, beyond = np.split(memory[begin:], [self.info.packed_size])
        pointer = ctypes.c_void_p(buffer.ctypes.data)
        error = self.call("conv_pack_weight", pointer, ctypes.c_size_t(size), 0, *self.tensors)
        assert not beyond.any()
        return error or buffer

    def run(self, packed=None, size=None):
        if packed is not None:
            self.exec.packed_weight = packed.ctypes.data
            self.exec.packed_weight_size = packed.size if size is None else size
        return self.call("conv_forward", *self.tensors, None)

    def call(self, name, *arguments):
        arguments = (*arguments, ctypes.byref(self.params), ctypes.byref(self.exec))
        if getattr(self.library, f"fastconv_{name}")(*arguments) == 0:
            return None
        return self.library.fastconv_last_error().decode()


@pytest.mark.parametrize("isa", FAST, indirect=True)
def test_a_buffer_that_does_not_fit_is_an_error(isa):
    client, other = Client(), Client(32)
    assert client.plan() is None
    assert other.plan() is None
    assert client.info.packed_key != other.info.packed_key
    assert "buffer: expected" in client.pack(size=client.info.packed_size - 1)
    packed = client.pack()
    assert "packed_weight: expected" in client.run(packed, packed.size - 1)
    assert "packed_weight: expected 64-byte alignment" in client.run(packed[4:], packed.size)
    assert "packed in another form" in client.run(other.pack())
    packed[0] ^= 1
    assert "got other bytes" in client.run(packed)
    packed[0] ^= 1
    expected = conv2d(client.arrays[1], client.arrays[2])
    assert client.run(packed) is None
    assert np.array_equal(client.arrays[0], expected)


@pytest.mark.parametrize("isa", FAST, indirect=True)
def test_an_algorithm_that_does_not_apply_is_an_error(isa):
    client = Client(algorithm=3)  # depthwise
    assert "algorithm: number 3 does not apply" in client.plan()
    assert "algorithm: number 3 does not apply" in client.run()
    client.exec.algorithm = 1000
    assert "algorithm: expected 0 to 143, got 1000" in client.run()


def test_a_caller_of_the_first_version_needs_no_new_fields():
    client = Client(packed_weight=1, algorithm=1000)  # beyond the end of its struct
    client.exec.struct_size = Exec.packed_weight.offset
    assert client.run() is None
    client.exec.struct_size -= 1
    assert "exec: struct_size is" in client.run()


# ---- candidates and autotune

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
        if _core.conv_plan(computation, x, w, **window(case), **asked) is None:
            continue
        ran += 1
        results = []
        for threads in (1, 2, 3, 8):
            with runtime.threads(threads):
                arrays[which][:] = 0
                _core.conv_by(algorithm, computation, *arrays, **window(case), precision=None)
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
    import doctest

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
