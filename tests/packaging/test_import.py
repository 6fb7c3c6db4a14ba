"""``import fastconv`` costs what it must: NumPy and the core."""

HEAVY = (
    "matplotlib",
    "sklearn",
    "scipy",
    "tqdm",
    "PIL",
    "safetensors",
    "torch",
    "jax",
    "onnx",
    "importlib.metadata",
    "argparse",
    "unittest",
)


def test_imports_nothing_heavy(run_python):
    program = """
import sys, numpy
before = set(sys.modules)
import fastconv
print(",".join(sorted(set(sys.modules) - before)))
"""
    modules = run_python(program).split(",")
    assert "fastconv" in modules
    assert [name for name in HEAVY if name in modules] == []


def test_every_public_name_is_there(run_python):
    program = """
import fastconv
for name in fastconv.__all__:
    getattr(fastconv, name)
"""
    run_python(program)


def test_layers_need_no_extra(run_python):
    """Layers and models run on NumPy alone; extras are imported where they are used."""
    program = """
import sys, numpy
import fastconv.layers, fastconv.models
heavy = [m for m in sys.argv[1].split(",") if m in sys.modules]
assert not heavy, heavy
"""
    run_python(program, ",".join(m for m in HEAVY if m not in ("unittest", "argparse")))
