"""NumPy is enough to build, train and evaluate; what needs more says so."""

import subprocess
import sys

import numpy as np
import pytest

from fastconv import plot
from fastconv.__main__ import main
from fastconv.images import read_image
from fastconv.layers import Dense
from fastconv.models import Sequential, load_model

PROGRAM = """
import sys

class Block:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("tqdm", "safetensors", "matplotlib", "sklearn", "PIL"):
            raise ModuleNotFoundError(f"blocked {name}", name=name)

sys.meta_path.insert(0, Block())
import fastconv
assert "fastconv.layers" not in sys.modules and "fastconv.models" not in sys.modules
import fastconv.checkpoints, fastconv.datasets, fastconv.images, fastconv.plot, fastconv.summary
import fastconv.__main__
from fastconv.layers import Dense
from fastconv.models import Sequential
model = Sequential([Dense(2, "softmax", input_shape=(3,))])
model.compile("adam", "sparse_categorical_crossentropy", ["accuracy"])
model.fit([[1, 2, 3]], [0], epochs=2)
model.evaluate([[1, 2, 3]], [0])
model.predict([[1, 2, 3]])
model.summary()
assert fastconv.__main__.main(["train"]) == 1
"""


def test_numpy_is_enough(tmp_path):
    result = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, cwd=tmp_path
    )
    assert result.returncode == 0, result.stderr
    assert "Epoch 2/2" in result.stdout
    assert result.stderr == (
        'fastconv: fastconv train needs matplotlib: pip install "fastconv[train]"\n'
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("module", "run", "message"),
    [
        (
            "safetensors",
            lambda: Sequential([Dense(1, input_shape=(1,))]).save("x"),
            "saving a model needs safetensors: pip install",
        ),
        ("safetensors", lambda: load_model("x"), "loading a model needs safetensors: pip install"),
        ("PIL", lambda: read_image("x"), "reading an image needs pillow: pip install"),
        (
            "matplotlib",
            lambda: plot.plot_filters(np.ones((1, 1, 1, 1)), "x"),
            "plot needs matplotlib: pip install",
        ),
    ],
)
def test_what_is_missing_is_named(module, run, message, monkeypatch):
    for name in [name for name in sys.modules if name.partition(".")[0] == module]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match=message):
        run()


def test_the_command_line_says_so_too(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "safetensors", None)
    assert main(["summary", "x"]) == 1
    assert capsys.readouterr().err.startswith("fastconv: loading a model needs safetensors: pip")
