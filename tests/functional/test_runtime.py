"""Threads, instruction sets, the pool, paths, and what happens at import."""

from __future__ import annotations

import ast
import io
import os
import shutil
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import numpy as np
import pytest

import fastconv
from fastconv import _core, functional, runtime

INSTALLED = Path(_core.__file__).parent


def python(code: str, *, cwd, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run code in an interpreter of its own, outside the checkout."""
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        cwd=cwd,
        env={**os.environ, **environment},
        check=False,
    )


def output(code: str, *, cwd, **environment: str) -> str:
    result = python(code, cwd=cwd, **environment)
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


# ---- threads


def test_threads_are_restored_after_the_block():
    before = runtime.get_num_threads()
    with runtime.threads(3):
        assert runtime.get_num_threads() == 3
        with runtime.threads(1):
            assert runtime.get_num_threads() == 1
        assert runtime.get_num_threads() == 3
    assert runtime.get_num_threads() == before
    with pytest.raises(KeyError), runtime.threads(3):
        raise KeyError
    assert runtime.get_num_threads() == before


def test_a_block_limits_its_own_thread_only():
    before = runtime.get_num_threads()
    seen = []
    with runtime.threads(before + 1):
        worker = threading.Thread(target=lambda: seen.append(runtime.get_num_threads()))
        worker.start()
        worker.join()
    assert seen == [before]


def test_set_num_threads_is_for_the_process():
    before = runtime.get_num_threads()
    seen = []
    try:
        runtime.set_num_threads(np.int64(before + 1))
        worker = threading.Thread(target=lambda: seen.append(runtime.get_num_threads()))
        worker.start()
        worker.join()
    finally:
        runtime.set_num_threads(before)
    assert seen == [before + 1]
    assert runtime.get_num_threads() == before


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"FASTCONV_NUM_THREADS": "3", "OMP_NUM_THREADS": "2"}, 3),
        ({"OMP_NUM_THREADS": "5"}, 5),
        ({"OMP_NUM_THREADS": "4,2"}, 4),
    ],
)
def test_threads_from_the_environment(environment, expected, tmp_path):
    code = "from fastconv import runtime; print(runtime.get_num_threads())"
    cleared = {"FASTCONV_NUM_THREADS": "", "OMP_NUM_THREADS": ""}
    assert output(code, cwd=tmp_path, **{**cleared, **environment}) == str(expected)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_fork_can_compute(tmp_path):
    code = """
        import os, numpy as np
        from fastconv import functional
        x, w = np.ones((4, 32, 40, 40), np.float32), np.ones((32, 32, 3, 3), np.float32)
        y = functional.conv2d(x, w)
        child = os.fork()
        if child == 0:
            os._exit(0 if np.array_equal(functional.conv2d(x, w), y) else 1)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    """
    assert output(code, cwd=tmp_path) == "0"


# ---- precision


def test_precision_is_of_a_block_and_its_thread():
    seen = []
    with runtime.precision("highest"):
        assert _core.choose_precision("highest") == "highest"
        worker = threading.Thread(target=lambda: seen.append(_core.choose_precision("high")))
        worker.start()
        worker.join()
        with runtime.precision("high"):
            assert _core.choose_precision("high") == "high"
        assert _core.choose_precision("highest") == "highest"
    assert _core.choose_precision("high") == "high"
    assert seen == ["high"]


# ---- instruction sets


def test_the_active_isa_is_one_of_the_available():
    assert runtime.isa() in runtime.available_isas()
    assert len(set(runtime.available_isas())) == len(runtime.available_isas())


def test_isa_is_restored_after_the_block(isa):
    assert runtime.isa() == isa
    with runtime.use_isa("reference"):
        assert runtime.isa() == "reference"
    assert runtime.isa() == isa
    with pytest.raises(KeyError), runtime.use_isa("reference"):
        raise KeyError
    assert runtime.isa() == isa


def test_no_name_returns_to_the_best():
    with runtime.use_isa("reference"):
        runtime.set_isa(None)
        expected = os.environ.get("FASTCONV_ISA") or runtime.available_isas()[0]
        assert runtime.isa() == expected


@pytest.mark.parametrize("name", runtime.available_isas())
def test_isa_from_the_environment(name, tmp_path):
    code = "from fastconv import runtime; print(runtime.isa())"
    assert output(code, cwd=tmp_path, FASTCONV_ISA=name) == name


def test_an_impossible_isa_in_the_environment_fails_at_import(tmp_path):
    result = python("import fastconv", cwd=tmp_path, FASTCONV_ISA="mmx")
    assert result.returncode == 1
    assert "ImportError: FASTCONV_ISA" in result.stderr
    assert "mmx" in result.stderr
    assert "reference" in result.stderr


def test_what_runs_is_what_was_asked_for():
    """The reference accumulates in double precision, the others in the dtype of the operands."""
    x = np.array([[1.0, 1e8, -1e8]], np.float32)
    w = np.ones((1, 3), np.float32)
    with runtime.use_isa("reference"):
        assert functional.linear(x, w)[0, 0] == 1
    fast = [name for name in runtime.available_isas() if name != "reference"]
    for name in fast:
        with runtime.use_isa(name):
            assert functional.linear(x, w)[0, 0] == 0


# ---- memory


def test_trim_empties_the_pool():
    functional.relu(np.ones(1 << 20, np.float32))
    assert runtime.pool_stats().cached >= 4 << 20
    assert runtime.trim() >= 4 << 20
    assert runtime.pool_stats().cached == 0
    assert runtime.trim() == 0


def test_scratch_is_shared_by_calls_of_all_sizes():
    layers = [
        (np.ones((1, c, 20, 20), np.float32), np.ones((c, c, 3, 3), np.float32))
        for c in (32, 64, 128)
    ]
    sizes = [fastconv.explain("forward", *layer).workspace for layer in layers]
    assert sizes[0] < sizes[1] < sizes[2]
    outputs = [functional.conv2d(*layer) for layer in layers]
    runtime.trim()
    for layer, out in zip(layers, outputs, strict=True):
        functional.conv2d(*layer, out=out)
    kept = runtime.pool_stats().cached
    assert sizes[2] <= kept <= 1.25 * sizes[2]
    for layer, out in zip(layers, outputs, strict=True):  # the largest does for all
        functional.conv2d(*layer, out=out)
        assert runtime.pool_stats().cached == kept


# ---- measuring


@pytest.mark.parametrize("probe", ["fma", "micro_kernel"])
def test_measure_peak(probe, dtype):
    flops = runtime.measure_peak(probe, dtype=dtype, seconds=0.01, num_threads=1)
    assert 1e7 < flops < 1e14
    assert runtime.get_num_threads() >= 1


# ---- the installation


def test_installed_files():
    assert Path(runtime.get_include(), "fastconv", "fastconv.h").is_file()
    assert list(Path(runtime.get_library_dir()).glob("libfastconv.*"))
    assert Path(runtime.get_cmake_dir(), "fastconvConfig.cmake").is_file()
    assert (INSTALLED / "_capi.pxd").is_file()
    assert (INSTALLED / "py.typed").is_file()


def test_config():
    config = runtime.get_config()
    assert config["fastconv"] == fastconv.__version__
    assert config["isa"] == runtime.isa()
    assert "build compiler" in config
    text = runtime.show_config()
    assert all(f"{key}: {value}" in text for key, value in config.items())
    file = io.StringIO()
    assert runtime.show_config(file) == text == file.getvalue().strip()


def test_show_config_prints_nothing_unasked(capsys):
    runtime.show_config()
    assert capsys.readouterr().out == ""


def test_import_is_light(tmp_path):
    code = """
        import sys
        import numpy
        before = set(sys.modules)
        import fastconv
        print(*sorted(set(sys.modules) - before))
    """
    new = output(code, cwd=tmp_path).split()
    ours = {name for name in new if name.split(".")[0] == "fastconv"}
    parts = {name.split(".")[1] for name in ours if "." in name}
    assert parts == {"_core", "functional", "grad", "runtime"}
    assert {name for name in new if "cython" not in name} - ours <= {"__future__"}


def test_lazy_modules(tmp_path):
    code = """
        import fastconv
        assert {"layers", "models", "training"} <= set(dir(fastconv))
        fastconv.layers.Dense, fastconv.Sequential
        try:
            fastconv.nonsense
        except AttributeError as error:
            print(error)
    """
    assert output(code, cwd=tmp_path) == "module 'fastconv' has no attribute 'nonsense'"


def test_importing_the_sources_unbuilt_says_how_to_build(tmp_path):
    package = tmp_path / "fastconv"
    package.mkdir()
    for file in Path(fastconv.__file__).parent.glob("*.py"):
        shutil.copy(file, package)
    result = python("import fastconv", cwd=tmp_path, PYTHONPATH=str(tmp_path))
    assert result.returncode == 1
    assert "ImportError: fastconv's compiled module cannot be loaded" in result.stderr
    assert "pip install" in result.stderr


def test_the_stub_names_what_the_module_has():
    stub = Path(fastconv.__file__).with_name("_core.pyi")
    names = {
        n.name
        for n in ast.parse(stub.read_text()).body
        if isinstance(n, ast.FunctionDef | ast.ClassDef)
    }
    actual = {name for name in vars(_core) if callable(getattr(_core, name)) and name[0] != "_"}
    assert names == actual


def test_capi_declares_the_whole_header():
    header = Path(runtime.get_include(), "fastconv", "fastconv.h").read_text()
    declared = (INSTALLED / "_capi.pxd").read_text()
    words = set(declared.replace("(", " ").replace("*", " ").replace(",", " ").split())
    functions = {
        line.split("(")[0].split()[-1].lstrip("*")
        for line in header.splitlines()
        if line.startswith("FASTCONV_API ") and "(" in line
    }
    assert len(functions) > 25
    assert functions <= words
