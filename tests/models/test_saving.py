"""Files: round trips, damage, and a write that fails half-way."""

import json
import os

import numpy as np
import pytest

from fastconv.checkpoints import read_checkpoint, write_atomically, write_checkpoint
from fastconv.layers import Conv2D, Dense, Dropout, Flatten, Layer, MaxPooling2D
from fastconv.models import Sequential, load_model
from fastconv.training import SGD, Adam

safetensors_numpy = pytest.importorskip("safetensors.numpy")

RNG = np.random.default_rng(0)
X = RNG.random((40, 8, 8, 1)).astype(np.float32)
Y = RNG.integers(0, 3, 40)


def make(optimizer, dtype="float32"):
    model = Sequential(
        [
            Conv2D(3, 3, activation="relu", input_shape=(8, 8, 1)),
            MaxPooling2D(),
            Sequential([Flatten(), Dropout(0.3)], name="middle"),
            Dense(3, activation="softmax"),
        ],
        dtype=dtype,
    )
    model.compile(optimizer, "sparse_categorical_crossentropy", ["accuracy"])
    return model


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    "optimizer", [lambda: SGD(0.05), lambda: SGD(0.05, 0.9, nesterov=True), lambda: Adam(0.01)]
)
def test_training_goes_on_as_if_it_had_not_stopped(tmp_path, optimizer, dtype):
    model = make(optimizer(), dtype)
    model.metadata = {"classes": ["a", "b", "c"]}
    model.fit(X, Y, batch_size=16, epochs=2, seed=7, verbose=0)
    model.save(tmp_path / "model.safetensors")
    again = load_model(tmp_path / "model.safetensors")
    assert again.metadata == model.metadata
    assert again.get_config() == model.get_config()
    assert again.optimizer.get_config() == model.optimizer.get_config()
    histories = [
        m.fit(X, Y, batch_size=16, epochs=4, initial_epoch=2, seed=7, verbose=0).history
        for m in (model, again)
    ]
    assert histories[0] == histories[1]
    for one, other in zip(model.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_stopping_and_going_on_is_the_same_as_one_run():
    whole, parts = (make(SGD(0.05, 0.9)) for _ in range(2))
    parts.set_weights(whole.get_weights())
    parts.set_state(whole.get_state())
    history = whole.fit(X, Y, epochs=3, seed=1, verbose=0).history
    first = parts.fit(X, Y, epochs=1, seed=1, verbose=0).history
    rest = parts.fit(X, Y, epochs=3, initial_epoch=1, seed=1, verbose=0).history
    assert history == {name: first[name] + rest[name] for name in history}


def test_a_model_that_was_not_compiled(tmp_path):
    model = Sequential([Dense(2, input_shape=(3,))])
    model.save(tmp_path / "m")
    again = load_model(tmp_path / "m")
    assert again.optimizer is None
    np.testing.assert_array_equal(again.predict(np.ones((1, 3))), model.predict(np.ones((1, 3))))


def test_compile_can_be_left_out(tmp_path):
    model = make("adam")
    model.train_on_batch(X, Y)
    model.save(tmp_path / "m")
    assert load_model(tmp_path / "m", compile=False).optimizer is None
    assert load_model(tmp_path / "m").optimizer.iterations == 1


class Twice(Layer):
    def forward(self, x, training=False):
        return 2 * x


def test_own_layers(tmp_path):
    model = Sequential([Sequential([Twice()]), Dense(2)])
    model.build((None, 3))
    model.save(tmp_path / "m")
    with pytest.raises(ValueError, match=r"m: class_name: got 'Twice'.*custom_objects"):
        load_model(tmp_path / "m")
    again = load_model(tmp_path / "m", custom_objects={"Twice": Twice})
    np.testing.assert_array_equal(again.predict(np.ones((1, 3))), model.predict(np.ones((1, 3))))


def test_arrays_have_the_order_of_other_frameworks(tmp_path):
    make("sgd").save(tmp_path / "m")
    arrays, description = read_checkpoint(tmp_path / "m")
    assert arrays["parameters/conv2d/kernel"].shape == (3, 1, 3, 3)
    assert description["model"]["class_name"] == "Sequential"


def test_a_write_that_fails_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "m"
    model = make("sgd")
    model.save(path)
    old = path.read_bytes()
    model.train_on_batch(X, Y)

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        model.save(path)
    monkeypatch.undo()
    assert path.read_bytes() == old
    assert os.listdir(tmp_path) == ["m"]
    model.save(path)
    assert path.read_bytes() != old


def test_atomic_writes_keep_links_and_modes(tmp_path):
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_bytes(b"old")
    target.chmod(0o640)
    link.symlink_to(target)
    write_atomically(link, b"new")
    assert link.is_symlink()
    assert target.read_bytes() == b"new"
    assert target.stat().st_mode & 0o777 == 0o640
    with pytest.raises(IsADirectoryError, match="expected the name of a file"):
        write_atomically(tmp_path, b"")


@pytest.mark.parametrize("keep", [0, 5, 100, -1])
def test_a_file_that_was_cut_off(tmp_path, keep):
    path = tmp_path / "m"
    make("sgd").save(path)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ValueError, match="m: not a safetensors file, or damaged, or cut off"):
        load_model(path)


def test_foreign_files(tmp_path):
    path = tmp_path / "m"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100))
    with pytest.raises(ValueError, match="not a safetensors file"):
        load_model(path)
    safetensors_numpy.save_file({"w": np.ones(2)}, path)
    with pytest.raises(ValueError, match="a safetensors file, but not one that fastconv wrote"):
        load_model(path)
    safetensors_numpy.save_file({"w": np.ones(2)}, path, metadata={"fastconv": "[]"})
    with pytest.raises(ValueError, match="not one that fastconv wrote"):
        load_model(path)
    newer = json.dumps({"format_version": 99, "description": {}})
    safetensors_numpy.save_file({"w": np.ones(2)}, path, metadata={"fastconv": newer})
    with pytest.raises(ValueError, match="has format version 99, this fastconv reads 1"):
        load_model(path)
    write_checkpoint(path, {}, {"model": {"class_name": "Dense", "config": {"units": 1}}})
    with pytest.raises(ValueError, match="m: holds a Dense, not a model"):
        load_model(path)
    write_checkpoint(path, {}, {})
    with pytest.raises(ValueError, match="m: lacks 'model'"):
        load_model(path)
    with pytest.raises(FileNotFoundError, match="nothing: expected a model file"):
        load_model(tmp_path / "nothing")


def test_arrays_that_do_not_fit(tmp_path):
    path = tmp_path / "m"
    model = make("sgd")
    model.save(path)
    arrays, description = read_checkpoint(path)
    write_checkpoint(path, {**arrays, "parameters/dense/bias": np.ones(4)}, description)
    with pytest.raises(ValueError, match=r"dense/bias has shape \(4,\), expected \(3,\)"):
        load_model(path)
    del arrays["parameters/dense/bias"]
    write_checkpoint(path, arrays, description)
    with pytest.raises(ValueError, match="not those of its layers: dense/bias"):
        load_model(path)


def test_an_unbuilt_model_cannot_be_saved(tmp_path):
    with pytest.raises(RuntimeError, match=r"build\(input_shape\) it first"):
        Sequential([Dense(1)]).save(tmp_path / "m")
