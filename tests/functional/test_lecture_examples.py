"""The worked examples of lecture_examples.json, whose numbers are exact."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from fastconv import functional, grad

EXAMPLES = json.loads((Path(__file__).parents[1] / "lecture_examples.json").read_text())


def image(values, dtype):
    return np.array(values, dtype)[None, None]


def test_conv1d(isa, dtype):
    example = EXAMPLES["conv1d"]
    x = np.array(example["input"], dtype)[None, None]
    w = np.array(example["filter"], dtype)[None, None]
    b = np.array([example["bias"]], dtype)
    assert functional.conv1d(x, w, b)[0, 0].tolist() == example["valid"]
    assert functional.conv1d(x, w, b, activation="relu")[0, 0].tolist() == example["valid_relu"]
    assert functional.conv1d(x, w, b, padding=1)[0, 0].tolist() == example["zero_padded_1"]
    same = functional.conv1d(x, w, b, padding="same")[0, 0]
    assert same.tolist() == example["zero_padded_1"]
    assert w.size + b.size == example["parameters_with_bias"]


def test_conv2d(isa, dtype):
    example = EXAMPLES["conv2d"]
    x, w = image(example["input"], dtype), image(example["filter"], dtype)
    assert functional.conv2d(x, w)[0, 0].tolist() == example["valid"]
    assert functional.conv2d(x, w, padding=1)[0, 0].tolist() == example["zero_padded_1"]
    y = functional.conv2d(x, w, padding=1, activation="relu")
    assert y[0, 0].tolist() == example["zero_padded_1_relu"]
    # The same by lowering to a matrix product.
    cols = functional.im2col(x, 3, padding=1)
    y = functional.linear(cols[0].T, w.reshape(1, 9)).reshape(5, 5)
    assert y.tolist() == example["zero_padded_1"]


def test_max_pool2d(isa, dtype):
    example = EXAMPLES["max_pool2d"]
    x = image(example["input"], dtype)
    assert functional.max_pool2d(x, 3, 1)[0, 0].tolist() == example["size_3_stride_1"]
    assert functional.max_pool2d(x, 3)[0, 0].tolist() == example["size_3_stride_3"]


@pytest.mark.parametrize("feature", EXAMPLES["x_and_o"]["features"])
def test_x_and_o(feature, isa, dtype):
    example = EXAMPLES["x_and_o"]
    filtered = functional.conv2d(
        image(example["image_x"], dtype), image(example["features"][feature], dtype)
    )
    if feature in example["filtered_times_9"]:
        assert filtered[0, 0].tolist() == example["filtered_times_9"][feature]
    pooled = functional.max_pool2d(filtered, 2, ceil_mode=True)
    assert pooled[0, 0].tolist() == example["pooled_times_9"][feature]


@pytest.mark.parametrize("case", EXAMPLES["output_size"]["cases"], ids=str)
def test_output_size(case, dtype):
    x, w = np.zeros((1, 1, case["N"]), dtype), np.zeros((1, 1, case["F"]), dtype)
    y = functional.conv1d(x, w, stride=case["S"], padding=case["P"])
    assert y.shape == (1, 1, case["out"])


@pytest.mark.parametrize("case", EXAMPLES["output_size"]["does_not_fit"], ids=str)
def test_a_stride_that_does_not_fit_drops_what_is_left(case, dtype, rng):
    size, window, stride, pad = case["N"], case["F"], case["S"], case["P"]
    exact, rest = divmod(size + 2 * pad - window, stride)
    assert rest > 0
    x = rng.standard_normal((1, 1, size)).astype(dtype)
    w = rng.standard_normal((1, 1, window)).astype(dtype)
    y = functional.conv1d(x, w, stride=stride, padding=pad)
    assert y.shape == (1, 1, exact + 1)
    np.testing.assert_array_equal(y, functional.conv1d(x[..., : size - rest], w, stride=stride))
    # What is left over has no gradient.
    dx = grad.conv1d_input(x.shape, w, np.ones_like(y), stride=stride, padding=pad)
    assert (dx[..., size - rest :] == 0).all()


def test_backprop_1d(isa, rng):
    """Regression with one padded filter: Z1 = im2col(x)^T W1, A1 = relu(Z1), A2 = W2 . A1."""
    x, w1 = rng.standard_normal((1, 1, 5)), rng.standard_normal((1, 1, 3))
    w2, target = rng.standard_normal((1, 5)), 0.7

    def loss(w):
        a1 = functional.conv1d(x, w, padding=1, activation="relu")
        return float((functional.linear(a1[:, 0], w2) - target)[0, 0] ** 2)

    # dloss/dW1 = dZ1/dW1 (3x5, the im2col matrix) . diag(Z1 > 0) . 2 (A2 - y) W2
    columns = functional.im2col(x[0], (3,), padding=1)
    z1 = columns.T @ w1[0, 0]
    a1 = functional.relu(z1)
    a2 = w2 @ a1
    by_hand = columns @ np.diag(z1 > 0) @ (2 * (a2 - target) * w2[0])

    dz1 = grad.relu_backward(grad.linear_input(2 * (a2 - target)[None], w2), a1[None])
    by_library = grad.conv1d_weight(x, w1.shape, dz1[None], padding=1)
    np.testing.assert_allclose(by_library[0, 0], by_hand, rtol=1e-12)

    step = 1e-6
    for tap in range(3):
        shift = np.zeros_like(w1)
        shift[0, 0, tap] = step
        difference = (loss(w1 + shift) - loss(w1 - shift)) / (2 * step)
        assert by_hand[tap] == pytest.approx(difference, rel=1e-6, abs=1e-8)
