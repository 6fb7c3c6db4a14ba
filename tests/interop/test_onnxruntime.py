"""Quantized operators against ONNX Runtime: equal to the last bit."""

from __future__ import annotations

import numpy as np
import pytest
from cases import LAYOUTS

from fastconv import functional as F

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

ELEMENT = {
    np.dtype(np.uint8): onnx.TensorProto.UINT8,
    np.dtype(np.int8): onnx.TensorProto.INT8,
    np.dtype(np.float32): onnx.TensorProto.FLOAT,
}


def run(operator, x, constants, dtype, **attributes):
    """One node of ONNX Runtime's on one thread; constants are named, None is left out."""
    names, initializers = ["x"], []
    for name, value in constants.items():
        names.append(name if value is not None else "")
        if value is not None:
            initializers.append(onnx.numpy_helper.from_array(np.asarray(value), name))
    while not names[-1]:
        names.pop()
    node = onnx.helper.make_node(operator, names, ["y"], **attributes)
    graph = onnx.helper.make_graph(
        [node],
        "test",
        [onnx.helper.make_tensor_value_info("x", ELEMENT[x.dtype], x.shape)],
        [onnx.helper.make_tensor_value_info("y", ELEMENT[np.dtype(dtype)], None)],
        initializers,
    )
    model = onnx.helper.make_model(
        graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8
    )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return session.run(None, {"x": x})[0]


def qlinear_conv(x, xs, xz, w, ws, wz, ys, yz, bias, stride, pads, dilation, groups):
    constants = {
        "x_scale": np.float32(xs),
        "x_zero": xz,
        "w": w,
        "w_scale": np.asarray(ws, np.float32),
        "w_zero": wz,
        "y_scale": np.float32(ys),
        "y_zero": yz,
        "bias": bias,
    }
    return run(
        "QLinearConv",
        x,
        constants,
        x.dtype,
        strides=stride,
        pads=[before for before, _ in pads] + [after for _, after in pads],
        dilations=dilation,
        group=groups,
    )


#: ONNX Runtime's own: outputs have the type of the input, int8 inputs int8 filters.
TYPES = ((np.uint8, np.int8), (np.uint8, np.uint8), (np.int8, np.int8))


def exact_filters(w, x_type):
    """Halve int8 filters where ONNX Runtime would be wrong, and fastconv is not.

    Without VNNI its product of uint8 and int8 adds two terms in 16 bits, where they saturate.
    """
    with open("/proc/cpuinfo", encoding="ascii") as file:
        if "vnni" in file.read() or x_type != np.uint8 or w.dtype != np.int8:
            return w
    return w // np.int8(2)


def random_problem(seed):
    """Operands of any kind that ONNX Runtime accepts."""
    rng = np.random.default_rng(seed)
    x_type, w_type = TYPES[seed % 3]

    def values(dtype, shape=None):
        """The whole range, or only its ends."""
        limits = np.iinfo(dtype)
        if rng.random() < 0.2:
            return rng.choice([limits.min, limits.max], shape).astype(dtype)
        return rng.integers(limits.min, limits.max + 1, shape).astype(dtype)

    nd = int(rng.choice([1, 2, 2, 2, 3]))
    grouping = rng.choice(["one", "some", "depthwise"])
    groups = int(rng.integers(2, 5)) if grouping == "some" else 1
    ic, oc = (int(rng.integers(1, 40)) * groups for _ in range(2))
    if grouping == "depthwise":
        ic = oc = groups = int(rng.integers(1, 150))
    kernel, stride, dilation = (tuple(map(int, rng.integers(1, high, nd))) for high in (4, 4, 3))
    pads = tuple(tuple(map(int, rng.integers(0, 3, 2))) for _ in range(nd))
    reach = [d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True)]
    spatial = tuple(int(rng.integers(r, r + 20 // nd)) for r in reach)
    x = values(x_type, (int(rng.integers(1, 3)), ic, *spatial))
    w = exact_filters(values(w_type, (oc, ic // groups, *kernel)), x_type)
    per_channel = rng.random() < 0.5
    shape = oc if per_channel else None
    w_zero = values(w_type, shape)
    if rng.random() < 0.5:
        w_zero = np.full(shape or (), 0 if w_type == np.int8 else 128, w_type)
    x_scale, y_zero = rng.uniform(0.001, 1), values(x_type)
    w_scale = np.asarray(rng.uniform(0.5, 1, shape), np.float32)
    terms = (ic // groups) * np.prod(kernel)
    y_scale = x_scale * 70 * 70 * terms**0.5 / rng.choice([3, 60, 1000])
    bias = rng.integers(-(2**18), 2**18, oc).astype(np.int32) if rng.random() < 0.5 else None
    if rng.random() < 0.2:  # ties: factors of 1 / 2
        x_scale, w_scale, y_scale = 0.5, np.ones_like(w_scale), 2.0 ** rng.integers(0, 8)
    return (x, x_scale, values(x_type), w, w_scale, w_zero, y_scale, y_zero, bias,
            stride, pads, dilation, groups)  # fmt: skip


@pytest.mark.parametrize("seed", range(300))
def test_random_problems_are_equal(seed, isa):
    problem = random_problem(seed)
    expected = qlinear_conv(*problem)
    x, xs, xz, w, ws, wz, ys, yz, *rest = problem
    for layout in ("planar", "channels_last"):
        result = F.qlinear_conv(LAYOUTS[layout](x), float(xs), xz, w, ws, wz, float(ys), yz, *rest)
        assert result.dtype == expected.dtype
        np.testing.assert_array_equal(result, expected)


@pytest.mark.parametrize("types", TYPES, ids=str)
@pytest.mark.parametrize("scale", [1e-30, 1e-6, 1.0, 1e30])
@pytest.mark.parametrize("value", [0, 1, 255])
@pytest.mark.parametrize("terms", [8, 32768, 40000])
def test_extremes_are_equal(types, scale, value, terms, isa):
    """Factors of 0 and infinity, sums of 0, and sums that wrap around in 32 bits."""
    x_type, w_type = types
    x = np.full((1, terms, 1), np.iinfo(x_type).min, np.uint8 if x_type == np.uint8 else np.int8)
    x += np.asarray(value).astype(x.dtype)
    zero = np.array(np.iinfo(x_type).min, x_type)
    w = exact_filters(np.full((2, terms, 1), np.iinfo(w_type).max, w_type), x_type)
    w_zero = np.array(0 if w_type == np.int8 else 3, w_type)
    y_zero = np.array(np.iinfo(x_type).max, x_type)
    for y_scale in (1e-30, 1e8, 1e30):
        bias = np.array([2**31 - 1, -(2**31)], np.int32)
        for b in (None, bias):
            problem = (x, scale, zero, w, scale, w_zero, y_scale, y_zero, b,
                       (1,), ((0, 0),), (1,), 1)  # fmt: skip
            expected = qlinear_conv(*problem)
            result = F.qlinear_conv(*problem)
            np.testing.assert_array_equal(result, expected)


@pytest.mark.parametrize("dtype", [np.uint8, np.int8])
@pytest.mark.parametrize("axis", [None, 1])
def test_quantize_and_dequantize_are_equal(dtype, axis, rng):
    x = rng.standard_normal((3, 17, 50)).astype(np.float32)
    x[0, :, :5] = [np.inf, -np.inf, 1e30, -1e30, np.nan]
    x[1] = np.round(x[1] * 8) / 8  # ties
    limits = np.iinfo(dtype)
    scale = np.float32(0.25) if axis is None else rng.uniform(0.1, 1, 17).astype(np.float32)
    shape = None if axis is None else 17
    zero = rng.integers(limits.min, limits.max + 1, shape).astype(dtype)
    if axis is None:
        zero = np.array(zero, dtype)
    attributes = {} if axis is None else {"axis": axis}
    expected = run("QuantizeLinear", x, {"scale": scale, "zero": zero}, dtype, **attributes)
    result = F.quantize_linear(x, scale, zero)
    np.testing.assert_array_equal(result, expected)
    real = run("DequantizeLinear", expected, {"scale": scale, "zero": zero}, np.float32,
               **attributes)  # fmt: skip
    np.testing.assert_array_equal(F.dequantize_linear(expected, scale, zero), real)
