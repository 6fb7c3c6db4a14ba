"""Winograd's algorithm on images of few tiles, whose filters are transformed on the way."""

from __future__ import annotations

import cases
import numpy as np
import oracles
import pytest
from ops import CONV, FAST

from fastconv import _core, plans, runtime
from fastconv.functional import PackedWeight

pytestmark = pytest.mark.parametrize("isa", FAST, indirect=True)

#: For each of them every cover: tiles of every transform, one to sixteen of them in an image;
#: 70 channels are more than a kernel takes at once, of blocks of 16 the last not full; a panel of
#: filters that is not full, and one of a single vector.
PROBLEMS = {
    f"{name}, {height}x{width}": cases.conv(
        2, 70, (height * options.get("stride", 1), width), filters, kernel, **options
    )
    for name, filters, kernel, options in (
        ("3x3", 72, 3, {"padding": 1}),
        ("3x3, unequal padding", 36, 3, {"padding": ((0, 2), (1, 0))}),
        ("5x5", 40, 5, {"padding": 2}),
        ("3x3 stride 2", 48, 3, {"stride": 2, "padding": 1}),
        ("4x4 stride 2", 33, 4, {"stride": 2, "padding": 1}),
        ("3x3 dilation 2", 34, 3, {"dilation": 2, "padding": 2}),
    )
    for height, width in ((5, 8), (7, 7), (9, 14), (13, 13))
}


@pytest.fixture(autouse=True)
def no_choices():
    plans.clear_choices()
    yield
    plans.clear_choices()


@pytest.mark.parametrize("name", PROBLEMS)
def test_an_image_alone_has_the_bits_of_a_large_batch_by_every_cover(name, isa, rng):
    case = PROBLEMS[name]
    forward = CONV[case.nd]
    x = rng.standard_normal((40, *case.input_shape[1:])).astype(np.float32)
    w = rng.standard_normal(case.weight_shape).astype(np.float32)
    window = case.stride, case.pads, case.dilation, case.groups
    expected = oracles.conv(x[:2], w, *window)
    ran = 0
    for algorithm in range(16, _core.conv_algorithms()):
        asked = _core.conv_plan("forward", x, w, **case.window, precision=None, algorithm=algorithm)
        if asked is None:
            continue
        ran += 1
        _core.set_choice(asked["problem_key"], algorithm)
        many = forward(x, w, **case.window)
        assert np.abs(many[:2] - expected).max() < 1e-4 * np.abs(expected).max()
        packed = PackedWeight(w)
        for weight in (w, packed):
            for n in (1, 2, 3, 40):
                for threads in (1, 3):
                    with runtime.threads(threads):
                        some = forward(x[-n:], weight, **case.window)
                    assert np.array_equal(some, many[-n:]), (algorithm, n)
    assert ran > 0


@pytest.mark.parametrize("special", [np.inf, np.nan])
@pytest.mark.parametrize("name", ["3x3, 7x7", "5x5, 7x7", "3x3 stride 2, 13x13"])
def test_special_values_of_filters_and_images_stay_where_they_belong(name, special, isa, rng):
    case = PROBLEMS[name]
    forward = CONV[case.nd]
    for which in range(2):
        x, w = (
            rng.standard_normal(shape).astype(np.float32)
            for shape in ((1, *case.input_shape[1:]), case.weight_shape)
        )
        (x, w)[which].reshape(-1)[rng.integers((x, w)[which].size)] = special
        with np.errstate(invalid="ignore"):
            fast = forward(x, PackedWeight(w), **case.window)
            with runtime.precision("highest"):
                direct = forward(x, w, **case.window)
        assert np.array_equal(np.isfinite(fast), np.isfinite(direct))
        assert np.array_equal(fast[~np.isfinite(fast)], direct[~np.isfinite(fast)], equal_nan=True)
