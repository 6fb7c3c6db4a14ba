"""Facts about this machine, its memory bandwidth, and the environment that tunes the peers.

Nothing here names a host, a user or a path.
Used by every command: ``python -m benchmarks``.
"""

from __future__ import annotations

import os
import platform
import re
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

#: PyTorch's own best: huge pages, and no memory given back between two calls.
TUNED_ENVIRONMENT = {
    "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1:glibc.malloc.mmap_threshold=1073741824"
    ":glibc.malloc.trim_threshold=2147483648",
    "THP_MEM_ALLOC_ENABLE": "1",
}


def usable_cpus() -> int:
    """Return how many CPUs this process may use."""
    return len(os.sched_getaffinity(0))


def facts() -> dict[str, Any]:
    """Return CPU, caches, memory and system."""
    info = _read("/proc/cpuinfo")
    model = re.search(r"^model name\s*:\s*(.*)$", info, re.MULTILINE)
    flags = re.search(r"^flags\s*:\s*(.*)$", info, re.MULTILINE)
    known = ("avx2", "fma", "avx512f", "avx512bw", "avx512_bf16", "avx512_vnni", "amx_tile")
    present = set(flags.group(1).split()) if flags else set()
    memory = re.search(r"^MemTotal:\s*(\d+)", _read("/proc/meminfo"), re.MULTILINE)
    return {
        "cpu": model.group(1).strip() if model else platform.machine(),
        "architecture": platform.machine(),
        "cpus": os.cpu_count(),
        "usable_cpus": usable_cpus(),
        "features": [name for name in known if name in present],
        "caches": _caches(),
        "memory_gib": round(int(memory.group(1)) / 2**20) if memory else None,
        "system": platform.system(),
        "libc": " ".join(platform.libc_ver()),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "transparent_huge_pages": _chosen("/sys/kernel/mm/transparent_hugepage/enabled"),
    }


def _read(path: str | Path) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except OSError:
        return ""


def _chosen(path: str) -> str | None:
    found = re.search(r"\[(\w+)\]", _read(path))
    return found.group(1) if found else None


def _caches() -> dict[str, str]:
    caches = {}
    for index in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        kind = _read(index / "type").strip()
        if kind != "Instruction":
            caches[f"L{_read(index / 'level').strip()}"] = _read(index / "size").strip()
    return caches


def copy_bandwidth(threads: int, megabytes: int = 128, repeats: int = 5) -> float:
    """Return bytes a second of a plain copy by all threads, bytes read plus bytes written."""
    source = np.ones(megabytes * 2**18, np.float32)
    target = np.zeros_like(source)
    parts = list(zip(np.array_split(source, threads), np.array_split(target, threads), strict=True))
    best = float("inf")
    with ThreadPoolExecutor(threads) as pool:
        for _ in range(repeats):
            start = time.perf_counter()
            list(pool.map(lambda part: np.copyto(part[1], part[0]), parts))
            best = min(best, time.perf_counter() - start)
    return 2 * source.nbytes / best
