"""The command line, as a user runs it."""

import os
import signal
import subprocess
import sys

import numpy as np
import pytest

from fastconv.datasets import load_digits
from fastconv.images import read_digit
from fastconv.models import Sequential, load_model

image_module = pytest.importorskip("PIL.Image")
pytest.importorskip("sklearn")
pytest.importorskip("matplotlib")
pytest.importorskip("safetensors")

# The bits are the same for any number of threads; one is fast on a busy machine as well.
ENVIRONMENT = {**os.environ, "FASTCONV_NUM_THREADS": "1"}
TRAIN = ("train", "--epochs", 3, "--augment", 3)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("command")


@pytest.fixture(scope="module")
def run(folder):
    def run(*arguments):
        return subprocess.run(
            [sys.executable, "-m", "fastconv", *map(str, arguments)],
            capture_output=True,
            text=True,
            cwd=folder,
            timeout=300,
            env=ENVIRONMENT,
        )

    return run


@pytest.fixture(scope="module")
def trained(run, folder):
    """What `train` leaves after a few epochs."""
    result = run(*TRAIN, "--output", "out")
    assert result.returncode == 0, result.stderr
    return result, folder / "out"


def test_train(trained):
    result, out = trained
    assert sorted(p.name for p in out.iterdir()) == [
        "filters.png",
        "model.safetensors",
        "predictions.png",
        "training_curve.png",
    ]
    assert "61,706" in result.stdout
    assert "Epoch 3/3" in result.stdout
    accuracy = float(result.stdout.rpartition("held-out accuracy ")[2].split()[0])
    assert accuracy > 94
    assert result.stderr == ""
    for name in ("filters", "predictions", "training_curve"):
        with image_module.open(out / f"{name}.png") as picture:
            picture.load()
            assert min(picture.size) > 150
            assert len(picture.convert("L").getcolors(256)) > 20


def test_train_repeats_itself(run, trained, folder):
    result = run(*TRAIN, "--output", "again", "--quiet")
    assert result.returncode == 0, result.stderr
    assert "Epoch" not in result.stdout + result.stderr
    one, two = (load_model(folder / f / "model.safetensors") for f in ("out", "again"))
    for a, b in zip(one.get_weights(), two.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_ctrl_c_keeps_what_was_learned(folder):
    arguments = ["train", "--epochs", "1000", "--augment", "0", "--output", "stopped"]
    process = subprocess.Popen(
        [sys.executable, "-m", "fastconv", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=folder,
        env=ENVIRONMENT,
    )
    try:
        while "Epoch    1/1000" not in (line := process.stdout.readline()):
            assert line
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130
    assert err == ""
    assert "stopped in epoch" in out
    assert "held-out accuracy" in out
    assert load_model(folder / "stopped" / "model.safetensors").optimizer.iterations >= 23
    assert (folder / "stopped" / "training_curve.png").exists()


def digits(count):
    _, (x, y) = load_digits()
    return (255 * x[:count, :, :, 0]).round().astype(np.uint8), y[:count]


def in_the_middle(digit, factor=12, margin=20):
    """A large picture with the digit somewhere in it."""
    large = digit.repeat(factor, 0).repeat(factor, 1)
    return np.pad(large, ((margin, 2 * margin), (3 * margin, margin)))


def test_predict(run, trained, folder):
    images, labels = digits(40)
    paths = []
    for i, digit in enumerate(images):
        kind = i % 4
        picture = image_module.fromarray(digit)
        if kind == 1:  # large, dark on bright
            picture = image_module.fromarray(255 - in_the_middle(digit))
        elif kind == 2:  # colours on black
            picture = image_module.merge("RGB", [image_module.fromarray(in_the_middle(digit))] * 3)
        elif kind == 3:  # black ink on nothing
            ink = image_module.fromarray(in_the_middle(digit))
            picture = image_module.new("RGBA", ink.size)
            picture.putalpha(ink)
        paths.append(folder / f"digit{i}.png")
        picture.save(paths[-1])
    result = run("predict", folder / "out" / "model.safetensors", *paths)
    assert (result.returncode, result.stderr) == (0, "")
    lines = [line.split() for line in result.stdout.splitlines()]
    assert [line[0] for line in lines] == list(map(str, paths))
    assert all(line[3] == "%" and 10 <= float(line[2]) <= 100 for line in lines)
    right = np.array([int(line[1]) == label for line, label in zip(lines, labels, strict=True)])
    for kind in range(4):
        assert right[kind::4].sum() >= 7, (kind, right)
    assert right.sum() >= 35, right

    # the data set's own format gives just what the model says to the data set
    model = load_model(folder / "out" / "model.safetensors")
    _, (x, _) = load_digits()
    for i in range(0, 40, 4):
        image = read_digit(paths[i], (28, 28), raster=8, invert=False)
        assert image.shape == (28, 28, 1)
        assert int(lines[i][1]) == model.predict_on_batch(image[None])[0].argmax()
        assert abs(read_digit(paths[i], (8, 8), invert=False) - x[i]).max() < 0.07


def test_polarity_can_be_given(run, trained, folder):
    path = folder / "frame.png"
    digit = np.pad(digits(1)[0][0].repeat(10, 0).repeat(10, 1), 20, constant_values=0)
    image_module.fromarray(digit).save(path)
    model = folder / "out" / "model.safetensors"
    said = {
        how: run("predict", model, path, "--invert", how).stdout for how in ("auto", "yes", "no")
    }
    assert said["auto"] == said["no"] != said["yes"]


def test_files_that_are_no_images(run, trained, folder):
    (folder / "text.png").write_text("not an image")
    image_module.new("L", (20, 20), 7).save(folder / "flat.png")
    image_module.fromarray(digits(1)[0][0]).save(folder / "good.png")
    names = ["missing.png", "text.png", "flat.png", "good.png"]
    result = run("predict", "out/model.safetensors", *names)
    assert result.returncode == 1
    assert result.stdout.startswith("good.png ")
    assert len(result.stdout.splitlines()) == 1
    missing, text, flat = result.stderr.splitlines()
    assert missing == "fastconv: missing.png: no such file"
    assert text.startswith("fastconv: text.png: not a readable image (")
    assert flat == "fastconv: flat.png: all pixels are alike, expected a digit"


def test_models_that_cannot_be_used(run, folder):
    (folder / "broken").write_bytes(b"12345678")
    for name, message in (
        ("nothing", "nothing: expected a model file"),
        ("broken", "broken: not a safetensors file, or damaged, or cut off"),
    ):
        for arguments in (("predict", name, "x.png"), ("summary", name)):
            result = run(*arguments)
            assert result.returncode == 1
            assert result.stdout == ""
            assert result.stderr.startswith(f"fastconv: {message}")
            assert len(result.stderr.splitlines()) == 1


def test_other_models_predict_too(run, folder):
    from fastconv.layers import Dense, Flatten

    model = Sequential([Flatten(input_shape=(6, 5, 1)), Dense(3, "softmax")])
    model.save(folder / "other")
    image_module.fromarray(digits(1)[0][0]).save(folder / "one.png")
    result = run("predict", "other", "one.png")
    assert result.returncode == 0, result.stderr
    assert result.stdout.split()[1] in "012"
    Sequential([Dense(3, input_shape=(5,))]).save(folder / "flat")
    result = run("predict", "flat", "one.png")
    assert result.returncode == 1
    assert "the model takes inputs of shape (None, 5), expected (None, height" in result.stderr


def test_summary_and_info(run, trained):
    result = run("summary", trained[1] / "model.safetensors")
    assert result.returncode == 0
    assert "conv1 (Conv2D)" in result.stdout
    result = run("info")
    assert result.returncode == 0
    assert "isa: " in result.stdout
    assert "threads: " in result.stdout


@pytest.mark.parametrize(
    "arguments",
    [(), ("fly",), ("train", "--epochs", "0"), ("train", "--seed", "-1"), ("predict", "model")],
)
def test_usage_errors(run, arguments):
    result = run(*arguments)
    assert result.returncode == 2
    assert result.stderr.startswith("usage: fastconv")
