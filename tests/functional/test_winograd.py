"""3x3 convolutions in float32 run Winograd's algorithm: its accuracy, bits and special values."""

from __future__ import annotations

import cases
import numpy as np
import oracles
import pytest

from fastconv import functional as F
from fastconv import grad, runtime

#: Around the tile of 4, the block of 16 channels and the panels of filters; both modes (many
#: tiles, and few tiles under many filters); groups; padding that reaches beyond a tile.
PROBLEMS = {
    "tile": cases.conv(1, 16, (6, 6), 16, 3),
    "tile and one": cases.conv(2, 17, (7, 9), 33, 3),
    "tile less one": cases.conv(3, 31, (13, 14), 40, 3, padding=1),
    "few tiles, many filters": cases.conv(2, 24, (7, 7), 70, 3, padding=1),
    "groups": cases.conv(2, 48, (12, 11), 54, 3, padding=1, groups=3),
    "uneven padding": cases.conv(1, 16, (9, 10), 16, 3, padding=((0, 2), (3, 1))),
    "wide": cases.conv(1, 18, (5, 300), 20, 3, padding=1),
    "several blocks": cases.conv(2, 32, (45, 50), 32, 3, padding=1),
}

DATA = {
    "normal": lambda rng, shape: rng.standard_normal(shape),
    "constant": lambda rng, shape: np.full(shape, 0.7),
    "large mean": lambda rng, shape: 100 + rng.standard_normal(shape),
    "heavy tails": lambda rng, shape: rng.standard_t(2, shape),
}

COMPUTATIONS = ("forward", "backward_input", "backward_weight")


def compute(case, computation, x, w, dy):
    if computation == "forward":
        return F.conv2d(x, w, **case.window)
    if computation == "backward_input":
        return grad.conv2d_input(x.shape, w, dy, **case.window)
    return grad.conv2d_weight(x, w.shape, dy, **case.window)


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
    assert error(direct, reference) < 3e-6
    if isa != "reference":
        assert not np.array_equal(fast, direct), "the fast algorithm was not in use"


@pytest.mark.parametrize("computation", COMPUTATIONS)
@pytest.mark.parametrize("data", DATA)
def test_error_on_data_that_is_not_normal(data, computation, isa, rng):
    case = PROBLEMS["several blocks"]
    x, w, dy = operands(case, rng, DATA[data])
    reference = expected(case, computation, x, w, dy)
    assert error(compute(case, computation, x, w, dy), reference) < 1e-4


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


@pytest.mark.parametrize("name", ["few tiles, many filters", "tile less one", "groups"])
def test_an_image_has_the_same_bits_alone_and_in_any_batch(name, isa, rng):
    case = PROBLEMS[name]
    x, w, dy = operands(case, rng)
    many = np.concatenate([x] * 20), np.concatenate([dy] * 20)
    y, dx = F.conv2d(x, w, **case.window), grad.conv2d_input(x.shape, w, dy, **case.window)
    assert np.array_equal(F.conv2d(x[:1], w, **case.window), y[:1])
    assert np.array_equal(F.conv2d(many[0], w, **case.window)[-case.n :], y)
    alone = grad.conv2d_input(x[:1].shape, w, dy[:1], **case.window)
    assert np.array_equal(alone, dx[:1])
    dx_many = grad.conv2d_input(many[0].shape, w, many[1], **case.window)
    assert np.array_equal(dx_many[-case.n :], dx)


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
            assert np.allclose(fast[finite], direct[finite], rtol=1e-3, atol=1e-3)


def test_sums_that_overflow_only_on_the_way_are_finite(isa):
    x = np.full((1, 16, 8, 8), 2e38, np.float32)
    w = np.zeros((16, 16, 3, 3), np.float32)
    w[:, 0, 1, 1] = 1
    assert np.array_equal(F.conv2d(x, w), np.full((1, 16, 6, 6), 2e38, np.float32))


def test_precision_is_of_the_thread_and_restored(rng):
    with pytest.raises(ValueError, match="precision: expected 'high' or 'highest', got 'low'"):
        runtime.precision("low").__enter__()
    case = PROBLEMS["tile"]
    x, w, _ = operands(case, rng)
    before = F.conv2d(x, w)
    with pytest.raises(ZeroDivisionError), runtime.precision("highest"):
        raise ZeroDivisionError
    assert np.array_equal(F.conv2d(x, w), before)
