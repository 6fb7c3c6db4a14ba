"""How many threads, and many callers at once."""

import os
import shutil
import subprocess
import threading

import numpy as np
import pytest

from fastconv import functional, grad, runtime

COUNT = "from fastconv import runtime; print(runtime.get_num_threads())"
ONE_CPU = "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"
USABLE = len(os.sched_getaffinity(0))
# The caller comes to the worker's CPU, which the worker then leaves. Two threads, as workers of a
# larger team may end and begin anew, with the mask that the caller has then.
MIGRATE = """
import os
import numpy as np
from fastconv import functional, runtime

def tasks():
    return set(os.listdir("/proc/self/task"))

def allowed(task):
    with open(f"/proc/self/task/{task}/status") as status:
        return next(line for line in status if line.startswith("Cpus_allowed_list"))

x, w = np.ones((2, 32, 40, 40), np.float32), np.ones((32, 32, 3, 3), np.float32)
cpus, everywhere, others = os.sched_getaffinity(0), allowed(os.getpid()), tasks()
runtime.set_num_threads(2)
functional.conv2d(x, w)
workers = tasks() - others
assert workers
for _ in range(50):
    for cpu in sorted(cpus)[:2]:
        os.sched_setaffinity(0, {cpu})
        functional.conv2d(x, w)
assert {allowed(worker) for worker in workers} == {everywhere}
"""


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"FASTCONV_NUM_THREADS": "3"}, 3),
        ({"OMP_NUM_THREADS": "5"}, 5),
        ({"OMP_NUM_THREADS": "4,2"}, 4),
        ({"FASTCONV_NUM_THREADS": "3", "OMP_NUM_THREADS": "5"}, 3),
        ({"FASTCONV_NUM_THREADS": "1"}, 1),
        ({"FASTCONV_NUM_THREADS": ""}, None),
        ({"FASTCONV_NUM_THREADS": "0"}, None),
        ({"FASTCONV_NUM_THREADS": "-2"}, None),
        ({"FASTCONV_NUM_THREADS": "many"}, None),
        ({"FASTCONV_NUM_THREADS": "99999999999999999999"}, None),
    ],
)
def test_environment(environment, expected, run_python):
    """A value that means nothing counts as none: the default is what the machine gives."""
    default = int(run_python(COUNT))
    assert 1 <= default <= USABLE
    assert int(run_python(COUNT, env=environment)) == (expected or default)


def test_affinity(run_python):
    assert run_python(ONE_CPU + COUNT) == "1"
    assert run_python(ONE_CPU + COUNT, env={"FASTCONV_NUM_THREADS": "2"}) == "2"


@pytest.mark.skipif(USABLE < 2, reason="needs two CPUs to move between")
def test_workers_keep_their_affinity(run_python):
    """A worker may move off the caller's CPU; where it may run stays what it was."""
    run_python(MIGRATE)


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"cpu.max": "100000 100000"}, 1),
        ({"cpu.max": "150000 100000"}, 2),
        ({"cpu.max": "10000 100000"}, 1),
        ({"cpu.max": "max 100000"}, USABLE),
        ({"cpu/cpu.cfs_quota_us": "100000", "cpu/cpu.cfs_period_us": "100000"}, 1),
        ({"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, USABLE),
    ],
)
def test_cgroup_quota(files, expected, run_python):
    """A quota's files, mounted in a private namespace over the ones this machine has."""
    mount = "mount -t tmpfs none /sys/fs/cgroup && cd /sys/fs/cgroup && mkdir cpu"
    namespace = (shutil.which("unshare") or "false", "-m", "sh", "-c")
    if subprocess.run([*namespace, mount], capture_output=True).returncode:
        pytest.skip("needs the right to mount in a namespace of its own")
    writes = [f"echo {text} > {name}" for name, text in files.items()]
    script = " && ".join([mount, *writes, "cd /", 'exec "$@"'])
    prefix = (*namespace, script, "sh")
    assert int(run_python(COUNT, prefix=prefix)) == min(expected, USABLE)


def test_eight_threads_at_once():
    """Each caller gets its own right answer, and the one a lone caller gets, to the bit."""
    generator = np.random.default_rng(1)
    problems = []
    for index in range(8):
        x = generator.standard_normal((2, 8 + index, 20, 20), np.float32)
        w = generator.standard_normal((16, 8 + index, 3, 3), np.float32)
        problems.append((x, w))

    def compute(x, w):
        y = functional.conv2d(x, w, padding=1)
        pooled, indices = functional.max_pool2d(y, 2, return_indices=True)
        return (
            y,
            pooled,
            grad.max_pool2d_backward(pooled, indices, y.shape),
            grad.conv2d_input(x.shape, w, y, padding=1),
            grad.conv2d_weight(x, w.shape, y, padding=1),
        )

    expected = [[a.tobytes() for a in compute(*problem)] for problem in problems]
    wrong = []
    barrier = threading.Barrier(len(problems))

    def caller(index):
        barrier.wait()
        for _ in range(20):
            found = [a.tobytes() for a in compute(*problems[index])]
            if found != expected[index]:
                wrong.append(index)

    threads = [threading.Thread(target=caller, args=(i,)) for i in range(len(problems))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_errors_stay_with_their_thread():
    """The last error's text is the thread's own."""
    messages = {}

    def caller(channels):
        x = np.ones((1, channels, 8, 8), np.float32)
        w = np.ones((1, 1, 3, 3), np.float32)
        found = set()
        for _ in range(200):
            try:
                functional.conv2d(x, w)
            except ValueError as error:
                found.add(str(error))
        messages[channels] = found

    threads = [threading.Thread(target=caller, args=(100 + i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for channels, found in messages.items():
        assert len(found) == 1
        assert str(channels) in found.pop()


def test_set_num_threads_rejects_nonsense():
    before = runtime.get_num_threads()
    for nonsense in (0, -1):
        with pytest.raises(ValueError, match="thread"):
            runtime.set_num_threads(nonsense)
    assert runtime.get_num_threads() == before
