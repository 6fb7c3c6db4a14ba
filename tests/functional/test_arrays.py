"""What goes in: array protocols, memory that is read and released."""

from __future__ import annotations

import array
import gc
import weakref

import numpy as np
import pytest
from array_arguments import WithDLPack, operands
from cases import unaligned

from fastconv import functional, grad


class WithArray:
    """An array by ``__array__`` alone."""

    def __init__(self, values):
        self.values = values

    def __array__(self, dtype=None, copy=None):
        return self.values


@pytest.mark.parametrize("wrap", [WithArray, WithDLPack, memoryview], ids=lambda w: w.__name__)
def test_arrays_by_protocol(wrap, rng):
    x, w = operands(rng)
    expected = functional.conv2d(x, w)
    np.testing.assert_array_equal(functional.conv2d(wrap(x), wrap(w)), expected)


def test_lists_and_scalars_are_float64():
    y = functional.linear([[1.0, 2.0]], [[3.0, 4.0], [5.0, 6.0]], (0.5, -0.5))
    assert y.dtype == np.float64
    assert y.tolist() == [[11.5, 16.5]]
    assert functional.relu(-1.5) == 0


def test_array_module():
    y = functional.relu(array.array("f", [-1, 2]))
    np.testing.assert_array_equal(y, np.array([0, 2], np.float32))


def test_a_subclass_of_ndarray(rng, tmp_path):
    x, w = operands(rng)
    np.save(tmp_path / "x.npy", x)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    assert isinstance(mapped, np.memmap)
    y = functional.conv2d(mapped, w)
    assert type(y) is np.ndarray
    np.testing.assert_array_equal(y, functional.conv2d(x, w))


def test_unaligned_inputs_are_copied(rng, dtype):
    x, w = operands(rng, dtype)
    np.testing.assert_array_equal(
        functional.conv2d(unaligned(x), unaligned(w)), functional.conv2d(x, w)
    )


def test_strides_that_are_no_whole_elements(rng):
    records = np.zeros((2, 4, 6, 7), [("value", np.float32), ("flag", np.int8)])
    x, w = operands(rng)
    records["value"] = x
    np.testing.assert_array_equal(functional.conv2d(records["value"], w), functional.conv2d(x, w))


def test_inputs_are_not_written(rng, dtype):
    x, w = operands(rng, dtype)
    dy = rng.standard_normal((2, 8, 4, 5)).astype(dtype)
    before = [a.copy() for a in (x, w, dy)]
    functional.conv2d(x, w, activation="relu")
    grad.conv2d_input(x.shape, w, dy)
    grad.conv2d_weight(x, w.shape, dy)
    grad.relu_backward(dy, dy)
    for a, b in zip((x, w, dy), before, strict=True):
        np.testing.assert_array_equal(a, b)


def test_buffers_are_released():
    buffer = bytearray(16)
    x = np.frombuffer(buffer, np.float32)
    functional.relu(memoryview(buffer).cast("f"))
    with pytest.raises(ValueError, match="dim"):
        functional.softmax(memoryview(buffer).cast("f"), 5)
    del x
    buffer.extend(b"more")  # BufferError if anybody still had a view


def test_the_refused_argument_is_released():
    x = np.ones((2, 3), np.float16)
    alive = weakref.ref(x)
    with pytest.raises(TypeError, match="float16"):
        functional.relu(x)
    del x
    gc.collect()
    assert alive() is None
