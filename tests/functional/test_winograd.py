"""Convolutions in float32 run Winograd's algorithm: its accuracy, bits and special values."""

from __future__ import annotations

import cases
import numpy as np
import oracles
import pytest
from ops import CONV, CONV_INPUT, CONV_WEIGHT, FAST

from fastconv import functional as F
from fastconv import runtime

#: Around the tile of 4, the block of 16 channels and the panels of filters; both modes (many
#: tiles, and few tiles under many filters); groups; padding that reaches beyond a tile.
PROBLEMS = {
    "tile and a half": cases.conv(1, 16, (8, 8), 16, 3),
    "tile and one": cases.conv(2, 17, (7, 9), 33, 3),
    "tile less one": cases.conv(3, 31, (13, 14), 40, 3, padding=1),
    "few tiles, many filters": cases.conv(2, 24, (7, 7), 70, 3, padding=1),
    "one image in parts": cases.conv(1, 41, (8, 9), 130, 3, padding=1),
    "one image in parts, groups": cases.conv(1, 80, (7, 7), 192, 3, padding=1, groups=2),
    "groups": cases.conv(2, 48, (12, 11), 54, 3, padding=1, groups=3),
    "uneven padding": cases.conv(1, 16, (9, 10), 16, 3, padding=((0, 2), (3, 1))),
    "wide": cases.conv(1, 18, (5, 300), 20, 3, padding=1),
    "several blocks": cases.conv(2, 32, (45, 50), 32, 3, padding=1),
    "F(6, 3)": cases.conv(1, 64, (36, 36), 64, 3, padding=1),
    "5x5": cases.conv(2, 17, (13, 9), 33, 5, padding=2),
    "4x4": cases.conv(1, 16, (11, 12), 20, 4, padding=((1, 2), (2, 1))),
    "2x2": cases.conv(1, 40, (12, 12), 64, 2),
    "7x7 in pieces": cases.conv(1, 16, (17, 15), 32, 7, padding=3),
    "3x3 stride 2": cases.conv(2, 40, (43, 46), 64, 3, stride=2, padding=1),
    "3x3 stride 2, many channels": cases.conv(3, 104, (43, 46), 96, 3, stride=2, padding=1),
    "5x5 stride 2": cases.conv(2, 17, (18, 21), 33, 5, stride=2, padding=2),
    "7x7 stride 2, colours": cases.conv(2, 3, (30, 33), 40, 7, stride=2, padding=3),
    "7x7 stride 2, six channels": cases.conv(2, 6, (30, 33), 40, 7, stride=2, padding=3),
    "11x11 stride 4, colours": cases.conv(1, 3, (59, 63), 48, 11, stride=4, padding=2),
    "8x8 stride 4": cases.conv(1, 18, (56, 52), 32, 8, stride=4),
    "5x3 stride 3, 1": cases.conv(1, 16, (31, 19), 32, (5, 3), stride=(3, 1), padding=1),
    "dilation": cases.conv(1, 20, (23, 26), 40, 3, padding=2, dilation=2),
    "dilation in columns": cases.conv(1, 16, (10, 40), 32, 3, padding=3, dilation=(1, 3)),
    "1x3": cases.conv(2, 32, (9, 21), 40, (1, 3), padding=((0, 0), (1, 1))),
    "3x1": cases.conv(2, 32, (21, 9), 40, (3, 1), padding=((1, 1), (0, 0))),
    "1-D": cases.conv(2, 32, (70,), 40, 3, padding=1),
    "1-D folded": cases.conv(2, 17, (100,), 33, 9, padding=4),
    "1-D folded, uneven taps": cases.conv(1, 16, (90,), 32, 7),
    "1-D long": cases.conv(1, 16, (211,), 16, 31, padding=15),
    "1-D dilation": cases.conv(1, 64, (400,), 64, 2, dilation=8),
    "1-D stride": cases.conv(1, 32, (101,), 48, 7, stride=2, padding=3),
    "3-D": cases.conv(1, 17, (7, 9, 10), 33, 3, padding=1),
    "3-D stride in the plane": cases.conv(1, 64, (6, 31, 31), 64, 3, stride=(1, 2, 2), padding=1),
    "3-D stride in depth": cases.conv(2, 16, (9, 8, 11), 32, 3, stride=(2, 1, 1), padding=1),
}
pytestmark = pytest.mark.parametrize("isa", FAST, indirect=True)

#: A float32 direct sum stays below this, however it is ordered.
DIRECT_ERROR = 3e-6

DATA = {
    "normal": lambda rng, shape: rng.standard_normal(shape),
    "constant": lambda rng, shape: np.full(shape, 0.7),
    "large mean": lambda rng, shape: 100 + rng.standard_normal(shape),
    "heavy tails": lambda rng, shape: rng.standard_t(2, shape),
}

COMPUTATIONS = ("forward", "backward_input", "backward_weight")


def compute(case, computation, x, w, dy):
    if computation == "forward":
        return CONV[case.nd](x, w, **case.window)
    if computation == "backward_input":
        return CONV_INPUT[case.nd](x.shape, w, dy, **case.window)
    return CONV_WEIGHT[case.nd](x, w.shape, dy, **case.window)


def is_fast(case, computation):
    """The gradients of a strided depth, and of filters of few channels, are summed directly."""
    if computation == "backward_weight" and case.weight_shape[1] < 6:
        return case.stride[-1] >= 4
    return computation != "backward_input" or case.nd < 3 or case.stride[0] == 1


def expected(case, computation, x, w, dy):
    x, w, dy = (a.astype(np.float64) for a in (x, w, dy))
    window = case.stride, case.pads, case.dilation, case.groups
    if computation == "forward":
        return oracles.conv(x, w, *window)
    if computation == "backward_input":
        return oracles.conv_input(dy, w, case.spatial, *window)
    return oracles.conv_weight(x, dy, case.kernel, *window)


def operands(case, rng, make=DATA["normal"]):
    return (
        make(rng, case.input_shape).astype(np.float32),
        rng.standard_normal(case.weight_shape).astype(np.float32),
        make(rng, case.output_shape).astype(np.float32),
    )


def error(result, reference):
    return np.abs(result - reference).max() / np.abs(reference).max()


@pytest.mark.parametrize("computation", COMPUTATIONS)
@pytest.mark.parametrize("name", PROBLEMS)
def test_fast_and_direct_sums_are_as_exact_as_promised(name, computation, isa, rng):
    case = PROBLEMS[name]
    x, w, dy = operands(case, rng)
    reference = expected(case, computation, x, w, dy)
    fast = compute(case, computation, x, w, dy)
    with runtime.precision("highest"):
        direct = compute(case, computation, x, w, dy)
    assert error(fast, reference) < 1e-4
    assert error(direct, reference) < DIRECT_ERROR
    if is_fast(case, computation):
        assert not np.array_equal(fast, direct), "the fast algorithm was not in use"


#: One for each pair of transforms.
COVERS = [
    "several blocks",
    "F(6, 3)",
    "5x5",
    "4x4",
    "3x3 stride 2",
    "5x5 stride 2",
    "7x7 stride 2, colours",
    "7x7 stride 2, six channels",
    "11x11 stride 4, colours",
    "1-D folded",
    "3-D",
]


@pytest.mark.parametrize("computation", COMPUTATIONS)
@pytest.mark.parametrize("data", DATA)
@pytest.mark.parametrize("name", COVERS)
def test_error_on_data_that_is_not_normal(name, data, computation, isa, rng):
    case = PROBLEMS[name]
    x, w, dy = operands(case, rng, DATA[data])
    reference = expected(case, computation, x, w, dy)
    assert error(compute(case, computation, x, w, dy), reference) < 1e-4


@pytest.mark.parametrize("name", COVERS)
def test_error_of_filters_that_cancel_a_large_mean(name, isa, rng):
    """Against what is summed, the largest input times a filter's magnitudes: little is left."""
    case = PROBLEMS[name]
    x, w, dy = operands(case, rng, DATA["large mean"])
    w -= w.mean(axis=tuple(range(1, w.ndim)), keepdims=True)
    reference = expected(case, "forward", x, w, dy)
    summed = np.abs(x).max() * np.abs(w).sum(axis=tuple(range(1, w.ndim))).max()
    assert np.abs(compute(case, "forward", x, w, dy) - reference).max() < 1e-4 * summed


@pytest.mark.parametrize("computation", COMPUTATIONS)
@pytest.mark.parametrize("name", PROBLEMS)
def test_bits_do_not_depend_on_threads_or_layout_of_the_call(name, computation, isa, rng):
    case = PROBLEMS[name]
    x, w, dy = operands(case, rng)
    with runtime.threads(1):
        once = compute(case, computation, x, w, dy)
    for count in (2, 3, 8):
        with runtime.threads(count):
            assert np.array_equal(compute(case, computation, x, w, dy), once)


@pytest.mark.parametrize("name", PROBLEMS)
def test_an_image_has_the_same_bits_alone_and_in_any_batch(name, isa, rng):
    case = PROBLEMS[name]
    x, w, dy = operands(case, rng)
    many = np.concatenate([x] * 20), np.concatenate([dy] * 20)
    for computation in ("forward", "backward_input"):
        some = compute(case, computation, x, w, dy)
        alone = compute(case, computation, x[:1], w, dy[:1])
        batch = compute(case, computation, many[0], w, many[1])
        assert np.array_equal(alone, some[:1])
        assert np.array_equal(batch[-case.n :], some)


@pytest.mark.parametrize("layout", ["channels_last", "strided", "reversed"])
@pytest.mark.parametrize("name", PROBLEMS)
def test_layouts_agree(name, layout, isa, rng):
    case = PROBLEMS[name]
    arrays = operands(case, rng)
    change = cases.LAYOUTS[layout]
    for computation in COMPUTATIONS:
        planar = compute(case, computation, *arrays)
        other = compute(case, computation, *map(change, arrays))
        assert np.allclose(other, planar, rtol=0, atol=1e-4 * np.abs(planar).max())


@pytest.mark.parametrize("special", [np.inf, -np.inf, np.nan])
@pytest.mark.parametrize("name", PROBLEMS)
def test_special_values_appear_where_direct_summation_puts_them(name, special, isa, rng):
    case = PROBLEMS[name]
    for which in range(3):
        arrays = operands(case, rng)
        spoilt = arrays[which].reshape(-1)
        spoilt[rng.integers(spoilt.size)] = special
        for computation in COMPUTATIONS:
            with np.errstate(invalid="ignore"):
                fast = compute(case, computation, *arrays)
                with runtime.precision("highest"):
                    direct = compute(case, computation, *arrays)
            finite = np.isfinite(direct)
            assert np.array_equal(np.isfinite(fast), finite)
            assert np.array_equal(fast[~finite], direct[~finite], equal_nan=True)
            limit = 1e-4 * np.abs(direct[finite]).max(initial=0)
            assert np.allclose(fast[finite], direct[finite], rtol=0, atol=limit)


def test_sums_that_overflow_only_on_the_way_are_finite(isa):
    x = np.full((1, 16, 8, 8), 2e38, np.float32)
    w = np.zeros((16, 16, 3, 3), np.float32)
    w[:, 0, 1, 1] = 1
    assert np.array_equal(F.conv2d(x, w), np.full((1, 16, 6, 6), 2e38, np.float32))


def test_precision_is_of_the_thread_and_restored(isa, rng):
    with pytest.raises(ValueError, match="precision: expected 'high' or 'highest', got 'low'"):
        runtime.precision("low").__enter__()
    case = PROBLEMS["tile and a half"]
    x, w, _ = operands(case, rng)
    before = F.conv2d(x, w)
    with pytest.raises(ZeroDivisionError), runtime.precision("highest"):
        raise ZeroDivisionError
    assert np.array_equal(F.conv2d(x, w), before)
