"""What pip put on disk, by its own record: all that users need and nothing else."""

import importlib.metadata
import json
from pathlib import Path, PurePosixPath

import pytest

import fastconv

DISTRIBUTION = importlib.metadata.distribution("fastconv")
NEEDED = (
    "fastconv/py.typed",
    "fastconv/_core.pyi",
    "fastconv/_capi.pxd",
    "fastconv/include/fastconv/fastconv.h",
    "fastconv/lib/libfastconv.so",
    "fastconv/lib/libgomp.so.1",
)
UNWANTED_SUFFIXES = (".pyx", ".c", ".cpp", ".o", ".a", ".inc", ".in")
UNWANTED_FOLDERS = ("tests", "benchmarks", "docs", "src", ".ci")


@pytest.fixture(scope="module")
def files():
    origin = json.loads(DISTRIBUTION.read_text("direct_url.json") or "{}")
    if origin.get("dir_info", {}).get("editable"):
        pytest.skip("an editable installation is no wheel's content")
    assert DISTRIBUTION.files is not None
    return [PurePosixPath(file) for file in DISTRIBUTION.files]


def test_is_the_package_under_test(files):
    installed = DISTRIBUTION.locate_file("fastconv/__init__.py")
    assert Path(fastconv.__file__).samefile(installed)
    assert DISTRIBUTION.version == fastconv.__version__


def test_has_what_users_need(files):
    names = set(map(str, files))
    assert [name for name in NEEDED if name not in names] == []
    cmake = {path.name for path in files if path.suffix == ".cmake"}
    assert {"fastconvConfig.cmake", "fastconvTargets.cmake"} <= cmake
    assert any(name.startswith("fastconv/_core.abi3.so") for name in names)


def test_has_nothing_else(files):
    assert [f for f in files if f.suffix in UNWANTED_SUFFIXES] == []
    assert [f for f in files if f.parts[0] in UNWANTED_FOLDERS] == []
    tops = {f.parts[0] for f in files if f.parts[0] != ".."}
    assert tops <= {"fastconv", f"fastconv-{fastconv.__version__}.dist-info"}
    headers = [f for f in files if f.suffix in (".h", ".hpp")]
    assert headers == [PurePosixPath("fastconv/include/fastconv/fastconv.h")]


def test_one_wheel_for_every_python(files):
    tags = [
        line.split(": ")[1]
        for line in (DISTRIBUTION.read_text("WHEEL") or "").splitlines()
        if line.startswith("Tag")
    ]
    assert tags
    assert all(tag.startswith("cp311-abi3-") for tag in tags)


def test_only_numpy_is_required(files):
    requirements = [r for r in DISTRIBUTION.requires or [] if "extra ==" not in r]
    assert [r.partition(">")[0].strip() for r in requirements] == ["numpy"]
    assert "Apache-2.0" in (DISTRIBUTION.metadata["License-Expression"] or "")
    assert any(f.name == "LICENSE" for f in files)
