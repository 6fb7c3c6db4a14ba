"""Random changes of images: exact cases, gradients, draws that come back."""

import json

import numpy as np
import pytest

from fastconv import Sequential
from fastconv.layers import (
    CenterCrop,
    Conv2D,
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
from fastconv.utils import set_random_seed

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
    RandomCrop(8, 4, seed=11),
    CenterCrop(3, 4),
    CenterCrop(9, 6),
]
SAME_AT_INFERENCE = [layer for layer in ALL if not isinstance(layer, CenterCrop | RandomCrop)]
MODES = ["reflect", "wrap", "nearest", "constant"]


def ids(layer):
    return type(layer).__name__


def twin(layer, **changes):
    config = serialize_layer(layer)
    return type(layer)(**{**config["config"], **changes})


@pytest.mark.parametrize("layer", SAME_AT_INFERENCE, ids=ids)
def test_inference_leaves_images_alone(layer, rng):
    x = rng.random((2, 6, 5, 3)).astype(np.float32)
    before = layer.get_state()
    np.testing.assert_array_equal(layer(x), x)
    assert layer._tape == []
    assert layer.get_state() == before


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
    drawn = not isinstance(layer, CenterCrop)
    assert any((first[0] != y).any() for y in first[1:]) == drawn
    again = twin(layer)
    again(x, training=True)
    later = twin(layer)
    later.set_state(json.loads(json.dumps(again.get_state())))
    np.testing.assert_array_equal(later(x, training=True), first[1])
    config = json.loads(json.dumps(serialize_layer(layer)))
    assert json.loads(json.dumps(serialize_layer(deserialize_layer(config)))) == config


def test_without_a_seed_the_stream_of_the_program_is_drawn_from(rng):
    x = rng.random((64, 2, 2, 1))
    set_random_seed(3)
    first = RandomFlip()(x, training=True)
    assert (RandomFlip()(x, training=True) != first).any()
    set_random_seed(3)
    np.testing.assert_array_equal(RandomFlip()(x, training=True), first)


@pytest.mark.parametrize("layer", ALL, ids=ids)
def test_formats_types_and_empty_batches(layer, rng):
    x = rng.random((2, 8, 7, 3)).astype(np.float32)
    x.flags.writeable = False
    last = twin(layer)(x, training=True)
    first = twin(layer, data_format="channels_first")(np.moveaxis(x, -1, 1), training=True)
    np.testing.assert_array_equal(np.moveaxis(first, 1, -1), last)
    double = twin(layer, dtype="float64")(x, training=True)
    assert (last.dtype, double.dtype) == (np.float32, np.float64)
    np.testing.assert_allclose(last, double, atol=1e-6)
    empty = twin(layer)
    y = empty.forward(x[:0], training=True)
    assert y.shape == (0, *last.shape[1:])
    dx = empty.backward(y)
    assert (dx.shape, dx.dtype) == ((0, 8, 7, 3), np.float32)
    empty.forward(x, training=True)
    assert empty.backward(last, need_input_grad=False) is None
    assert empty._tape == []
    integers = (x * 255).astype(np.uint8)
    np.testing.assert_array_equal(
        twin(layer)(integers, training=True), twin(layer)(integers.astype(float), training=True)
    )


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("interpolation", ["nearest", "bilinear"])
def test_whole_shifts_are_exact(mode, interpolation, rng):
    x = rng.random((2, 4, 5, 3))
    layer = RandomTranslation(
        (0.25, 0.25), (-0.4, -0.4), mode, interpolation, fill_value=7.0, dtype="float64"
    )
    pad = {"reflect": "symmetric", "wrap": "wrap", "nearest": "edge", "constant": "constant"}[mode]
    options = {"constant_values": 7.0} if mode == "constant" else {}
    padded = np.pad(x, ((0, 0), (1, 0), (0, 2), (0, 0)), pad, **options)
    np.testing.assert_array_equal(layer(x, training=True), padded[:, :4, 2:])


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("interpolation", ["nearest", "bilinear"])
def test_no_change_is_exact(mode, interpolation, rng):
    x = rng.random((2, 4, 5, 3)).astype(np.float32)
    for layer in (
        RandomTranslation(0, 0, mode, interpolation),
        RandomRotation(0, mode, interpolation),
        RandomZoom(0, None, mode, interpolation),
    ):
        np.testing.assert_array_equal(layer(x, training=True), x)


@pytest.mark.parametrize("turns", [-2, -1, 1, 2, 3])
@pytest.mark.parametrize("interpolation", ["nearest", "bilinear"])
def test_quarter_turns_are_exact(turns, interpolation, rng):
    for extent in (4, 5):
        x = rng.random((2, extent, extent, 3))
        layer = RandomRotation((turns / 4, turns / 4), "constant", interpolation, dtype="float64")
        np.testing.assert_allclose(layer(x, training=True), np.rot90(x, turns, (1, 2)), atol=1e-12)


def sampled(x, rows, columns, mode, interpolation):
    """x (N, C, H, W) at these places (H, W), with torch."""
    torch = pytest.importorskip("torch")
    height, width = x.shape[2:]
    if mode == "wrap":  # the middle one of many images side by side
        x, mode = np.tile(x, (1, 1, 5, 5)), "nearest"
        rows, columns = rows + 2 * height, columns + 2 * width
        height, width = x.shape[2:]
    grid = np.stack([(2 * columns + 1) / width - 1, (2 * rows + 1) / height - 1], -1)
    return torch.nn.functional.grid_sample(
        torch.tensor(x),
        torch.tensor(np.broadcast_to(grid, (len(x), *grid.shape)).copy()),
        interpolation,
        {"reflect": "reflection", "nearest": "border", "constant": "zeros"}[mode],
        align_corners=False,
    ).numpy()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("interpolation", ["nearest", "bilinear"])
def test_places_are_read_as_torch_reads_them(mode, interpolation, rng):
    x = rng.random((2, 3, 6, 7))
    rows, columns = np.meshgrid(np.arange(6), np.arange(7), indexing="ij")
    down, right = rows - 2.5, columns - 3.0
    cos, sin = np.cos(0.26 * np.pi), np.sin(0.26 * np.pi)
    options = {"fill_mode": mode, "interpolation": interpolation}
    options |= {"dtype": "float64", "data_format": "channels_first"}
    for layer, at in (
        (RandomTranslation((0.57, 0.57), (-0.31, -0.31), **options), (down - 3.42, right + 2.17)),
        (
            RandomRotation((0.13, 0.13), **options),
            (cos * down + sin * right, cos * right - sin * down),
        ),
        (RandomZoom((0.83, 0.83), **options), (1.83 * down, 1.83 * right)),
        (RandomZoom((-0.37, -0.37), (0.61, 0.61), **options), (0.63 * down, 1.61 * right)),
    ):
        expected = sampled(x, at[0] + 2.5, at[1] + 3.0, mode, interpolation)
        np.testing.assert_allclose(layer(x, training=True), expected, atol=1e-12)


def test_what_is_drawn_fills_the_intervals(rng):
    shifts = RandomTranslation((-0.1, 0.3), 0.2).matrices(rng, 4000, 10, 20)[:, :, 2]
    for found, ends in zip(shifts.T, [(-3, 1), (-4, 4)], strict=True):
        assert ends[0] <= found.min() < ends[0] + 0.02
        assert ends[1] - 0.02 < found.max() <= ends[1]
        assert np.mean(found) == pytest.approx(np.mean(ends), abs=0.15)
    turned = RandomRotation((0.05, -0.2)).matrices(rng, 4000, 10, 20)
    angles = np.arctan2(turned[:, 0, 1], turned[:, 0, 0]) / (2 * np.pi)
    assert -0.2 <= angles.min() < -0.19
    assert 0.04 < angles.max() <= 0.05
    alike, own = (RandomZoom((-0.5, 1), width).matrices(rng, 4000, 10, 20) for width in (None, 0.1))
    np.testing.assert_array_equal(alike[:, 0, 0], alike[:, 1, 1])
    assert 0.5 <= alike[:, 0, 0].min() < 0.52
    assert 1.98 < alike[:, 0, 0].max() <= 2
    assert 0.9 <= own[:, 1, 1].min() < 0.91
    assert 1.09 < own[:, 1, 1].max() <= 1.1


def test_flips(rng):
    x = rng.random((64, 3, 4, 1)).astype(np.float32)
    y = RandomFlip(seed=0)(x, training=True)
    kinds = {"none": x, "columns": x[:, :, ::-1], "rows": x[:, ::-1], "both": x[:, ::-1, ::-1]}
    found = [
        next(name for name, images in kinds.items() if (images[i] == y[i]).all()) for i in range(64)
    ]
    assert set(found) == set(kinds)
    assert all(8 <= found.count(name) <= 24 for name in kinds)
    for mode, flipped in (("vertical", kinds["rows"]), ("horizontal", kinds["columns"])):
        y = RandomFlip(mode, seed=0)(x, training=True)
        same = (y == x).all((1, 2, 3))
        np.testing.assert_array_equal(y[~same], flipped[~same])
        assert 16 <= same.sum() <= 48


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


@pytest.mark.parametrize("size", [(6, 5), (5, 5), (3, 2), (1, 4)])
def test_at_inference_crops_are_the_middle(size, rng):
    x = rng.random((2, 6, 5, 3)).astype(np.float32)
    top, left = (6 - size[0]) // 2, (5 - size[1]) // 2
    for layer in (CenterCrop(*size), RandomCrop(*size)):
        y = layer(x)
        np.testing.assert_array_equal(y, x[:, top : top + size[0], left : left + size[1]])
        assert layer.notes(x.shape) == []
        assert layer._tape == []


@pytest.mark.parametrize(
    ("size", "rows", "columns"),
    [
        ((12, 10), slice(0, 6), slice(0, 5)),
        ((8, 4), slice(0, 6), slice(1, 4)),
        ((3, 9), slice(2, 3), slice(0, 5)),
        ((50, 2), slice(0, 6), slice(2, 3)),
        ((7, 7), slice(0, 5), slice(0, 5)),
    ],
)
def test_crops_of_smaller_images_are_enlarged(size, rows, columns, rng):
    torch = pytest.importorskip("torch")
    x = rng.random((2, 3, 6, 5))
    expected = torch.nn.functional.interpolate(
        torch.tensor(x[:, :, rows, columns]), size, mode="bilinear", align_corners=False
    )
    options = {"data_format": "channels_first", "dtype": "float64"}
    for layer in (CenterCrop(*size, **options), RandomCrop(*size, **options)):
        for training in (False, True):
            np.testing.assert_allclose(layer(x, training), expected.numpy(), atol=1e-12)
        assert layer.compute_output_shape((None, 3, None, None)) == (None, 3, *size)
        assert layer.notes((None, 3, None, None)) == []
        (note,) = layer.notes(x.shape)
        assert note == f"images of (6, 5) are smaller than {size}, and enlarged"


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
        (
            lambda: RandomTranslation(1.5, 0),
            r"height_factor: got 1.5, expected a number in \[-1",
        ),
        (lambda: RandomTranslation([0.5], 0), "height_factor: got"),
        (lambda: RandomTranslation(0, "ab"), "width_factor: got 'ab'"),
        (lambda: RandomTranslation(0, (0.0, np.nan)), "width_factor: got"),
        (lambda: RandomRotation(30), "factor: got 30, expected a number in"),
        (lambda: RandomRotation(None), "factor: got None"),
        (
            lambda: RandomRotation(0.1, "mirror"),
            "fill_mode: got 'mirror', expected one of constant",
        ),
        (lambda: RandomRotation(0.1, interpolation="cubic"), "interpolation: got 'cubic'"),
        (lambda: RandomZoom((-1.5, 0)), "height_factor: got"),
        (lambda: RandomZoom(0.1, -1), "width_factor: got -1, expected numbers above -1"),
        (lambda: RandomBrightness(2.0), "factor: got 2.0, expected a number in"),
        (lambda: RandomBrightness(0.1, (1, 0)), "value_range: got"),
        (lambda: RandomBrightness(0.1, 255), "value_range: got 255, expected"),
        (lambda: RandomContrast((2, 0)), "factor: got"),
        (lambda: RandomContrast(-0.5), "factor: got -0.5, expected a number in"),
        (lambda: RandomContrast((0.2, -0.5)), "factor: got"),
        (lambda: RandomCrop(0, 9), "height: got 0, expected a positive integer"),
        (lambda: CenterCrop(9, 1.5), "width: got 1.5, expected a positive integer"),
        (lambda: RandomFlip()(np.ones((8, 8, 1))), "expected \\(batch, height, width"),
    ],
)
def test_bad_arguments(call, message):
    with pytest.raises(ValueError, match=message):
        call()
