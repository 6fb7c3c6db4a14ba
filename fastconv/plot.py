"""Pictures of training: PNG files, drawn without a display. Needs the ``train`` extra."""

from __future__ import annotations

import io
import math
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastconv.checkpoints import write_atomically
from fastconv.utils import import_extra

__all__ = ["plot_filters", "plot_history", "plot_predictions"]

_BLUE, _ORANGE, _RED, _GREY = "#2b6cb0", "#dd6b20", "#c53030", "#718096"


def _figure(width: float, height: float) -> Any:
    """Return a figure of its own: pyplot's windows and settings are not touched."""
    figure = import_extra("matplotlib.figure", "fastconv.plot").Figure(
        figsize=(width, height), dpi=150, facecolor="white", layout="constrained"
    )
    import_extra("matplotlib.backends.backend_agg", "fastconv.plot").FigureCanvasAgg(figure)
    return figure


def _write(figure: Any, path: str | os.PathLike[str]) -> None:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    write_atomically(path, buffer.getvalue())


def plot_history(history: Mapping[str, Sequence[float]], path: str | os.PathLike[str]) -> None:
    """Draw loss and accuracy over the epochs, of training and of validation.

    Parameters
    ----------
    history : mapping of str to sequence of float
        ``History.history``: ``loss``, and if there ``accuracy`` and the same with ``val_``.
    path : path-like
        The PNG file to write.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     plot_history({"loss": [2.3, 0.5], "val_loss": [1.0, 0.6]}, f"{folder}/curve.png")
    """
    names = [name for name in history if not name.startswith("val_")]
    figure = _figure(4.6 * len(names), 3.6)
    for axes, name in zip(figure.subplots(1, len(names), squeeze=False)[0], names, strict=True):
        percent = name in ("acc", "accuracy") or name.endswith("_accuracy")
        for key, label, color in ((name, "training", _BLUE), (f"val_{name}", "held out", _ORANGE)):
            if key not in history:
                continue
            values = np.asarray(history[key]) * (100 if percent else 1)
            epochs = np.arange(1, len(values) + 1)
            text = f"{values[-1]:.2f} %" if percent else f"{values[-1]:.4f}"
            axes.plot(epochs, values, "o-", color=color, lw=1.8, ms=3.5, label=f"{label}: {text}")
        if name == "loss":
            axes.set_yscale("log")
            axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.set_title(f"{name.capitalize()}{' in %' if percent else ''}", loc="left", fontsize=11)
        axes.set_xlabel("epoch")
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(True, which="both", color="#e2e8f0", lw=0.6)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False)
    _write(figure, path)


def plot_filters(kernel: ArrayLike, path: str | os.PathLike[str], title: str = "") -> None:
    """Draw the filters of a convolution, those of a first layer best.

    Parameters
    ----------
    kernel : array_like, shape (height, width, in, filters)
        As `get_weights` returns it. With 3 input channels filters are shown in colour, else
        the first channel of each: blue is negative, white is 0, red is positive.
    path : path-like
        The PNG file to write.
    title : str
        Above the picture.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     plot_filters(np.ones((5, 5, 1, 6)), f"{folder}/filters.png")
    """
    filters = np.moveaxis(np.asarray(kernel, dtype=np.float64), -1, 0)
    if filters.ndim != 4 or not filters.size:
        raise ValueError(
            f"kernel: got shape {np.shape(kernel)}, expected (height, width, in, filters)"
        )
    largest = max(float(np.abs(filters).max()), 1e-12)
    columns = min(len(filters), 8)
    rows = -(-len(filters) // columns)
    figure = _figure(1.15 * columns + 0.8, 1.25 * rows + 0.5)
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    image = None
    for number, axes in enumerate(grid):
        axes.axis("off")
        if number >= len(filters):
            continue
        axes.set_title(str(number + 1), fontsize=8, color=_GREY, pad=2)
        if filters.shape[3] == 3:
            axes.imshow(0.5 + filters[number] / (2 * largest), interpolation="nearest")
        else:
            image = axes.imshow(
                filters[number, :, :, 0],
                cmap="RdBu_r",
                vmin=-largest,
                vmax=largest,
                interpolation="nearest",
            )
    if image is not None:
        bar = figure.colorbar(image, ax=list(grid), fraction=0.04, pad=0.02)
        bar.ax.tick_params(labelsize=7)
        bar.outline.set_visible(False)
    if title:
        figure.suptitle(title, fontsize=11, x=0.01, ha="left")
    _write(figure, path)


def plot_predictions(
    images: ArrayLike,
    probabilities: ArrayLike,
    labels: ArrayLike,
    path: str | os.PathLike[str],
    classes: Sequence[str] | None = None,
    count: int = 60,
) -> None:
    """Draw images with the predicted and the true class, the wrong ones first and in red.

    Parameters
    ----------
    images : array_like, shape (N, H, W, C)
        Between 0 and 1, C 1 or 3.
    probabilities : array_like, shape (N, classes)
        What the model predicts.
    labels : array_like, shape (N,)
        The true classes' numbers.
    path : path-like
        The PNG file to write.
    classes : sequence of str, optional
        Names; by default the numbers.
    count : int
        How many images to show.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     plot_predictions(np.ones((2, 8, 8, 1)), np.eye(2), [0, 0], f"{folder}/images.png")
    """
    x, p, y = np.asarray(images), np.asarray(probabilities), np.asarray(labels)
    guess = p.argmax(-1)
    names = [str(i) for i in range(p.shape[-1])] if classes is None else list(classes)
    wrong = np.flatnonzero(guess != y)
    right = np.flatnonzero(guess == y)
    # the rest spread evenly over the right ones
    spread = np.linspace(0, len(right) - 1, max(min(count - len(wrong), len(right)), 0))
    shown = np.concatenate([wrong[:count], right[spread.astype(np.intp)]])
    patches = import_extra("matplotlib.patches", "fastconv.plot")
    columns = min(len(shown), 10)
    rows = -(-len(shown) // max(columns, 1))
    figure = _figure(0.95 * columns + 0.1, 1.2 * rows + 0.6)
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in grid:
        axes.axis("off")
    for axes, n in zip(grid, shown, strict=False):
        axes.imshow(np.clip(x[n], 0, 1).squeeze(), cmap="gray_r", vmin=0, vmax=1)
        color = "black" if guess[n] == y[n] else _RED
        sure = math.floor(100 * p[n, guess[n]])
        axes.set_title(
            f"{names[guess[n]]} ({names[y[n]]})  {sure} %", fontsize=8, pad=3, color=color
        )
        if guess[n] != y[n]:
            axes.add_patch(
                patches.Rectangle(
                    (0, 0), 1, 1, transform=axes.transAxes, fill=False, ec=_RED, lw=2.5
                )
            )
    figure.suptitle(
        f"{len(y) - len(wrong)} of {len(y)} right, {len(wrong)} wrong"
        f"{', in red' if len(wrong) else ''}.  Above each: predicted (true), probability",
        fontsize=10,
        x=0.01,
        ha="left",
    )
    _write(figure, path)
