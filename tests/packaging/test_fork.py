"""A forked child computes, with equal bits, whatever the parent was doing."""

import pytest

SETUP = """
import os, signal, sys, threading, time
import numpy as np
from fastconv import functional, grad, runtime
runtime.set_num_threads(2)
generator = np.random.default_rng(0)
x = generator.standard_normal((4, 16, 24, 24), np.float32)
w = generator.standard_normal((16, 16, 3, 3), np.float32)

def compute(_=0):
    y = functional.conv2d(x, w, padding=1)
    dx = grad.conv2d_input(x.shape, w, y, padding=1)
    dw = grad.conv2d_weight(x, w.shape, y, padding=1)
    return y.tobytes() + dx.tobytes() + dw.tobytes()

def child_agrees(expected, seconds=30):
    pid = os.fork()
    if pid == 0:
        os._exit(0 if compute() == expected else 1)
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status) == 0
        time.sleep(0.001)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return False
"""

AFTER_A_PARALLEL_REGION = """
expected = compute()
assert child_agrees(expected)
assert compute() == expected
assert child_agrees(expected)
"""

BEFORE_ANY = """
pid = os.fork()
if pid == 0:
    compute()
    os._exit(0)
assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
compute()
"""

WHILE_A_THREAD_COMPUTES = """
expected = compute()
stop = threading.Event()

def keep_computing():
    while not stop.is_set():
        compute()

thread = threading.Thread(target=keep_computing)
thread.start()
try:
    assert all(child_agrees(expected) for _ in range(20))
finally:
    stop.set()
    thread.join()
assert compute() == expected
"""

POOL = """
import multiprocessing
expected = compute()
with multiprocessing.get_context("fork").Pool(2) as pool:
    assert all(bits == expected for bits in pool.map_async(compute, range(8)).get(timeout=60))
assert compute() == expected
"""

GRANDCHILD = """
expected = compute()
pid = os.fork()
if pid == 0:
    ok = compute() == expected and child_agrees(expected)
    os._exit(0 if ok else 1)
assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
"""


@pytest.mark.parametrize(
    "program",
    [AFTER_A_PARALLEL_REGION, BEFORE_ANY, WHILE_A_THREAD_COMPUTES, POOL, GRANDCHILD],
    ids=["after a parallel region", "before any", "while a thread computes", "pool", "grandchild"],
)
def test_fork(program, run_python):
    # -W: Python 3.12 and later warn of any fork with threads, which is what is tested.
    run_python("import warnings; warnings.simplefilter('ignore')\n" + SETUP + program)
