"""Layers that work against overfitting."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Unpack

import numpy as np

from fastconv import functional
from fastconv.grad import dropout_backward
from fastconv.layers.base import Layer, LayerOptions
from fastconv.layers.registry import register_layer
from fastconv.layers.types import Array
from fastconv.utils import next_seed

__all__ = ["Dropout"]


@register_layer
class Dropout(Layer):
    """Set elements to 0 with probability `rate` while training, and scale up the rest.

    y = x * m / (1 - rate), m = 1 with probability 1 - rate, else 0, so that the expectation
    stays (inverted dropout). At inference y = x.

    Parameters
    ----------
    rate : float
        In [0, 1).
    seed : int, optional
        With it the masks are the same in every run; without, it is drawn from the stream of
        `fastconv.utils.set_random_seed`. The mask of training step k depends on seed and k
        only, and both are part of a checkpoint, so that training continues as if it had not
        stopped.
    **options
        See `Layer`.

    Notes
    -----
    Source: N. Srivastava et al., Dropout: a simple way to prevent neural networks from
    overfitting, JMLR 15, 2014.

    Examples
    --------
    >>> layer = Dropout(0.5, seed=1)
    >>> sorted(set(layer(np.ones((4, 8)), training=True).ravel().tolist()))
    [0.0, 2.0]
    >>> bool((layer(np.ones((4, 8))) == 1).all())
    True
    """

    def __init__(
        self, rate: float, seed: int | None = None, **options: Unpack[LayerOptions]
    ) -> None:
        super().__init__(**options)
        if not 0 <= rate < 1:
            raise ValueError(f"rate: got {rate!r}, expected a number in [0, 1)")
        self.rate = float(rate)
        self.seed = seed
        self._stream = next_seed() if seed is None else int(seed)
        self._step = 0

    def forward(self, x: Array, training: bool = False) -> Array:
        """Return the input, at training with elements dropped."""
        if not training:
            return x
        drawn = np.random.SeedSequence((self._stream, self._step)).generate_state(1, np.uint64)
        self._step += 1
        seed = int(drawn[0])
        self._save(seed)
        return functional.dropout(x, self.rate, seed=seed)

    def backward(self, grad: Array, need_input_grad: bool = True) -> Array | None:
        """Return the gradient, dropped and scaled likewise."""
        (seed,) = self._saved()
        return dropout_backward(grad, self.rate, seed=seed) if need_input_grad else None

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "rate": self.rate, "seed": self.seed}

    def get_state(self) -> dict[str, Any]:
        """Return the seed in use and the number of masks drawn."""
        return {"stream": self._stream, "step": self._step}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Continue where `get_state` was called."""
        self._stream, self._step = int(state["stream"]), int(state["step"])
