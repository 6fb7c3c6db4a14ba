"""Upsampling: against np.repeat and np.interp, PyTorch, and the adjoint identity."""

import json

import numpy as np
import pytest
from layer_checks import FORMATS, assert_close, assert_same_as, last

from fastconv.layers import (
    Input,
    UpSampling1D,
    UpSampling2D,
    UpSampling3D,
    deserialize_layer,
    serialize_layer,
)

SIZES = [(1, 1), (2, 2), (3, 1), (2, 5), (4, 3)]


def interpolated(x, size):
    """x (N, C, H, W) between the centres of its pixels, constant beyond the outermost ones."""
    for axis, factor in zip((2, 3), size, strict=True):
        centres = np.arange(x.shape[axis]) + 0.5
        at = (np.arange(x.shape[axis] * factor) + 0.5) / factor
        x = np.apply_along_axis(lambda values, a=at, c=centres: np.interp(a, c, values), axis, x)
    return x


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("data_format", FORMATS)
def test_nearest_in_images(size, data_format, dtype, rng):
    x = rng.standard_normal((2, 3, 4, 5)).astype(dtype)
    expected = x.repeat(size[0], 2).repeat(size[1], 3)
    turn = last if data_format == "channels_last" else np.ascontiguousarray
    layer = UpSampling2D(size, data_format, dtype=dtype)
    y = layer.forward(turn(x), training=True)
    assert y.dtype == dtype
    np.testing.assert_array_equal(y, turn(expected))
    assert layer.compute_output_shape(turn(x).shape) == y.shape
    dy = rng.standard_normal(expected.shape).astype(dtype)
    dx = dy.reshape(2, 3, 4, size[0], 5, size[1]).sum((3, 5))
    assert_close(layer.backward(turn(dy)), turn(dx), dtype)


@pytest.mark.parametrize("size", [1, 2, 3])
def test_nearest_in_signals(size, dtype, rng):
    x = rng.standard_normal((2, 5, 3)).astype(dtype)
    layer = UpSampling1D(size, dtype=dtype)
    y = layer.forward(x, training=True)
    np.testing.assert_array_equal(y, x.repeat(size, 1))
    dy = rng.standard_normal(y.shape).astype(dtype)
    assert_close(layer.backward(dy), dy.reshape(2, 5, size, 3).sum(2), dtype)


@pytest.mark.parametrize("size", [(1, 2, 3), (2, 2, 2)])
@pytest.mark.parametrize("data_format", FORMATS)
def test_nearest_in_volumes(size, data_format, dtype, rng):
    x = rng.standard_normal((2, 3, 2, 4, 3)).astype(dtype)
    expected = x.repeat(size[0], 2).repeat(size[1], 3).repeat(size[2], 4)
    turn = last if data_format == "channels_last" else np.ascontiguousarray
    layer = UpSampling3D(size, data_format, dtype=dtype)
    np.testing.assert_array_equal(layer.forward(turn(x), training=True), turn(expected))
    dy = rng.standard_normal(expected.shape).astype(dtype)
    parts = dy.reshape(2, 3, 2, size[0], 4, size[1], 3, size[2])
    assert_close(layer.backward(turn(dy)), turn(parts.sum((3, 5, 7))), dtype)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("extents", [(4, 5), (1, 3), (2, 1)])
@pytest.mark.parametrize("data_format", FORMATS)
def test_bilinear(size, extents, data_format, dtype, rng):
    x = rng.standard_normal((2, 3, *extents)).astype(dtype)
    turn = last if data_format == "channels_last" else np.ascontiguousarray
    layer = UpSampling2D(size, data_format, "bilinear", dtype=dtype)
    y = layer.forward(turn(x), training=True)
    assert_close(y, turn(interpolated(x.astype(float), size)), dtype)
    dy = rng.standard_normal(y.shape).astype(dtype)
    dx = layer.backward(dy)
    assert dx.dtype == dtype
    found, expected = np.vdot(dx, turn(x)), np.vdot(dy, y)
    assert abs(found - expected) < (1e-3 if dtype == np.float32 else 1e-11)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("mode", ["nearest", "bilinear"])
def test_values_and_gradients_of_torch(size, mode, dtype, rng):
    torch = pytest.importorskip("torch")

    def resize(x):
        aligned = {} if mode == "nearest" else {"align_corners": False}
        scale = tuple(map(float, size))
        return torch.nn.functional.interpolate(x, scale_factor=scale, mode=mode, **aligned)

    def make(**options):
        return UpSampling2D(size, interpolation=mode, **options)

    assert_same_as(resize, make, rng.standard_normal((2, 3, 5, 4)), dtype)


@pytest.mark.parametrize(("size", "touching"), [(2, slice(3, 7)), (3, slice(5, 10))])
def test_bilinear_reaches_no_further_than_the_neighbours(size, touching):
    x = np.zeros((1, 5, 5, 1), np.float32)
    x[0, 2, 2] = np.inf
    y = UpSampling2D(size, interpolation="bilinear")(x)[0, ..., 0]
    touched = np.zeros(y.shape, bool)
    touched[touching, touching] = True
    np.testing.assert_array_equal(np.isposinf(y), touched)
    assert (y[~touched] == 0).all()


def test_an_image_gives_the_same_bits_in_any_batch(rng):
    x = rng.standard_normal((5, 6, 7, 3)).astype(np.float32)
    for mode in ("nearest", "bilinear"):
        layer = UpSampling2D(3, interpolation=mode)
        y = layer(x)
        np.testing.assert_array_equal(layer(x[3:4]), y[3:4])
        np.testing.assert_array_equal(layer.backward(y[3:4]), layer.backward(y)[3:4])


@pytest.mark.parametrize("mode", ["nearest", "bilinear"])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("extents", [(1, 1), (3, 2), (1, 2)])
def test_any_memory_serves(mode, channels, extents, rng):
    layer = UpSampling2D(2, interpolation=mode)
    x = rng.standard_normal((2, *extents, channels)).astype(np.float32)
    view = np.asfortranarray(x)
    view.flags.writeable = False
    y = layer(x)
    np.testing.assert_array_equal(layer(view), y)
    dx = layer.backward(y)
    assert y.flags.c_contiguous
    assert dx.flags.c_contiguous
    turned = np.asfortranarray(y)
    turned.flags.writeable = False
    np.testing.assert_allclose(layer.backward(turned), dx, rtol=1e-6)
    assert layer(x[:0]).shape == (0, *y.shape[1:])
    assert layer.backward(y[:0]).shape == (0, *x.shape[1:])
    assert layer.backward(y, need_input_grad=False) is None


def test_the_examples_of_keras():
    x = np.arange(12).reshape(2, 2, 1, 3)
    assert UpSampling2D((1, 2))(x)[0].tolist() == [[[0, 1, 2]] * 2, [[3, 4, 5]] * 2]
    x = np.arange(12).reshape(2, 2, 3)
    assert UpSampling1D(2)(x)[0].tolist() == [[0, 1, 2], [0, 1, 2], [3, 4, 5], [3, 4, 5]]


def test_the_defaults_of_keras():
    assert UpSampling1D().get_config()["size"] == 2
    assert "data_format" not in UpSampling1D().get_config()
    assert UpSampling3D().size == (2, 2, 2)
    config = UpSampling2D().get_config()
    assert (config["size"], config["interpolation"]) == ([2, 2], "nearest")
    again = deserialize_layer(
        json.loads(json.dumps(serialize_layer(UpSampling2D((1, 3), "channels_first", "BILINEAR"))))
    )
    assert (again.size, again.data_format, again.interpolation) == (
        (1, 3),
        "channels_first",
        "bilinear",
    )


def test_unknown_extents():
    assert UpSampling2D((2, 3)).compute_output_shape((None, None, 4, 1)) == (None, None, 12, 1)
    assert UpSampling2D(2)(Input((None, 4, 3))).shape == (None, None, 8, 3)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: UpSampling2D(0), "size: got 0, expected a positive integer or 2 of them"),
        (lambda: UpSampling2D((2, 2, 2)), r"size: got \(2, 2, 2\), expected a positive integer or"),
        (lambda: UpSampling2D(1.5), "size: got 1.5, expected a positive integer"),
        (lambda: UpSampling1D((2, 2)), r"size: got \(2, 2\), expected a positive integer"),
        (lambda: UpSampling2D(2, "NHWC"), "data_format: got 'NHWC', expected 'channels_last'"),
        (
            lambda: UpSampling2D(2, interpolation="bicubic"),
            "interpolation: got 'bicubic', expected 'nearest' or 'bilinear'",
        ),
        (
            lambda: UpSampling2D(2, interpolation=None),
            "interpolation: got None, expected 'nearest' or 'bilinear'",
        ),
        (lambda: UpSampling2D()(np.ones((4, 4, 3))), r"got an input of shape \(4, 4, 3\), expecte"),
        (
            lambda: UpSampling2D(interpolation="bilinear")(np.ones((4, 4, 3))),
            r"got an input of shape \(4, 4, 3\), expected \(batch, height, width, channels\)",
        ),
        (lambda: UpSampling1D()(np.ones((4, 3))), r"expected \(batch, length, channels\)"),
    ],
)
def test_bad_arguments(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_other_arguments_of_other_layers():
    with pytest.raises(TypeError, match="interpolation"):
        UpSampling3D(2, interpolation="nearest")
    with pytest.raises(TypeError, match="data_format"):
        UpSampling1D(2, data_format="channels_first")
