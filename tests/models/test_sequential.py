"""Building, weights and the lectures' models."""

import numpy as np
import pytest

from fastconv.layers import Conv2D, Dense, Dropout, Flatten, Input, MaxPooling2D, ReLU, Softmax
from fastconv.models import Sequential, lenet5
from fastconv.summary import summarize


def mnist_cnn():
    return Sequential(
        [
            Input((28, 28, 1)),
            Conv2D(32, 5, padding="same", activation="relu"),
            MaxPooling2D(2, 2),
            Conv2D(64, 5, padding="same", activation="relu"),
            MaxPooling2D(2, 2),
            Flatten(),
            Dense(1024, activation="relu"),
            Dense(10, activation="softmax"),
        ]
    )


def test_mnist_cnn_of_the_lectures(lectures):
    table = summarize(mnist_cnn())
    expected = [line.rpartition("-> ")[2] for line in lectures["mnist_cnn"] if "->" in line]
    shapes = ["x".join(map(str, row.output_shape[1:])) for row in table.rows]
    assert shapes == [*expected, "1024", "10"]
    assert [row.parameters for row in table.rows] == [
        5 * 5 * 32 + 32,
        0,
        5 * 5 * 32 * 64 + 64,
        0,
        0,
        3136 * 1024 + 1024,
        1024 * 10 + 10,
    ]
    assert table.parameters == 3_274_634
    assert table.multiply_adds == 28**2 * 25 * 32 + 14**2 * 25 * 32 * 64 + 3136 * 1024 + 10240
    assert table.rows[0].activation_bytes == 28 * 28 * 32 * 4


def test_lenet5():
    for side in (28, 32):
        table = summarize(lenet5((side, side, 1)))
        assert [row.output_shape[1:] for row in table.rows] == [
            (28, 28, 6),
            (14, 14, 6),
            (10, 10, 16),
            (5, 5, 16),
            (1, 1, 120),
            (120,),
            (84,),
            (10,),
        ]
        assert [row.parameters for row in table.rows if row.parameters] == [
            156,
            2416,
            48120,
            10164,
            850,
        ]
    with pytest.raises(ValueError, match=r"input_shape: got \(8, 8, 1\), expected \(28, 28, chan"):
        lenet5((8, 8, 1))


def test_summary_names_a_stride_that_does_not_fit(capsys):
    model = Sequential([MaxPooling2D(3, input_shape=(7, 7, 1))])
    model.summary()
    assert (
        "max_pooling2d: stride 3 does not fit 7: the last 1 is left out" in capsys.readouterr().out
    )
    lines = []
    model.summary(print_fn=lines.append)
    assert len(lines) == 1


def test_summary_of_unknown_extents():
    table = summarize(Sequential([Conv2D(2, 3, input_shape=(None, None, 1))]))
    assert table.multiply_adds is None
    assert "?" in str(table)


def test_build_by_first_input():
    model = Sequential([Dense(4, "relu"), Dense(2)])
    assert not model.built
    assert model.predict(np.ones((3, 5))).shape == (3, 2)
    assert model.input_shape == (None, 5)
    model.add(Dense(7))
    assert model.output_shape == (None, 7)
    assert model.pop().name == "dense_2"
    assert model.output_shape == (None, 2)


def test_names_are_unique():
    model = Sequential([Dense(2), Dense(2), ReLU(), Dense(2)])
    assert [layer.name for layer in model.layers] == ["dense", "dense_1", "re_lu", "dense_2"]
    assert model.get_layer("dense_1") is model.layers[1]
    with pytest.raises(ValueError, match="the model has a layer 'a' already"):
        Sequential([Dense(2, name="a"), Dense(2, name="a")])
    with pytest.raises(ValueError, match="name: got 'b', expected one of dense, dense_1, re_lu"):
        model.get_layer("b")


def test_dtype():
    model = Sequential([Dense(2, "relu"), Dense(1)], dtype="float64")
    assert model.predict([[1, 2]]).dtype == np.float64
    assert Sequential([Dense(2, dtype="float64"), Dense(1)])([[1, 2]]).dtype == np.float64
    with pytest.raises(ValueError, match="dtype: got float32, but 'dense' has float64 already"):
        Sequential([Dense(2, dtype="float64")], dtype="float32")


def test_weights_come_back():
    model = mnist_cnn()
    weights = model.get_weights()
    assert [w.shape for w in weights[:2]] == [(5, 5, 1, 32), (32,)]
    for p in model.parameters:
        p.value += 1
    model.set_weights(weights)
    for one, other in zip(model.get_weights(), weights, strict=True):
        np.testing.assert_array_equal(one, other)
    assert next(iter(model.named_parameters())) == "conv2d/kernel"


def test_models_nest():
    inner = Sequential([Dense(3, "relu"), Dropout(0.5, seed=0)], name="inner")
    model = Sequential([Input((4,)), inner, Dense(2), Softmax()])
    assert list(model.named_parameters()) == [
        "inner/dense/kernel",
        "inner/dense/bias",
        "dense/kernel",
        "dense/bias",
    ]
    again = Sequential.from_config(model.get_config())
    again.set_weights(model.get_weights())
    x = np.ones((2, 4))
    np.testing.assert_array_equal(again.predict(x), model.predict(x))
    model.trainable = False
    assert model.trainable_parameters() == {}
    assert not inner.layers[0].trainable


def test_predict():
    model = Sequential([Dense(2, input_shape=(3,))])
    x = np.random.default_rng(0).random((7, 3))
    whole = model.predict(x)
    for batch_size in (1, 3, 7, 100):
        np.testing.assert_array_equal(model.predict(x, batch_size), whole)
    np.testing.assert_array_equal(model.predict_on_batch(x), whole)
    np.testing.assert_array_equal(model(x), whole)
    assert model.predict(np.empty((0, 3))).shape == (0, 2)
    assert all(layer._tape == [] for layer in model.layers)


def test_layers_before_the_first_trainable_one_are_skipped():
    model = Sequential([Dense(3, "relu", trainable=False), Dense(2)])
    x = np.ones((2, 4), np.float32)
    model.build(x.shape)
    y = model.forward(x, training=True)
    assert model.backward(np.ones_like(y), need_input_grad=False) is None
    assert all(layer._tape == [] for layer in model.layers)
    assert set(model.gradients) == {"dense_1/kernel", "dense_1/bias"}
    assert all(g is not None for g in model.gradients.values())


@pytest.mark.parametrize(
    ("run", "message"),
    [
        (lambda m: m.predict(np.ones((2, 5))), r"x: got shape \(2, 5\), expected \(None, 4\)"),
        (
            lambda m: m.predict(np.ones((2, 4, 1))),
            r"x: got shape \(2, 4, 1\), expected \(None, 4\)",
        ),
        (lambda m: m.predict(["a"]), "x: got <U1 of shape"),
        (lambda m: m.predict(np.ones((2, 4)), batch_size=0), "batch_size: got 0, expected a pos"),
        (lambda m: m.add(Input((3,))), "got an Input, which only the first layer may be"),
        (lambda m: m.add(Conv2D(1, 3)), r"conv2d: got an input of shape \(None, 2\), expected"),
        (lambda m: Sequential().build((None, 1)), "model 'sequential' has no layers"),
    ],
)
def test_bad_arguments(run, message):
    with pytest.raises(ValueError, match=message):
        run(Sequential([Dense(2, input_shape=(4,))]))


def test_misuse():
    with pytest.raises(TypeError, match="layer: got 3, expected a Layer"):
        Sequential([3])
    with pytest.raises(RuntimeError, match="does not know the shape of its input: begin with"):
        Sequential([Dense(2)]).summary()
