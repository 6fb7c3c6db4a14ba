"""Initializers: distribution, seeds, names."""

import math

import numpy as np
import pytest

from fastconv import initializers
from fastconv.utils import set_random_seed

SHAPE = (5, 5, 20, 40)  # fan_in 500, fan_out 1000


@pytest.mark.parametrize(
    ("name", "variance", "limit"),
    [
        ("glorot_uniform", 2 / 1500, math.sqrt(6 / 1500)),
        ("glorot_normal", 2 / 1500, 2 * math.sqrt(2 / 1500) / 0.87962566103423978),
        ("he_uniform", 2 / 500, math.sqrt(6 / 500)),
        ("he_normal", 2 / 500, 2 * math.sqrt(2 / 500) / 0.87962566103423978),
        ("lecun_uniform", 1 / 500, math.sqrt(3 / 500)),
        ("lecun_normal", 1 / 500, 2 * math.sqrt(1 / 500) / 0.87962566103423978),
        ("variance_scaling", 1 / 500, 2 * math.sqrt(1 / 500) / 0.87962566103423978),
        ("truncated_normal", (0.05 * 0.87962566103423978) ** 2, 0.1),
        ("random_normal", 0.05**2, math.inf),
        ("random_uniform", 0.1**2 / 12, 0.05),
    ],
)
def test_distribution(name, variance, limit):
    cls = type(initializers.get(name))
    x = cls(seed=1)(SHAPE, "float64")
    assert x.shape == SHAPE
    assert abs(x.mean()) < 4 * math.sqrt(variance / x.size)
    assert abs(x.var() / variance - 1) < 0.03
    assert np.abs(x).max() <= limit
    if math.isfinite(limit):
        assert np.abs(x).max() > 0.95 * limit


def test_constants():
    assert (initializers.get("zeros")((2, 3)) == 0).all()
    assert (initializers.get("ones")((2, 3)) == 1).all()
    assert (initializers.Constant(2.5)((2, 3)) == 2.5).all()


def test_seeds():
    seeded = initializers.GlorotUniform(seed=3)
    np.testing.assert_array_equal(seeded((4, 4)), seeded((4, 4)))
    np.testing.assert_array_equal(seeded((4, 4)), seeded((4, 4), "float64").astype("float32"))
    free = initializers.GlorotUniform()
    set_random_seed(0)
    one, two = free((4, 4)), free((4, 4))
    assert (one != two).any()
    set_random_seed(0)
    np.testing.assert_array_equal(free((4, 4)), one)
    with pytest.raises(ValueError, match="seed: got -1, expected a non-negative integer"):
        set_random_seed(-1)


@pytest.mark.parametrize("shape", [(6, 6), (3, 3, 2, 5), (4, 9)])
def test_orthogonal(shape):
    q = initializers.Orthogonal(gain=2.0, seed=1)(shape, "float64").reshape(-1, shape[-1])
    product = q.T @ q if q.shape[0] >= q.shape[1] else q @ q.T
    np.testing.assert_allclose(product, 4 * np.eye(len(product)), atol=1e-12)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: initializers.Orthogonal()((3,)), r"shape: got \(3,\)"),
        (lambda: initializers.Identity()((3, 3, 1, 1)), "expected two extents"),
        (lambda: initializers.VarianceScaling(0), "scale: got 0"),
        (lambda: initializers.VarianceScaling(mode="fan"), "mode: got 'fan'"),
        (lambda: initializers.VarianceScaling(distribution="normal"), "distribution: got 'normal'"),
    ],
)
def test_bad_arguments(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize(
    "name", sorted(set(initializers.__all__) - {"Initializer", "get", "serialize"})
)
def test_configuration_round_trip(name):
    config = initializers.serialize(initializers.get(name))
    assert initializers.serialize(initializers.get(config)) == config
