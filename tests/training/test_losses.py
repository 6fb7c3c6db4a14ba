"""Losses and metrics: values by hand, gradients by central differences."""

import numpy as np
import pytest

from fastconv.training import (
    CategoricalAccuracy,
    CategoricalCrossentropy,
    MeanSquaredError,
    SparseCategoricalAccuracy,
    SparseCategoricalCrossentropy,
    losses,
    metrics,
)

RNG = np.random.default_rng(0)
LOGITS = RNG.standard_normal((4, 3, 5))
LABELS = RNG.integers(0, 5, (4, 3))
ONE_HOT = np.eye(5)[LABELS]
SOFTMAX = np.exp(LOGITS) / np.exp(LOGITS).sum(-1, keepdims=True)

CASES = {
    "sparse-logits": (SparseCategoricalCrossentropy(from_logits=True), LABELS, LOGITS),
    "sparse": (SparseCategoricalCrossentropy(), LABELS, SOFTMAX),
    "sparse-axis": (SparseCategoricalCrossentropy(axis=1), LABELS, np.moveaxis(SOFTMAX, -1, 1)),
    "sparse-logits-axis": (
        SparseCategoricalCrossentropy(from_logits=True, axis=1),
        LABELS,
        np.moveaxis(LOGITS, -1, 1),
    ),
    "categorical-logits": (CategoricalCrossentropy(from_logits=True), 0.3 * ONE_HOT, LOGITS),
    "categorical": (CategoricalCrossentropy(), ONE_HOT, SOFTMAX),
    "squared": (MeanSquaredError(), ONE_HOT, LOGITS),
}


@pytest.mark.parametrize("name", CASES)
def test_gradients(name):
    loss, target, prediction = CASES[name]
    prediction = np.array(prediction)
    value, gradient = loss.value_and_grad(target, prediction)
    assert value == loss(target, prediction)
    assert gradient.shape == prediction.shape
    expected = np.empty_like(prediction)
    for at in np.ndindex(prediction.shape):
        before = prediction[at]
        prediction[at] = before + 1e-6
        above = loss(target, prediction)
        prediction[at] = before - 1e-6
        expected[at] = (above - loss(target, prediction)) / 2e-6
        prediction[at] = before
    np.testing.assert_allclose(gradient, expected, rtol=1e-6, atol=1e-8)


def test_all_forms_of_cross_entropy_agree():
    expected = -np.log(np.take_along_axis(SOFTMAX, LABELS[..., None], -1)).mean()
    for loss, target, prediction in (
        CASES["sparse-logits"],
        CASES["sparse"],
        CASES["sparse-axis"],
        (SparseCategoricalCrossentropy(), LABELS[..., None], SOFTMAX),
        (SparseCategoricalCrossentropy(), LABELS.astype(np.float32), SOFTMAX),
        (CategoricalCrossentropy(from_logits=True), ONE_HOT, LOGITS),
        CASES["categorical"],
    ):
        assert loss(target, prediction) == pytest.approx(expected, rel=1e-12)


def test_logits_of_any_size_are_safe():
    loss = SparseCategoricalCrossentropy(from_logits=True)
    value, gradient = loss.value_and_grad([0], np.array([[-1000.0, 1000.0]]))
    assert value == 2000
    assert gradient.tolist() == [[-1.0, 1.0]]
    value, gradient = SparseCategoricalCrossentropy().value_and_grad([0], np.array([[0.0, 1.0]]))
    assert value == pytest.approx(-np.log(1e-7))
    assert np.isfinite(gradient).all()


def test_float32_stays_float32():
    for loss, target, prediction in CASES.values():
        assert loss.value_and_grad(target, prediction.astype(np.float32))[1].dtype == np.float32


def test_mean_squared_error_takes_a_flat_target():
    assert MeanSquaredError()([1.0, 2.0], [[1.0], [4.0]]) == 2.0


def test_metrics():
    for metric, target in (
        (SparseCategoricalAccuracy(), LABELS),
        (CategoricalAccuracy(), ONE_HOT),
    ):
        for part in (slice(0, 1), slice(1, 4)):  # batches of different size
            metric.update(target[part], SOFTMAX[part])
        assert metric.result() == pytest.approx((SOFTMAX.argmax(-1) == LABELS).mean())
        metric.reset()
        assert metric.result() == 0.0
        again = metrics.get(metrics.serialize(metric), MeanSquaredError())
        assert (type(again), again.name) == (type(metric), metric.name)
    assert metrics.get("acc", SparseCategoricalCrossentropy()).name == "acc"
    assert isinstance(metrics.get("accuracy", CategoricalCrossentropy()), CategoricalAccuracy)


def test_configuration_round_trip():
    for loss, *_ in CASES.values():
        config = losses.serialize(loss)
        assert losses.serialize(losses.get(config)) == config


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: SparseCategoricalCrossentropy()([0, 1], SOFTMAX[:3, 0]),
            r"y_true: got shape "
            r"\(2,\), expected \(3,\), class numbers",
        ),
        (lambda: SparseCategoricalCrossentropy()(ONE_HOT, SOFTMAX), "categorical_crossentropy"),
        (
            lambda: SparseCategoricalCrossentropy()([5], SOFTMAX[:1, 0]),
            "y_true: got classes from 5 to 5, expected 0 to 4",
        ),
        (lambda: SparseCategoricalCrossentropy()([0.5], SOFTMAX[:1, 0]), "no whole class numbers"),
        (lambda: CategoricalCrossentropy()(LABELS, SOFTMAX), r"y_true: got shape \(4, 3\), expect"),
        (lambda: MeanSquaredError()(np.ones((2, 3)), np.ones((2, 1))), "y_true: got shape"),
        (lambda: losses.get("mae"), "loss: got 'mae', expected a Loss or one of"),
        (lambda: metrics.get("auc", MeanSquaredError()), "metrics: got 'auc', expected a Metric"),
        (lambda: metrics.get("acc", MeanSquaredError()), "which MeanSquaredError does not go with"),
    ],
)
def test_bad_arguments(make, message):
    with pytest.raises(ValueError, match=message):
        make()
