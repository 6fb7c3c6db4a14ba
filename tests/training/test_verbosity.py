"""What the loop shows."""

import sys

import pytest
from small_classifier import X, Y, classifier

from fastconv.training import Callback, EpochLines


def test_verbose_0_prints_nothing(capfd):
    model = classifier()
    model.fit(X, Y, epochs=2, validation_split=0.5, verbose=0)
    model.evaluate(X, Y)
    model.predict(X)
    assert capfd.readouterr() == ("", "")


def test_verbose_1_is_a_bar_and_2_a_line(capfd):
    pytest.importorskip("tqdm")
    model = classifier()
    model.fit(X, Y, epochs=2, verbose=1)
    out, err = capfd.readouterr()
    assert out == ""
    assert "Epoch 2/2" in err
    assert "accuracy" in err
    model.fit(X, Y, epochs=2, validation_split=0.5, verbose=2)
    out, err = capfd.readouterr()
    assert err == ""
    assert [line.split("  ")[0] for line in out.splitlines()] == ["Epoch 1/2", "Epoch 2/2"]
    assert "(val " in out
    model.evaluate(X, Y, verbose=2)
    assert capfd.readouterr().out.startswith("loss ")


def test_without_tqdm(monkeypatch, capfd):
    monkeypatch.setitem(sys.modules, "tqdm", None)
    with pytest.raises(
        ImportError, match=r'ProgressBar needs tqdm: pip install "fastconv\[train\]'
    ):
        classifier().fit(X, Y, verbose=1)
    classifier().fit(X, Y)
    assert "Epoch 1/1" in capfd.readouterr().out
    assert isinstance(EpochLines(), Callback)
