"""One input channel a group: every register tile, phase and edge of the depthwise kernels."""

from __future__ import annotations

import itertools

import numpy as np
import oracles
import pytest
from cases import LAYOUTS, assert_close, conv, unaligned
from ops import CONV, CONV_INPUT, CONV_WEIGHT, FAST

from fastconv import runtime

pytestmark = pytest.mark.parametrize("isa", FAST, indirect=True)

#: Kernels with a register tile of their own, and others; strides with one, and others.
WINDOWS = [
    conv(2, c, (h, w), c, k, s, p, d, c)
    for (k, s, d), (c, h, w, p) in zip(
        itertools.product(
            ((3, 3), (5, 5), (7, 7), (2, 4), (7, 3), (1, 6)),
            ((1, 1), (2, 2), (1, 2), (3, 2)),
            ((1, 1), (2, 3)),
        ),
        itertools.cycle(
            (
                (1, 17, 7, ((1, 1), (1, 1))),
                (17, 15, 8, ((0, 0), (0, 0))),
                (16, 14, 14, ((3, 3), (3, 3))),
                (33, 18, 29, ((2, 0), (1, 4))),
                (8, 19, 57, ((1, 3), (9, 0))),
                (31, 13, 16, "same"),
                (64, 16, 33, ((2, 2), (2, 2))),
            )
        ),
        strict=False,
    )
    if all(
        i + sum(q if isinstance(q, tuple) else (9, 9)) > e * (n - 1)
        for i, q, e, n in zip((h, w), (p, p) if p == "same" else p, d, k, strict=True)
    )
]
OTHERS = [
    conv(3, 24, (1,), 24, 3, 1, 1, 1, 24),
    conv(2, 19, (70,), 19, 2, 1, ((32, 0),), 32, 19),
    conv(1, 8, (2300,), 8, 3, 1, 512, 512, 8),
    conv(2, 5, (4100,), 5, 4, 2, 3, 1, 5),
    conv(1, 20, (5, 9, 17), 20, 3, 1, 1, 1, 20),
    conv(2, 6, (6, 7, 8), 6, (3, 2, 5), (2, 2, 2), 2, (2, 1, 1), 6),
    conv(1, 3, (90, 200), 3, 3, 1, 1, 1, 3),
    conv(1, 3, (90, 201), 3, 5, 2, 2, 1, 3),
    conv(2, 9, (20, 23), 18, 3, 1, 1, 1, 9),
    conv(2, 9, (20, 23), 27, 3, 2, 1, 1, 9),
    conv(1, 6, (4, 9, 11), 24, 3, 2, 1, 1, 6),
    conv(2, 7, (7, 7), 7, 3, 1, 1, 1, 7),
    conv(2, 40, (7, 7), 40, 3, 2, 1, 1, 40),
    conv(2, 3, (5, 5), 3, 1, 3, 0, 1, 3),
    conv(0, 3, (5, 5), 3, 3, 1, 1, 1, 3),
]


def operands(case, dtype):
    rng = np.random.default_rng(11)
    shapes = (case.input_shape, case.weight_shape, case.output_shape)
    return [rng.standard_normal(shape).astype(dtype) for shape in shapes]


@pytest.mark.parametrize("case", [*WINDOWS, *OTHERS], ids=str)
def test_all_computations_match_the_oracle(case, isa, dtype):
    x, w, dy = operands(case, dtype)
    nd, window = case.nd, (case.stride, case.pads, case.dilation, case.groups)

    def both(compute, a, b):
        return compute(a, b), compute(abs(a), abs(b))

    forward = both(lambda a, b: oracles.conv(a, b, *window), x, w)
    to_input = both(lambda a, b: oracles.conv_input(a, b, case.spatial, *window), dy, w)
    to_weight = both(lambda a, b: oracles.conv_weight(a, b, case.kernel, *window), x, dy)
    for layout in ("planar", "channels_last", "strided", "reversed", "read_only"):
        change = LAYOUTS[layout]
        x_, w_, dy_ = change(x), change(w), change(dy)
        result = CONV[nd](x_, w_, **case.window)
        assert_close(result, *forward, case.terms["forward"])
        result = CONV_INPUT[nd](x.shape, w_, dy_, **case.window)
        assert_close(result, *to_input, case.terms["backward_input"])
        result = CONV_WEIGHT[nd](x_, w.shape, dy_, **case.window)
        assert_close(result, *to_weight, case.terms["backward_weight"])


@pytest.mark.parametrize("case", [*WINDOWS[::5], *OTHERS[:11]], ids=str)
@pytest.mark.parametrize("layout", ["planar", "channels_last"])
def test_threads_and_batch_do_not_change_bits(case, layout, isa, dtype):
    x, w, dy = (LAYOUTS[layout](a) for a in operands(case, dtype))
    nd = case.nd
    results = []
    for n in (1, 2, 3, 8):
        with runtime.threads(n):
            y = CONV[nd](x, w, **case.window)
            dx = CONV_INPUT[nd](x.shape, w, dy, **case.window)
            results.append((y, dx, CONV_WEIGHT[nd](x, w.shape, dy, **case.window)))
    for result in results[1:]:
        for a, b in zip(result, results[0], strict=True):
            assert a.tobytes() == b.tobytes()
    y, dx, _ = results[0]
    last = slice(case.n - 1, case.n)
    assert CONV[nd](x[last], w, **case.window).tobytes() == y[last].tobytes()
    alone = CONV_INPUT[nd](x[last].shape, w, dy[last], **case.window)
    assert alone.tobytes() == dx[last].tobytes()


@pytest.mark.parametrize("layout", ["planar", "channels_last"])
@pytest.mark.parametrize("stride", [1, 2])
def test_epilogue_in_place_of_any_alignment(layout, stride, isa, dtype):
    case = conv(2, 35, (13, 58), 35, 3, stride, 1, 1, 35)
    x, w, residual = (LAYOUTS[layout](a) for a in operands(case, dtype))
    bias = np.linspace(-1, 1, 35).astype(dtype)
    plain = CONV[2](x, w, **case.window).astype(np.float64)
    expected = np.maximum(plain + bias[:, None, None] + residual, 0)
    result = CONV[2](unaligned(x), w, bias, **case.window, activation="relu", residual=residual)
    np.testing.assert_allclose(result, expected, rtol=0, atol=40 * np.finfo(dtype).eps)


@pytest.mark.parametrize("special", [np.nan, np.inf])
@pytest.mark.parametrize("layout", ["planar", "channels_last"])
@pytest.mark.parametrize("shape", [(7, 7), (9, 40)], ids=str)
def test_special_inputs_reach_exactly_the_outputs_that_see_them(special, layout, shape, isa, dtype):
    case = conv(2, 18, shape, 18, 3, 1, 1, 1, 18)
    x, w, _ = operands(case, dtype)
    clean = CONV[2](LAYOUTS[layout](x), w, **case.window)
    x[1, 5, 4, 0] = special
    result = CONV[2](LAYOUTS[layout](x), w, **case.window)
    touched = np.zeros(result.shape, bool)
    touched[1, 5, 3:6, 0:2] = True
    assert not np.isfinite(result[touched]).any()
    np.testing.assert_array_equal(result[~touched], clean[~touched])


@pytest.mark.parametrize("stride", [1, 2])
def test_planes_that_are_windows_of_larger_ones(stride, isa, dtype):
    """Rows with gaps between them, and planes with gaps."""
    case = conv(2, 37, (12, 21), 37, 3, stride, 1, 1, 37)
    x, w, dy = operands(case, dtype)

    def framed(a):
        frame = np.full((*a.shape[:2], a.shape[2] + 2, a.shape[3] + 5), 7, dtype)
        frame[:, :, 1:-1, 2:-3] = a
        return frame[:, :, 1:-1, 2:-3]

    y, dx = framed(dy), framed(x)
    CONV[2](framed(x), w, **case.window, out=y)
    np.testing.assert_array_equal(y, CONV[2](x, w, **case.window))
    CONV_INPUT[2](x.shape, w, framed(dy), **case.window, out=dx)
    np.testing.assert_array_equal(dx, CONV_INPUT[2](x.shape, w, dy, **case.window))
    for out in (y, dx):
        assert (out.base[:, :, 0] == 7).all()
        assert (out.base[:, :, :, -3:] == 7).all()


@pytest.mark.parametrize(("channels", "spatial"), [(24, (300, 301)), (96, (210, 224))])
@pytest.mark.parametrize("layout", ["planar", "channels_last"])
def test_outputs_larger_than_the_caches(layout, channels, spatial, isa):
    """They are written by other stores."""
    case = conv(1, channels, spatial, channels, 3, 1, 1, 1, channels)
    x, w, dy = operands(case, np.float32)
    window = (case.stride, case.pads, case.dilation, case.groups)
    change = LAYOUTS[layout]
    assert_close(
        CONV[2](change(x), w, **case.window),
        oracles.conv(x, w, *window),
        oracles.conv(abs(x), abs(w), *window),
        9,
    )
    assert_close(
        CONV_INPUT[2](x.shape, w, change(dy), **case.window),
        oracles.conv_input(dy, w, case.spatial, *window),
        oracles.conv_input(abs(dy), abs(w), case.spatial, *window),
        9,
    )
