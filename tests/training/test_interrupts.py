"""Ctrl-C: the loop finishes its step and returns."""

import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from small_classifier import X, Y, classifier

from fastconv.training import SGD, Callback
from fastconv.training.interrupt import DeferredInterrupt
from fastconv.utils import set_random_seed


class Press(Callback):
    """Ctrl-C, as a signal or as the exception, at one batch."""

    def __init__(self, how, epoch, batch):
        self.how, self.at, self.now = how, (epoch, batch), 0
        self.steps = 0

    def on_epoch_begin(self, epoch):
        self.now = epoch

    def on_train_batch_begin(self, batch):
        if self.how == "signal" and (self.now, batch) == self.at:
            signal.raise_signal(signal.SIGINT)

    def on_train_batch_end(self, batch, logs):
        self.steps += 1
        if self.how == "exception" and (self.now, batch) == self.at:
            raise KeyboardInterrupt


@pytest.mark.parametrize("how", ["signal", "exception"])
def test_ctrl_c_finishes_the_step(how):
    set_random_seed(0)
    handler = signal.getsignal(signal.SIGINT)
    model = classifier()
    weights = model.get_weights()
    press = Press(how, 1, 1)
    history = model.fit(X, Y, batch_size=16, epochs=5, seed=1, verbose=0, callbacks=[press])
    assert history.interrupted
    assert history.epoch == [0]
    assert press.steps == 5
    assert model.optimizer.iterations == 5
    assert signal.getsignal(signal.SIGINT) is handler
    assert all(layer._tape == [] for layer in model.layers)

    # exactly the weights after these five steps
    again = classifier()
    again.set_weights(weights)
    for epoch in range(2):
        order = np.random.default_rng((1, epoch)).permutation(len(X))
        for batch in range(3 if epoch == 0 else 2):
            chosen = order[16 * batch : 16 * (batch + 1)]
            again.train_on_batch(X[chosen], Y[chosen])
    for one, other in zip(model.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)

    history = model.fit(X, Y, epochs=1, verbose=0)
    assert not history.interrupted


def test_ctrl_c_during_validation():
    class Late(Callback):
        def on_epoch_end(self, epoch, logs):
            signal.raise_signal(signal.SIGINT)

    history = classifier().fit(X, Y, epochs=3, verbose=0, callbacks=[Late()])
    assert history.interrupted
    assert history.epoch == [0]


def test_a_second_ctrl_c_ends_at_once():
    class Twice(Callback):
        def on_train_batch_begin(self, batch):
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)

    handler = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        classifier().fit(X, Y, verbose=0, callbacks=[Twice()])
    assert signal.getsignal(signal.SIGINT) is handler


def test_the_step_of_the_optimizer_is_never_torn():
    class Impatient(SGD):
        def update(self, w, g, *slots):
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)
            super().update(w, g, *slots)

    model = classifier()
    model.compile(Impatient(0.1), "sparse_categorical_crossentropy")
    before = model.get_weights()
    history = model.fit(X, Y, verbose=0)
    assert history.interrupted
    assert model.optimizer.iterations == 1
    assert all((a != b).any() for a, b in zip(before, model.get_weights(), strict=True))


def test_interrupts_in_other_threads_are_left_alone():
    handler = signal.getsignal(signal.SIGINT)
    seen = []

    def work():
        with DeferredInterrupt():
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [handler]


PROGRAM = """
import sys, numpy as np
from fastconv.layers import Dense
from fastconv.models import Sequential
model = Sequential([Dense(64, "relu", input_shape=(64,)), Dense(2, "softmax")])
model.compile("adam", "sparse_categorical_crossentropy")
x, y = np.ones((4096, 64)), np.zeros(4096, int)
print("ready", flush=True)
history = model.fit(x, y, epochs=100000, verbose=0)
model.save(sys.argv[1])
print(history.interrupted, len(history.epoch) < 100000, bool(np.isfinite(model.predict(x)).all()))
"""


def test_a_real_ctrl_c(tmp_path):
    pytest.importorskip("safetensors")
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(tmp_path / "model")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
    )
    try:
        assert process.stdout.readline() == "ready\n"
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert (process.returncode, out, err) == (0, "True True True\n", "")
    assert (tmp_path / "model").exists()
