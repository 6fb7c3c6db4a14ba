"""What `fit` shows while it runs: a bar, or a line for each epoch."""

from __future__ import annotations

import importlib.util
import shutil
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TextIO, TypeVar

from fastconv.training.callbacks import Callback
from fastconv.utils import import_extra

__all__ = ["EpochLines", "ProgressBar", "progress", "resolve", "text", "watched"]

_T = TypeVar("_T")


def text(logs: Mapping[str, float]) -> str:
    """Return logs as one piece of text.

    Examples
    --------
    >>> text({"loss": 0.5, "accuracy": 0.9, "val_loss": 0.6})
    'loss 0.5000 (val 0.6000)  accuracy 0.9000'
    """
    parts = []
    for name, value in logs.items():
        held_out = logs.get(f"val_{name}")
        if not name.startswith("val_"):
            val = "" if held_out is None else f" (val {held_out:.4f})"
            parts.append(f"{name} {value:.4f}{val}")
    return "  ".join(parts)


class ProgressBar(Callback):
    """A bar for each epoch on stderr, with the loss and the metrics; needs tqdm.

    Examples
    --------
    >>> ProgressBar(file=sys.stdout).file is sys.stdout
    True
    """

    def __init__(self, file: TextIO | None = None) -> None:
        self._tqdm = import_extra("tqdm", "ProgressBar").tqdm
        self.file = file
        self._bar: Any = None

    def on_epoch_begin(self, epoch: int) -> None:
        """Open the bar."""
        epochs = self.params["epochs"]
        columns, rows = shutil.get_terminal_size()  # 80 x 24 where a terminal says 0 x 0
        self._bar = self._tqdm(
            total=self.params["steps"],
            desc=f"Epoch {epoch + 1:{len(str(epochs))}d}/{epochs}",
            file=self.file or sys.stderr,
            ncols=min(columns, 100),
            nrows=rows,
            bar_format="{desc} {bar} {elapsed}{postfix}",
        )

    def on_train_batch_end(self, batch: int, logs: dict[str, float]) -> None:
        """Move the bar."""
        self._bar.set_postfix_str(text(logs), refresh=False)
        self._bar.update()

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        """Leave the full bar standing."""
        self._bar.set_postfix_str(text(logs))
        self._close()

    def on_train_end(self) -> None:
        """Close a bar that an interruption left open."""
        self._close()

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None


class EpochLines(Callback):
    """One line for each epoch on stdout.

    Examples
    --------
    >>> lines = EpochLines()
    >>> lines.set_params({"epochs": 10})
    >>> lines.on_epoch_begin(0)
    >>> lines.on_epoch_end(0, {"loss": 0.5})  # doctest: +ELLIPSIS
    Epoch  1/10  0.0 s  loss 0.5000
    """

    def __init__(self, file: TextIO | None = None) -> None:
        self.file = file

    def on_epoch_begin(self, epoch: int) -> None:
        """Start the clock."""
        self._start = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        """Write the line."""
        epochs = self.params["epochs"]
        seconds = time.perf_counter() - self._start
        head = f"Epoch {epoch + 1:{len(str(epochs))}d}/{epochs}  {seconds:.1f} s"
        file = self.file or sys.stdout
        file.write(f"{head}  {text(logs)}\n")
        file.flush()


def progress(verbose: int | str) -> list[Callback]:
    """Return what shows progress for Keras' `verbose`.

    0 is nothing, 1 a bar, 2 lines; ``"auto"`` is a bar where tqdm is installed and stderr is a
    terminal, and else lines.

    Examples
    --------
    >>> progress(0)
    []
    """
    match resolve(verbose):
        case 0:
            return []
        case 1:
            return [ProgressBar()]
        case _:
            return [EpochLines()]


def resolve(verbose: int | str) -> int:
    """Return 0, 1 or 2 for these or ``"auto"``."""
    if verbose == "auto":
        bar = sys.stderr.isatty() and importlib.util.find_spec("tqdm") is not None
        return 1 if bar else 2
    if verbose not in (0, 1, 2):
        raise ValueError(f"verbose: got {verbose!r}, expected 0, 1, 2 or 'auto'")
    return int(verbose)


def watched(batches: Iterable[_T], steps: int, label: str, verbose: int | str) -> Iterator[_T]:
    """Go through batches, with a bar where `verbose` wants one.

    Examples
    --------
    >>> list(watched([1, 2], 2, "Predicting", verbose=0))
    [1, 2]
    """
    if resolve(verbose) != 1:
        yield from batches
        return
    tqdm = import_extra("tqdm", "verbose=1").tqdm
    yield from tqdm(batches, total=steps, desc=label, unit="batch", leave=False)
