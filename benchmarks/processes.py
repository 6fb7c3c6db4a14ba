"""Work in processes of its own: malloc reads its tunables, and each runtime its CPUs, only once.

A module of this package with a function ``work(**settings)``, whose settings and answer are JSON,
can be run so. Used by ``python -m benchmarks`` and its commands ``errors``, ``grid``, ``memory``.
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from . import machine


def in_own_process(
    module: str, settings: dict[str, Any], *, threads: int, tuned: bool, isa: str | None = None
) -> Any:
    """Return what ``module.work(**settings)`` returns in a fresh process; ends with it."""
    environment = {k: v for k, v in os.environ.items() if k not in machine.TUNED_ENVIRONMENT}
    if tuned:
        environment |= machine.TUNED_ENVIRONMENT
    if isa:
        environment["FASTCONV_ISA"] = isa
    environment |= {"JAX_PLATFORMS": "cpu", "NPROC": str(threads)}
    with tempfile.TemporaryDirectory() as folder:
        answer = Path(folder, "answer.json")
        worker = ["worker", module, str(threads), json.dumps(settings), str(answer)]
        command = [sys.executable, "-m", "benchmarks", *worker]
        checkout = Path(__file__).resolve().parent.parent
        status = subprocess.run(command, env=environment, cwd=checkout).returncode
        if status != 0:
            raise SystemExit(status)
        return json.loads(answer.read_text(encoding="utf-8"))


def worker(module: str, threads: str, settings: str, answer: str) -> int:
    """Do the work that ``in_own_process`` asked for."""
    restrict(int(threads))
    work = importlib.import_module(f".{module}", __package__).work
    Path(answer).write_text(json.dumps(work(**json.loads(settings))), encoding="utf-8")
    return 0


def restrict(threads: int) -> None:
    """Leave this process as many CPUs as threads: some runtimes cannot be told otherwise."""
    usable = sorted(os.sched_getaffinity(0))
    if threads < len(usable):
        os.sched_setaffinity(0, usable[:threads])
