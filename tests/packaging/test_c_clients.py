"""Programs outside the package that use the installed header, library and CMake package."""

import importlib.util
import shutil
import sysconfig
from pathlib import Path

import numpy as np
import pytest

import fastconv
from fastconv import runtime

HERE = Path(__file__).parent
WARNINGS = ("-Wall", "-Wextra", "-pedantic", "-Werror")


@pytest.mark.parametrize(
    ("language", "standard", "compilers"),
    [("c", "c99", ("cc", "gcc", "clang")), ("c++", "c++17", ("c++", "g++", "clang++"))],
)
def test_header_alone(language, standard, compilers, tool, run, tmp_path):
    source = tmp_path / "header.txt"
    source.write_text("#include <fastconv/fastconv.h>\nint main(void) { return 0; }\n")
    command = [tool(*compilers), "-x", language, f"-std={standard}", *WARNINGS]
    run(*command, "-I", runtime.get_include(), "-fsyntax-only", source)


def test_cmake_client(tool, run, tmp_path):
    """find_package(fastconv), link fastconv::fastconv, run."""
    shutil.copytree(HERE / "c_client", tmp_path / "client")
    configure = [
        tool("cmake"),
        "-G",
        "Ninja",
        f"-DCMAKE_MAKE_PROGRAM={tool('ninja')}",
        f"-DCMAKE_C_COMPILER={tool('cc', 'gcc', 'clang')}",
        f"-DCMAKE_C_FLAGS=-std=c99 {' '.join(WARNINGS)}",
        f"-Dfastconv_DIR={runtime.get_cmake_dir()}",
    ]
    run(*configure, "-S", tmp_path / "client", "-B", tmp_path / "build")
    run(tool("cmake"), "--build", tmp_path / "build")
    printed = run(tmp_path / "build" / "client")
    assert printed == f"fastconv {fastconv.__version__} on {printed.split()[-1]}\n"
    assert printed.split()[-1] in runtime.available_isas()


def test_cython_client(tool, run, tmp_path):
    """``from fastconv cimport _capi`` in an extension of one's own."""
    shutil.copy(HERE / "cython_client" / "client.pyx", tmp_path)
    run(tool("cython"), "-3", "client.pyx", cwd=tmp_path)
    library = runtime.get_library_dir()
    extension = tmp_path / "client.so"
    command = [tool("cc", "gcc", "clang"), "-shared", "-fPIC", "-O1", "client.c", "-o", extension]
    command += ["-I", sysconfig.get_path("include"), "-I", runtime.get_include()]
    run(*command, "-L", library, "-lfastconv", f"-Wl,-rpath,{library}", cwd=tmp_path)
    spec = importlib.util.spec_from_file_location("client", extension)
    client = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(client)
    assert client.version() == fastconv.__version__
    values = np.array([-1, 2, -3, 0.5], np.float32)
    client.relu(values)
    np.testing.assert_array_equal(values, [0, 2, 0, 0.5])
