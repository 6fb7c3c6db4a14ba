"""Graphs of layers: values, gradients, training, files."""

import numpy as np
import pytest

from fastconv import Model, Sequential
from fastconv.layers import (
    Add,
    Average,
    Concatenate,
    Conv2D,
    Dense,
    Dropout,
    Flatten,
    Input,
    Layer,
    Maximum,
    MaxPooling2D,
    Minimum,
    Multiply,
    Softmax,
    Subtract,
    serialize_layer,
)
from fastconv.models import Functional, load_model

STEP = 1e-6


def differences(function, array):
    gradient = np.empty_like(array)
    for at in np.ndindex(array.shape):
        before = array[at]
        array[at] = before + STEP
        above = function()
        array[at] = before - STEP
        gradient[at] = (above - function()) / (2 * STEP)
        array[at] = before
    return gradient


def check(model, xs, rng):
    """Gradients of parameters and inputs, every output weighted at random."""
    listed = list(xs) if len(xs) > 1 else xs[0]
    ys = model.forward(listed, training=True)
    several = isinstance(ys, list)
    weights = [rng.standard_normal(y.shape) for y in (ys if several else [ys])]
    model.clear_gradients()
    dxs = model.backward(weights if several else weights[0])

    def objective():
        outputs = model.forward(listed)
        outputs = outputs if several else [outputs]
        return float(sum((y * w).sum() for y, w in zip(outputs, weights, strict=True)))

    for x, dx in zip(xs, dxs if len(xs) > 1 else [dxs], strict=True):
        np.testing.assert_allclose(dx, differences(objective, x), rtol=1e-6, atol=1e-8)
    for name, p in model.named_parameters().items():
        expected = differences(objective, p.value)
        np.testing.assert_allclose(p.grad, expected, rtol=1e-6, atol=1e-8, err_msg=name)


def inception(dtype="float64"):
    x = Input((6, 6, 2), dtype=dtype, name="image")
    one = Conv2D(2, 1, activation="relu")(x)
    three = Conv2D(3, 3, padding="same")(Conv2D(2, 1)(x))
    pool = MaxPooling2D(3, 1, padding="same")(x)
    y = Concatenate()([one, three, pool])
    return Model(x, Dense(3)(Flatten()(y)))


def two_by_two(dtype="float64"):
    a, b = Input((4,), dtype=dtype, name="a"), Input((4,), dtype=dtype, name="b")
    shared = Dense(3, activation="relu", name="shared")
    left, right = shared(a), shared(b)
    main = Dense(3, activation="softmax", name="main")(Multiply()([left, right]))
    side = Dense(2, name="side")(Subtract()([left, right]))
    return Model([a, b], [main, side], name="two_by_two")


def residual(dtype="float64"):
    x = Input((5, 5, 3), dtype=dtype)
    y = Conv2D(3, 3, padding="same", activation="relu")(x)
    y = Conv2D(3, 3, padding="same")(y)
    y = Add()([x, y, x])
    inner = Sequential([Conv2D(2, 2, activation="relu"), Flatten()])
    return Model(inputs=x, outputs=inner(y))


@pytest.mark.parametrize("make", [inception, residual, two_by_two])
def test_gradients(make):
    rng = np.random.default_rng(3)
    model = make()
    assert isinstance(model, Functional)
    check(model, [rng.standard_normal((2, *shape[1:])) for shape in model.input_shapes], rng)


@pytest.mark.parametrize(
    ("cls", "expected"),
    [
        (Add, lambda a, b: a + b),
        (Subtract, lambda a, b: a - b),
        (Multiply, lambda a, b: a * b),
        (Average, lambda a, b: (a + b) / 2),
        (Maximum, np.maximum),
        (Minimum, np.minimum),
    ],
)
@pytest.mark.parametrize("shapes", [((3, 4), (3, 4)), ((3, 4), (1, 4)), ((2, 3, 4), (1, 1, 4))])
def test_merging(cls, expected, shapes):
    rng = np.random.default_rng(0)
    a, b = (rng.standard_normal((2, *shape)) for shape in shapes)
    layer = cls(dtype="float64")
    np.testing.assert_allclose(layer([a, b]), expected(a, b))
    model = Model(
        ins := [Input(shape, dtype="float64") for shape in shapes], cls(dtype="float64")(ins)
    )
    assert model.output_shape == (None, *expected(a, b).shape[1:])
    check(model, [a, b], rng)


def test_three_inputs_merge():
    rng = np.random.default_rng(1)
    xs = [rng.standard_normal((2, 5)) for _ in range(3)]
    for cls in (Add, Multiply, Average, Maximum, Minimum, Concatenate):
        ins = [Input((5,), dtype="float64") for _ in xs]
        check(Model(ins, cls()(ins)), xs, rng)
    np.testing.assert_allclose(Maximum(dtype="float64")(xs), np.max(xs, axis=0))


def test_nan_wins_and_takes_the_gradient():
    layer = Maximum(dtype="float64")
    layer.forward([np.array([[np.nan, 1.0]]), np.array([[2.0, 1.0]])], training=True)
    first, second = layer.backward(np.ones((1, 2)))
    assert first.tolist() == [[1, 1]]
    assert second.tolist() == [[0, 0]]


def test_the_same_numbers_as_a_stack():
    rng = np.random.default_rng(0)
    stack = Sequential([Input((8, 8, 2)), Conv2D(4, 3), Flatten(), Dense(3, activation="softmax")])
    x = Input((8, 8, 2))
    y = x
    for layer in stack.layers:
        y = layer(y)
    graph = Model(x, y)
    data, labels = rng.standard_normal((6, 8, 8, 2)), rng.integers(0, 3, 6)
    np.testing.assert_array_equal(graph.predict(data), stack.predict(data))
    for model in (graph, stack):
        model.compile("sgd", "sparse_categorical_crossentropy", ["accuracy"])
    assert graph.evaluate(data, labels) == stack.evaluate(data, labels)
    start = stack.get_weights()
    one = stack.train_on_batch(data, labels), stack.get_weights()
    stack.set_weights(start)
    two = graph.train_on_batch(data, labels), graph.get_weights()
    assert one[0] == two[0]
    for a, b in zip(one[1], two[1], strict=True):
        np.testing.assert_array_equal(a, b)


def test_training_with_two_inputs_and_two_outputs():
    rng = np.random.default_rng(0)
    model = two_by_two("float32")
    model.compile(
        "adam",
        {"main": "sparse_categorical_crossentropy", "side": "mse"},
        {"main": ["accuracy"]},
        loss_weights={"side": 0.5},
    )
    xs = {"a": rng.standard_normal((40, 4)), "b": rng.standard_normal((40, 4))}
    ys = [rng.integers(0, 3, 40), rng.standard_normal((40, 2))]
    logs = model.evaluate(xs, ys, return_dict=True)
    assert set(logs) == {"loss", "main_loss", "side_loss", "main_accuracy"}
    assert logs["loss"] == pytest.approx(logs["main_loss"] + 0.5 * logs["side_loss"])
    main, side = model.predict([xs["a"], xs["b"]])
    assert logs["side_loss"] == pytest.approx(((side - ys[1]) ** 2).mean(), rel=1e-5)
    assert logs["main_loss"] == pytest.approx(-np.log(main[range(40), ys[0]]).mean(), rel=1e-5)
    history = model.fit(
        xs, {"main": ys[0], "side": ys[1]}, epochs=20, verbose=0, validation_split=0.2, seed=1
    )
    assert history.history["loss"][-1] < history.history["loss"][0]
    assert "val_side_loss" in history.history


def test_an_output_without_a_loss_is_not_trained_for():
    model = two_by_two("float32")
    model.compile("sgd", {"main": "sparse_categorical_crossentropy"})
    before = [p.value.copy() for p in model.get_layer("side").parameters]
    x = np.ones((3, 4))
    model.train_on_batch([x, 2 * x], [np.zeros(3, int), np.zeros((3, 2))])
    for p, old in zip(model.get_layer("side").parameters, before, strict=True):
        np.testing.assert_array_equal(p.value, old)


def test_frozen_beginnings_are_not_taken_back(monkeypatch):
    model = inception("float32")
    model.compile("sgd", "mse")
    for layer in model.layers[:-1]:
        layer.trainable = False
    for layer in model.layers[:-1]:
        monkeypatch.setattr(layer, "backward", None)
    model.train_on_batch(np.ones((2, 6, 6, 2)), np.ones((2, 3)))
    assert set(model.trainable_parameters()) == {"dense/kernel", "dense/bias"}
    assert not any(layer._tape for layer in model.layers)


@pytest.mark.parametrize("make", [inception, residual, two_by_two])
def test_files_and_configurations(make, tmp_path):
    model = make("float32")
    loss = ["sparse_categorical_crossentropy", "mse"] if len(model.output_names) > 1 else "mse"
    model.compile("adam", loss, loss_weights=[1, 0.3] if isinstance(loss, list) else None)
    rng = np.random.default_rng(0)
    xs = [rng.standard_normal((3, *shape[1:])).astype("float32") for shape in model.input_shapes]
    x = xs if len(xs) > 1 else xs[0]
    ys = [np.ones((3, *shape[1:])) for shape in model.output_shapes]
    if isinstance(loss, list):
        ys[0] = np.zeros(3, int)
    y = ys if len(ys) > 1 else ys[0]
    model.fit(x, y, epochs=1, verbose=0, seed=0)
    model.save(tmp_path / "model")
    again = load_model(tmp_path / "model")
    assert serialize_layer(again) == serialize_layer(model)
    assert list(again.named_parameters()) == list(model.named_parameters())
    for one, other in zip(again.infer([np.asarray(a) for a in xs]), model.infer(xs), strict=True):
        np.testing.assert_array_equal(one, other)
    for m in (model, again):
        m.fit(x, y, epochs=2, initial_epoch=1, verbose=0, seed=0)
    for one, other in zip(again.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_model_inside_another():
    rng = np.random.default_rng(5)
    inner = two_by_two()
    a, b = Input((4,), dtype="float64"), Input((4,), dtype="float64")
    main, side = inner([a, b])
    check(
        Model([a, b], Concatenate()([main, side])), [rng.standard_normal((2, 4)) for _ in "ab"], rng
    )
    only_side = Model([a, b], Dense(2)(side))  # the gradient of the other output is None
    check_one = [rng.standard_normal((2, 4)) for _ in "ab"]
    assert "two_by_two/main/kernel" in only_side.named_parameters()
    only_side.clear_gradients()
    only_side.forward(check_one, training=True)
    only_side.backward(np.ones((2, 2)))
    assert inner.get_layer("main").weight("kernel").grad is None
    assert inner.get_layer("side").weight("kernel").grad is not None


def test_part_of_a_graph():
    model = inception("float32")
    features = Model(model.input, model.get_layer("concatenate").output)
    assert features.output_shape == (None, 6, 6, 7)
    assert features.layers[1] is model.layers[1]
    assert features.predict(np.ones((1, 6, 6, 2))).shape == (1, 6, 6, 7)


def test_a_value_that_is_returned_and_used():
    x = Input((3,))
    y = Softmax()(x)
    model = Model(x, [y, Dense(2)(y)])
    assert model.softmax_axes() == [None, None]
    first, _ = model.predict([[0.0, 0.0, 0.0]])
    np.testing.assert_allclose(first, 1 / 3, rtol=1e-6)


def test_names():
    x = Input((4,))
    y = Dense(4)(Dense(4, name="named")(Dense(4)(x)))
    model = Model(x, [y, y])
    assert [layer.name for layer in model.layers] == ["input_layer", "dense", "named", "dense_1"]
    assert model.output_names == ["dense_1", "dense_1_1"]
    with pytest.raises(ValueError, match="the model has a layer 'named' already"):
        Model(x, Dense(4, name="named")(y))


def test_summary_shows_every_call(capsys):
    two_by_two().summary()
    lines = capsys.readouterr().out
    assert lines.count("shared (Dense)") == 2
    assert "[(None, 4), (None, 4)]" in lines
    assert f"{2 * 12 + 15 + 3:,}" not in lines  # shared parameters count once
    assert "35 parameters" in lines


def test_dropout_in_a_graph_learns_and_infers():
    x = Input((6,))
    model = Model(x, Dense(2)(Dropout(0.5, seed=0)(x)))
    model.compile("sgd", "mse")
    model.fit(np.ones((4, 6)), np.ones((4, 2)), verbose=0)
    assert model.get_state() == {"dropout": {"stream": 0, "step": 1}}


class Two(Layer):
    """A layer with two outputs."""

    def forward(self, x, training=False):
        return [x + x, -x]

    def backward(self, grad, need_input_grad=True):
        first, second = grad
        return (0 if first is None else 2 * first) - (0 if second is None else second)

    def compute_output_shape(self, input_shape):
        return [input_shape, input_shape]


def test_a_layer_with_two_outputs():
    rng = np.random.default_rng(0)
    x = Input((3,), dtype="float64")
    double, negative = Two()(x)
    check(Model(x, Add()([double, negative])), [rng.standard_normal((2, 3))], rng)
    check(Model(x, Dense(2)(negative)), [rng.standard_normal((2, 3))], rng)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda a, b: Model(a, Add()([a, b])), ValueError, "depend on 'input_layer' too"),
        (lambda a, b: Model([a, b], Dense(1)(a)), ValueError, "do not depend on"),
        (lambda a, b: Model(Dense(1)(a), Dense(2)(a)), ValueError, "expected what Input returned"),
        (lambda a, b: Model([a, a], Dense(1)(a)), ValueError, "the same one twice"),
        (lambda a, b: Model(a, Dense(1)), TypeError, "outputs: got <Dense"),
        (lambda a, b: Add()([a, Input((5,))]), ValueError, "do not match"),
        (lambda a, b: Add()(a), ValueError, "got one input, expected a list"),
        (lambda a, b: Add()([a, np.ones(3)]), TypeError, "among its inputs"),
        (lambda a, b: Subtract()([a, b, a]), ValueError, "got 3 inputs, expected 2"),
        (lambda a, b: Concatenate(0)([a, b]), ValueError, "axis: got 0"),
        (lambda a, b: Concatenate()([a, Input((2, 3))]), ValueError, "differ beside axis"),
        (lambda a, b: Dense(2, dtype="float64")(a), ValueError, "got an input of float32"),
        (lambda a, b: Add()(np.ones(3)), TypeError, "expected a list of arrays"),
        (
            lambda a, b: Model([a, b], Add()([a, b])).predict(np.ones((2, 3))),
            ValueError,
            "x: got ndarray, expected a list with an array for each of",
        ),
        (
            lambda a, b: Model([a, b], Add()([a, b])).predict([np.ones((2, 3)), np.ones((2, 4))]),
            ValueError,
            r"got shape \(2, 4\) for 'input_layer_1'",
        ),
        (
            lambda a, b: Model([a, b], Add()([a, b])).predict([np.ones((2, 3)), np.ones((1, 3))]),
            ValueError,
            "expected as many of each",
        ),
        (
            lambda a, b: Model(a, [Dense(1)(a), Dense(2)(a)]).compile("sgd", ["mse"]),
            ValueError,
            "loss: got .* expected one entry for each of dense, dense_1",
        ),
        (
            lambda a, b: Model(a, [Dense(1)(a), Dense(2)(a)]).compile("sgd", {"dens": "mse"}),
            ValueError,
            r"loss: got \['dens'\]",
        ),
    ],
)
def test_bad_arguments(call, error, message):
    with pytest.raises(error, match=message):
        call(Input((3,)), Input((3,)))
