"""Layers that draw: what they draw, its gradient, and that a checkpoint continues it."""

import numpy as np
import pytest

from fastconv.layers import (
    AlphaDropout,
    Dropout,
    GaussianDropout,
    GaussianNoise,
    SpatialDropout1D,
    SpatialDropout2D,
    SpatialDropout3D,
)
from fastconv.testing import numerical_gradient

LAYERS = [
    (Dropout, (5, 6), {}),
    (AlphaDropout, (5, 6), {}),
    (GaussianDropout, (5, 6), {}),
    (GaussianNoise, (5, 6), {}),
    *(
        (cls, (*[3] * rank, 8) if data_format == "channels_last" else (8, *[3] * rank), options)
        for rank, cls in enumerate((SpatialDropout1D, SpatialDropout2D, SpatialDropout3D), 1)
        for data_format in ("channels_last", "channels_first")
        for options in ({"data_format": data_format},)
    ),
]
IDS = [f"{cls.__name__}-{options.get('data_format', '')}" for cls, _, options in LAYERS]


def made(cls, options, rate=0.4, **more):
    return cls(rate, **({"seed": 3} | options | more))


@pytest.mark.parametrize(("cls", "shape", "options"), LAYERS, ids=IDS)
def test_gradient_of_one_draw(cls, shape, options):
    layer = made(cls, options, dtype="float64")
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2, *shape))
    state = layer.get_state()
    y = layer.forward(x, training=True)
    weights = rng.standard_normal(y.shape)
    dx = layer.backward(weights)

    def objective():
        layer.set_state(state)
        return float((layer.forward(x, training=True) * weights).sum())

    np.testing.assert_allclose(dx, numerical_gradient(objective, x), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize(("cls", "shape", "options"), LAYERS, ids=IDS)
def test_draws(cls, shape, options, dtype):
    layer, again = made(cls, options, dtype=dtype), made(cls, options, dtype=dtype)
    x = np.ones((2, *shape), dtype)
    x.flags.writeable = False
    assert layer(x) is x or (layer(x) == x).all()
    first, second = layer.forward(x, training=True), layer.forward(x, training=True)
    assert first.dtype == dtype
    assert (first != second).any()
    np.testing.assert_array_equal(again.forward(x, training=True), first)
    # After a checkpoint the next draw is the one that would have come.
    continued = made(cls, options, seed=8, dtype=dtype)
    continued.set_state(again.get_state())
    np.testing.assert_array_equal(continued.forward(x, training=True), second)
    assert layer.forward(x[:0], training=True).shape == (0, *shape)
    assert type(layer).from_config(layer.get_config()).get_config() == layer.get_config()


@pytest.mark.parametrize("cls", [Dropout, AlphaDropout, GaussianDropout, GaussianNoise])
def test_mean_and_variance(cls):
    x = np.random.default_rng(0).standard_normal((400, 500)).astype(np.float32)
    y = made(cls, {}, 0.3).forward(x, training=True)
    assert abs(y.mean()) < 0.01
    # E[x^2] = 1, so the factor's second moment, and 0.3 ** 2 added for the noise.
    wanted = {"AlphaDropout": 1.0, "GaussianNoise": 1.09}.get(cls.__name__, 1 / 0.7)
    assert y.var() == pytest.approx(wanted, rel=0.02)
    if cls is Dropout:
        assert (y == 0).mean() == pytest.approx(0.3, abs=0.005)


@pytest.mark.parametrize(("cls", "shape", "options"), LAYERS[4:], ids=IDS[4:])
def test_whole_channels(cls, shape, options):
    channels = 400
    last = options["data_format"] == "channels_last"
    shape = (*shape[:-1], channels) if last else (channels, *shape[1:])
    y = made(cls, options).forward(np.ones((3, *shape), np.float32), training=True)
    y = y if last else np.moveaxis(y, 1, -1)
    y = y.reshape(3, -1, channels)
    assert (y == y[:, :1]).all()
    assert set(np.unique(y).tolist()) == {0.0, float(np.float32(1) / np.float32(0.6))}
    assert (y[:, 0] == 0).mean() == pytest.approx(0.4, abs=0.05)
    assert (y[0] != y[1]).any()


@pytest.mark.parametrize("cls", [Dropout, AlphaDropout, GaussianDropout, SpatialDropout2D])
@pytest.mark.parametrize("rate", [-0.1, 1.0, float("nan")])
def test_a_rate_is_below_1(cls, rate):
    with pytest.raises(ValueError, match="rate: got"):
        cls(rate)


@pytest.mark.parametrize("value", [-1.0, float("inf"), float("nan")])
def test_a_standard_deviation_is_finite(value):
    with pytest.raises(ValueError, match="stddev: got"):
        GaussianNoise(value)


@pytest.mark.parametrize("seed", [-1, 1.5, "a"])
def test_a_seed_is_a_number(seed):
    with pytest.raises(ValueError, match="seed: got"):
        Dropout(0.5, seed)


def test_a_rate_of_0_drops_nothing():
    x = np.random.default_rng(0).standard_normal((3, 4)).astype(np.float32)
    np.testing.assert_array_equal(Dropout(0.0).forward(x, training=True), x)
