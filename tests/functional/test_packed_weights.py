"""PackedWeight: the bits of the filters it was made from, in every form."""

from __future__ import annotations

import threading

import cases
import numpy as np
import pytest
from bfloat16_problems import BFLOAT16
from ops import CONV, CONV_INPUT, CONV_TRANSPOSE, FAST

from fastconv import _core, plans, runtime
from fastconv.functional import PackedWeight, conv2d
from fastconv.grad import conv2d_input

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
        y = forward(x, w, **case.window)
        dx = backward(x.shape, w, dy, **case.window)
        for threads in (1, 2, 3, 8):
            with runtime.threads(threads):
                for _ in range(2):
                    assert np.array_equal(forward(x, packed, **case.window), y)
                    assert np.array_equal(backward(x.shape, packed, dy, **case.window), dx)
        many = change(np.concatenate([x] * 30))
        for n in (0, 1):
            assert np.array_equal(forward(x[:n], packed, **case.window), y[:n])
        assert np.array_equal(forward(many, packed, **case.window)[-case.n :], y)
        forms = packed.nbytes  # one for few tiles, and one for many
        assert np.array_equal(forward(x[:1], packed, **case.window), y[:1])
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


@pytest.mark.parametrize("images", [1, 20])
@pytest.mark.parametrize("dtype", [np.float32, BFLOAT16])
@pytest.mark.parametrize("special", [np.inf, np.nan])
def test_packed_filters_leave_special_values_where_they_belong(special, dtype, images, isa, rng):
    x = rng.standard_normal((images, 16, 12, 12)).astype(dtype)
    w = rng.standard_normal((16, 16, 3, 3)).astype(dtype)
    for spoilt in ("image", "both"):
        x[0, 3, 5, 6] = special
        if spoilt == "both":
            w[2, 3, 1, 1] = special
        with np.errstate(invalid="ignore"):
            found, expected = (
                conv2d(x, weight).astype(np.float32) for weight in (PackedWeight(w), w)
            )
        assert np.array_equal(found, expected, equal_nan=True)


@pytest.mark.parametrize("isa", FAST, indirect=True)
def test_filters_packed_by_a_large_batch_of_bfloat16(isa, rng):
    """Which is computed in portions."""
    x = rng.standard_normal((16, 64, 40, 40), np.float32).astype(BFLOAT16)
    w = rng.standard_normal((64, 64, 3, 3), np.float32).astype(BFLOAT16)
    packed = PackedWeight(w)
    expected = conv2d(x, w)
    assert np.array_equal(conv2d(x, packed), expected)
    assert np.array_equal(conv2d(x[:1], packed), expected[:1])


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


@pytest.mark.parametrize("isa", FAST, indirect=True)
def test_a_choice_made_after_packing_is_followed(isa, rng):
    x = rng.standard_normal((1, 32, 20, 20)).astype(np.float32)
    w = rng.standard_normal((32, 32, 3, 3)).astype(np.float32)
    packed = PackedWeight(w)
    fast = conv2d(x, packed, padding=1)
    with runtime.precision("highest"):
        direct = conv2d(x, packed, padding=1)
    key = _core.conv_plan("forward", x, w, 1, 1, 1, 1, None, 0)["problem_key"]
    _core.set_choice(key, 1)
    try:
        np.testing.assert_array_equal(conv2d(x, packed, padding=1), direct)
        np.testing.assert_array_equal(conv2d(x, w, padding=1), direct)
    finally:
        plans.clear_choices()
    np.testing.assert_array_equal(conv2d(x, packed, padding=1), fast)
    assert not np.array_equal(fast, direct)


def test_calls_of_more_kinds_than_are_remembered(isa, rng):
    w = rng.standard_normal((4, 3, 3, 3)).astype(np.float32)
    packed = PackedWeight(w)
    for columns in (*range(3, 300), 3):
        x = rng.standard_normal((1, 3, 3, columns)).astype(np.float32)
        np.testing.assert_array_equal(conv2d(x, packed), conv2d(x, w))


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
