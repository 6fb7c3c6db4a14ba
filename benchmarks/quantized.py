"""Quantized convolution, uint8 data and int8 filters with a scale each, against ONNX Runtime.

Command: ``python -m benchmarks quantized --threads 1``

Results are integers, and everybody has to have the same ones: the first image's are verified
against the naive loops, those of the others against the first contender's. ONNX Runtime packs its
filters once, fastconv at every call.
"""

from __future__ import annotations

import sys
import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np

from . import machine, peers
from .peers import Contender
from .problems import Layer, load_layers
from .processes import in_own_process
from .tables import number, table
from .timing import QUICK, Effort, Guard, measure

NAMES = ("fastconv", "onnxruntime")


@dataclass(frozen=True)
class Operands:
    """Arrays of one problem, in the order of QLinearConv's arguments."""

    input: np.ndarray
    input_scale: np.ndarray
    input_zero_point: np.ndarray
    weight: np.ndarray
    weight_scale: np.ndarray
    weight_zero_point: np.ndarray
    output_scale: np.ndarray
    output_zero_point: np.ndarray
    bias: np.ndarray


def run(layers: str, threads: int, quick: bool, isa: str | None) -> dict[str, Any]:
    """Measure in a fresh process in the tuned environment and print the table."""
    settings = {"layers": layers, "threads": threads, "quick": quick}
    answer = in_own_process("quantized", settings, threads=threads, tuned=True, isa=isa)
    result = {"machine": machine.facts(), "threads": threads, **answer}
    print(markdown(result))
    return result


def work(layers: str, threads: int, quick: bool) -> dict[str, Any]:
    """Return one row for each layer."""
    versions = peers.installed(NAMES)
    for name in versions:
        peers.load(name).setup(threads)
    guard, effort = Guard(), QUICK if quick else Effort()
    rows = []
    for layer in load_layers(layers):
        if layer.kind == "conv":
            rows.append(_row(layer, "onnxruntime" in versions, threads, effort, guard))
            print(f"{layer.name:28} quantized", file=sys.stderr, flush=True)
    return {"versions": versions, "rows": rows}


def _row(
    layer: Layer, with_onnxruntime: bool, threads: int, effort: Effort, guard: Guard
) -> dict[str, Any]:
    operands = draw(layer)
    contenders = ours(layer, operands)
    if with_onnxruntime:
        contenders += [theirs(layer, operands, threads, last) for last in (False, True)]
    failures, verified, seconds = [], [], {}
    expected = reference(layer, operands)
    for contender in contenders:
        result = np.array(contender.result(contender.call()))
        if np.array_equal(result[: len(expected)], expected):
            expected = result  # of all images: the next one has to have these, too
            verified.append(contender)
        else:
            failures.append(f"{contender.peer} {contender.variant}: another result")
    for contender, timing in zip(verified, measure(verified, effort, guard), strict=True):
        seconds[f"{contender.peer} {contender.variant}"] = timing.median
    return {
        "layer": layer.name,
        "multiplications": layer.flops // 2,
        "seconds": seconds,
        "failures": failures,
    }


def draw(layer: Layer) -> Operands:
    """Return operands over the whole range, with sums that fill that of the output."""
    rng = np.random.default_rng(zlib.crc32(layer.name.encode()))
    terms = np.prod(layer.weight_shape[1:])
    scales = rng.uniform(0.001, 0.01, layer.oc).astype(np.float32)
    return Operands(
        rng.integers(0, 256, layer.input_shape, np.uint8),
        np.float32(0.02),
        np.array(120, np.uint8),
        rng.integers(-127, 128, layer.weight_shape, np.int8),
        scales,
        np.zeros(layer.oc, np.int8),
        np.float32(0.02 * scales.mean() * 75 * 75 * np.sqrt(terms) / 60),
        np.array(130, np.uint8),
        rng.integers(-1000, 1000, layer.oc, np.int32),
    )


def ours(layer: Layer, operands: Operands) -> list[Contender]:
    """Return the call in both layouts."""
    planar = operands.input
    last = np.moveaxis(np.ascontiguousarray(_to_last(planar)), -1, 1)
    return [
        Contender("fastconv", variant, _call(layer, operands, x))
        for variant, x in (("planar", planar), ("channels_last", last))
    ]


def _call(layer: Layer, operands: Operands, x: np.ndarray) -> Any:
    from fastconv import functional

    _, *others = vars(operands).values()
    window = (layer.stride, layer.padding, layer.dilation, layer.groups)
    return lambda: functional.qlinear_conv(x, *others, *window)


def reference(layer: Layer, operands: Operands) -> np.ndarray:
    """Compute the first image by the naive loops."""
    from fastconv import runtime

    with runtime.use_isa("reference"):
        return np.array(_call(layer, operands, operands.input[:1])())


def theirs(layer: Layer, operands: Operands, threads: int, last: bool) -> Contender:
    """Return ONNX Runtime's run with bound input and reused output.

    Its kernel is for channels-last data: the operator of ONNX transposes around it, its own with
    the attribute channels_last, which its optimizer puts into whole networks, does not.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.add_session_config_entry("session.force_spinning_stop", "1")
    session = onnxruntime.InferenceSession(
        _model(layer, operands, last), options, providers=["CPUExecutionProvider"]
    )
    x = np.ascontiguousarray(_to_last(operands.input)) if last else operands.input
    n, oc, *spatial = layer.output_shape
    shape = (n, *spatial, oc) if last else layer.output_shape
    source = onnxruntime.OrtValue.ortvalue_from_numpy(x)
    target = onnxruntime.OrtValue.ortvalue_from_shape_and_type(shape, np.uint8)
    binding = session.io_binding()
    binding.bind_ortvalue_input("x", source)
    binding.bind_ortvalue_output("y", target)
    return Contender(
        "onnxruntime",
        "channels_last" if last else "planar",
        lambda: session.run_with_iobinding(binding),
        lambda _: np.moveaxis(target.numpy(), -1, 1) if last else target.numpy(),
    )


def _to_last(array: np.ndarray) -> np.ndarray:
    return np.moveaxis(array, 1, -1)


def _model(layer: Layer, operands: Operands, last: bool) -> bytes:
    from onnx import TensorProto, helper, numpy_helper

    names = list(vars(operands))
    node = helper.make_node(
        "QLinearConv",
        ["x", *names[1:]],
        ["y"],
        strides=layer.stride,
        pads=(*layer.padding, *layer.padding),
        dilations=layer.dilation,
        group=layer.groups,
        **({"domain": "com.microsoft", "channels_last": 1} if last else {}),
    )
    shape = _to_last(operands.input).shape if last else layer.input_shape
    graph = helper.make_graph(
        [node],
        layer.name,
        [helper.make_tensor_value_info("x", TensorProto.UINT8, shape)],
        [helper.make_tensor_value_info("y", TensorProto.UINT8, None)],
        [numpy_helper.from_array(getattr(operands, name), name) for name in names[1:]],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    return bytes(model.SerializeToString())


def markdown(result: dict[str, Any]) -> str:
    """Return milliseconds, work a second and the ratio, best layout, of every layer."""
    cells, failures = [], []
    for row in result["rows"]:
        seconds = row["seconds"]
        layouts = ("planar", "channels_last")
        times = [seconds.get(f"{name} {layout}") for name in NAMES for layout in layouts]
        best, peer = (
            min((value for value in pair if value is not None), default=None)
            for pair in (times[:2], times[2:])
        )
        cells.append(
            [
                row["layer"],
                *(number(value, ".3f", 1e3) for value in times),
                number(None if best is None else row["multiplications"] / best, ".0f", 1e-9),
                number(None if best is None or peer is None else peer / best, ".2f"),
            ]
        )
        failures += [f"- {row['layer']}: {failure}" for failure in row["failures"]]
    versions = ", ".join(f"{name} {version}" for name, version in result["versions"].items())
    header = ["layer", "planar ms", "channels-last ms"]
    header += ["ONNX Runtime planar", "channels-last", "GMAC/s", "ratio, best layouts"]
    parts = [
        f"Quantized convolution, {result['threads']} thread(s): {versions}.",
        table(header, cells),
    ]
    parts.append("\n".join(failures) if failures else "All results are equal.")
    return "\n\n".join(parts)
