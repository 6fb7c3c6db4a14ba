"""Zero padding and cropping: against np.pad and slices, and Keras' forms of the argument."""

import json

import numpy as np
import pytest

from fastconv.layers import (
    Cropping1D,
    Cropping2D,
    Cropping3D,
    Input,
    ZeroPadding1D,
    ZeroPadding2D,
    ZeroPadding3D,
    deserialize_layer,
    serialize_layer,
)

PADDINGS = {1: ZeroPadding1D, 2: ZeroPadding2D, 3: ZeroPadding3D}
CROPPINGS = {1: Cropping1D, 2: Cropping2D, 3: Cropping3D}
FORMS = [
    (1, 2, ((2, 2),)),
    (1, (1, 2), ((1, 2),)),
    (1, [0, 2], ((0, 2),)),
    (1, ((2, 1),), ((2, 1),)),
    (2, 1, ((1, 1), (1, 1))),
    (2, np.int64(2), ((2, 2), (2, 2))),
    (2, (0, 2), ((0, 0), (2, 2))),
    (2, ((1, 0), (2, 1)), ((1, 0), (2, 1))),
    (2, [[0, 0], [0, 3]], ((0, 0), (0, 3))),
    (2, (1, (0, 2)), ((1, 1), (0, 2))),
    (3, 1, ((1, 1), (1, 1), (1, 1))),
    (3, (0, 1, 2), ((0, 0), (1, 1), (2, 2))),
    (3, ((1, 0), (0, 1), (1, 2)), ((1, 0), (0, 1), (1, 2))),
]
EXTENTS = (5, 6, 5)


def widths(pairs, data_format):
    one = ((0, 0),)
    return (*one, *pairs, *one) if data_format == "channels_last" else (*one, *one, *pairs)


def inside(array, pairs, data_format):
    return array[
        tuple(
            slice(before, extent - after)
            for (before, after), extent in zip(widths(pairs, data_format), array.shape, strict=True)
        )
    ]


def batch(rng, rank, data_format, dtype):
    shape = (*EXTENTS[:rank], 3) if data_format == "channels_last" else (3, *EXTENTS[:rank])
    return rng.standard_normal((2, *shape)).astype(dtype)


@pytest.mark.parametrize(("rank", "argument", "pairs"), FORMS)
@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_padding(rank, argument, pairs, data_format, dtype, rng):
    layer = PADDINGS[rank](argument, data_format, dtype=dtype)
    x = batch(rng, rank, data_format, dtype)
    y = layer.forward(x, training=True)
    assert y.dtype == dtype
    np.testing.assert_array_equal(y, np.pad(x, widths(pairs, data_format)))
    assert layer.compute_output_shape(x.shape) == y.shape
    assert layer.padding == pairs
    dy = rng.standard_normal(y.shape).astype(dtype)
    dx = layer.backward(dy)
    assert dx.dtype == dtype
    np.testing.assert_array_equal(dx, inside(dy, pairs, data_format))


@pytest.mark.parametrize(("rank", "argument", "pairs"), FORMS)
@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_cropping(rank, argument, pairs, data_format, dtype, rng):
    layer = CROPPINGS[rank](argument, data_format, dtype=dtype)
    x = batch(rng, rank, data_format, dtype)
    y = layer.forward(x, training=True)
    assert y.dtype == dtype
    np.testing.assert_array_equal(y, inside(x, pairs, data_format))
    assert layer.compute_output_shape(x.shape) == y.shape
    assert layer.cropping == pairs
    dy = rng.standard_normal(y.shape).astype(dtype)
    dx = layer.backward(dy)
    assert dx.dtype == dtype
    np.testing.assert_array_equal(dx, np.pad(dy, widths(pairs, data_format)))


def test_the_defaults_of_keras():
    assert ZeroPadding1D().padding == ((1, 1),)
    assert ZeroPadding2D().padding == ((1, 1),) * 2
    assert ZeroPadding3D().padding == ((1, 1),) * 3
    assert Cropping1D().cropping == ((1, 1),)
    assert Cropping2D().cropping == ((0, 0),) * 2
    assert Cropping3D().cropping == ((1, 1),) * 3


def test_the_examples_of_keras():
    x = np.arange(12).reshape(2, 2, 3)
    rows = [[0] * 3] * 2
    assert ZeroPadding1D(2)(x)[1].tolist() == [*rows, [6, 7, 8], [9, 10, 11], *rows]
    assert Cropping1D(1)(np.arange(12).reshape(2, 3, 2)).tolist() == [[[2, 3]], [[8, 9]]]
    assert Cropping2D(((2, 2), (4, 4)))(np.ones((2, 28, 28, 3))).shape == (2, 24, 20, 3)
    assert Cropping3D((2, 4, 2))(np.ones((2, 28, 28, 10, 3))).shape == (2, 24, 20, 6, 3)


@pytest.mark.parametrize(
    "layer",
    [
        ZeroPadding1D((1, 2)),
        ZeroPadding2D(((1, 0), (2, 3)), "channels_first"),
        ZeroPadding3D(2, name="frame", dtype="float64"),
        Cropping1D((1, 2)),
        Cropping2D((3, 4), data_format="channels_first"),
        Cropping3D(),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_configurations(layer):
    config = layer.get_config()
    again = deserialize_layer(json.loads(json.dumps(serialize_layer(layer))))
    assert type(again) is type(layer)
    assert again.get_config() == config
    assert again.border == layer.border
    argument = "padding" if "Padding" in type(layer).__name__ else "cropping"
    assert list(config) == ["name", "trainable", "dtype", argument, "data_format"]


def test_one_takes_the_other_back(rng):
    x = rng.standard_normal((2, 4, 3, 2)).astype(np.float32)
    pairs = ((2, 1), (0, 3))
    np.testing.assert_array_equal(Cropping2D(pairs)(ZeroPadding2D(pairs)(x)), x)


def test_any_memory_serves(rng):
    x = np.asfortranarray(rng.standard_normal((2, 6, 5, 3)).astype(np.float32))[:, ::-1]
    x.flags.writeable = False
    for layer in (ZeroPadding2D(1), Cropping2D(1), ZeroPadding2D(0), Cropping2D(0)):
        y = layer(x)
        np.testing.assert_array_equal(y, layer(np.ascontiguousarray(x)))
        assert y.flags.c_contiguous
        assert layer(x[:0]).shape == (0, *y.shape[1:])
    assert layer.backward(x, need_input_grad=False) is None


def test_unknown_extents():
    shape = (None, None, 9, 3)
    assert ZeroPadding2D(2).compute_output_shape(shape) == (None, None, 13, 3)
    assert Cropping2D(2).compute_output_shape(shape) == (None, None, 5, 3)
    assert Cropping2D(1)(ZeroPadding2D(2)(Input((None, 9, 3)))).shape == (None, None, 11, 3)


@pytest.mark.parametrize(
    "border", [-1, 1.5, "same", (1, -1), (1, 2, 3, 4), None, True, [(1, 2, 3), 1]]
)
@pytest.mark.parametrize(
    ("cls", "argument"), [(ZeroPadding2D, "padding"), (Cropping2D, "cropping")]
)
def test_bad_arguments(cls, argument, border):
    with pytest.raises(
        ValueError, match=f"{argument}: got .*, expected a non-negative integer, or 2"
    ):
        cls(border)


@pytest.mark.parametrize("cls", [ZeroPadding1D, Cropping1D])
def test_bad_arguments_of_signals(cls):
    for border in ((1, 2, 3), [(1, 2), (3, 4)], (1, "2"), -1):
        with pytest.raises(
            ValueError, match=r"got .*, expected a non-negative .*\(before, after\)"
        ):
            cls(border)
    with pytest.raises(ValueError, match="data_format: got 'first', expected"):
        cls(1, "first")


@pytest.mark.parametrize("cropping", [(0, 4), (4, 0), (2, 2), (0, 6), (5, 5)])
def test_cropping_leaves_something(cropping):
    layer = Cropping1D(cropping)
    for call in (lambda: layer(np.ones((1, 4, 2))), lambda: layer.compute_output_shape((1, 4, 2))):
        with pytest.raises(ValueError, match=r"of which cropping by .* leaves nothing"):
            call()


@pytest.mark.parametrize("layer", [ZeroPadding2D(), Cropping2D(1)], ids=["padding", "cropping"])
def test_an_image_alone_is_not_a_batch(layer):
    with pytest.raises(ValueError, match=r"got an input of shape \(4, 4, 3\), expected \(batch, h"):
        layer(np.ones((4, 4, 3)))
