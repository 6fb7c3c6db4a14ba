"""The shared library as a guest in somebody else's process: what it exports and imports."""

import re
from pathlib import Path

import pytest

from fastconv import runtime

LIBRARY = Path(runtime.get_library_dir()) / "libfastconv.so"
#: Printing, and ending a process that is not ours.
FORBIDDEN = re.compile(
    r"^(_?_?exit|abort|quick_exit|__assert_fail|"
    r"v?printf|__v?printf_chk|puts|putchar|perror|stdout|stderr|"
    r"_ZSt4cout|_ZSt4cerr|_ZSt4clog)(@|$)"
)


@pytest.fixture(scope="module")
def symbols(tool, run):
    def read(option):
        lines = run(tool("nm"), "-D", option, LIBRARY).splitlines()
        return [line.split()[-1] for line in lines]

    return read


def test_exports_the_c_abi_alone(symbols):
    exported = symbols("--defined-only")
    assert "fastconv_conv_forward" in exported
    assert [name for name in exported if not name.startswith("fastconv_")] == []


def test_exports_what_the_header_declares(symbols):
    header = Path(runtime.get_include(), "fastconv", "fastconv.h").read_text(encoding="utf-8")
    declared = set(re.findall(r"^FASTCONV_API [^(;]*?(fastconv_\w+)\(", header, re.MULTILINE))
    assert len(declared) > 30
    assert set(symbols("--defined-only")) == declared


def test_neither_prints_nor_ends_the_process(symbols):
    assert [name for name in symbols("--undefined-only") if FORBIDDEN.match(name)] == []


def test_finds_its_libraries_beside_itself(tool, run):
    dynamic = run(tool("readelf"), "-d", LIBRARY)
    paths = re.findall(r"\((?:RUNPATH|RPATH)\).*\[(.*)\]", dynamic)
    assert paths == ["$ORIGIN"]
    needed = re.findall(r"\(NEEDED\).*\[(.*)\]", dynamic)
    assert "libgomp.so.1" in needed
    soname = run(tool("readelf"), "-d", LIBRARY.with_name("libgomp.so.1"))
    assert re.search(r"\(SONAME\).*\[libgomp\.so\.1\]", soname)


def test_needs_no_executable_stack(tool, run):
    headers = run(tool("readelf"), "-lW", LIBRARY)
    stack = next(line for line in headers.splitlines() if "GNU_STACK" in line)
    assert "RWE" not in stack
