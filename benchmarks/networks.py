"""Inference of whole networks, against ONNX Runtime, OpenVINO and PyTorch at their best.

Command: ``python -m benchmarks networks``; with ``--docs docs`` it writes docs/networks.md.

The same weights everywhere: ours are written as an ONNX model and as a module of PyTorch
(network_graphs.py). fastconv is called by ``predict_on_batch``; ONNX Runtime with bound inputs;
OpenVINO for latency; PyTorch eagerly and frozen by its optimizer, in both memory formats. Outputs
have to agree with PyTorch's to 1e-4 of the largest before anything is timed.
"""

from __future__ import annotations

import gc
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from . import machine, peers
from .network_graphs import channels_first, onnx_model, torch_function
from .peers import Contender
from .processes import in_own_process
from .tables import number, table
from .timing import QUICK, Effort, Guard, measure

#: Networks and batches, with the ratio to reach.
CASES: dict[str, dict[int, float]] = {
    "mnist_cnn": {1: 1.0, 100: 1.5},
    "alexnet": {1: 1.3, 16: 2.0},
    "vgg16": {1: 1.8, 4: 2.0},
    "googlenet": {1: 1.5, 8: 1.5},
    "resnet18": {1: 1.5, 8: 1.5},
    "resnet50": {1: 1.3, 8: 1.3},
}
NAMES = ("torch", "fastconv", "onnxruntime", "openvino")
TOLERANCE = 1e-4
PAGE = "networks.md"


def run(layers: str, threads: int, quick: bool, isa: str | None) -> dict[str, Any]:
    """Measure in a fresh process in the tuned environment and print the table."""
    settings = {"layers": layers, "threads": threads, "quick": quick}
    answer = in_own_process("networks", settings, threads=threads, tuned=True, isa=isa)
    result = {"machine": machine.facts(), "threads": threads, **answer}
    print(markdown(result))
    return result


def work(layers: str, threads: int, quick: bool) -> dict[str, Any]:
    """Return one row for each network and batch."""
    import re

    versions = peers.installed(NAMES)
    for name in versions:
        peers.load(name).setup(threads)
    guard, effort = Guard(), QUICK if quick else Effort()
    rows = []
    for name, batches in CASES.items():
        if not re.search(layers, name):
            continue
        for batch, wanted in batches.items():
            rows.append(_row(name, batch, wanted, list(versions), threads, effort, guard))
            gc.collect()  # the networks of this row: gigabytes, in cycles
            print(f"{name} {batch}: {rows[-1]['seconds']}", file=sys.stderr, flush=True)
    return {"versions": versions, "rows": rows}


def _row(
    name: str,
    batch: int,
    wanted: float,
    names: list[str],
    threads: int,
    effort: Effort,
    guard: Guard,
) -> dict[str, Any]:
    from fastconv import models, utils

    utils.set_random_seed(0)
    begin = time.perf_counter()
    model = getattr(models, name)()
    x = np.random.default_rng(0).standard_normal((batch, *model.input_shape[1:]), np.float32)
    model.predict_on_batch(x)
    first = time.perf_counter() - begin
    _settle_statistics(model)
    found = [contender for peer in names for contender in _CONTENDERS[peer](model, x, threads)]
    expected = found[0].result(found[0].call())
    verified, failures = [], []
    for contender in found:
        try:
            error = np.abs(contender.result(contender.call()) - expected).max() / expected.max()
        except Exception as problem:
            failures.append(f"{contender.peer} {contender.variant}: {problem}"[:200])
            continue
        if error <= TOLERANCE:
            verified.append(contender)
        else:
            failures.append(f"{contender.peer} {contender.variant}: off by {error:.1e}")
    timings = measure(verified, effort, guard)
    return {
        "network": name,
        "batch": batch,
        "wanted": wanted,
        "first_s": first,
        "seconds": {
            f"{c.peer} {c.variant}": timing.median
            for c, timing in zip(verified, timings, strict=True)
        },
        "disturbed": any(timing.disturbed for timing in timings),
        "failures": failures,
    }


def _settle_statistics(model: Any) -> None:
    """Give batch norms statistics that are not trivial to fold."""
    rng = np.random.default_rng(1)
    for p in model.parameters:
        if p.name in ("moving_variance", "gamma"):
            p.value = rng.uniform(0.5, 1.5, p.array.shape)
        elif p.name in ("moving_mean", "beta"):
            p.value = rng.standard_normal(p.array.shape) * 0.1


def _fastconv(model: Any, x: np.ndarray, threads: int) -> list[Contender]:
    return [Contender("fastconv", "predict_on_batch", lambda: model.predict_on_batch(x))]


def _torch(model: Any, x: np.ndarray, threads: int) -> list[Contender]:
    import torch

    found = []
    for variant in ("contiguous", "channels_last"):
        format = getattr(torch, f"{variant}_format" if variant == "contiguous" else variant)
        images = torch.from_numpy(channels_first(x)).contiguous(memory_format=format)
        network = torch_function(model).to(memory_format=format)
        found.append(Contender("torch", variant, _bound(network, images), _to_numpy))
        frozen = torch.jit.optimize_for_inference(
            torch.jit.freeze(torch.jit.trace(network, images))
        )
        for _ in range(3):  # it profiles, then compiles
            frozen(images)
        found.append(Contender("torch", f"frozen {variant}", _bound(frozen, images), _to_numpy))
    return found


def _bound(network: Callable[[Any], Any], images: Any) -> Callable[[], Any]:
    return lambda: network(images)


def _to_numpy(tensor: Any) -> np.ndarray:
    return np.asarray(tensor.numpy())


def _onnxruntime(model: Any, x: np.ndarray, threads: int) -> list[Contender]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.add_session_config_entry("session.force_spinning_stop", "1")
    made = onnx_model(model, len(x))
    session = onnxruntime.InferenceSession(made, options, providers=["CPUExecutionProvider"])
    source = onnxruntime.OrtValue.ortvalue_from_numpy(channels_first(x))
    shape = (len(x), model.output_shape[-1])
    target = onnxruntime.OrtValue.ortvalue_from_shape_and_type(shape, np.float32)
    binding = session.io_binding()
    binding.bind_ortvalue_input("x", source)
    binding.bind_ortvalue_output(session.get_outputs()[0].name, target)
    call = lambda: session.run_with_iobinding(binding)  # noqa: E731
    return [Contender("onnxruntime", "io_binding", call, lambda _: target.numpy())]


def _openvino(model: Any, x: np.ndarray, threads: int) -> list[Contender]:
    import openvino

    core = openvino.Core()
    properties = {
        "PERFORMANCE_HINT": "LATENCY",
        "NUM_STREAMS": 1,
        "INFERENCE_PRECISION_HINT": "f32",
        "INFERENCE_NUM_THREADS": threads,
    }
    read = core.read_model(model=onnx_model(model, len(x)))
    request = core.compile_model(read, "CPU", properties).create_infer_request()
    images = channels_first(x)
    request.set_input_tensor(openvino.Tensor(images, shared_memory=True))
    held = (images,)  # the tensor only borrows the memory

    def result(_: Any) -> np.ndarray:
        assert held
        return np.array(request.get_output_tensor().data)

    return [Contender("openvino", "latency", request.infer, result)]


_CONTENDERS = {
    "torch": _torch,
    "fastconv": _fastconv,
    "onnxruntime": _onnxruntime,
    "openvino": _openvino,
}


def write(result: dict[str, Any], docs: Path) -> None:
    """Write the page under a folder."""
    facts = result["machine"]
    caches = ", ".join(f"{name} {size}" for name, size in facts["caches"].items())
    features = ", ".join(facts["features"])
    parts = [
        "# Whole networks",
        "Milliseconds of one inference, each library's best variant, all in one process and in "
        "turns; outputs compared before anything is timed.",
        f"{facts['cpu']} ({features}; {caches}), {result['threads']} of {facts['cpus']} CPUs.",
        markdown(result),
        f"```sh\n{result['command']} --docs docs\n```",
    ]
    (docs / PAGE).write_text("\n\n".join(parts) + "\n", encoding="utf-8")


def markdown(result: dict[str, Any]) -> str:
    """Return milliseconds of everybody's best, and the ratio to the best peer."""
    cells, failures = [], []
    others = [name for name in NAMES if name != "fastconv" and name in result["versions"]]
    for row in result["rows"]:
        best = {
            name: min(
                (s for key, s in row["seconds"].items() if key.startswith(name)), default=None
            )
            for name in ("fastconv", *others)
        }
        peers_best = min((best[name] for name in others if best[name] is not None), default=None)
        ours = best["fastconv"]
        ratio = None if ours is None or peers_best is None else peers_best / ours
        cells.append(
            [
                row["network"] + (" \\*" if row["disturbed"] else ""),
                str(row["batch"]),
                *(number(best[name], ".2f", 1e3) for name in ("fastconv", *others)),
                number(ratio, ".2f"),
                number(row["wanted"], ".1f"),
                number(row["first_s"], ".2f"),
            ]
        )
        failures += [f"- {row['network']} {row['batch']}: {f}" for f in row["failures"]]
    versions = ", ".join(f"{name} {version}" for name, version in result["versions"].items())
    header = ["network", "batch", *(f"{name} ms" for name in ("fastconv", *others))]
    header += ["ratio", "goal", "built and first predicted, s"]
    parts = [
        f"Inference of whole networks, {result['threads']} threads: {versions}.",
        table(header, cells),
        "Ratio: the best peer's median over fastconv's. \\*: something else ran meanwhile.",
    ]
    parts.append("\n".join(failures) if failures else "All outputs agree.")
    return "\n\n".join(parts)
