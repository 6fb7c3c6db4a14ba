"""What goes in and what comes out: array protocols, memory, layouts, `out`, forms of padding."""

from __future__ import annotations

import array
import gc
import threading
import weakref

import numpy as np
import pytest
from cases import LAYOUTS, conv, same_pads, unaligned

from fastconv import functional, grad, runtime


def operands(rng, dtype=np.float32):
    x = rng.standard_normal((2, 4, 6, 7)).astype(dtype)
    return x, rng.standard_normal((8, 4, 3, 3)).astype(dtype)


# ---- protocols


class WithArray:
    """An array by ``__array__`` alone."""

    def __init__(self, values):
        self.values = values

    def __array__(self, dtype=None, copy=None):
        return self.values


class WithDLPack:
    """An array by ``__dlpack__`` alone."""

    def __init__(self, values):
        self.values = values

    def __dlpack__(self, **options):
        return self.values.__dlpack__(**options)

    def __dlpack_device__(self):
        return self.values.__dlpack_device__()


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


# ---- results


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


# ---- unbatched


def test_one_image_without_a_batch(rng, dtype):
    x, w = operands(rng, dtype)
    b = rng.standard_normal(8).astype(dtype)
    dy = rng.standard_normal((2, 8, 4, 5)).astype(dtype)
    pooled, indices = functional.max_pool2d(x, 2, return_indices=True)
    for one, batch in (
        (functional.conv2d(x[1], w, b), functional.conv2d(x, w, b)),
        (
            functional.conv2d(x[1], w, residual=dy[1], activation="relu"),
            functional.conv2d(x, w, residual=dy, activation="relu"),
        ),
        (functional.conv_transpose2d(dy[1], w), functional.conv_transpose2d(dy, w)),
        (functional.max_pool2d(x[1], 2), pooled),
        (functional.max_pool2d(x[1], 2, return_indices=True)[1], indices),
        (
            functional.max_unpool2d(pooled[1], indices[1], 2, output_size=(6, 7)),
            functional.max_unpool2d(pooled, indices, 2, output_size=(6, 7)),
        ),
        (functional.unfold(x[1], 3), functional.unfold(x, 3)),
        (grad.conv2d_input(x.shape[1:], w, dy[1]), grad.conv2d_input(x.shape, w, dy)),
        (
            grad.max_pool2d_backward(pooled[1], indices[1], x.shape[1:]),
            grad.max_pool2d_backward(pooled, indices, x.shape),
        ),
        (
            grad.max_unpool2d_backward(x[1], indices[1]),
            grad.max_unpool2d_backward(x, indices),
        ),
    ):
        np.testing.assert_array_equal(one, batch[1])
    np.testing.assert_array_equal(
        grad.conv2d_weight(x[1], w.shape, dy[1]), grad.conv2d_weight(x[1:], w.shape, dy[1:])
    )
    np.testing.assert_array_equal(grad.conv2d_bias(dy[1]), grad.conv2d_bias(dy[1:]))
    out = np.empty((8, 4, 5), dtype)
    assert functional.conv2d(x[1], w, out=out) is out
    np.testing.assert_array_equal(out, functional.conv2d(x, w)[1])


# ---- forms of the arguments


def test_forms_of_integers(rng):
    x, w = operands(rng)
    expected = functional.conv2d(x, w, None, (2, 2), (1, 1), (1, 1))
    for two, one in ((np.int64(2), np.uint8(1)), ([2, 2], [1, 1]), ((np.int32(2), 2), (1, 1))):
        np.testing.assert_array_equal(functional.conv2d(x, w, None, two, one, one, 1), expected)


def test_forms_of_padding(rng):
    x, w = operands(rng)
    plain = functional.conv2d(x, w)
    for none in (0, (0, 0), ((0, 0), (0, 0)), [[0, 0], [0, 0]], "valid"):
        np.testing.assert_array_equal(functional.conv2d(x, w, padding=none), plain)
    padded = functional.conv2d(np.pad(x, ((0, 0), (0, 0), (1, 1), (2, 2))), w)
    for forms in ((1, 2), ((1, 1), (2, 2)), [1, 2]):
        np.testing.assert_allclose(functional.conv2d(x, w, padding=forms), padded, atol=1e-5)
    uneven = functional.conv2d(np.pad(x, ((0, 0), (0, 0), (0, 2), (1, 0))), w)
    result = functional.conv2d(x, w, padding=((0, 2), (1, 0)))
    np.testing.assert_allclose(result, uneven, atol=1e-5)


@pytest.mark.parametrize("stride", [1, 2, 3, 4])
@pytest.mark.parametrize("dilation", [1, 2])
@pytest.mark.parametrize("kernel", [1, 2, 3, 5])
@pytest.mark.parametrize("size", [1, 6, 7])
def test_same_padding(size, kernel, dilation, stride, rng):
    x = rng.standard_normal((1, 2, size))
    w = rng.standard_normal((3, 2, kernel))
    options = {"stride": stride, "dilation": dilation}
    pads = same_pads((size,), (kernel,), (stride,), (dilation,))
    y = functional.conv1d(x, w, padding="same", **options)
    assert y.shape == (1, 3, -(-size // stride))
    np.testing.assert_array_equal(y, functional.conv1d(x, w, padding=pads, **options))
    dy = rng.standard_normal(y.shape)
    np.testing.assert_array_equal(
        grad.conv1d_input(x.shape, w, dy, padding="same", **options),
        grad.conv1d_input(x.shape, w, dy, padding=pads, **options),
    )
    np.testing.assert_array_equal(
        grad.conv1d_weight(x, w.shape, dy, padding="same", **options),
        grad.conv1d_weight(x, w.shape, dy, padding=pads, **options),
    )


def test_the_defaults_of_pooling(rng):
    x, _ = operands(rng)
    np.testing.assert_array_equal(
        functional.max_pool2d(x, 2), functional.max_pool2d(x, (2, 2), (2, 2), (0, 0), (1, 1))
    )


# ---- threads of the caller


def test_many_threads_may_call_at_once(rng):
    case = conv(2, 24, (24, 25), 32, 3, padding=1)
    x = rng.standard_normal(case.input_shape).astype(np.float32)
    w = rng.standard_normal(case.weight_shape).astype(np.float32)
    y = functional.conv2d(x, w, padding=1)
    dw = grad.conv2d_weight(x, w.shape, y, padding=1)
    wrong = []

    def work():
        for _ in range(20):
            if not np.array_equal(functional.conv2d(x, w, padding=1), y):
                wrong.append("forward")
            if not np.array_equal(grad.conv2d_weight(x, w.shape, y, padding=1), dw):
                wrong.append("backward_weight")

    workers = [threading.Thread(target=work) for _ in range(6)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert wrong == []


def test_the_gil_is_released(rng):
    x = rng.standard_normal((8, 128, 56, 56)).astype(np.float32)
    w = rng.standard_normal((128, 128, 3, 3)).astype(np.float32)
    ticks = 0
    done = threading.Event()

    def work():
        functional.conv2d(x, w, padding=1)
        done.set()

    worker = threading.Thread(target=work)
    worker.start()
    while not done.wait(0.0005):
        ticks += 1
    worker.join()
    assert ticks > 0
