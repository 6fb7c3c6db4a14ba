"""The digits, and what resizes and varies images."""

import sys

import numpy as np
import pytest

from fastconv.datasets import augment, load_digits, resize


def test_digits():
    sklearn = pytest.importorskip("sklearn.datasets")
    (x_train, y_train), (x_test, y_test) = load_digits()
    assert x_train.shape == (1437, 8, 8, 1)
    assert x_test.shape == (360, 8, 8, 1)
    assert x_train.dtype == x_test.dtype == np.float32
    assert x_train.min() == 0
    assert x_train.max() == 1
    np.testing.assert_array_equal(np.bincount(np.r_[y_train, y_test]), np.bincount(y_all(sklearn)))
    assert np.bincount(y_test).tolist() == [36, 36, 36, 36, 37, 36, 36, 36, 35, 36]
    # the very images, none twice
    together = np.concatenate([x_train, x_test]).reshape(1797, 64) * 16
    expected = sklearn.load_digits().data
    assert {row.tobytes() for row in together.astype(np.float64)} == {
        row.tobytes() for row in expected
    }
    again = load_digits()
    np.testing.assert_array_equal(again[1][0], x_test)


def y_all(sklearn):
    return sklearn.load_digits().target


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(ImportError, match=r"needs scikit-learn: pip install \"fastconv\[train\]\""):
        load_digits()


def test_resize():
    x = np.random.default_rng(0).random((3, 8, 6, 2))
    np.testing.assert_array_equal(resize(x, (8, 6)), x)
    assert resize(x.astype(np.float32), (28, 20)).dtype == np.float32
    np.testing.assert_allclose(resize(np.full((1, 3, 4, 1), 7.0), (9, 5)), 7.0)
    # a ramp stays a ramp between the outermost centres
    ramp = np.arange(8.0).reshape(1, 8, 1, 1)
    np.testing.assert_allclose(resize(ramp, (16, 1))[0, 1:-1, 0, 0], np.arange(14) / 2 + 0.25)


def test_augment():
    x = np.random.default_rng(0).random((5, 12, 10, 2)).astype(np.float32)
    still = augment(x, 0, rotation=0, scale=0, shift=0)
    np.testing.assert_allclose(still, x, atol=1e-6)
    one = augment(x, 1)
    assert one.dtype == np.float32
    assert one.shape == x.shape
    np.testing.assert_array_equal(one, augment(x, 1))
    assert (one != augment(x, 2)).any()
    assert (augment(x, 3, rotation=0, scale=0, shift=5.0) == 0).any()  # mostly outside
    turned = augment(np.ones((1, 9, 9, 1)), 4, rotation=180, scale=0, shift=0)
    assert turned[0, 4, 4, 0] == pytest.approx(1)
