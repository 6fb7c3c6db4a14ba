"""The promised bits: no result depends on the number of threads, none on its batch."""

from __future__ import annotations

import numpy as np
import pytest
from cases import CONVS, LARGE, LAYOUTS
from ops import CONV, CONV_BIAS, CONV_INPUT, CONV_TRANSPOSE, CONV_WEIGHT, FAST, MAX_POOL_BACKWARD

from fastconv import functional, grad, runtime

THREADS = (1, 2, 3, 8)

pytestmark = pytest.mark.parametrize("isa", FAST, indirect=True)


def same_bits(a: np.ndarray, b: np.ndarray) -> bool:
    return a.shape == b.shape and a.dtype == b.dtype and a.tobytes() == b.tobytes()


def operands(case, dtype, layout="planar"):
    rng = np.random.default_rng(7)
    shapes = (case.input_shape, case.weight_shape, case.output_shape)
    x, w, dy = (rng.standard_normal(shape).astype(dtype) for shape in shapes)
    change = LAYOUTS[layout]
    return change(x), change(w), change(dy), rng.standard_normal(case.oc).astype(dtype)


def for_every_thread_count(compute):
    """Compute with each number of threads, and require the bits of the first."""
    with runtime.threads(THREADS[0]):
        expected = compute()
    for n in THREADS[1:]:
        with runtime.threads(n):
            for _ in range(2):  # tasks go to whichever thread is free
                assert same_bits(compute(), expected), f"{n} threads"


@pytest.mark.parametrize("layout", ["planar", "channels_last"])
@pytest.mark.parametrize("name", LARGE)
def test_threads_do_not_change_a_convolution(name, layout, isa, dtype):
    case = LARGE[name]
    nd = case.nd
    x, w, dy, b = operands(case, dtype, layout)
    for_every_thread_count(lambda: CONV[nd](x, w, b, **case.window, activation="relu"))
    for_every_thread_count(lambda: CONV_INPUT[nd](x.shape, w, dy, **case.window))
    for_every_thread_count(lambda: CONV_WEIGHT[nd](x, w.shape, dy, **case.window))
    for_every_thread_count(lambda: CONV_BIAS[nd](dy))
    for_every_thread_count(
        lambda: CONV_TRANSPOSE[nd](dy, w, **{**case.window, "padding": case.pads})
    )


def test_every_task_is_done_by_more_workers_than_begin_apart(isa, rng):
    """64 workers begin with tasks of their own; 100, for which this is work enough, share those."""
    x = rng.standard_normal((900, 8, 14, 14)).astype(np.float32)
    w = rng.standard_normal((8, 8, 3, 3)).astype(np.float32)
    with runtime.threads(1):
        expected = functional.conv2d(x, w)
    with runtime.threads(100):
        for _ in range(3):
            result = np.full_like(expected, np.nan)
            functional.conv2d(x, w, out=result)
            assert same_bits(result, expected)


def test_threads_do_not_change_the_other_operations(isa, dtype, rng):
    x = rng.standard_normal((8, 48, 40, 41)).astype(dtype)
    dy = rng.standard_normal(x.shape).astype(dtype)
    _, indices = functional.max_pool2d(x, 3, 2, 1, return_indices=True)
    small = rng.standard_normal(indices.shape).astype(dtype)
    cols = rng.standard_normal((2, 48 * 9, 40 * 41)).astype(dtype)
    rows, w = x.reshape(-1, 640), rng.standard_normal((200, 640)).astype(dtype)
    drows = rng.standard_normal((rows.shape[0], 200)).astype(dtype)
    target = rng.integers(0, 48, (8, 40, 41))
    for compute in (
        lambda: functional.max_pool2d(x, 3, 2, 1),
        lambda: functional.max_pool2d(x, 3, 2, 1, return_indices=True)[1],
        lambda: MAX_POOL_BACKWARD[2](small, indices, x.shape),
        lambda: functional.unfold(x[:2], 3, padding=1),
        lambda: functional.fold(cols, (40, 41), 3, padding=1),
        lambda: functional.relu(x),
        lambda: grad.relu_backward(dy, x),
        lambda: functional.softmax(x, 1),
        lambda: functional.softmax(x, 3),
        lambda: functional.log_softmax(x, 0),
        lambda: grad.softmax_backward(dy, x, 1),
        lambda: functional.cross_entropy(x, target, reduction="none"),
        lambda: functional.cross_entropy(x, target),
        lambda: grad.cross_entropy_backward(x, target),
        lambda: functional.linear(rows, w),
        lambda: grad.linear_input(drows, w),
        lambda: grad.linear_weight(rows, drows),
        lambda: grad.linear_bias(drows),
    ):
        for_every_thread_count(compute)


POOL_WINDOWS = {"2x2": (2,), "3x3": (3, 2, 1), "3x3 stride 1": (3, 1, 1), "stride 3": (4, 3, 1)}


@pytest.mark.parametrize("layout", ["planar", "channels_last"])
@pytest.mark.parametrize("name", POOL_WINDOWS)
def test_threads_and_batch_do_not_change_a_pool(name, layout, isa, dtype, rng):
    window = POOL_WINDOWS[name]
    x = LAYOUTS[layout](rng.standard_normal((8, 48, 40, 41)).astype(dtype))
    y, argmax = functional.max_pool2d(x, *window, return_argmax=True)
    dy = LAYOUTS[layout](rng.standard_normal(y.shape).astype(dtype))
    small = functional.adaptive_avg_pool2d(x, (7, 6))
    one = functional.adaptive_avg_pool2d(x, 1)

    def computations(n):
        shape = x[n].shape
        return (
            lambda: functional.max_pool2d(x[n], *window, return_argmax=True)[1],
            lambda: grad.max_pool2d_argmax_backward(dy[n], argmax[n], shape, *window),
            lambda: functional.avg_pool2d(x[n], *window, count_include_pad=False),
            lambda: grad.avg_pool2d_backward(dy[n], shape, *window, count_include_pad=False),
            lambda: functional.adaptive_avg_pool2d(x[n], (7, 6)),
            lambda: functional.adaptive_max_pool2d(x[n], (7, 6)),
            lambda: functional.adaptive_avg_pool2d(x[n], 1),
            lambda: grad.adaptive_avg_pool2d_backward(small[n], shape),
            lambda: grad.adaptive_avg_pool2d_backward(one[n], shape),
        )

    everything = slice(0, 8)
    for compute in computations(everything):
        for_every_thread_count(compute)
    for part in (slice(0, 1), slice(3, 6)):
        for whole, alone in zip(computations(everything), computations(part), strict=True):
            assert same_bits(whole()[part], alone())


@pytest.mark.parametrize("layout", ["planar", "channels_last"])
@pytest.mark.parametrize("name", [*LARGE, *CONVS])
def test_a_batch_does_not_change_its_images(name, layout, isa, dtype):
    case = (LARGE | CONVS)[name]
    nd = case.nd
    shapes = ((5, *case.input_shape[1:]), (5, *case.output_shape[1:]))
    rng = np.random.default_rng(7)
    x, dy = (LAYOUTS[layout](rng.standard_normal(s).astype(dtype)) for s in shapes)
    w = rng.standard_normal(case.weight_shape).astype(dtype)
    b = rng.standard_normal(case.oc).astype(dtype)
    y = CONV[nd](x, w, b, **case.window)
    dx = CONV_INPUT[nd](x.shape, w, dy, **case.window)
    for part in (slice(0, 1), slice(3, 4), slice(1, 4)):
        assert same_bits(CONV[nd](x[part], w, b, **case.window), y[part])
        alone = CONV_INPUT[nd](x[part].shape, w, dy[part], **case.window)
        assert same_bits(alone, dx[part])
    assert same_bits(CONV[nd](x[2], w, b, **case.window), y[2])


@pytest.mark.parametrize("layout", ["planar", "channels_last"])
@pytest.mark.parametrize("width", [127, 128])
@pytest.mark.parametrize(("channels", "kernel"), [(1, 5), (3, 3), (32, 1), (16, 3)])
def test_outputs_stored_past_the_caches_are_the_same(channels, kernel, width, layout, isa, rng):
    """Those of 16 MiB and more, where lines are whole; one image has less."""
    x = rng.standard_normal((6, channels, 128, width)).astype(np.float32)
    w = rng.standard_normal((48, channels, kernel, kernel)).astype(np.float32)
    b = rng.standard_normal(48).astype(np.float32)
    x = LAYOUTS[layout](x)
    out = LAYOUTS[layout](np.full((6, 48, 128, width), np.nan, np.float32))
    functional.conv2d(x, w, b, padding=kernel // 2, activation="relu", out=out)
    for image in (0, 5):
        alone = functional.conv2d(x[image], w, b, padding=kernel // 2, activation="relu")
        assert same_bits(alone, out[image])
    assert not np.isnan(out).any()


@pytest.mark.parametrize("activation", [None, "relu", "sigmoid"])
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("columns", [1, 2, 15, 17, 150, 700])
def test_a_batch_does_not_change_its_rows(columns, order, activation, isa, dtype, rng):
    """Rows are positions to some kernels, and a few of them vectors: all begin with the bias."""
    for outputs in (1, 2, 3, 4, 8, 9, 65):
        x, w, b, residual, dy = (
            rng.standard_normal(shape).astype(dtype, order=order)
            for shape in (
                (37, columns),
                (outputs, columns),
                outputs,
                (37, outputs),
                (37, outputs),
            )
        )
        options = {"bias": b, "activation": activation}
        y = functional.linear(x, w, **options)
        sums = functional.linear(x, w, residual=residual, **options)
        dx = grad.linear_input(dy, w)
        for first, count in ((0, 1), (36, 1), (20, 2), (5, 4), (9, 5), (3, 9), (3, 30)):
            rows = slice(first, first + count)
            assert same_bits(functional.linear(x[rows], w, **options), y[rows])
            alone = functional.linear(x[rows].copy(), w, residual=residual[rows], **options)
            assert same_bits(alone, sums[rows])
            assert same_bits(grad.linear_input(dy[rows], w), dx[rows])


@pytest.mark.parametrize("name", ["3x3", "1x1", "groups", "one image"])
def test_a_repeated_call_repeats_its_bits(name, isa, dtype):
    case = LARGE[name]
    x, w, dy, _ = operands(case, dtype)
    first = CONV_WEIGHT[2](x, w.shape, dy, **case.window)
    for _ in range(3):
        assert same_bits(CONV_WEIGHT[2](x, w.shape, dy, **case.window), first)
