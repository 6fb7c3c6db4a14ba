"""Regularizers and constraints: values, gradients, and in training."""

import json

import numpy as np
import pytest

from fastconv import Sequential, constraints, regularizers
from fastconv.layers import (
    BatchNormalization,
    Conv2D,
    Dense,
    Flatten,
    deserialize_layer,
    serialize_layer,
)
from fastconv.models import load_model
from fastconv.testing import numerical_gradient


@pytest.mark.parametrize("regularizer", ["l1", "l2", "l1_l2", regularizers.L1L2(0.3, 0.7)])
def test_values_and_gradients(regularizer):
    found = regularizers.get(regularizer)
    w = np.random.default_rng(0).standard_normal((3, 4)) + 2
    value, grad = found.value_and_grad(w)
    l1, l2 = found.l1, found.l2
    assert value == pytest.approx(l1 * np.abs(w).sum() + l2 * (w**2).sum())
    step = 1e-6
    for at in np.ndindex(w.shape):
        moved = w.copy()
        moved[at] += step
        assert (found(moved) - value) / step == pytest.approx(grad[at], rel=1e-4)


@pytest.mark.parametrize("mode", ["rows", "columns"])
def test_orthogonal(mode):
    found = regularizers.OrthogonalRegularizer(0.3, mode)
    w = np.random.default_rng(0).standard_normal((3, 4)) + 2
    value, grad = found.value_and_grad(w)
    units = w / np.linalg.norm(w, axis=1 if mode == "rows" else 0, keepdims=True)
    cosines = units @ units.T if mode == "rows" else units.T @ units
    assert value == pytest.approx(0.3 * np.abs(cosines[np.triu_indices(len(cosines), 1)]).mean())
    np.testing.assert_allclose(grad, numerical_gradient(lambda: found(w), w), rtol=1e-6, atol=1e-9)
    assert regularizers.get("orthogonal_regularizer").mode == "rows"
    assert found.value_and_grad(np.ones((1, 1)))[0] == 0
    assert regularizers.get(regularizers.serialize(found)).get_config() == found.get_config()
    with pytest.raises(ValueError, match="mode: got 'both'"):
        regularizers.OrthogonalRegularizer(mode="both")
    with pytest.raises(ValueError, match="weight: got the shape"):
        found(np.ones((3, 3, 2)))


def test_axes_of_constraints():
    assert constraints.MaxNorm(axis=np.int64(1)).get_config()["axis"] == 1
    assert constraints.UnitNorm(axis=[np.int64(0), 1]).get_config() == {"axis": [0, 1]}
    with pytest.raises(ValueError, match=r"axis: got 1\.5"):
        constraints.UnitNorm(axis=1.5)


def test_the_loss_has_the_penalty_and_its_gradient():
    layer = Dense(
        2, kernel_regularizer=regularizers.L2(0.5), bias_regularizer="l1", dtype="float64"
    )
    plain = Dense(2, dtype="float64")
    x, y = np.ones((4, 3)), np.zeros((4, 2))
    models = [Sequential([one], dtype="float64") for one in (layer, plain)]
    for model in models:
        model.build(x.shape)
        model.set_weights([np.arange(6.0).reshape(3, 2), [2.0, -3.0]])
        model.compile("sgd", "mse")
    penalty = 0.5 * 55 + 0.01 * 5
    loss = [model.evaluate(x, y) for model in models]
    assert loss[0] == pytest.approx(loss[1] + penalty)
    assert models[0].train_on_batch(x, y) == pytest.approx(loss[0])
    models[1].train_on_batch(x, y)
    kernel, bias = layer.gradients.values(), plain.gradients.values()
    (dk, db), (pk, pb) = kernel, bias
    np.testing.assert_allclose(dk - pk, np.arange(6.0).reshape(3, 2).T)
    np.testing.assert_allclose(db - pb, [0.01, -0.01])


def test_a_frozen_layer_has_no_penalty():
    model = Sequential([Dense(2, kernel_regularizer="l2", input_shape=(3,))])
    model.compile("sgd", "mse")
    x, y = np.ones((4, 3)), np.zeros((4, 2))
    assert model.evaluate(x, y) > float(np.mean(model.predict(x) ** 2))
    model.layers[0].trainable = False
    assert model.evaluate(x, y) == pytest.approx(float(np.mean(model.predict(x) ** 2)))


def test_constraints():
    w = np.random.default_rng(0).standard_normal((3, 3, 4, 5))
    norm = constraints.MaxNorm(0.5, axis=(0, 1, 2))(w)
    assert np.sqrt((norm**2).sum((0, 1, 2))) == pytest.approx(np.full(5, 0.5))
    np.testing.assert_allclose(constraints.MaxNorm(100)(w), w, rtol=1e-5)
    assert (constraints.NonNeg()(w) >= 0).all()
    assert np.sqrt((constraints.UnitNorm()(w) ** 2).sum(0)) == pytest.approx(
        np.ones((3, 4, 5)), abs=1e-5
    )
    between = constraints.MinMaxNorm(2, 3, axis=(0, 1, 2))(w)
    norms = np.sqrt((between**2).sum((0, 1, 2)))
    assert ((norms > 1.99) & (norms < 3.01)).all()


def test_training_obeys_constraints():
    model = Sequential(
        [
            Conv2D(
                3, 2, kernel_constraint=constraints.MaxNorm(0.5, (0, 1, 2)), input_shape=(4, 4, 2)
            ),
            Flatten(),
            Dense(2, kernel_constraint="unit_norm", bias_constraint="non_neg"),
        ]
    )
    model.compile("sgd", "mse")
    x = np.random.default_rng(0).standard_normal((8, 4, 4, 2))
    model.fit(x, np.full((8, 2), -3.0), epochs=3, verbose=0)
    kernel, _, dense, bias = model.get_weights()
    assert (np.sqrt((kernel**2).sum((0, 1, 2))) <= 0.5 + 1e-6).all()
    np.testing.assert_allclose(np.sqrt((dense**2).sum(0)), 1, rtol=1e-5)
    assert (bias >= 0).all()


def test_configurations(tmp_path):
    layer = BatchNormalization(gamma_regularizer="l1", beta_constraint="non_neg")
    config = json.loads(json.dumps(serialize_layer(layer)))
    again = deserialize_layer(config)
    assert again.gamma_rule.regularizer.l1 == 0.01
    assert isinstance(again.beta_rule.constraint, constraints.NonNeg)
    model = Sequential([Dense(2, kernel_regularizer=regularizers.L1(0.5), input_shape=(3,))])
    model.save(tmp_path / "model")
    assert load_model(tmp_path / "model").layers[0].weight("kernel").regularizer.l1 == 0.5
    for module, names in (
        (regularizers, ("l1", "l2", "l1_l2")),
        (constraints, ("max_norm", "non_neg")),
    ):
        for name in names:
            one = module.serialize(module.get(name))
            assert module.serialize(module.get(json.loads(json.dumps(one)))) == one
        assert module.serialize(None) is None


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Dense(1, kernel_regularizer="l3"), "regularizer: got 'l3', expected None"),
        (lambda: Dense(1, bias_constraint="norm"), "constraint: got 'norm', expected None"),
        (lambda: regularizers.L2(-1), "l2: got -1, expected a non-negative number"),
        (lambda: constraints.MinMaxNorm(3, 2), "min_value: got 3"),
        (lambda: constraints.MinMaxNorm(rate=2), "rate: got 2"),
        (lambda: constraints.MaxNorm(-1), "max_value: got -1"),
    ],
)
def test_bad_arguments(call, message):
    with pytest.raises(ValueError, match=message):
        call()
