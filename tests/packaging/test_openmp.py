"""One OpenMP runtime in the process, whoever comes first."""

import importlib.util

import pytest

PROGRAM = """
import importlib, re, sys
import numpy as np
for name in sys.argv[1].split(","):
    importlib.import_module(name)
from fastconv import functional
x, w = np.ones((2, 16, 32, 32), np.float32), np.ones((16, 16, 3, 3), np.float32)
y = functional.conv2d(x, w, padding=1)
assert abs(y[0, 0, 5, 5] - 144) < 1e-2
if "torch" in sys.modules:
    import torch
    z = torch.nn.functional.conv2d(torch.from_numpy(x), torch.from_numpy(w), padding=1)
    assert np.allclose(z.numpy(), y, atol=1e-2)
    assert np.array_equal(functional.conv2d(x, w, padding=1), y)
maps = open("/proc/self/maps").read()
found = set(re.findall(r"\\S*/lib[gi]?omp[^/\\s]*", maps))
assert len(found) == 1, found
"""

needs_torch = pytest.mark.skipif(
    importlib.util.find_spec("torch") is None, reason="PyTorch is not installed"
)


def test_alone(run_python):
    run_python(PROGRAM, "fastconv")


@needs_torch
@pytest.mark.parametrize("order", ["torch,fastconv", "fastconv,torch"])
def test_beside_torch(order, run_python):
    run_python(PROGRAM, order)
