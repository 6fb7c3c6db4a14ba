"""The loop: it learns, and it repeats itself bit for bit."""

import numpy as np
import pytest
from small_classifier import X, Y, classifier

from fastconv import runtime
from fastconv.layers import Conv1D, Dense, Dropout, Flatten, Softmax
from fastconv.models import Sequential
from fastconv.training import (
    SGD,
    Callback,
    LearningRateScheduler,
    SparseCategoricalCrossentropy,
    loop,
)
from fastconv.utils import set_random_seed


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_overfits_a_tiny_problem(dtype):
    set_random_seed(0)
    model = classifier(dtype=dtype)
    history = model.fit(X, Y, batch_size=16, epochs=60, verbose=0)
    assert history.history["loss"][-1] < 0.05
    assert model.evaluate(X, Y)[1] == 1.0
    assert list(history.history) == ["loss", "accuracy"]
    assert history.epoch == list(range(60))
    assert not history.interrupted


def test_backprop_of_the_lectures():
    """One filter of size 3 with zero padding 1 on a 5-vector, relu, a weighted sum, squared."""
    rng = np.random.default_rng(3)
    x, y = rng.standard_normal(5), 0.7
    model = Sequential(
        [
            Conv1D(1, 3, padding=1, activation="relu", use_bias=False, input_shape=(5, 1)),
            Flatten(),
            Dense(1, use_bias=False),
        ],
        dtype="float64",
    )
    w1, w2 = (p.value.ravel() for p in model.parameters)
    columns = np.lib.stride_tricks.sliding_window_view(np.pad(x, 1), 3).T  # im2col: 3 x 5
    z1 = columns.T @ w1
    a2 = w2 @ np.maximum(z1, 0)
    expected = columns @ np.diag(z1 > 0) @ (2 * (a2 - y) * w2)
    model.compile("sgd", "mse")
    assert model.train_on_batch(x.reshape(1, 5, 1), [[y]]) == pytest.approx((a2 - y) ** 2)
    np.testing.assert_allclose(model.gradients["conv1d/kernel"].ravel(), expected, rtol=1e-12)


def test_the_same_seed_gives_the_same_bits():
    def train(threads):
        set_random_seed(3)
        model = classifier()
        model.add(Dropout(0.1))
        model.add(Dense(4))
        model.add(Softmax())
        model.compile(SGD(0.05, 0.9), "sparse_categorical_crossentropy", ["accuracy"])
        with runtime.threads(threads):
            history = model.fit(
                X, Y, batch_size=10, epochs=3, validation_split=0.25, verbose=0
            ).history
        return history, model.get_weights()

    first, *others = (train(threads) for threads in (1, 1, 2))
    for history, weights in others:
        assert history == first[0]
        for one, other in zip(weights, first[1], strict=True):
            np.testing.assert_array_equal(one, other)


def test_the_order_of_samples():
    class Order(Callback):
        def on_epoch_begin(self, epoch):
            seen.append([])

    def order(**options):
        seen.clear()
        model = Sequential([Dense(1, input_shape=(1,))])
        original = loop.train_step

        def spy(model, xs, ys, interrupt=None):
            seen[-1].extend(xs[0].ravel().tolist())
            return original(model, xs, ys, interrupt)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(loop, "train_step", spy)
            model.compile("sgd", "mse")
            x = np.arange(10.0)[:, None]
            model.fit(x, x, batch_size=4, verbose=0, callbacks=[Order()], **options)
        return [list(epoch) for epoch in seen]

    seen = []
    plain = list(range(10))
    assert order(epochs=2, shuffle=False) == [plain, plain]
    one, two = order(epochs=2, seed=1)
    assert sorted(one) == sorted(two) == plain
    assert one != two != plain != one
    assert order(epochs=2, initial_epoch=1, seed=1) == [two]
    assert order(epochs=1, seed=2) != [one]


def test_the_softmax_is_trained_from_the_logits():
    """Probabilities of 0 and 1 in float32 would have no gradient."""
    model = Sequential([Dense(2, use_bias=False, activation="softmax", input_shape=(1,))])
    model.set_weights([[[-200.0, 200.0]]])
    model.compile("sgd", "sparse_categorical_crossentropy")
    assert model.train_on_batch([[1.0]], [0]) == pytest.approx(400.0)
    np.testing.assert_allclose(model.gradients["dense/kernel"], [[-1.0], [1.0]])
    assert model.evaluate([[1.0]], [0]) > 100
    separate = Sequential([Dense(2, use_bias=False, input_shape=(1,)), Softmax()])
    separate.set_weights([[[-200.0, 200.0]]])
    separate.compile("sgd", "sparse_categorical_crossentropy")
    assert separate.train_on_batch([[1.0]], [0]) == pytest.approx(400.0)
    np.testing.assert_allclose(separate.gradients["dense/kernel"], [[-1.0], [1.0]])


def test_logits_and_probabilities_train_alike():
    def gradients(activation, loss):
        model = Sequential([Dense(3, activation=activation, input_shape=(4,))], dtype="float64")
        model.set_weights([RNG_WEIGHTS, np.zeros(3)])
        model.compile("sgd", loss)
        model.train_on_batch(x, y)
        return model.gradients["dense/kernel"]

    RNG_WEIGHTS = np.random.default_rng(1).standard_normal((4, 3))
    x, y = np.random.default_rng(2).standard_normal((6, 4)), [0, 1, 2, 0, 1, 2]
    fused = gradients("softmax", "sparse_categorical_crossentropy")
    logits = gradients(None, SparseCategoricalCrossentropy(from_logits=True))
    np.testing.assert_allclose(fused, logits, rtol=1e-12)


def test_validation():
    model = classifier()
    history = model.fit(X, Y, epochs=2, validation_split=0.25, verbose=0).history
    assert list(history) == ["loss", "accuracy", "val_loss", "val_accuracy"]
    result = model.evaluate(X[36:], Y[36:], return_dict=True)
    assert result["loss"] == pytest.approx(history["val_loss"][-1])
    assert result["accuracy"] == history["val_accuracy"][-1]
    history = model.fit(X, Y, validation_data=(X[:5], Y[:5]), verbose=0).history
    assert history["val_accuracy"][0] in {i / 5 for i in range(6)}


def test_losses_weigh_batches_by_their_size():
    model = Sequential([Dense(1, kernel_initializer="ones", input_shape=(1,))])
    model.compile("sgd", "mse")
    x = np.arange(5.0)[:, None]
    assert model.evaluate(x, 0 * x, batch_size=4) == pytest.approx(6.0)
    assert model.test_on_batch(x, 0 * x) == pytest.approx(6.0)
    assert model.test_on_batch(x, 0 * x, return_dict=True) == {"loss": pytest.approx(6.0)}


def test_callbacks():
    events = []

    class Log(Callback):
        def on_train_begin(self):
            events.append(("begin", self.params["epochs"], self.params["steps"]))

        def on_epoch_begin(self, epoch):
            events.append(("epoch", epoch))

        def on_train_batch_begin(self, batch):
            events.append(("batch", batch))

        def on_train_batch_end(self, batch, logs):
            events.append(("step", batch, sorted(logs)))

        def on_epoch_end(self, epoch, logs):
            events.append(("end", epoch, sorted(logs)))
            self.model.stop_training = True

        def on_train_end(self):
            events.append(("done",))

    model = classifier()
    history = model.fit(X, Y, batch_size=24, epochs=5, verbose=0, callbacks=[Log()])
    assert events == [
        ("begin", 5, 2),
        ("epoch", 0),
        ("batch", 0),
        ("step", 0, ["accuracy", "loss"]),
        ("batch", 1),
        ("step", 1, ["accuracy", "loss"]),
        ("end", 0, ["accuracy", "loss"]),
        ("done",),
    ]
    assert history.epoch == [0]


def test_learning_rate_scheduler():
    model = classifier()
    rates = []

    class Watch(Callback):
        def on_epoch_end(self, epoch, logs):
            rates.append(self.model.optimizer.learning_rate)

    halve = LearningRateScheduler(lambda epoch, rate: rate / 2)
    model.fit(X, Y, epochs=3, verbose=0, callbacks=[halve, Watch()])
    assert rates == [0.005, 0.0025, 0.00125]


def test_frozen_layers_do_not_change():
    model = classifier()
    model.layers[0].trainable = False
    before = model.get_weights()
    model.fit(X, Y, verbose=0)
    after = model.get_weights()
    np.testing.assert_array_equal(before[0], after[0])
    assert (before[2] != after[2]).any()


def test_nothing_is_kept_after_training():
    model = classifier()
    model.fit(X, Y, verbose=0)
    assert all(layer._tape == [] for layer in model.layers)
    assert all(g is None for g in model.gradients.values())


def test_an_error_in_a_step_leaves_a_usable_model():
    model = classifier()
    with pytest.raises(ValueError, match="y_true"):
        model.fit(X, Y[:, None, None], verbose=0)
    assert all(layer._tape == [] for layer in model.layers)
    model.fit(X, Y, verbose=0)


# ---- messages


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 0}, "batch_size: got 0, expected a positive integer"),
        ({"epochs": 2.5}, "epochs: got 2.5, expected a positive integer"),
        ({"validation_split": 1.5}, "validation_split: got 1.5 of 48 samples, expected a number"),
        ({"validation_data": (X, Y[:3])}, r"y: got shape \(3,\), expected as many targets"),
        ({"verbose": 3}, "verbose: got 3, expected 0, 1, 2 or 'auto'"),
    ],
)
def test_bad_arguments(options, message):
    with pytest.raises(ValueError, match=message):
        classifier().fit(X, Y, **{"verbose": 0, **options})


def test_misuse():
    model = Sequential([Dense(1, input_shape=(1,))])
    with pytest.raises(RuntimeError, match=r"compile\(optimizer, loss\) it first"):
        model.fit([[1.0]], [1.0])
    with pytest.raises(ValueError, match=r"y: got shape \(2,\), expected as many targets"):
        model.fit([[1.0]], [1.0, 2.0])
    with pytest.raises(ValueError, match="x: got no samples"):
        model.fit(np.empty((0, 1)), [])
    with pytest.raises(ValueError, match=r"metrics: got 'accuracy', expected a list"):
        model.compile("sgd", "mse", "accuracy")
