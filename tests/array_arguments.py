"""Arguments for tests of what goes in and what comes out."""

from __future__ import annotations

import numpy as np


def operands(rng, dtype=np.float32):
    x = rng.standard_normal((2, 4, 6, 7)).astype(dtype)
    return x, rng.standard_normal((8, 4, 3, 3)).astype(dtype)


class WithDLPack:
    """An array by ``__dlpack__`` alone."""

    def __init__(self, values):
        self.values = values

    def __dlpack__(self, **options):
        return self.values.__dlpack__(**options)

    def __dlpack_device__(self):
        return self.values.__dlpack_device__()
