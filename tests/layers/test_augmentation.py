"""Random changes of images: exact cases, gradients, draws that come back."""

import json

import numpy as np
import pytest

from fastconv import Sequential
from fastconv.layers import (
    CenterCrop,
    Conv2D,
    Normalization,
    RandomBrightness,
    RandomContrast,
    RandomCrop,
    RandomFlip,
    RandomRotation,
    RandomTranslation,
    RandomZoom,
    Rescaling,
    deserialize_layer,
    serialize_layer,
)

ALL = [
    RandomFlip(seed=1),
    RandomTranslation(0.3, (0.0, 0.4), seed=2),
    RandomTranslation(0.3, 0.3, "constant", "nearest", 3, 0.5),
    RandomRotation(0.2, "wrap", seed=4),
    RandomRotation((0.1, 0.3), "nearest", "nearest", seed=5),
    RandomZoom(0.3, seed=6),
    RandomZoom((-0.5, -0.2), 0.1, "constant", seed=7),
    RandomBrightness(0.3, (0, 1), seed=8),
    RandomContrast(0.5, (0, 1), seed=9),
    RandomCrop(3, 4, seed=10),
    CenterCrop(3, 4),
]


def ids(layer):
    return type(layer).__name__


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def twin(layer, **changes):
    config = serialize_layer(layer)
    return type(layer)(**{**config["config"], **changes})


@pytest.mark.parametrize("layer", ALL, ids=ids)
def test_inference_leaves_images_alone(layer, rng):
    x = rng.random((2, 6, 5, 3)).astype(np.float32)
    y = layer(x)
    if isinstance(layer, RandomCrop):
        np.testing.assert_array_equal(y, x[:, 1:4, 0:4])
    else:
        np.testing.assert_array_equal(y, x)


@pytest.mark.parametrize("layer", ALL, ids=ids)
@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_gradients(layer, data_format, rng):
    x = rng.random((3, 6, 5, 2))
    x = np.moveaxis(x, -1, 1) if data_format == "channels_first" else x
    made = [twin(layer, dtype="float64", data_format=data_format) for _ in range(2)]
    y = made[0].forward(x, training=True)
    assert y.shape == made[0].compute_output_shape(x.shape)
    weights = rng.standard_normal(y.shape)
    dx = made[0].backward(weights)
    state = made[1].get_state()

    def objective():
        made[1].set_state(state)
        return float((made[1](x, training=True) * weights).sum())

    step = 1e-6
    for at in np.ndindex(x.shape):
        before = x[at]
        x[at] = before + step
        above = objective()
        x[at] = before - step
        below = objective()
        x[at] = before
        assert (above - below) / (2 * step) == pytest.approx(dx[at], rel=1e-5, abs=1e-7)


@pytest.mark.parametrize("layer", ALL, ids=ids)
def test_draws_come_back(layer, rng):
    x = rng.random((4, 8, 8, 3)).astype(np.float32)
    one, other = twin(layer), twin(layer)
    first = [one(x, training=True) for _ in range(3)]
    for y in first:
        np.testing.assert_array_equal(other(x, training=True), y)
    if layer.seed and not isinstance(layer, CenterCrop):
        assert any((first[0] != y).any() for y in first[1:])
    again = twin(layer)
    again(x, training=True)
    later = twin(layer)
    later.set_state(json.loads(json.dumps(again.get_state())))
    np.testing.assert_array_equal(later(x, training=True), first[1])
    config = json.loads(json.dumps(serialize_layer(layer)))
    assert json.loads(json.dumps(serialize_layer(deserialize_layer(config)))) == config


@pytest.mark.parametrize("layer", ALL, ids=ids)
def test_an_image_of_a_batch_and_formats(layer, rng):
    x = rng.random((2, 8, 7, 3)).astype(np.float32)
    last = twin(layer)(x, training=True)
    first = twin(layer, data_format="channels_first")(np.moveaxis(x, -1, 1), training=True)
    np.testing.assert_array_equal(np.moveaxis(first, 1, -1), last)
    assert twin(layer)(x[:0], training=True).shape == (0, *last.shape[1:])
    integers = (x * 255).astype(np.uint8)
    assert twin(layer)(integers, training=True).dtype == np.float32


@pytest.mark.parametrize("mode", ["reflect", "wrap", "nearest", "constant"])
@pytest.mark.parametrize("interpolation", ["nearest", "bilinear"])
def test_whole_shifts_are_exact(mode, interpolation, rng):
    x = rng.random((2, 4, 5, 3))
    layer = RandomTranslation(
        (0.25, 0.25), (-0.4, -0.4), mode, interpolation, fill_value=7.0, dtype="float64"
    )
    pad = {"reflect": "symmetric", "wrap": "wrap", "nearest": "edge", "constant": "constant"}[mode]
    options = {"constant_values": 7.0} if mode == "constant" else {}
    padded = np.pad(x, ((0, 0), (1, 0), (0, 2), (0, 0)), pad, **options)
    np.testing.assert_allclose(layer(x, training=True), padded[:, :4, 2:], atol=1e-12)


@pytest.mark.parametrize("turns", [-2, -1, 1, 2, 3])
@pytest.mark.parametrize("interpolation", ["nearest", "bilinear"])
def test_quarter_turns_are_exact(turns, interpolation, rng):
    x = rng.random((2, 5, 5, 3))
    layer = RandomRotation((turns / 4, turns / 4), "constant", interpolation, dtype="float64")
    np.testing.assert_allclose(layer(x, training=True), np.rot90(x, turns, (1, 2)), atol=1e-12)


def test_flips(rng):
    x = rng.random((64, 3, 4, 1)).astype(np.float32)
    y = RandomFlip(seed=0)(x, training=True)
    kinds = {"none": x, "columns": x[:, :, ::-1], "rows": x[:, ::-1], "both": x[:, ::-1, ::-1]}
    found = [
        next(name for name, images in kinds.items() if (images[i] == y[i]).all()) for i in range(64)
    ]
    assert set(found) == set(kinds)
    assert all(8 <= found.count(name) <= 24 for name in kinds)
    vertical = RandomFlip("vertical", seed=0)(x, training=True)
    assert all(
        (v == a).all() or (v == b).all() for v, a, b in zip(vertical, x, x[:, ::-1], strict=True)
    )


def test_brightness_and_contrast(rng):
    x = rng.random((50, 4, 4, 2)).astype(np.float32)
    moved = RandomBrightness(0.1, (-9, 9), seed=0)(x, training=True) - x
    shifts = moved[:, 0, 0, 0]
    np.testing.assert_allclose(
        moved, np.broadcast_to(shifts[:, None, None, None], x.shape), atol=1e-5
    )
    assert shifts.min() >= -1.8
    assert shifts.max() <= 1.8
    assert shifts.std() > 0.5
    y = RandomContrast((0.5, 1.0), (-9, 9), seed=0)(x, training=True)
    np.testing.assert_allclose(y.mean((1, 2)), x.mean((1, 2)), rtol=1e-4)
    scale = y.std((1, 2)) / x.std((1, 2))
    np.testing.assert_allclose(scale[:, 0], scale[:, 1], rtol=1e-3)
    assert scale.min() > 0.49
    assert scale.max() < 2.01
    assert RandomBrightness(1.0, (0, 1), seed=0)(x, training=True).max() <= 1


def test_crops_come_from_everywhere(rng):
    x = np.arange(5 * 6, dtype=np.float32).reshape(1, 5, 6, 1)
    layer = RandomCrop(4, 4, seed=0)
    corners = {float(layer(x, training=True)[0, 0, 0, 0]) for _ in range(200)}
    assert corners == {float(r * 6 + c) for r in range(2) for c in range(3)}


def test_rescaling(rng):
    x = rng.integers(0, 256, (2, 3, 3, 3), dtype=np.uint8)
    layer = Rescaling([1.0, 2.0, 3.0], offset=-1, dtype="float64")
    np.testing.assert_allclose(layer(x), x * [1.0, 2.0, 3.0] - 1)
    np.testing.assert_allclose(layer.backward(np.ones((1, 3))), [[1.0, 2.0, 3.0]])
    assert deserialize_layer(serialize_layer(layer)).get_config() == layer.get_config()


@pytest.mark.parametrize("axis", [-1, 1, (1, 3), None])
def test_normalization(axis, rng):
    x = rng.standard_normal((20, 3, 4, 5)) * 3 + 7
    layer = Normalization(axis, dtype="float64")
    with pytest.raises(RuntimeError, match=r"adapt\(data\) it first"):
        layer(x)
    layer.adapt(x)
    axes = () if axis is None else tuple(np.atleast_1d(axis) % 4)
    over = tuple(i for i in range(4) if i not in axes)
    expected = (x - x.mean(over, keepdims=True)) / x.std(over, keepdims=True)
    np.testing.assert_allclose(layer(x), expected)
    again = deserialize_layer(json.loads(json.dumps(serialize_layer(layer))))
    np.testing.assert_allclose(again(x), expected)
    back = Normalization(axis, layer.mean, layer.variance, invert=True, dtype="float64")
    np.testing.assert_allclose(back(expected), x)
    dy = rng.standard_normal(x.shape)
    np.testing.assert_allclose(layer.backward(dy), dy / x.std(over, keepdims=True))


def test_a_model_that_begins_with_them():
    model = Sequential(
        [RandomFlip(seed=0), RandomCrop(6, 6, seed=1), Rescaling(1 / 255), Conv2D(2, 3)]
    )
    x = np.random.default_rng(0).integers(0, 256, (8, 8, 8, 3), dtype=np.uint8)
    model.compile("sgd", "mse")
    model.fit(x, np.zeros((8, 4, 4, 2)), epochs=2, verbose=0)
    np.testing.assert_allclose(
        model.predict(x), model.layers[3](x[:, 1:7, 1:7] / np.float32(255)), rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: RandomFlip("diagonal"), "mode: got 'diagonal'"),
        (lambda: RandomTranslation(0.1, (1, 2, 3)), "width_factor: got"),
        (lambda: RandomTranslation((0.2, 0.1), 0), "height_factor: got"),
        (
            lambda: RandomRotation(0.1, "mirror"),
            "fill_mode: got 'mirror', expected one of constant",
        ),
        (lambda: RandomRotation(0.1, interpolation="cubic"), "interpolation: got 'cubic'"),
        (lambda: RandomZoom((-1.5, 0)), "height_factor: got"),
        (lambda: RandomBrightness(2.0), "factor: got 2.0, expected numbers in"),
        (lambda: RandomBrightness(0.1, (1, 0)), "value_range: got"),
        (lambda: RandomContrast((2, 0)), "factor: got"),
        (lambda: RandomCrop(9, 9)(np.ones((1, 8, 8, 1))), "expected at least 9 x 9 pixels"),
        (lambda: RandomFlip()(np.ones((8, 8, 1))), "expected \\(batch, height, width"),
        (lambda: Normalization(mean=0.0), "variance: expected mean and variance, or neither"),
        (lambda: Rescaling(np.inf), "scale: got inf"),
    ],
)
def test_bad_arguments(call, message):
    with pytest.raises(ValueError, match=message):
        call()
