"""Single kernels under pytest-benchmark: what to run while working on one of them.

Command: ``pytest benchmarks -k 'backward_weight and avx512' --benchmark-autosave``
and, after a change, ``pytest benchmarks -k ... --benchmark-compare``.
"""

import functools

import pytest

from benchmarks.peers import fastconv as ours
from benchmarks.problems import TOLERANCE, load_layers, make_operands, reference, relative_error
from fastconv import runtime

# One layer for each way through the kernels, small enough to run them all in a minute.
NAMES = (
    "mnist.conv1",
    "mnist.conv2",
    "alexnet.conv3",
    "googlenet.conv1",
    "googlenet.3b.3x3",
    "resnet.1x1.expand",
    "resnet.3x3.stride2",
    "resnet.3x3.last",
    "mobilenet.depthwise.stride2",
    "audio.conv1d",
    "video.conv3d",
    "alexnet.pool1",
    "inception.pool",
)
LAYERS = {layer.name: layer for layer in load_layers() if layer.name in NAMES}
CASES = [(name, c) for name in NAMES for c in LAYERS[name].computations]
ISAS = [name for name in runtime.available_isas() if name != "reference"]


@functools.lru_cache(maxsize=4)
def prepared(name, computation):
    """Operands and the verified result, kept for the instruction sets that follow."""
    operands = make_operands(LAYERS[name])
    return operands, reference(LAYERS[name], operands, computation)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("layout", ["planar", "channels_last"])
@pytest.mark.parametrize(("name", "computation"), CASES, ids=[f"{n}-{c}" for n, c in CASES])
def test_kernel(benchmark, name, computation, layout, isa):
    layer = LAYERS[name]
    operands, expected = prepared(name, computation)
    with runtime.use_isa(isa):
        found = {c.variant: c for c in ours.contenders(layer, operands, computation, tuned=True)}
        contender = found[layout]
        error = relative_error(contender.result(contender.call()), expected)
        assert error <= TOLERANCE
        benchmark(contender.call)
    benchmark.extra_info |= {"error": error, "threads": runtime.get_num_threads()}
    if benchmark.stats:
        work = layer.flops if layer.kind == "conv" else layer.bytes_moved(computation)
        unit = "gflops" if layer.kind == "conv" else "gb_s"
        benchmark.extra_info[unit] = work / benchmark.stats.stats.median / 1e9
