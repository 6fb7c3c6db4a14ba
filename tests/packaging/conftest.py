"""What the packaging tests share: fresh interpreters, and the tools of a C developer."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.fixture
def run_python(tmp_path):
    """Run a program in a fresh interpreter, outside the checkout, and return what it prints."""

    def run(program, *arguments, env=None, timeout=120, fails=False, prefix=()):
        environment = {k: v for k, v in os.environ.items() if not k.startswith("FASTCONV_")}
        environment.pop("OMP_NUM_THREADS", None)
        completed = subprocess.run(
            [*prefix, sys.executable, "-c", program, *map(str, arguments)],
            env=environment | (env or {}),
            cwd=tmp_path,
            timeout=timeout,
            capture_output=True,
            text=True,
        )
        if fails:
            assert completed.returncode != 0, completed.stdout
            return completed.stderr
        assert completed.returncode == 0, completed.stderr
        return completed.stdout.strip()

    return run


@pytest.fixture(scope="session")
def tool():
    """Find a program in this environment's folder or on the path."""

    def find(*names):
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
        for name in names:
            found = shutil.which(name, path=path)
            if found:
                return found
        pytest.fail(f"none of {', '.join(names)} is installed")

    return find


@pytest.fixture(scope="session")
def run():
    """Run a command and return its standard output; its words are the test's on failure."""

    def run(*command, cwd=None, env=None):
        completed = subprocess.run(
            [str(part) for part in command],
            cwd=cwd,
            env=os.environ | (env or {}),
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert completed.returncode == 0, completed.stdout + completed.stderr
        return completed.stdout

    return run
