"""What comes out: memory from the pool, layouts, `out`."""

from __future__ import annotations

import gc

import numpy as np
import pytest
from array_arguments import WithDLPack, operands
from cases import LAYOUTS

from fastconv import functional, grad, runtime


def test_results_are_aligned_writable_arrays(rng):
    x, w = operands(rng)
    for y in (functional.conv2d(x, w), functional.conv2d(x[:, :, :3, :3], w)):
        assert type(y) is np.ndarray
        assert y.flags.writeable
        assert y.flags.c_contiguous
        assert y.ctypes.data % 64 == 0
        y += 1


def test_results_live_as_long_as_their_views(rng):
    x = rng.standard_normal((64, 1024)).astype(np.float32)
    view = functional.relu(x)[3:5, ::2]
    expected = np.maximum(x, 0)[3:5, ::2]
    for _ in range(8):  # would reuse the memory
        functional.relu(-x)
    np.testing.assert_array_equal(view, expected)


def test_memory_returns_to_the_pool(rng):
    x = rng.standard_normal((64, 1024)).astype(np.float32)
    before = runtime.pool_stats().in_use
    y = functional.relu(x)
    assert runtime.pool_stats().in_use >= before + y.nbytes
    del y
    assert runtime.pool_stats().in_use == before


def test_no_leaks(rng):
    x, w = operands(rng)
    before = runtime.pool_stats().in_use
    for _ in range(100):
        functional.conv2d(x, w)
        functional.max_pool2d(x, 2, return_indices=True)
        with pytest.raises(ValueError, match="stride"):
            functional.conv2d(x, w, stride=0)
        with pytest.raises(TypeError, match="float64"):
            functional.conv2d(x, w.astype(np.float64))
    gc.collect()
    assert runtime.pool_stats().in_use == before


# ---- layout of the results


def is_channels_last(a):
    return np.moveaxis(a, 1, -1).flags.c_contiguous and not a.flags.c_contiguous


def test_channels_last_in_channels_last_out(rng, dtype):
    x, w = operands(rng, dtype)
    x = LAYOUTS["channels_last"](x)
    y, indices = functional.max_pool2d(x, 2, return_indices=True)
    assert is_channels_last(y)
    assert is_channels_last(indices)
    assert is_channels_last(grad.max_pool2d_backward(y, indices, x.shape))
    assert is_channels_last(functional.max_unpool2d(y, indices, 2, output_size=(6, 7)))
    y = functional.conv2d(x, w)
    assert is_channels_last(y)
    assert is_channels_last(grad.conv2d_input(x.shape, w, y))
    assert is_channels_last(functional.conv_transpose2d(y, w))
    assert is_channels_last(functional.relu(y))
    assert is_channels_last(functional.softmax(y, 1))
    assert is_channels_last(functional.conv2d(x[0], w)[None])
    volume = LAYOUTS["channels_last"](rng.standard_normal((2, 3, 4, 5, 6)).astype(dtype))
    w3 = rng.standard_normal((5, 3, 2, 2, 2)).astype(dtype)
    assert is_channels_last(functional.conv3d(volume, w3))
    signal = LAYOUTS["channels_last"](rng.standard_normal((2, 3, 9)).astype(dtype))
    assert is_channels_last(functional.conv1d(signal, w3[:, :, 0, 0]))


@pytest.mark.parametrize("layout", ["planar", "reversed", "strided", "fortran"])
def test_anything_else_gives_contiguous_results(layout, rng, dtype):
    x, w = operands(rng, dtype)
    x = LAYOUTS[layout](x)
    y = functional.conv2d(x, w)
    assert y.flags.c_contiguous
    assert functional.max_pool2d(x, 2).flags.c_contiguous
    assert grad.conv2d_weight(x, w.shape, y).flags.c_contiguous


def test_weight_gradients_are_contiguous_whatever_the_input(rng, dtype):
    x, w = operands(rng, dtype)
    x = LAYOUTS["channels_last"](x)
    assert grad.conv2d_weight(x, w.shape, functional.conv2d(x, w)).flags.c_contiguous


def test_one_channel_and_one_pixel_have_no_layout(rng, dtype):
    pixel = rng.standard_normal((2, 4, 1, 1)).astype(dtype)
    w = rng.standard_normal((4, 3, 2, 2)).astype(dtype)
    assert functional.conv_transpose2d(pixel, w).flags.c_contiguous
    gray = LAYOUTS["channels_last"](rng.standard_normal((2, 1, 5, 6)).astype(dtype))
    assert functional.conv2d(gray, w[:1].reshape(3, 1, 2, 2)).flags.c_contiguous


def test_elementwise_results_have_the_order_of_the_input(rng, dtype):
    x = rng.standard_normal((2, 3, 4, 5)).astype(dtype).transpose(2, 0, 3, 1)
    for y in (functional.relu(x), functional.softmax(x, 2), grad.relu_backward(x, x)):
        assert y.strides == x.strides


# ---- out


@pytest.mark.parametrize("layout", ["planar", "channels_last", "strided", "reversed"])
def test_out_is_written_and_returned(layout, rng, dtype):
    x, w = operands(rng, dtype)
    dy = rng.standard_normal((2, 8, 4, 5)).astype(dtype)
    pooled, indices = functional.max_pool2d(x, 2, return_indices=True)
    cols = functional.unfold(x, 3)
    for compute in (
        lambda **out: functional.conv2d(x, w, **out),
        lambda **out: functional.conv_transpose2d(dy, w, **out),
        lambda **out: functional.max_pool2d(x, 2, **out),
        lambda **out: functional.max_unpool2d(pooled, indices, 2, output_size=(6, 7), **out),
        lambda **out: functional.unfold(x, 3, **out),
        lambda **out: functional.fold(cols, (6, 7), 3, **out),
        lambda **out: functional.relu(x, **out),
        lambda **out: functional.softmax(x, 1, **out),
        lambda **out: functional.log_softmax(x, 1, **out),
        lambda **out: grad.conv2d_input(x.shape, w, dy, **out),
        lambda **out: grad.conv2d_weight(x, w.shape, dy, **out),
        lambda **out: grad.max_pool2d_backward(pooled, indices, x.shape, **out),
        lambda **out: grad.unfold_backward(cols, x.shape, 3, **out),
        lambda **out: grad.fold_backward(x, 3, **out),
        lambda **out: grad.relu_backward(x, x, **out),
        lambda **out: grad.softmax_backward(x, x, 1, **out),
        lambda **out: grad.log_softmax_backward(x, x, 1, **out),
    ):
        expected = compute()
        out = LAYOUTS[layout](np.full(expected.shape, np.nan, dtype))
        assert compute(out=out) is out
        # The order of summation may depend on the layout.
        np.testing.assert_allclose(out, expected, rtol=0, atol=200 * np.finfo(dtype).eps)


@pytest.mark.parametrize("wrap", [WithDLPack, memoryview], ids=lambda w: w.__name__)
def test_out_by_protocol(wrap, rng):
    if wrap is WithDLPack and np.lib.NumpyVersion(np.__version__) < "2.1.0":
        pytest.skip("this NumPy takes whatever comes by DLPack for read-only")
    x, w = operands(rng)
    expected = functional.conv2d(x, w)
    values = np.empty_like(expected)
    out = wrap(values)
    assert functional.conv2d(x, w, out=out) is out
    np.testing.assert_array_equal(values, expected)


def test_nothing_around_out_is_written(rng, dtype):
    x, w = operands(rng, dtype)
    for layout in ("planar", "channels_last"):
        frame = LAYOUTS[layout](np.full((4, 10, 8, 9), 7, dtype))
        out = frame[1:3, 1:9, 2:6, 2:7]
        functional.conv2d(x, w, out=out)
        expected = functional.conv2d(x, w)
        np.testing.assert_allclose(out, expected, rtol=0, atol=200 * np.finfo(dtype).eps)
        out[...] = 7
        assert (frame == 7).all()


def test_out_may_be_the_residual(rng, dtype):
    x, w = operands(rng, dtype)
    total = rng.standard_normal((2, 8, 4, 5)).astype(dtype)
    expected = functional.conv2d(x, w, residual=total)
    assert functional.conv2d(x, w, residual=total, out=total) is total
    np.testing.assert_array_equal(total, expected)
