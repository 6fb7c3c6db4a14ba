"""The ways to quantized tensors and back."""

from __future__ import annotations

import numpy as np
import pytest

from fastconv import functional as F


@pytest.mark.parametrize("dtype", [np.uint8, np.int8])
def test_quantize_rounds_to_even_and_saturates(dtype):
    limits = np.iinfo(dtype)
    x = np.float32([-np.inf, -1e30, -1.5, -0.5, -0.0, 0.5, 1.5, 2.5, 1e30, np.inf, np.nan])
    y = F.quantize_linear(x, 1.0, np.array(10, dtype))
    ends = [limits.min, limits.min, 8, 10, 10, 10, 12, 12, limits.max, limits.max, limits.min]
    assert y.tolist() == ends
    assert y.dtype == dtype


def test_quantize_and_back_is_off_by_half_a_step(rng):
    x = rng.uniform(-1, 1, (3, 5, 7)).astype(np.float32)
    scale, zero = np.float32([0.01, 0.02, 0.03, 0.04, 0.05]), np.uint8([128, 127, 100, 90, 80])
    back = F.dequantize_linear(F.quantize_linear(x, scale, zero), scale, zero)
    assert back.dtype == np.float32
    assert (abs(back - x) <= 0.5001 * scale[:, None]).all()
    last = F.quantize_linear(x.transpose(0, 2, 1), scale, zero, axis=-1)
    np.testing.assert_array_equal(last, F.quantize_linear(x, scale, zero).transpose(0, 2, 1))


def test_quantized_convolution_is_near_the_real_one(isa, rng):
    x = rng.uniform(0, 1, (1, 8, 9, 9)).astype(np.float32)
    w = rng.uniform(-1, 1, (6, 8, 3, 3)).astype(np.float32)
    w_scale = (abs(w).max((1, 2, 3)) / 127).astype(np.float32)
    real = F.conv2d(x, w, padding=1)
    q = F.qlinear_conv(
        F.quantize_linear(x, 1 / 255), 1 / 255, 0,
        F.quantize_linear(w, w_scale, axis=0, dtype=np.int8), w_scale, 0,
        0.08, 128, padding=1,
    )  # fmt: skip
    assert abs(F.dequantize_linear(q, 0.08, 128) - real).max() < 0.04 + 0.01 * abs(real).max()


@pytest.mark.parametrize(
    ("call", "kind", "words"),
    [
        (lambda: F.quantize_linear(np.zeros(3), 1.0), TypeError, ["input", "float64"]),
        (lambda: F.quantize_linear(np.float32([1]), 1.0, 256), ValueError, ["zero_point", "256"]),
        (lambda: F.quantize_linear(np.float32([1]), 1.0, dtype=float), TypeError, ["uint8"]),
        (
            lambda: F.quantize_linear(np.zeros((2, 3), np.float32), [1.0, 1.0]),
            ValueError,
            ["scale", "3"],
        ),
        (
            lambda: F.quantize_linear(np.zeros((2, 3), np.float32), [1.0, 1.0], axis=2),
            ValueError,
            ["axis", "2"],
        ),
        (
            lambda: F.quantize_linear(np.float32([1]), np.ones(1), 0),
            TypeError,
            ["scale", "float64"],
        ),
        (lambda: F.dequantize_linear(np.float32([1]), 1.0), TypeError, ["input", "float32"]),
        (
            lambda: F.dequantize_linear(np.uint8([1]), 1.0, np.int8([1])),
            TypeError,
            ["zero_point", "uint8", "int8"],
        ),
    ],
)
def test_wrong_arguments_of_quantization_are_named(call, kind, words):
    with pytest.raises(kind) as error:
        call()
    for word in words:
        assert word in str(error.value)
