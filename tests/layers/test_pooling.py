"""Pools: against means and maxima written out, PyTorch, and Keras' defaults and examples."""

import itertools

import numpy as np
import pytest
from layer_checks import FORMATS, assert_close, assert_same_as, last

from fastconv import layers
from fastconv.layers import (
    AdaptiveAveragePooling2D,
    AdaptiveMaxPooling1D,
    AdaptiveMaxPooling2D,
    AveragePooling1D,
    AveragePooling2D,
    AveragePooling3D,
    GlobalAveragePooling1D,
    GlobalAveragePooling2D,
    GlobalMaxPooling1D,
    GlobalMaxPooling2D,
    MaxPooling1D,
    MaxPooling2D,
    MaxPooling3D,
)

EXTENTS = (7, 6, 5)
KINDS = {"Max": np.max, "Average": np.mean}


def pooled(x, reduce, bounds):
    """Reduce x (N, C, spatial...) in windows: for each axis a list of (first, end)."""
    y = np.empty((*x.shape[:2], *map(len, bounds)), x.dtype)
    for at in itertools.product(*(range(len(axis)) for axis in bounds)):
        window = [slice(*axis[i]) for axis, i in zip(bounds, at, strict=True)]
        values = x[(slice(None), slice(None), *window)]
        y[(slice(None), slice(None), *at)] = reduce(values, axis=tuple(range(2, x.ndim)))
    return y


def sliding(extent, size, stride, padding):
    """What of each window is inside, by the definition of each padding."""
    if padding == "same":
        count = -(-extent // stride)
        before = max((count - 1) * stride + size - extent, 0) // 2
    else:
        before, after = (0, 0) if padding == "valid" else (padding, padding)
        count = (extent + before + after - size) // stride + 1
    starts = [i * stride - before for i in range(count)]
    return [(max(first, 0), min(first + size, extent)) for first in starts]


def adaptive(extent, out):
    return [(o * extent // out, -(-(o + 1) * extent // out)) for o in range(out)]


def get(kind, rank, prefix=""):
    return getattr(layers, f"{prefix}{kind}Pooling{rank}D")


def assert_values(make, x, expected, dtype):
    for data_format in FORMATS:
        turn = last if data_format == "channels_last" else np.ascontiguousarray
        layer = make(data_format=data_format, dtype=dtype)
        assert_close(layer(turn(x)), turn(expected), dtype)
        assert layer.compute_output_shape(turn(x).shape) == turn(expected).shape


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("padding", ["valid", "same", 1])
@pytest.mark.parametrize(("size", "stride"), [(2, 2), (3, 2), (3, 1), (2, 3)])
def test_windows(kind, rank, padding, size, stride, dtype, rng):
    x = (rng.standard_normal((2, 3, *EXTENTS[:rank])) - 3).astype(dtype)
    bounds = [sliding(extent, size, stride, padding) for extent in x.shape[2:]]

    def make(**options):
        return get(kind, rank)(size, stride, padding, **options)

    assert_values(make, x, pooled(x, KINDS[kind], bounds), dtype)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("out", [1, 2, 3, 5, 9])
def test_adaptive_windows(kind, rank, out, dtype, rng):
    x = (rng.standard_normal((2, 3, *EXTENTS[:rank])) - 3).astype(dtype)
    bounds = [adaptive(extent, out) for extent in x.shape[2:]]

    def make(**options):
        return get(kind, rank, "Adaptive")(out, **options)

    assert_values(make, x, pooled(x, KINDS[kind], bounds), dtype)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_global_windows(kind, rank, dtype, rng):
    x = (rng.standard_normal((2, 3, *EXTENTS[:rank])) - 3).astype(dtype)
    axes = tuple(range(2, 2 + rank))
    for data_format, array in (("channels_first", x), ("channels_last", last(x))):
        layer = get(kind, rank, "Global")(data_format, dtype=dtype)
        y = layer.forward(array, training=True)
        assert_close(y, KINDS[kind](x, axis=axes), dtype)
        dx = layer.backward(y)
        sums = dx.sum(axes if data_format == "channels_first" else tuple(range(1, 1 + rank)))
        assert_close(sums, y, dtype)
        assert np.count_nonzero(dx) == (y.size if kind == "Max" else x.size)
        kept = get(kind, rank, "Global")(data_format, keepdims=True, dtype=dtype)
        expected = KINDS[kind](x, axis=axes, keepdims=True)
        expected = last(expected) if data_format == "channels_last" else expected
        assert_close(kept(array), expected, dtype)


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("padding", [0, 1])
def test_gradients_of_torch(rank, padding, dtype, rng):
    nn = pytest.importorskip("torch").nn
    x = rng.standard_normal((2, 3, *EXTENTS[:rank]))
    pairs = {
        "Average": getattr(nn, f"AvgPool{rank}d")(3, 2, padding, count_include_pad=False),
        "Max": getattr(nn, f"MaxPool{rank}d")(3, 2, padding),
    }
    for kind, module in pairs.items():
        cls = get(kind, rank)
        assert_same_as(module, lambda cls=cls, **o: cls(3, 2, padding, **o), x, dtype)


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("out", [1, 2, 4, 8])
def test_adaptive_gradients_of_torch(rank, out, dtype, rng):
    nn = pytest.importorskip("torch").nn
    x = rng.standard_normal((2, 3, *EXTENTS[:rank]))
    for kind, name in (("Average", "Avg"), ("Max", "Max")):
        cls, module = get(kind, rank, "Adaptive"), getattr(nn, f"Adaptive{name}Pool{rank}d")(out)
        assert_same_as(module, lambda cls=cls, **o: cls(out, **o), x, dtype)
        if out == 1:
            cls = get(kind, rank, "Global")
            assert_same_as(module, lambda cls=cls, **o: cls(keepdims=True, **o), x, dtype)


def test_one_size_for_each_axis():
    x = np.arange(24.0).reshape(1, 4, 6, 1)
    assert AveragePooling2D((2, 3))(x)[0, ..., 0].tolist() == [[4.0, 7.0], [16.0, 19.0]]
    assert AveragePooling2D((2, 3), (2, 1))(x).shape == (1, 2, 4, 1)
    assert AdaptiveMaxPooling2D((1, 2))(x).ravel().tolist() == [20.0, 23.0]


def test_the_examples_of_keras():
    x = np.arange(1.0, 10.0).reshape(1, 3, 3, 1)
    same = AveragePooling2D((2, 2), (1, 1), padding="same")(x)
    assert same[0, ..., 0].tolist() == [[3.0, 4.0, 4.5], [6.0, 7.0, 7.5], [7.5, 8.5, 9.0]]
    signal = np.arange(1.0, 6.0).reshape(1, 5, 1)
    assert AveragePooling1D(2, 1, "valid")(signal).ravel().tolist() == [1.5, 2.5, 3.5, 4.5]
    assert MaxPooling1D(2, 1, "same")(signal).ravel().tolist() == [2, 3, 4, 5, 5]


def test_padding_does_not_count():
    ones = np.ones((1, 5, 4, 2))
    for padding in ("same", 1, ((1, 0), (0, 1))):
        assert (AveragePooling2D(3, 1, padding)(ones) == 1).all()
        assert (MaxPooling2D(3, 1, padding)(-ones) == -1).all()


@pytest.mark.parametrize(
    "layer",
    [MaxPooling1D(3), AdaptiveMaxPooling1D(1), GlobalMaxPooling1D(keepdims=True)],
    ids=lambda layer: type(layer).__name__,
)
def test_ties_and_nan(layer):
    x = np.array([[[2.0, 1.0], [5.0, np.nan], [5.0, 9.0]]], np.float32)
    np.testing.assert_array_equal(layer.forward(x, training=True), [[[5.0, np.nan]]])
    dx = layer.backward(np.array([[[3.0, 4.0]]], np.float32))
    assert dx.tolist() == [[[0.0, 0.0], [3.0, 4.0], [0.0, 0.0]]]


def test_a_gradient_of_a_large_window_goes_to_its_maximum():
    # 256 positions are more than an argmax of one byte can tell apart.
    x = np.zeros((1, 16, 16, 1), np.float32)
    x[0, 15, 14] = 1
    layer = MaxPooling2D(16)
    assert layer.forward(x, training=True).ravel() == 1
    np.testing.assert_array_equal(layer.backward(np.full((1, 1, 1, 1), 3, np.float32)), 3 * x)


def test_an_output_as_large_as_the_input_is_the_input(rng):
    x = rng.standard_normal((2, 4, 3, 5)).astype(np.float32)
    for cls in (AdaptiveAveragePooling2D, AdaptiveMaxPooling2D):
        np.testing.assert_array_equal(cls((4, 3))(x), x)
    for cls in (AveragePooling2D, MaxPooling2D):
        np.testing.assert_array_equal(cls(1)(x), x)


EVERY = [
    MaxPooling2D(3, 2),
    AveragePooling2D(3, 2),
    AdaptiveAveragePooling2D(2),
    AdaptiveMaxPooling2D(2),
    GlobalAveragePooling2D(),
    GlobalMaxPooling2D(keepdims=True),
]


@pytest.mark.parametrize("layer", EVERY, ids=lambda layer: type(layer).__name__)
def test_any_memory_serves(layer, rng):
    x = rng.standard_normal((2, 7, 6, 3)).astype(np.float32)
    y = layer.forward(x, training=True)
    dy = rng.standard_normal(y.shape).astype(np.float32)
    dx = layer.backward(dy)
    for view in (
        np.asfortranarray(x),
        np.ascontiguousarray(x[:, ::-1])[:, ::-1],
        np.repeat(x, 2, 2)[:, :, ::2],
    ):
        view.flags.writeable = False
        np.testing.assert_allclose(layer.forward(view, training=True), y, rtol=1e-6, atol=1e-6)
        turned = np.asfortranarray(dy)
        turned.flags.writeable = False
        np.testing.assert_allclose(layer.backward(turned), dx, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("channels", [1, 4])
@pytest.mark.parametrize("extent", [3, 1])
def test_channels_last_stays_channels_last_in_memory(channels, extent):
    x = np.ones((2, extent, extent, channels), np.float32)
    for layer in (
        MaxPooling2D(extent),
        AveragePooling2D(extent),
        AdaptiveAveragePooling2D(1),
        AdaptiveMaxPooling2D(1),
        GlobalAveragePooling2D(),
        GlobalMaxPooling2D(),
    ):
        y = layer.forward(x, training=True)
        assert y.flags.c_contiguous
        assert layer.backward(np.ones(y.shape, np.float32)).flags.c_contiguous


@pytest.mark.parametrize("layer", EVERY, ids=lambda layer: type(layer).__name__)
def test_what_is_kept(layer):
    small, large = np.ones((1, 5, 5, 2), np.float32), np.ones((2, 7, 9, 2), np.float32)
    layer.forward(small)
    with pytest.raises(RuntimeError, match=r"backward\(\) needs a forward\(x, training=True\)"):
        layer.backward(np.ones(layer.compute_output_shape(small.shape), np.float32))
    one, two = layer.forward(small, training=True), layer.forward(large, training=True)
    assert layer.backward(two).shape == large.shape
    assert layer.backward(one).shape == small.shape
    layer.forward(small, training=True)
    assert layer.backward(one, need_input_grad=False) is None
    assert layer._tape == []


def test_the_defaults_of_keras():
    assert AveragePooling3D().get_config() == {
        "name": None,
        "trainable": True,
        "dtype": None,
        "pool_size": [2, 2, 2],
        "strides": [2, 2, 2],
        "padding": "valid",
        "data_format": "channels_last",
    }
    assert AveragePooling2D(3).strides == MaxPooling2D(3).strides == (3, 3)
    assert GlobalMaxPooling2D().keepdims is False
    assert AdaptiveAveragePooling2D(3).output_size == (3, 3)
    config = AdaptiveMaxPooling2D((3, 1), "channels_first").get_config()
    assert config["output_size"] == [3, 1]
    assert config["data_format"] == "channels_first"


def test_unknown_extents():
    shape = (None, None, 9, 3)
    assert AveragePooling2D(3).compute_output_shape(shape) == (None, None, 3, 3)
    assert AdaptiveMaxPooling2D((2, 4)).compute_output_shape(shape) == (None, 2, 4, 3)
    assert GlobalAveragePooling2D().compute_output_shape(shape) == (None, 3)
    image = layers.Input((None, None, 3))
    assert GlobalMaxPooling2D()(AveragePooling2D()(image)).shape == (None, 3)


def test_notes():
    (note,) = AveragePooling2D(2).notes((None, 4, 5, 3))
    assert note == "stride 2 does not fit 5: the last 1 is left out"
    assert AveragePooling2D(2, padding="same").notes((None, 4, 5, 3)) == []


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: AveragePooling2D((2, 2, 2)), r"pool_size: got \(2, 2, 2\), expected a positive"),
        (lambda: AveragePooling1D(2, 0), "strides: got 0, expected a positive integer"),
        (lambda: AveragePooling2D(2, padding="full"), "padding: got 'full', expected 'valid'"),
        (lambda: AveragePooling2D(3, padding=2), "padding: got 2, expected at most half of pool_s"),
        (lambda: AveragePooling2D(data_format="NCHW"), "data_format: got 'NCHW', expected 'chann"),
        (lambda: AdaptiveAveragePooling2D(0), "output_size: got 0, expected a positive integer"),
        (lambda: AdaptiveMaxPooling1D((2, 2)), r"output_size: got \(2, 2\), expected a positive"),
        (lambda: AdaptiveMaxPooling2D(2.0), "output_size: got 2.0, expected a positive integer"),
        (lambda: GlobalAveragePooling1D("last"), "data_format: got 'last', expected 'channels_la"),
        (
            lambda: AveragePooling2D(5).compute_output_shape((1, 4, 9, 1)),
            r"average_pooling2d: the window of \(5, 5\)",
        ),
    ],
)
def test_bad_arguments(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    "layer", [*EVERY, MaxPooling3D(), GlobalAveragePooling1D()], ids=lambda x: type(x).__name__
)
def test_an_image_alone_is_not_a_batch(layer):
    shape = (4,) * (layer.rank + 1)
    with pytest.raises(ValueError, match=r"got an input of shape \(4, .*\), expected \(batch, "):
        layer(np.ones(shape))
    with pytest.raises(ValueError, match=r"got an input of shape \(4, .*\), expected \(batch, "):
        layer.compute_output_shape(shape)
