"""Dropout: the generator's published numbers, the mask's promises, and gradients."""

from __future__ import annotations

import numpy as np
import pytest
from cases import LAYOUTS

from fastconv import functional as F
from fastconv import grad as G
from fastconv import runtime

LIMIT = -1.7580993408473766


def philox(counter, key):
    """Philox4x32-10 by its definition, on Python's integers."""
    c, k = list(counter), list(key)
    for _ in range(10):
        first, second = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [
            second >> 32 ^ c[1] ^ k[0],
            second & 0xFFFFFFFF,
            first >> 32 ^ c[3] ^ k[1],
            first & 0xFFFFFFFF,
        ]
        k = [(k[0] + 0x9E3779B9) & 0xFFFFFFFF, (k[1] + 0xBB67AE85) & 0xFFFFFFFF]
    return c


def word(element, seed):
    counter = element // 64 * 16 + element % 16
    key = (seed & 0xFFFFFFFF, seed >> 32)
    return philox((counter & 0xFFFFFFFF, counter >> 32, 0, 0), key)[element % 64 // 16]


def test_the_generator_gives_its_authors_numbers():
    # kat_vectors of Random123
    assert philox((0, 0, 0, 0), (0, 0)) == [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]
    ones = 0xFFFFFFFF
    expected = [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]
    assert philox((ones,) * 4, (ones,) * 2) == expected


@pytest.mark.parametrize("seed", [0, 1, 2**64 - 1])
@pytest.mark.parametrize("p", [0.0, 0.1, 0.5, 0.9])
def test_mask_is_that_of_the_generator(p, seed, isa, dtype):
    x = np.arange(1, 301).astype(dtype).reshape(3, 100)
    y = F.dropout(x, p, seed=seed)
    words = np.array([word(e, seed) for e in range(300)]).reshape(3, 100)
    keep = words >= int(p * (2**32 - 1) + 0.5)
    np.testing.assert_allclose(y, np.where(keep, x / (1 - p), 0), rtol=1e-6)


@pytest.mark.parametrize(
    "shape", [(), (1,), (17,), (5, 33), (3, 16, 5, 13), (2, 3, 4, 5, 6), (0, 4)], ids=str
)
def test_mask_does_not_depend_on_the_layout(shape, isa, dtype, rng):
    x = np.asarray(rng.standard_normal(shape).astype(dtype))
    for function, gradient in (
        (F.dropout, G.dropout_backward),
        (F.alpha_dropout, G.alpha_dropout_backward),
        (F.feature_alpha_dropout, G.feature_alpha_dropout_backward),
    ):
        y, dx = function(x, 0.3, seed=5), gradient(x, 0.3, seed=5)
        for name, layout in LAYOUTS.items():
            if name == "channels_last" and x.ndim < 3:
                continue
            np.testing.assert_array_equal(function(layout(x), 0.3, seed=5), y)
            np.testing.assert_array_equal(gradient(layout(x), 0.3, seed=5), dx)


def test_instruction_sets_and_threads_agree(dtype, rng):
    x = rng.standard_normal((4, 40, 33, 35)).astype(dtype)
    with runtime.threads(1):
        expected = F.dropout(x, 0.5, seed=9)
    for isa in runtime.available_isas():
        with runtime.use_isa(isa):
            for n in (1, 2, 3, 8):
                with runtime.threads(n):
                    np.testing.assert_array_equal(F.dropout(x, 0.5, seed=9), expected)


def test_frequency_and_moments(isa, rng):
    x = rng.standard_normal(1_000_000).astype(np.float32)
    y = F.dropout(x, 0.2, seed=3)
    assert abs((y == 0).mean() - 0.2) < 0.002
    neighbours = np.corrcoef(y[:-1] == 0, y[1:] == 0)[0, 1]
    assert abs(neighbours) < 0.005
    assert abs(((F.dropout(x, 0.2, seed=4) == 0) & (y == 0)).mean() - 0.04) < 0.002
    y = F.alpha_dropout(x, 0.2, seed=3)
    assert abs(y.mean()) < 0.01
    assert abs(y.std() - 1) < 0.01


@pytest.mark.parametrize("nd", [1, 2, 3])
def test_whole_channels(nd, isa, dtype, rng):
    x = rng.standard_normal((6, 20, *(3, 5, 4)[:nd])).astype(dtype)
    function = {1: F.dropout1d, 2: F.dropout2d, 3: F.dropout3d}[nd]
    gradient = {1: G.dropout1d_backward, 2: G.dropout2d_backward, 3: G.dropout3d_backward}[nd]
    spatial = tuple(range(2, 2 + nd))
    for layout in ("planar", "channels_last"):
        y = function(LAYOUTS[layout](x), 0.5, seed=2)
        kept = (y != 0).all(axis=spatial)
        assert (kept | (y == 0).all(axis=spatial)).all()
        assert 30 < kept.sum() < 90
        np.testing.assert_array_equal(kept, F.dropout(np.ones((6, 20), dtype), seed=2) != 0)
    np.testing.assert_array_equal(gradient(x, 0.5, seed=2), y)
    np.testing.assert_array_equal(function(x[0], 0.5, seed=2), y[0])


def test_alpha_dropout(isa, dtype, rng):
    x = rng.standard_normal(1000).astype(dtype)
    p = 0.3
    scale = 1 / np.sqrt((1 - p) * (1 + p * LIMIT**2))
    keep = F.dropout(np.ones_like(x), p, seed=8) != 0
    expected = scale * (np.where(keep, x, LIMIT) - p * LIMIT)
    eps = np.finfo(dtype).eps
    np.testing.assert_allclose(F.alpha_dropout(x, p, seed=8), expected, rtol=0, atol=20 * eps)
    dx = G.alpha_dropout_backward(x, p, seed=8)
    np.testing.assert_allclose(dx, np.where(keep, scale * x, 0), rtol=0, atol=20 * eps)


def test_limits(isa, dtype, rng):
    x = rng.standard_normal((5, 17)).astype(dtype)
    for function in (F.dropout, F.alpha_dropout, F.dropout1d):
        np.testing.assert_array_equal(function(x, 0.0, seed=1), x)
        np.testing.assert_array_equal(function(x, 1.0, seed=1), np.zeros_like(x))
        np.testing.assert_array_equal(function(x, 0.7, training=False, seed=1), x)
    expected = F.dropout(x, seed=1)
    assert F.dropout(x, seed=1, out=x) is x
    np.testing.assert_array_equal(x, expected)
