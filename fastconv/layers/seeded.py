"""Layers that draw random numbers, the same ones after a checkpoint as without."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Unpack

import numpy as np

from fastconv.layers.base import Layer, LayerOptions
from fastconv.utils import next_seed


class Seeded(Layer):
    """A layer that draws: the draw of training step k depends on the seed and on k only.

    Both are part of a checkpoint, so that training continues as if it had not stopped.
    """

    def __init__(self, seed: int | None, **options: Unpack[LayerOptions]) -> None:
        super().__init__(**options)
        if seed is not None and (not isinstance(seed, int | np.integer) or seed < 0):
            raise ValueError(f"seed: got {seed!r}, expected a non-negative integer or None")
        self.seed = None if seed is None else int(seed)
        self._stream = next_seed() if self.seed is None else self.seed
        self._step = 0

    def next_draw(self) -> int:
        """Return the seed of the next training step."""
        drawn = np.random.SeedSequence((self._stream, self._step)).generate_state(1, np.uint64)
        self._step += 1
        return int(drawn[0])

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "seed": self.seed}

    def get_state(self) -> dict[str, Any]:
        """Return the seed in use and the number of draws."""
        return {"stream": self._stream, "step": self._step}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Continue where `get_state` was called."""
        self._stream, self._step = int(state["stream"]), int(state["step"])


class Rated(Seeded):
    """One whose draws depend on a rate as well, the share of what is dropped."""

    def __init__(
        self, rate: float, seed: int | None = None, **options: Unpack[LayerOptions]
    ) -> None:
        super().__init__(seed, **options)
        if not 0 <= rate < 1:
            raise ValueError(f"rate: got {rate!r}, expected a number in [0, 1)")
        self.rate = float(rate)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "rate": self.rate}
